"""Runs every example whose output the documentation shows, and writes it into the pages: ``make results``.

An output is a block in a page, fenced as ``console``, below a comment that says where it comes from:

    <!-- output of `bakeoff compare NAME` on results/PATH.bundle.zip -->  a command, on a bundle's results
    <!-- output of `bakeoff plan NAME.toml` on the mistakes -->           a command, on a study of `STUDIES`
    <!-- output of `until_decided` -->                                    one of `FUNCTIONS`

A fenced block of any other language shows no output.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

from bakeoff import session, study
from bakeoff.events import messages
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff.store.bundle import import_bundle
from bakeoff_worker.records import EpochRecord, Record

ROOT = Path(__file__).parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "results").rglob("README.md")),
)
LANGUAGES = ("toml", "python", "text", "console")  # of fenced blocks; only console shows outputs

_BLOCK = re.compile(r"^(?:<!-- output of `([^`]+)`(?: on (.+?))? -->\n)?```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    source: what gives its output, in backticks in the comment above; empty without one. on: a bundle or
    a study of `STUDIES`. start, end: where its text stands in the page.
    """

    page: Path
    source: str
    on: str
    language: str
    text: str
    start: int
    end: int

    def __str__(self) -> str:
        line = self.page.read_text(encoding="utf-8").count("\n", 0, self.start)
        return f"{self.page.relative_to(ROOT)}:{line}"


def blocks() -> Iterator[Block]:
    """Every fenced block of the documentation."""
    for page in PAGES:
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            source, on, language, text = found.groups()
            yield Block(page, source or "", on or "", language, text, found.start(4), found.end(4))


def output(block: Block) -> str:
    """What the block should show: produced now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if block.source in FUNCTIONS:
            return FUNCTIONS[block.source](folder) + "\n"
        program, *arguments = block.source.split()
        if program != "bakeoff":
            raise ValueError(f"{block}: expected `bakeoff ...` or one of {', '.join(FUNCTIONS)}")
        if block.on.endswith(".zip"):
            import_bundle(folder / "bakeoff.sqlite", ROOT / block.on)
        elif block.on:
            (folder / arguments[-1]).write_text(STUDIES[block.on], encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "bakeoff", *arguments],
            cwd=folder,
            env={key: value for key, value in os.environ.items() if not key.startswith("BAKEOFF_")},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout or done.stderr


# ---- studies and invented times ---------------------------------------------------------------------

STUDIES: Mapping[str, str] = {
    "the mistakes": """
[defaults]
dataset = "fashion_mnist"
batch_size = 200

[matrix]
backend = ["tensorflow", "jax", "pytorch"]
""",
}

_RACE = """
name = "race"
title = "Three networks"
repeats = 8

[defaults]
backend = "fake"
dataset = "digits.npz"
model = "mine.py"
epochs = 2

[matrix]
model_options.width = [1, 2, 3]
"""


def _launcher(seconds: Mapping[object, float]) -> Callable[[Launch], Generator[Record, None, None]]:
    """Invented runs, whose epochs take as many times longer as `seconds` says of the network's width."""

    def launch(request: Launch) -> Generator[Record, None, None]:
        spec = request.job.spec
        # A trial's identity has the path of its files in it, which is another one each time.
        known = replace(spec, settings=replace(spec.settings, model="mine.py", dataset="digits.npz"))
        for record in fake.launch(replace(request, job=replace(request.job, spec=known))):
            if isinstance(record, EpochRecord):
                factor = seconds[spec.settings.model_options["width"]]
                record = replace(record, train_s=record.train_s * factor)
            yield record

    return launch


def _told(folder: Path, text: str, seconds: Mapping[object, float]) -> list[str]:
    """What a run of the study tells, on invented times."""
    (folder / "race.toml").write_text(text, encoding="utf-8")
    (folder / "mine.py").write_text("def build(input_shape, num_classes, width=1): ...\n")
    images = {
        f"{kind}_{split}": array
        for split, number in (("train", 40), ("test", 20))
        for kind, array in (("x", np.zeros((number, 8, 8, 1), np.uint8)), ("y", np.arange(number) % 10))
    }
    np.savez(folder / "digits.npz", **images)
    told: list[str] = []
    with mock.patch.dict(os.environ, {"BAKEOFF_CACHE": str(folder / "cache")}):
        session.run(
            study.load(folder / "race.toml"),
            folder / "bakeoff.sqlite",
            listener=messages(told.append),
            launcher=_launcher(seconds),
            verify=False,
        )
    return told


def until_decided(folder: Path) -> str:
    """How a study stands after the first block at which something is decided and something is not."""
    rules = '\n[verdicts]\nuntil_decided = true\nmax_blocks = 8\nerror_margin = "1pp"\n'
    told = _told(folder, _RACE + rules, {1: 1.0, 2: 1.01, 3: 1.3})
    looks = [line for line in told if line.startswith("after block")]
    return next((look for look in looks if "sitting out" in look), looks[-1])


def follow_up(folder: Path) -> str:
    """What goes on, and why."""
    text = _RACE + '\n[follow_up]\nchoose = "model_options.width"\n\n[follow_up.set]\nepochs = 4\n'
    told = _told(folder, text.replace("[1, 2, 3]", "[1, 2]"), {1: 1.0, 2: 1.15})
    return next(line for line in told if " goes on: " in line)


FUNCTIONS: Mapping[str, Callable[[Path], str]] = {"until_decided": until_decided, "follow_up": follow_up}


def main() -> int:
    """Write what differs; 0."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in reversed([one for one in blocks() if one.page == page and one.language == "console"]):
            text = text[: block.start] + output(block) + text[block.end :]
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
