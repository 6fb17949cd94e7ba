"""A backend outside of the tree, through the real program: listed, planned, run, compared, reported."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "backends"

STUDY = """
repeats = 3
[defaults]
dataset = "digits.npz"
model = "invented.py"
epochs = 3
optimizer = "sgd"
learning_rate = 0.5
global_batch_size = 10
[matrix]
backend = ["toy", "fake"]
"""


def with_toy(program: Any, folders: str = str(FOLDER)) -> Any:
    return replace(program, variables={"BAKEOFF_BACKENDS": folders})


def test_one_new_folder_is_a_new_backend(program: Any) -> None:
    program = with_toy(program)
    program.write("race.toml", STUDY)
    assert "softmax regression in NumPy" in program("env", "list").stdout

    planned = json.loads(program("plan", "race.toml", "--json").stdout)
    assert planned["cannot_run"] == {}
    assert {run["settings"]["backend"] for run in planned["runs"]} == {"toy", "fake"}
    declined = program("plan", "race.toml", "--set", "precision=float64", code=1).stdout
    assert "toy would be skipped: the toy has no such precision" in declined
    wrong = program("plan", "race.toml", "--set", "backend=plaything", code=3).stderr
    assert "expected one of `theano`" in wrong and "did you mean `toy`?" in wrong

    program("run", "race.toml", "--quiet", "--no-report")
    runs = program.runs()
    assert runs["status"].to_list() == ["ok"] * 6
    toy = runs.filter(backend="toy")
    assert set(toy["environment"]) == {"toy"} and (toy["train_s"] > 0).all()
    assert toy["final_validation_error"].n_unique() > 1  # what it computed hangs on the seed

    document = json.loads(program("compare", "race", "--json", code=1).stdout)
    (race,) = document["sections"][0]["races"]
    assert [one["name"].split(" ")[0] for one in race["contestants"]] == ["fake", "toy"]  # by their places

    program("report", "race", "--output", "report.html")
    page = (program.folder / "report.html").read_text()
    assert "#be185d" in page and "#f9a8d4" in page and "triangle-left" in page
    assert "numpy" in page


def test_an_edited_backend_is_another_one(program: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    program = with_toy(program, str(folder))
    program.write("alone.toml", STUDY.replace("repeats = 3", "repeats = 1").replace(', "fake"', ""))
    # What it does, what it may read, and what it may import.
    for number, file in enumerate(["toy/backend.py", "toy/table.csv", "shared.py"], 1):
        with (folder / file).open("a") as stream:
            stream.write("# one more line\n")
        for _ in range(2):
            program("run", "alone.toml", "--quiet", "--no-report")
            assert program.runs()["environment_digest"].n_unique() == len(program.runs()) == number


def test_without_the_setting_nobody_knows_it(program: Any) -> None:
    program.write("race.toml", STUDY)
    assert "got `toy`" in program("plan", "race.toml", code=3).stderr


def test_a_folder_that_holds_no_backend_is_said(program: Any, tmp_path: Path) -> None:
    told = with_toy(program, str(tmp_path))("env", "list", code=2).stderr
    assert f"BAKEOFF_BACKENDS: {tmp_path} has no backend in it: expected NAME/backend.py" in told


def test_a_record_that_is_wrong_is_said(program: Any, tmp_path: Path) -> None:
    for name in ("mine", "jax"):
        (tmp_path / "folders" / name / name).mkdir(parents=True)
        (tmp_path / "folders" / name / name / "backend.py").touch()
    (tmp_path / "folders/mine/mine/__init__.py").write_text("RECORD = 3\n")
    told = with_toy(program, str(tmp_path / "folders/mine"))("env", "list", code=2).stderr
    assert "expected RECORD, a Record named mine; got int" in told
    told = with_toy(program, str(tmp_path / "folders/jax"))("env", "list", code=2).stderr
    assert "backend jax is in" in told and "expected it once" in told
