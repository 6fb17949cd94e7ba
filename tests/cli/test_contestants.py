"""A contestant of one's own, one file, through the real program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "contestants"

STUDY = """
repeats = 2
[defaults]
dataset = "digits.npz"
model = "invented.py"
environment = "fake"
epochs = 2
optimizer = "sgd"
learning_rate = 0.5
global_batch_size = 10
[matrix]
contestant = ["regression.py", "again.py"]
"""


@pytest.fixture
def race(program: Any) -> Any:
    """The program beside two contestants that do the same, and a study of both."""
    for name, file in (("regression", "regression"), ("again", "regression"), ("rate", "rate")):
        shutil.copy(FOLDER / f"{file}.py", program.folder / f"{name}.py")
    program.write("race.toml", STUDY)
    return program


def test_one_file_is_a_contestant(race: Any) -> None:
    assert json.loads(race("plan", "race.toml", "--json").stdout)["cannot_run"] == {}
    told = race("run", "race.toml", "--quiet").stderr
    assert "differ" not in told
    runs = race.runs()
    assert runs["status"].to_list() == ["ok"] * 4 and set(runs["backend"]) == {"regression", "again"}
    assert runs["final_validation_error"].n_unique() > 1  # what it computed hangs on the seed
    (comparison,) = json.loads(race("compare", "race", "--json", code=1).stdout)["sections"][0]["races"][0][
        "comparisons"
    ]
    assert comparison["certificate"]["verdict"] == "same"
    shown = race("profile", "race.toml", "--trial", "again (fake)").stdout
    assert (
        "steady steps" in shown
        and "again (fake): no layers: this backend trains no network of Keras" in shown
    )


def test_its_file_and_what_that_imports_are_what_it_is(race: Any) -> None:
    race.write("race.toml", STUDY.replace("repeats = 2", "repeats = 1").replace(', "again.py"', ""))
    rate = race.folder / "rate.py"
    as_it_was = rate.read_text()
    for text, number in ((as_it_was, 1), ("RATE = 0.4\n", 2), (as_it_was, 2)):
        rate.write_text(text)
        race("run", "race.toml", "--quiet", "--no-report")
        assert race.runs()["trial_id"].n_unique() == len(race.runs()) == number


def test_one_that_breaks_the_contract_never_starts_and_the_others_run(race: Any) -> None:
    broken = (FOLDER / "regression.py").read_text().replace("def silence", "def quiet")
    race.write("again.py", broken)
    race("run", "race.toml", "--quiet", "--no-report", code=1)
    failed = race.runs().filter(backend="again")
    assert set(failed["status"]) == {"failed"} and set(
        race.runs().filter(backend="regression")["status"]
    ) == {"ok"}
    assert "class Backend of again.py lacks silence; add\n    def silence(self): ..." in failed["reason"][0]
