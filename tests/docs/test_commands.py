"""Every command in README and in the ways into the docs runs, in its order, on invented times."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np
import pytest
import vl_convert

from bakeoff import datasets, environments, session, verification
from bakeoff.cli import main
from bakeoff.environments import Environment
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch, TurnAwaited
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded

sys.path.append(str(Path(__file__).parents[1] / "verification"))

from invented import Contestant

ROOT = Path(__file__).parents[2]
PAGES = ("README", "docs/ten-minutes", "docs/own-model", "docs/for-a-paper", "docs/for-a-class", "docs/faq")
# Exit codes of commands that may also say "undecided", what this machine lacks, or that too little is known.
CODES: Mapping[str, set[int]] = {
    "compare": {0, 9},
    "run": {0, 9},
    "calibrate": {0, 1},
    "plan": {0, 1, 8},
    "doctor": {0, 7},
}
_COMMAND = re.compile(r"^ {4}(bakeoff|make|pip|uv) (.*?)(?:\s{2,}#.*)?$", re.MULTILINE)


def text(page: str) -> str:
    return (ROOT / f"{page}.md").read_text(encoding="utf-8")


def commands(page: str) -> list[tuple[str, str]]:
    """Program and arguments of each line that a reader would type."""
    return _COMMAND.findall(text(page))


def blocks(page: str, language: str) -> list[str]:
    """The page's fenced blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


def launch(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
    """An invented run; or an invented contestant's evidence."""
    if request.job.paths.evidence:
        Contestant(backend=request.job.spec.settings.backend).evidence(Path(request.job.paths.evidence))
        yield RunEnded("ok")
        return
    for record in fake.launch(request):
        # An invented run takes no time, so neither may its parts.
        if isinstance(record, EpochRecord):
            brief = {"train_s": record.train_s * 1e-4, "evaluation_s": record.evaluation_s * 1e-4}
            yield dataclasses.replace(record, **brief)
        elif isinstance(record, PhaseEnded):
            yield dataclasses.replace(record, wall_s=record.wall_s * 1e-4)
        else:
            yield record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; environments and known data sets are there at once, and runs are invented."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BAKEOFF_STORE", raising=False)
    for entry in (session.run, verification.verify):
        monkeypatch.setitem(entry.__kwdefaults__, "launcher", launch)

    def environment(name: str, **_: object) -> Environment:
        return Environment(name, Path(sys.executable), {}, f"digest of {name}", "managed", tmp_path)

    def known(name: str, **options: object) -> datasets.Prepared:
        if name in datasets.catalogue():
            return datasets.Prepared(tmp_path, name, 10, (28, 28, 1), 60_000, 10_000, "0" * 64, "0" * 64)
        return prepared(name, **options)  # type: ignore[arg-type]

    # The scripts in a report are the same each time, and take a second or two to bundle.
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda *_, **__: "")
    prepared = datasets.ensure
    monkeypatch.setattr(environments, "ensure", environment)
    monkeypatch.setattr(datasets, "ensure", known)
    monkeypatch.setattr(datasets, "fetch", known)
    return tmp_path


def write_files(page: str) -> None:
    """What a page shows, saved under the names that its commands use; and images."""
    studies = blocks(page, "toml")
    for name, study in zip(("my-study.toml", "batches.toml"), studies, strict=False):
        Path(name).write_text(study)
    for network in blocks(page, "python"):
        if "def build" in network:
            Path("my_model.py").write_text(network)
    images = np.zeros((20, 8, 8, 1), np.uint8)
    labels = np.arange(20) % 2
    np.savez("my_images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_runs(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(page)
    if page == "docs/faq":
        assert main(["run", "quick", "--no-report"]) == 0
    found = commands(page)
    assert len(found) >= 3
    for program, arguments in found:
        if program == "bakeoff":
            words = shlex.split(arguments)
            # README's runs end with a report; drawing it each time would take most of the test's time.
            code = main([*words, "--no-report"] if words[0] == "run" and page != "README" else words)
            said = capsys.readouterr()
            assert code in CODES.get(words[0], {0}), f"bakeoff {arguments}: {code}\n{said.err[-2000:]}"
        elif program == "make":
            subprocess.run(["make", "-n", *shlex.split(arguments)], cwd=ROOT, check=True, capture_output=True)
    # Installing is tested in tests/packaging/test_wheel.py.


def test_the_python_in_the_readme_runs(folder: Path) -> None:
    (code,) = blocks("README", "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["verdicts"]) == 1  # type: ignore[arg-type]
    assert "mnist: times" in names["charts"]  # type: ignore[arg-type]


@pytest.mark.parametrize("page", ["docs/compare", "docs/report"])
def test_the_python_of_a_page_runs(page: str, folder: Path) -> None:
    assert main(["run", "quick", "--no-report"]) == 0
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), {})


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
