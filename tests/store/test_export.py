"""Exported files hold what the frames hold."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from store_sample import EXECUTOR, HERE, SAMPLES, epoch, specs, study, task

from bakeoff.errors import StoreError
from bakeoff.store.export import FORMATS, export
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Writer
from bakeoff_worker.records import Outcomes


@pytest.fixture
def diverged(full: Path) -> Path:
    """The full store, and a run whose loss is NaN."""
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, 0, epoch(1, train_loss=math.nan))
    return full


def test_parquet_is_the_frame(diverged: Path, tmp_path: Path) -> None:
    runs, epochs, phases = export(diverged, tmp_path / "out", "parquet")
    with Reader(diverged) as reader:
        for path, frame in ((runs, reader.runs()), (epochs, reader.epochs()), (phases, reader.phases())):
            assert_frame_equal(pl.read_parquet(path), frame)


def test_csv_tells_nan_from_missing(diverged: Path, tmp_path: Path) -> None:
    _, epochs, _ = export(diverged, tmp_path / "out", "csv")
    with Reader(diverged) as reader:
        frame = reader.epochs()
    assert_frame_equal(pl.read_csv(epochs, schema=frame.schema), frame)


def test_json_is_an_array_of_rows(diverged: Path, tmp_path: Path) -> None:
    _, epochs, _ = export(diverged, tmp_path / "out", "json")
    rows = json.loads(epochs.read_text())
    assert len(rows) == 13
    assert rows[0]["train_loss"] == 1.25 and rows[-1]["train_loss"] is None


@pytest.mark.parametrize("format", FORMATS)
def test_export_of_one_study_replaces_an_earlier_one(full: Path, tmp_path: Path, format: str) -> None:
    for _ in range(2):
        paths = export(full, tmp_path / "out", format, study="pair")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert {path.stem for path in paths} == {"runs", "epochs", "phases"}


@pytest.mark.parametrize("format", FORMATS)
def test_a_cluster_adds_files_and_leaves_none_to_a_study_without(
    full: Path, tmp_path: Path, format: str
) -> None:
    other = study(tuple(dataclasses.replace(spec, seed=9) for spec in specs()), "d9", "spread")
    with Writer(full) as writer:
        writer.begin_study(other)
        run_id = writer.begin_run(other.specs[0], study_digest="d9", condition=HERE, environment={})
        for seq, record in enumerate((task(1), EXECUTOR, SAMPLES)):
            writer.append(run_id, seq, record)
    paths = export(full, tmp_path / "out", format, study="spread")
    assert [path.stem for path in paths] == ["runs", "epochs", "phases", "tasks", "executors", "samples"]
    with Reader(full) as reader:
        tasks = reader.tasks("spread")
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}[format]
    assert read(paths[3])["python_s"].to_list() == tasks["python_s"].to_list() != []
    export(full, tmp_path / "out", format, study="pair")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"runs", "epochs", "phases"}


@pytest.mark.parametrize("format", FORMATS)
def test_outcomes_are_exported_where_they_are_known(full: Path, tmp_path: Path, format: str) -> None:
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, 0, Outcomes(3, 10, "wUA="))
    path = export(full, tmp_path / "out", format, study="pair")[3]
    (row,) = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}[format](path).iter_rows(
        named=True
    )
    assert (path.stem, row["run_id"], row["epoch"], row["num_images"]) == ("outcomes", run_id, 3, 10)
    assert row["wrong"] == (b"\xc1\x40" if format == "parquet" else "wUA=")


def test_wrong_format_and_folder(full: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a format of csv, parquet, json; got `xlsx`"):
        export(full, tmp_path, "xlsx")
    with pytest.raises(StoreError, match="can't be written"):
        export(full, full / "inside-a-file", "csv")
