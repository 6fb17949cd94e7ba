"""Each mistake of the user's: its exit code, what was got, what was expected, and nothing lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from typing import Any

import numpy as np
import pytest

QUIET = ("--quiet", "--no-report")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bake",), 2, "invalid choice: 'bake'"),
        (("run",), 2, "required: STUDY"),
        (("run", "tiny.toml", "--quiet", "--json"), 2, "not allowed with"),
        (("run", "tiny.tml"), 3, "tiny.tml"),
        (("run", "paper-todai"), 3, "did you mean `paper-today`"),
        (("plan", "tiny.toml", "--set", "epochs"), 3, "epochs"),
        (("plan", "tiny.toml", "--set", "backend=pytorch"), 3, "`torch`"),
        (("plan", "tiny.toml", "--set", "epoch=3"), 3, "did you mean `epochs`"),
        (("plan", "tiny.toml", "--set", "repeats=x"), 3, '--set repeats: expected a whole number; got `"x"`'),
        (("plan", "tiny.toml", "--set", "rows.x=2"), 3, "--set rows.x: unknown key `rows`"),
        (("plan", "tiny.toml", "--set", "train_images=5"), 3, "--set train_images: a batch of "),
        (
            ("plan", "tiny.toml", "--set", "follow_up.choose=q"),
            3,
            "--set follow_up.choose: expected `set`",
        ),
        (("run", "tiny.toml", "--master", "yarn"), 3, "--master: no trial of this study runs on a cluster"),
        (
            ("plan", "quick-distributed", "--master", "http://here"),
            3,
            "--master: expected `embedded`, `spark",
        ),
        (("env", "create", "mxnet"), 4, "no environment mxnet"),
        (("data", "verify", "imagenet"), 5, "imagenet"),
        (("show",), 6, "no store there"),
        (("report", "--store", "nowhere.sqlite"), 6, "no store there"),
        (("export",), 6, "no store there"),
        (("import", "nothing.bakeoff"), 6, "nothing.bakeoff"),
        (
            ("run", "tiny.toml", "--store", "/proc/bakeoff.sqlite"),
            6,
            "/proc/bakeoff.sqlite: can't be written",
        ),
        (("run", "tiny.toml", "--store", "."), 6, "is a folder"),
        (("run", "tiny.toml", "--store", "tiny.toml"), 6, "not a Bakeoff store"),
    ],
)
def test_exit_code_and_message(program: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    before = sorted(program.folder.iterdir())
    err = program(*arguments, code=code).stderr
    assert words in err
    assert "error: " in err
    made = [path.name for path in program.folder.iterdir() if path not in before]
    assert all(name.endswith(".lock") for name in made), "nothing but a lock may be left"


def test_all_mistakes_of_a_study_at_once(program: Any) -> None:
    program.write(
        "wrong.toml",
        'name = "wrong name"\nrepeat = 3\n[defaults]\nbackend = "pytorch2"\nepochs = 0\n'
        'model = "none.py"\n[matrix]\nglobal_batch_size = [10, "20"]\n',
    )
    err = program("run", "wrong.toml", code=3).stderr
    places = re.findall(r"^error: wrong\.toml: \$\.?([\w.\[\]]*):", err, re.MULTILINE)
    assert set(places) == {
        *("name", "repeat", "defaults.backend", "defaults.epochs", "defaults.model"),
        "matrix.global_batch_size[1]",
    }
    assert not program.store.exists()


def test_a_store_of_a_newer_version_is_left_alone(program: Any) -> None:
    program("run", "tiny.toml", *QUIET, "--set", "repeats=1")
    connection = sqlite3.connect(program.store)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = program.store.read_bytes()
    for arguments in (("run", "tiny.toml", *QUIET), ("show",), ("export", "--bundle", "b.zip")):
        assert "written by a newer Bakeoff" in program(*arguments, code=6).stderr
    assert program.store.read_bytes() == before


def test_a_store_that_is_cut_off_says_so(program: Any) -> None:
    program("run", "tiny.toml", *QUIET)
    with program.store.open("r+b") as file:
        file.truncate(8192)
    program("show", "--json", code=6)


def test_a_gpu_that_is_not_there_is_found_before_anything_runs(program: Any) -> None:
    program.variables["CUDA_VISIBLE_DEVICES"] = ""
    err = program("run", "tiny.toml", *QUIET, "--set", 'device="gpu"', code=7).stderr
    assert "asks for device gpu" in err and "--set device=cpu" in err
    assert not program.store.exists() or program.runs().is_empty()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.zeros((40, 8, 8, 1), np.complex64)}, "complex64"),
        ({"x_train": np.zeros((40, 8), np.uint8)}, "x_train"),
        ({"y_train": np.arange(39) % 10}, "39"),
        ({"y_test": np.full(20, -1)}, "y_test"),
        ({"x_test": np.zeros((20, 9, 9, 1), np.uint8)}, "x_test"),
    ],
)
def test_data_of_the_wrong_form_are_failed_runs_with_the_reason(
    program: Any, changes: dict[str, Any], words: str
) -> None:
    arrays = dict(np.load(program.folder / "digits.npz"))
    np.savez(program.folder / "digits.npz", **arrays | changes)
    done = program("run", "tiny.toml", "--no-report", "--json", code=1)
    assert words in done.stderr and "digits.npz" in done.stderr
    assert set(program.runs()["status"]) == {"failed"}
    assert program.runs()["reason"].str.contains(words).all()


def test_the_output_may_be_cut_off_as_by_head(program: Any) -> None:
    for options, other in (((), "stdout"), (("--json",), "stderr")):
        process = program.start("run", "tiny.toml", "--no-report", *options, **{other: subprocess.DEVNULL})
        cut = process.stderr or process.stdout
        assert cut.readline()
        cut.close()
        process.wait(120)
    program("run", "tiny.toml", *QUIET)
    assert program.runs().filter(status="ok").select("trial_id", "repeat").n_unique() == 4
