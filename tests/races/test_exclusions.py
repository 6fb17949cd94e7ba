"""Runs that a comparison leaves out, and whether its verdict hinges on that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from bakeoff import races, stats
from bakeoff.races import Comparison, Frames

SLOW = (20.0, 22.0, 24.0, 21.0, 23.0, 20.4, 21.0)


def only(frames: Frames) -> Comparison:
    """The comparison of a study that has one."""
    return races.compose(frames)[0].races[0].comparisons[0]


def put(frames: Frames, backend: str, block: int, **values: Any) -> Frames:
    """The frames with other values in one run."""
    hit = (pl.col("backend") == backend) & (pl.col("block") == block)
    columns = {name: pl.when(hit).then(pl.lit(value)).otherwise(name) for name, value in values.items()}
    return dataclasses.replace(frames, runs=frames.runs.with_columns(**columns))


@pytest.fixture
def pair(invented: Callable[..., Frames], entry: Any) -> Frames:
    return invented(entry("jax", SLOW), entry("tensorflow", [one / 2 for one in SLOW]))


def test_a_failed_run_takes_its_partner_along(invented: Callable[..., Frames], entry: Any) -> None:
    found = only(invented(entry("jax", (20.0, 22.0, None, 21.0)), entry("tensorflow", SLOW[:4])))
    assert [(one.contestant, one.block, one.why) for one in found.excluded] == [
        ("jax", 2, "failed"),
        ("tensorflow", 2, "jax has no good run in its block"),
    ]
    assert found.verdict.time.num_blocks == 3 and len(found.run_ids) == 6
    assert "left out: jax: 1 failed" in "; ".join(races.sentences.remarks(found))


def test_the_last_attempt_counts_and_an_earlier_one_that_says_otherwise_is_told(pair: Frames) -> None:
    first = pair.runs.filter(pl.col("backend") == "tensorflow", pl.col("block") == 0)
    slow = first.with_columns(run_id=pl.lit("first"), train_s=pl.lit(90.0))
    frames = dataclasses.replace(pair, runs=pl.concat([slow, pair.runs]))
    found = only(frames)
    assert [(one.run_id, one.why) for one in found.excluded] == [("first", "run again later")]
    assert found.verdict.kind == stats.FASTER
    assert found.hinge == "with the first good attempts instead of the last: undecided"


def test_runs_under_other_conditions_are_named(pair: Frames) -> None:
    other = pair.runs.head(2).with_columns(machine_id=pl.lit("another"), condition_id=pl.lit("c2"))
    other = other.with_columns(run_id=pl.concat_str(pl.lit("other"), "run_id"))
    found = only(dataclasses.replace(pair, runs=pl.concat([pair.runs, other])))
    assert {one.why for one in found.excluded} == {"under other conditions"} and len(found.excluded) == 2


def test_disturbed_runs_count_and_it_is_said_where_the_verdict_hinges_on_them(pair: Frames) -> None:
    assert only(put(pair, "jax", 3, disturbed=True)).hinge == ""
    # Six quiet blocks agree, and the disturbed one is all that makes it undecided.
    frames = put(pair, "jax", 3, disturbed=True, train_s=2.0)
    found = only(frames)
    assert found.verdict.kind == stats.UNDECIDED
    assert found.hinge == "without the one run disturbed by other work: tensorflow is faster"
    assert "hinges on which runs count" in "; ".join(races.sentences.remarks(found))


def test_with_too_few_blocks_left_nothing_is_said(invented: Callable[..., Frames], entry: Any) -> None:
    frames = invented(entry("jax", SLOW[:3]), entry("tensorflow", (10.0, 11.0, 12.0)))
    assert only(put(frames, "jax", 0, disturbed=True)).hinge == ""


def test_a_run_that_failed_at_its_very_end_is_tried(pair: Frames) -> None:
    frames = put(pair, "jax", 3, status="failed", train_s=2.0)
    found = only(frames)
    assert found.verdict.kind == stats.FASTER and found.verdict.time.num_blocks == 6
    assert found.hinge == "with the one run that failed after the last epoch: undecided"
