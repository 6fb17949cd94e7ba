"""Every command in README and in the ways into the docs runs, in its order, on invented times."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
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

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ("README", "docs/ten-minutes", "docs/own-model", "docs/faq", "docs/for-a-paper", "docs/for-a-class")
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


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with results of `quick`; environments and known data sets are there, and runs are invented."""
    home = tmp_path_factory.mktemp("house")

    def environment(name: str, **_: object) -> Environment:
        return Environment(name, Path(sys.executable), {}, f"digest of {name}", "managed", home)

    def known(name: str, **options: object) -> datasets.Prepared:
        if name in datasets.catalogue():
            return datasets.Prepared(home, name, 10, (28, 28, 1), 60_000, 10_000, "0" * 64, "0" * 64)
        return prepared(name, **options)  # type: ignore[arg-type]

    prepared = datasets.ensure
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("BAKEOFF_CACHE", str(home / "cache"))
        patch.delenv("BAKEOFF_STORE", raising=False)
        for entry in (session.run, verification.verify):
            patch.setitem(entry.__kwdefaults__, "launcher", launch)
        # The scripts in a report are the same each time, and take a second or two to bundle.
        patch.setattr(vl_convert, "javascript_bundle", lambda *_, **__: "")
        patch.setattr(environments, "ensure", environment)
        patch.setattr(datasets, "ensure", known)
        patch.setattr(datasets, "fetch", known)
        assert main(["run", "quick", "--no-report"]) == 0
        yield home


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


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("page", PAGES)
def test_each_command_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(page)
    found = commands(page)
    assert len(found) >= 3
    for program, arguments in found:
        words = shlex.split(arguments)
        if program == "make":
            subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)
        elif program == "bakeoff" and (words != ["doctor"] or page == "README"):
            # README's runs end with a report; drawing it each time would take most of the test's time.
            code = main([*words, "--no-report"] if words[0] == "run" and page != "README" else words)
            said = capsys.readouterr()
            assert code in CODES.get(words[0], {0}), f"bakeoff {arguments}: {code}\n{said.err[-2000:]}"
    # Installing is tested in tests/packaging/test_wheel.py.


@pytest.mark.usefixtures("house")
def test_the_python_in_the_readme_runs() -> None:
    (code,) = blocks("README", "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["verdicts"]) == 1  # type: ignore[arg-type]
    assert "mnist: times" in names["charts"]  # type: ignore[arg-type]


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("page", ["docs/compare", "docs/report"])
def test_the_python_of_a_page_runs(page: str) -> None:
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), {})


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
