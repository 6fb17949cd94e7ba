"""The examples do what they say."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

import bakeoff
from bakeoff.cli import main

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, to run in."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    monkeypatch.chdir(tmp_path / "examples")
    return tmp_path / "examples"


def test_the_notebook_goes_from_a_study_to_figures(folder: Path) -> None:
    told = runpy.run_path(str(folder / "notebook.py"))
    assert told["tally"].counts == {"ok": 6}
    assert len(told["epochs"]) == 30
    assert {"study", "label", "validation_error"} <= set(told["epochs"].columns)
    for name in ("error.html", "times.html"):
        assert "vega" in (folder / name).read_text()


def test_running_again_from_python_runs_nothing_and_says_so(folder: Path) -> None:
    study, seen, said = bakeoff.load("smoke"), [], []
    first = bakeoff.run(study, "again.sqlite", on_record=lambda spec, record: seen.append(record))
    assert first.counts == {"ok": 4}
    assert [type(record).__name__ for record in seen].count("EpochRecord") == 12
    assert [type(record).__name__ for record in seen].count("RunEnded") == 4
    assert bakeoff.run(study, "again.sqlite", tell=said.append).counts == {}
    assert said[-1].startswith(f"{study.title}: 0 of 4 runs to do")


def test_public_names_are_there_and_others_are_not() -> None:
    assert {"load", "run", "open_results", "Study", "Results", "BakeoffError"} <= set(dir(bakeoff))
    for name in dir(bakeoff):
        assert getattr(bakeoff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'race'"):
        bakeoff.race  # noqa: B018


def test_the_own_study_is_right(folder: Path) -> None:
    runpy.run_path("make_data.py", run_name="__main__")
    study = bakeoff.load("my-study.toml")
    assert [trial.settings.model_options["width"] for trial in study.trials] == [16, 64] * 3
    assert main(["plan", "my-study.toml"]) == 0


def test_the_own_study_runs(folder: Path) -> None:
    runpy.run_path("make_data.py", run_name="__main__")
    changes = ["repeats=1", "epochs=5", "model_options.width=16", 'matrix.backend=["tensorflow", "torch"]']
    study = bakeoff.load("my-study.toml", changes)
    assert bakeoff.run(study).counts == {"ok": 2}
    runs = bakeoff.open_results("bakeoff.sqlite").runs(study.name)
    assert runs["final_validation_error"].max() < 0.3
