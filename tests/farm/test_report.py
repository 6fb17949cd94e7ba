"""The report's part on a farm: parts of a block's time, unlike nodes, verdicts that hinge on one of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from bakeoff import session, study
from bakeoff.launchers import fake
from bakeoff.races.frames import read
from bakeoff.report.contents import compose
from bakeoff.report.items import farm
from bakeoff.store.reader import Reader

STUDY = """
repeats = 16
defaults = { backend = "fake", epochs = 2 }
trials = [{ learning_rate = 0.001 }, { learning_rate = 0.01 }]
verdicts = { error_margin = 0.1 }
"""


def test_a_block_has_its_parts_and_a_verdict_that_hinges_on_a_node_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY)
    session.run(study.load(tmp_path / "s.toml"), tmp_path / "s.sqlite", launcher=fake.launch, verify=False)
    with Reader(tmp_path / "s.sqlite") as reader:
        frames = read(reader)
    assert not list(farm.items(compose(frames)))
    is_old = pl.col("block").is_in([0, 2, 3, 5, 8, 9, 11, 12, 14])
    # One takes a tenth less than the other on `old`, and as long on `new`.
    pace = pl.when(is_old & pl.col("label").str.ends_with("0.01")).then(0.9).otherwise(1.0)
    wobble = 1 + 0.001 * ((7 * pl.col("block") + pl.col("position")) % 5)
    runs = frames.runs.with_columns(train_s=pace * wobble)
    jobs = runs.select("run_id", "status", "block").with_columns(
        job_id=pl.col("block").cast(pl.String),
        node=pl.when(is_old).then(pl.lit("old")).otherwise(pl.lit("new")),
        node_id=pl.when(is_old).then(pl.lit("1")).otherwise(pl.lit("2")),
        is_exclusive=pl.lit(True),
        state=pl.lit("done"),
        manager_s=pl.lit(12.0),
        cpu_s=pl.lit(5.0),
        manager_cpu_s=pl.lit(None, pl.Float64),
        **{name: pl.lit(2.0) for name in farm._PARTS},
    )
    (item,) = farm.items(compose(dataclasses.replace(frames, runs=runs, farm_jobs=jobs)))
    assert item.table is not None and len(item.table.rows) == 16
    assert item.table.rows[0] == ("1", "0", "old", "done", *["2.0"] * 7, "8.0", "12.0", "5.0", "–", "–")
    alike, *hinges = item.remarks
    assert "old: 9 blocks; new: 7 blocks" in alike
    (hinge,) = hinges
    assert hinge.startswith("Without old it would be: ") and "practically the same time" in hinge
