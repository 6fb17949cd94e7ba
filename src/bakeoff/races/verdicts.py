"""Who may be called faster than whom: the one place that says so, of rows from the store."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats

Array = NDArray[np.float64]


def verdict(
    a: str,
    b: str,
    runs: pl.DataFrame,
    outcomes: pl.DataFrame | None = None,
    num_images: Mapping[str, int | None] | None = None,
    rules: stats.Rules | None = None,
    *,
    is_finished: bool = True,
) -> stats.Verdict:
    """The verdict on trial `a` against trial `b`, from the blocks in which both ended well.

    runs: good runs that may share a mean, of these trials or more: `trial_id`, `block`, `run_id`, `train_s`,
    `final_validation_error`, and `planned_blocks` and `begun_for_blocks` if they are known; the last one
    counts where a block was run again. outcomes: what each run got wrong (`run_id`, `num_images`, `wrong`),
    as the store has it; errors are compared image by image where all runs that are paired have theirs, on the
    same images. num_images: by trial_id, how many images errors were measured on; where it is unknown, the
    test set's share of chance is left out. is_finished: whether all blocks that the study planned have run.

    A number of blocks is fixed beforehand only if every run was begun for as many as the study plans now, and
    all have run. If not, somebody may have looked at the runs before settling how many there are, and the
    intervals are those that hold at every look (`stats.Schedule`).
    """
    mine = {trial: runs.filter(trial_id=trial) for trial in (a, b)}
    rules = rules or stats.Rules()
    schedule = _schedule(pl.concat([mine[a], mine[b]]), rules, is_finished)
    if schedule is not stats.Schedule.FIXED:
        rules = dataclasses.replace(rules, is_sequential=True)
    times = paired(mine[a], mine[b], "train_s")
    error = _error(mine[a], mine[b], outcomes, _shared(a, b, num_images), rules)
    return dataclasses.replace(stats.judge(*times, error, rules), schedule=schedule)


def _schedule(runs: pl.DataFrame, rules: stats.Rules, is_finished: bool) -> stats.Schedule:
    """How the number of blocks of these runs was settled."""
    if rules.is_sequential:
        return stats.Schedule.UNTIL_DECIDED
    if {"planned_blocks", "begun_for_blocks"} <= set(runs.columns):
        changed = runs.filter(pl.col("planned_blocks") != pl.col("begun_for_blocks"))
        if len(changed):
            return stats.Schedule.CHANGED
    return stats.Schedule.FIXED if is_finished else stats.Schedule.UNFINISHED


def on_time(found: stats.Verdict) -> stats.Kind:
    """The kind of a verdict if nobody asked about the error: who is faster, if anybody is."""
    kinds = {stats.FASTER_AT_WORSE_ERROR: stats.FASTER, stats.SLOWER_AT_BETTER_ERROR: stats.SLOWER}
    if found.undecided_on is stats.Question.ERROR and found.time.ratio is not None:
        return stats.FASTER if found.time.ratio < 1 else stats.SLOWER
    return kinds.get(found.kind, found.kind)


def paired(a: pl.DataFrame, b: pl.DataFrame, column: str) -> tuple[Array, Array]:
    """Values of a column of the blocks that both have runs in, in the order of the blocks."""
    of_a, of_b = by_block(a, column), by_block(b, column)
    return stats.pair(of_a[0], of_a[1], of_b[0], of_b[1])


def by_block(runs: pl.DataFrame, column: str) -> tuple[list[int], list[float]]:
    """Blocks and values of one contestant's runs; the last one counts where a block was run again."""
    values = (float("nan") if value is None else float(value) for value in runs[column])
    last = dict(zip(runs["block"].to_list(), values, strict=True))
    return list(last), list(last.values())


def rules_of(document: str | Mapping[str, Any]) -> stats.Rules:
    """By what rules a study is judged, from its stored document; the defaults where it says nothing."""
    told = json.loads(document) if isinstance(document, str) and document else document or {}
    rules = told.get("rules") if isinstance(told, Mapping) else None
    names = {one.name for one in dataclasses.fields(stats.Rules)}
    known = {key: value for key, value in (rules or {}).items() if key in names and value is not None}
    return stats.Rules(**known)


def evaluation_images(facts: pl.DataFrame, runs: pl.DataFrame) -> dict[str, int | None]:
    """By trial_id, on how many images its runs were evaluated, as they said themselves.

    facts: `run_id`, `observed`. runs: `run_id`, `trial_id`.
    """
    if not len(facts) or not len(runs):
        return {}
    said = facts.select("run_id", num=pl.col("observed").str.json_path_match("$.num_evaluation_images"))
    joined = runs.select("run_id", "trial_id").join(said, on="run_id")
    return {trial: int(num) if num else None for trial, num in joined.select("trial_id", "num").iter_rows()}


def _shared(a: str, b: str, num_images: Mapping[str, int | None] | None) -> int | None:
    """Number of images that both were evaluated on; None where it is unknown, or not one number."""
    known = num_images or {}
    return known.get(a) if known.get(a) == known.get(b) else None


def _error(
    a: pl.DataFrame,
    b: pl.DataFrame,
    outcomes: pl.DataFrame | None,
    num_images: int | None,
    rules: stats.Rules,
) -> stats.ErrorDifference:
    wrong = _wrong(a, b, outcomes)
    if not isinstance(wrong, stats.Pairing):
        return stats.error_difference_by_image(*wrong, rules)
    errors = paired(a, b, "final_validation_error")
    return stats.error_difference(*errors, rules, num_test_images=num_images, pairing=wrong)


def _wrong(
    a: pl.DataFrame, b: pl.DataFrame, outcomes: pl.DataFrame | None
) -> tuple[Array, Array] | stats.Pairing:
    """Whether each run erred on each image, shape (num_blocks, num_images); or why that can't be said."""
    if _any(a, b, "settings.evaluation_split", usual="test"):  # each repeat holds out other images
        return stats.Pairing.DRAWN_ANEW
    if _any(a, b, "settings.evaluation_images", usual=None):
        return stats.Pairing.OTHER_IMAGES
    if outcomes is None or not len(outcomes):
        return stats.Pairing.OUTCOMES_MISSING
    found = {
        run_id: np.unpackbits(np.frombuffer(wrong, dtype=np.uint8), count=num)
        for run_id, num, wrong in outcomes.select("run_id", "num_images", "wrong").iter_rows()
    }
    of_a, of_b = (dict(side.select("block", "run_id").iter_rows()) for side in (a, b))
    blocks = sorted(of_a.keys() & of_b.keys())
    tables = [[found.get(side[block]) for block in blocks] for side in (of_a, of_b)]
    if not blocks or any(bits is None for table in tables for bits in table):
        return stats.Pairing.OUTCOMES_MISSING
    lengths = {len(bits) for table in tables for bits in table if bits is not None}
    if len(lengths) != 1 or min(lengths) < 2:
        return stats.Pairing.OTHER_IMAGES
    first, second = (np.array(table, dtype=float) for table in tables)
    return first, second


def _any(a: pl.DataFrame, b: pl.DataFrame, column: str, usual: str | None) -> bool:
    """Whether a run has another value than the usual one."""
    return any(value != usual for side in (a, b) if column in side.columns for value in side[column])
