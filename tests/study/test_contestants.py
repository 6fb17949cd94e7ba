"""Contestants of one's own in a study file: found, named, and every mistake told at its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakeoff.errors import StudyError
from bakeoff.study import load

STUDY = """
[defaults]
model = "lenet5"
[matrix]
contestant = [{ backend = "torch" }, { contestant = "mine.py", environment = "torch" }]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text("class Backend: pass\n")
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    return file


def test_a_file_is_a_backend_of_its_name(study: Path) -> None:
    keras, own = load(study).trials
    assert (keras.label, own.label) == ("torch", "mine (torch)")
    assert (keras.settings.backend, own.settings.backend) == ("torch", "mine")
    assert (keras.settings.contestant, own.settings.contestant) == ("", str(study.parent / "mine.py"))
    assert {*load(study).rules.comparisons[0]} == {keras.trial_id, own.trial_id}
    assert "contestant" in load(study).matrix_keys


def test_an_override_that_names_a_backend_leaves_no_file(study: Path) -> None:
    (only,) = load(study, ["backend=jax", "environment=jax"]).trials
    assert (only.settings.backend, only.settings.contestant) == ("jax", "")
    (only,) = load(study, [f"contestant={study.parent / 'mine.py'}", "environment=jax"]).trials
    assert (only.settings.backend, only.settings.environment) == ("mine", "jax")


def test_a_backend_in_a_trial_takes_the_place_of_a_file_in_the_defaults(study: Path) -> None:
    study.write_text(
        '[defaults]\ncontestant = "mine.py"\nenvironment = "torch"\n[[trials]]\nbackend = "torch"\n'
    )
    (only,) = load(study).trials
    assert (only.settings.backend, only.settings.contestant) == ("torch", "")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            'contestant = "mine.py"',
            "contestant `mine` names no environment: write `environment = ...`, one of",
        ),
        ('contestant = "mine.py", environment = "torhc"', "got `torhc`; did you mean `torch`?"),
        ('contestant = "other.py", environment = "torch"', "contestant[1].contestant: no such file: `"),
        (
            'contestant = "mine", environment = "torch"',
            "a Python file with `class Backend(Inspectable)`; got",
        ),
        (
            'contestant = "empty.py", environment = "torch"',
            "defines no class `Backend`; write `class Backend(",
        ),
        ('contestant = "broken.py", environment = "torch"', "line 1: not Python"),
        ('contestant = "jax.py", environment = "torch"', "`jax` is a backend already: give the file another"),
        (
            'contestant = "mine.py", backend = "jax", environment = "jax"',
            "`contestant` brings its own backend, `mine`: leave",
        ),
        (
            'contestant = "mine.py", environment = "theano_spark", distribution = "elephas"',
            "contestant `mine` trains in one process: expected distribution `single`",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_runs(study: Path, written: str, said: str) -> None:
    for name, text in {"empty": "", "broken": "class (", "jax": "class Backend: pass"}.items():
        (study.parent / f"{name}.py").write_text(text)
    study.write_text(STUDY.replace('contestant = "mine.py", environment = "torch"', written))
    with pytest.raises(StudyError) as told:
        load(study)
    assert len(told.value.problems) == 1 and said in told.value.problems[0]
