"""`bakeoff run` from start to end: what is stored, what is printed, what is missing and what is not."""

from __future__ import annotations

import json
import re
import shutil
import venv
from pathlib import Path
from typing import Any

import numpy
import polars as pl

QUIET = ("--quiet", "--no-report")
ONCE = ("--set", "repeats=1")


def test_every_planned_run_is_stored_once(done: Any) -> None:
    runs = done.runs()
    assert runs["status"].to_list() == ["ok"] * 4
    assert runs.select("label", "repeat").n_unique() == 4 and len(done.epochs()) == 12
    # Randomized blocks: each repeat of all trials before the next one.
    assert runs["block"].to_list() == [0, 0, 1, 1]


def test_the_same_command_again_has_nothing_to_do(done: Any) -> None:
    before = done.runs()
    again = done("run", "tiny.toml", "--no-report", "--json")
    assert "0 of 4 runs to do" in again.stderr and again.stdout == ""
    assert done.runs().equals(before)


def test_more_repeats_and_trials_measure_only_what_is_missing(done: Any) -> None:
    first = done.runs()
    done("run", "tiny.toml", *QUIET, "--set", "repeats=3")
    second = done.runs()
    assert len(second) == 6 and set(second["repeat"][4:]) == {2}
    done("run", "tiny.toml", *QUIET, "--set", "repeats=3", "--set", "matrix.global_batch_size=[10,20,40]")
    third = done.runs()
    assert len(third) == 9 and set(third["label"][6:]) == {"batch 40"}
    assert third["status"].to_list() == ["ok"] * 9
    assert third["run_id"][:4].to_list() == first["run_id"].to_list()
    # All of them are the last study's; the first study's four are still its own.
    shown = json.loads(done("show", "tiny", "--json").stdout)
    assert len(shown) == 9


def test_quiet_prints_nothing(program: Any) -> None:
    done = program("run", "tiny.toml", *QUIET, *ONCE)
    assert done.stdout == done.stderr == ""


def test_json_prints_only_json(program: Any) -> None:
    events = [json.loads(line) for line in program("run", "tiny.toml", "--json", *ONCE).stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "record"] == [
        "run_started",
        "run_ended",
    ] * 2
    epochs = [event["record"] for event in events if event.get("kind") == "epoch"]
    assert len(epochs) == 6 and epochs[0]["epoch"] == 1 and epochs[0]["num_images"] == 40
    stored = program.epochs()["train_s"].to_list()
    assert [epoch["train_s"] for epoch in epochs] == stored


def test_plain_lines_tell_position_epoch_and_error(finished: Any) -> None:
    err = finished[1].stderr
    assert "[1/4] batch 10, repeat 1: started" in err or "[1/4] batch 20, repeat 1: started" in err
    assert "epoch 3/3" in err and "error 23.33 %" in err and "\x1b[" not in err


def test_results_go_to_standard_output_and_all_else_to_standard_error(finished: Any) -> None:
    done = finished[1]
    assert not re.search(r"^\[\d/4\]|runs to do|epoch \d", done.stdout, re.MULTILINE)
    assert "Training time, s" in done.stdout
    assert done.stderr.count(": started\n") == done.stderr.count(": ok\n") == 4
    assert "4 of 4 runs to do" in done.stderr and "Training time" not in done.stderr


def test_a_failing_trial_gives_exit_code_1_and_the_others_go_on(program: Any) -> None:
    faults = ("raise", "nan", "exit", "segfault", "garbage", "memory", "skip", "hang")
    tables = "".join(
        f'[[trials]]\nmodel_options = {{ fault = "{fault}", fault_epoch = 2 }}\n' for fault in faults
    )
    tables += "time_limit_s = 3\n"  # for the last of them, which hangs
    text = (program.folder / "tiny.toml").read_text().partition("[matrix]")[0]
    text = text.replace("repeats = 2", "repeats = 1")
    program.write("faults.toml", f"{text}\nglobal_batch_size = 10\n{tables}\n[[trials]]\n")
    program("run", "faults.toml", *QUIET, code=1)
    runs = program.runs()
    fault_of = pl.col("settings.model_options").str.json_path_match("$.fault").fill_null("none")
    status = dict(runs.select(fault_of.alias("fault"), "status").rows())
    assert status == {
        "raise": "failed",
        "nan": "failed",
        "exit": "failed",
        "segfault": "failed",
        "garbage": "garbage",
        "memory": "out_of_memory",
        "skip": "skipped",
        "hang": "timeout",
        "none": "ok",
    }
    assert all(runs.filter(pl.col("status") != "ok")["reason"].str.len_chars() > 0)
    lost = runs.filter(fault_of.is_in(["raise", "exit", "segfault", "garbage", "memory"]))
    assert set(lost["num_epochs"]) == {1}, "the epoch before the fault must stay"


def test_what_failed_is_tried_again(program: Any) -> None:
    """The fault is cured by a file that appears, as a full disk is by space."""
    model = "def build(input_shape, num_classes, **options):\n    pass\n"
    program.write("invented.py", model)
    program("run", "tiny.toml", *QUIET, *ONCE, "--set", "time_limit_s=0.05", code=1)
    assert set(program.runs()["status"]) == {"timeout"}
    program("run", "tiny.toml", *QUIET, *ONCE)
    runs = program.runs()
    assert len(runs) == 4 and runs["status"].to_list()[2:] == ["ok"] * 2
    assert set(runs["attempt"][2:]) == {2}


def test_other_packages_are_measured_again_and_kept_apart(program: Any, tmp_path: Path) -> None:
    """An external environment is upgraded between two executions of the same study."""
    venv.create(tmp_path / "own")
    (site,) = (tmp_path / "own").glob("lib/python*/site-packages")
    for name in ("numpy", "numpy.libs"):
        source = Path(numpy.__file__).parents[1] / name
        if source.exists():
            (site / name).symlink_to(source)
    text = (program.folder / "tiny.toml").read_text()
    python = tmp_path / "own" / "bin" / "python"
    text = text.replace("epochs = 3", 'epochs = 3\nenvironment = "own"')
    program.write("tiny.toml", f'{text}\n[environments.own]\npython = "{python}"\n')

    _install(site, "1.0")
    program("run", "tiny.toml", *QUIET, *ONCE)
    _install(site, "2.0")
    program("run", "tiny.toml", *QUIET, *ONCE)
    runs = program.runs()
    assert runs["status"].to_list() == ["ok"] * 4
    conditions = runs.group_by("condition_id").agg(pl.len(), pl.col("environment_digest").n_unique())
    assert conditions.drop("condition_id").rows() == [(2, 1), (2, 1)]

    _install(site, "1.0")  # back again: those runs count as they are
    again = program("run", "tiny.toml", "--no-report", "--json", *ONCE)
    assert "0 of 2 runs to do" in again.stderr


def test_an_environment_that_cannot_be_had_stops_nobody_else(program: Any) -> None:
    text = (program.folder / "tiny.toml").read_text().partition("[matrix]")[0]
    program.write(
        "two.toml",
        f'{text}\nglobal_batch_size = 10\n[environments.gone]\npython = "/nowhere/python"\n'
        '[[trials]]\nenvironment = "gone"\n[[trials]]\n',
    )
    done = program("run", "two.toml", "--no-report", "--json", code=1)
    assert "/nowhere/python: no such file" in done.stderr
    runs = program.runs()
    assert sorted(runs["status"]) == ["failed", "failed", "ok", "ok"]
    failed = runs.filter(status="failed")
    assert failed["reason"].str.contains("/nowhere/python").all()


def test_what_the_report_needs_is_in_the_store(done: Any) -> None:
    runs = done.runs()
    for column in ("wall_s", "train_s", "evaluation_s", "user_s", "peak_memory_bytes", "machine", "command"):
        assert runs[column].null_count() == 0, column
    assert runs["command"].str.contains("tiny.toml").all()
    assert runs["environment_details"].str.contains('"own"').all()


def test_a_store_in_a_folder_that_is_not_there_yet(program: Any, tmp_path: Path) -> None:
    program("run", "tiny.toml", *QUIET, *ONCE, "--store", tmp_path / "deep" / "er" / "mine.sqlite")
    assert not program.store.exists()
    shown = program("show", "--runs", "--store", tmp_path / "deep" / "er" / "mine.sqlite").stdout
    assert shown.count(" ok ") == 2


def _install(site: Path, version: str) -> None:
    """A package of that version, and no other of its name."""
    for old in site.glob("something-*.dist-info"):
        shutil.rmtree(old)
    info = site / f"something-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: something\nVersion: {version}\n")
