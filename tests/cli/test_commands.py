"""Every other command, on what a run of the tiny study left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bakeoff.store.reader import Reader


def frames(store: Path) -> tuple[pl.DataFrame, ...]:
    with Reader(store) as reader:
        return reader.runs(), reader.epochs(), reader.phases()


def test_plan_before_any_run_knows_nothing_and_makes_nothing(program: Any) -> None:
    out = program("plan", "tiny.toml").stdout
    assert "2 trials × 2 repeats = 4 runs" in out and "nothing is known yet" in out
    assert not program.store.exists()


def test_plan_lists_the_order_in_which_runs_then_start(program: Any) -> None:
    planned = json.loads(program("plan", "tiny.toml", "--json").stdout)
    program("run", "tiny.toml", "--quiet", "--no-report")
    order = [(run["label"], run["repeat"]) for run in planned["runs"]]
    assert program.runs().select("label", "repeat").rows() == order


def test_plan_after_a_run_estimates(program: Any) -> None:
    program("run", "tiny.toml", "--quiet", "--no-report")  # here: a plan knows files by their place
    assert "time: about" in program("plan", "tiny.toml").stdout
    estimate = json.loads(program("plan", "tiny.toml", "--json").stdout)["estimate"]
    taken_s = program.runs()["wall_s"]
    assert 4 * taken_s.min() <= estimate["total_s"] <= 4 * taken_s.max()
    assert estimate["low_s"] <= estimate["total_s"] <= estimate["high_s"]


def test_plan_of_a_long_study_can_be_listed_in_full(program: Any) -> None:
    assert "more (--all lists them)" in program("plan", "tiny.toml", "--set", "repeats=30").stdout
    full = program("plan", "tiny.toml", "--set", "repeats=30", "--all").stdout
    assert full.count("batch 10") == 30 and "more (" not in full


def test_a_master_is_that_of_the_trials_on_a_cluster(program: Any) -> None:
    arguments = ("--master", "spark://far:7077", "--set", "distribution_options.master=yarn", "--json")
    plan = json.loads(program("plan", "paper-distributed-today", *arguments).stdout)
    follows = [run for branch in plan["follow_up"]["branches"] for run in branch["runs"]]
    for run in plan["runs"] + follows:
        on_cluster = run["settings"]["distribution"] == "elephas"
        master = run["settings"]["distribution_options"].get("master")
        assert master == ("spark://far:7077" if on_cluster else None)


def test_plan_tells_what_follows(program: Any) -> None:
    small = program("plan", "quick-distributed").stdout
    assert "100 a task" in small and "`bakeoff run quick-distributed` takes minutes" in small
    out = program("plan", "paper-distributed-today").stdout
    assert "runs with dataset fashion_mnist on the better layout (5x4 or 4x5)" in out
    assert "then:" not in program("plan", "tiny.toml").stdout


@pytest.mark.parametrize("format", ["csv", "parquet", "json"])
def test_export_reads_back_as_it_was(done: Any, format: str) -> None:
    printed = done("export", "--format", format, "--output", "out").stdout.split()
    assert printed == [f"out/{name}.{format}" for name in ("runs", "epochs", "phases", "outcomes")]
    for name, frame in zip(("runs", "epochs", "phases"), frames(done.store), strict=True):
        file = done.folder / "out" / f"{name}.{format}"
        back = {
            "csv": lambda file, schema: pl.read_csv(file, schema_overrides=schema),
            "parquet": lambda file, schema: pl.read_parquet(file),
            "json": lambda file, schema: pl.read_json(file, schema=schema),
        }[format](file, frame.schema)
        assert_frame_equal(back, frame)


def test_bundle_into_an_empty_store_gives_equal_frames(done: Any) -> None:
    assert "4 runs, 12 epochs" in done("export", "--bundle", "tiny.bakeoff").stdout
    assert "4 new runs" in done("import", "tiny.bakeoff", "--store", "other.sqlite").stdout
    assert "0 new runs" in done("import", "tiny.bakeoff", "--store", "other.sqlite").stdout
    for here, there in zip(frames(done.store), frames(done.folder / "other.sqlite"), strict=True):
        assert_frame_equal(here, there)
    # What came from the same machine and packages is not measured again.
    again = done("run", "tiny.toml", "--no-report", "--json", "--store", "other.sqlite")
    assert "0 of 4 runs to do" in again.stderr


def test_a_damaged_bundle_changes_nothing(done: Any) -> None:
    done("export", "--bundle", "tiny.bakeoff")
    whole = (done.folder / "tiny.bakeoff").read_bytes()
    (done.folder / "tiny.bakeoff").write_bytes(whole[: len(whole) // 2])
    refused = done("import", "tiny.bakeoff", code=6)
    assert "can't be read as a bundle" in refused.stderr and "hint:" in refused.stderr
    assert len(done.runs()) == 4


def test_show_runs_lists_each_with_its_fate(program: Any) -> None:
    fault = ("--set", 'model_options.fault="raise"', "--set", "repeats=1")
    program("run", "tiny.toml", "--quiet", "--no-report", *fault, code=1)
    shown = program("show", "--runs").stdout
    assert shown.count("failed") == 2 and "RuntimeError: told to raise" in shown


def test_show_json_is_the_frame(done: Any) -> None:
    rows = json.loads(done("show", "--json").stdout)
    assert [row["run_id"] for row in rows] == done.runs()["run_id"].to_list()


def test_show_takes_the_study_begun_last_or_the_one_named(done: Any) -> None:
    text = (done.folder / "tiny.toml").read_text().replace('name = "tiny"', 'name = "second"')
    done.write("second.toml", text)
    done("run", "second.toml", "--quiet", "--no-report", "--set", "repeats=1")
    assert {row["study"] for row in json.loads(done("show", "--json").stdout)} == {"second"}
    assert {row["study"] for row in json.loads(done("show", "tiny", "--json").stdout)} == {"tiny"}


def test_studies_lists_built_in_and_stored(done: Any) -> None:
    out = done("studies").stdout
    for name in ("quick", "paper", "paper-today", "sweep", "smoke", "paper-distributed"):
        assert f"{name} " in out
    (line,) = (line for line in out.splitlines() if line.split()[:1] == ["tiny"])
    assert line.split()[2:4] == ["4", "4"]


def test_env_list_names_the_catalogue(program: Any) -> None:
    out = program("env", "list").stdout
    for name in ("tensorflow", "jax", "torch", "theano", "vintage"):
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [name])
        assert "absent" in line


def test_env_remove_of_what_is_not_there(program: Any) -> None:
    assert "no environment torch to remove" in program("env", "remove", "torch", code=4).stderr


def test_data_list_names_the_catalogue_and_what_is_cached(done: Any) -> None:
    out = done("data", "list").stdout
    for name in ("mnist", "fashion_mnist", "cifar10"):
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [name])
        assert "absent" in line


def test_version(program: Any) -> None:
    assert program("--version").stdout.startswith("bakeoff ")


def test_a_store_can_be_read_in_a_folder_that_cannot_be_written(done: Any, tmp_path: Path) -> None:
    """As from a CD or another user's folder; SQLite alone would ask for its index of the log."""
    folder = tmp_path / "archive"
    folder.mkdir()
    shutil.copy(done.store, folder / "bakeoff.sqlite")
    folder.chmod(0o555)
    try:
        assert done("show", "--runs", "--store", folder / "bakeoff.sqlite").stdout.count(" ok ") == 4
    finally:
        folder.chmod(0o755)
