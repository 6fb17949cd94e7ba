"""Who may be called faster than whom: the one place that says so, of rows from the store."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats
from bakeoff.races.evaluations import Evaluated
from bakeoff.races.evidence import Evidence

Array = NDArray[np.float64]


def verdict(
    a: str,
    b: str,
    evidence: Evidence,
    rules: stats.Rules | None = None,
    *,
    is_finished: bool = True,
    lent: stats.Lent | None = None,
) -> stats.Verdict:
    """The verdict on trial `a` against trial `b`, from the blocks in which both ended well.

    evidence: its runs are good ones, of these trials or more; the last one counts where a block was run
    again. Errors are compared image by image where all runs that are paired have their outcomes, on the same
    images. Where it is unknown on what errors were measured, the test set's share of chance is left out. A
    certificate answers for the errors where the runs don't. is_finished: whether all blocks that the study
    planned have run. lent: what other runs of the study show of the noise.

    A number of blocks is fixed beforehand only if every run was begun for as many as the study plans now, and
    all have run. If not, somebody may have looked at the runs before settling how many there are, and the
    intervals are those that hold at every look (`stats.Schedule`).
    """
    mine = {trial: evidence.runs.filter(trial_id=trial) for trial in (a, b)}
    rules = rules or stats.Rules()
    schedule = _schedule(pl.concat([mine[a], mine[b]]), rules, is_finished)
    if schedule is not stats.Schedule.FIXED:
        rules = dataclasses.replace(rules, is_sequential=True)
    times = paired(mine[a], mine[b], "train_s")
    error = _error(mine[a], mine[b], evidence, rules)
    is_certified = frozenset((a, b)) in evidence.certified
    judged = stats.judge(*times, error, rules, lent, is_certified=is_certified)
    return dataclasses.replace(judged, schedule=schedule)


def _schedule(runs: pl.DataFrame, rules: stats.Rules, is_finished: bool) -> stats.Schedule:
    """How the number of blocks of these runs was settled."""
    if rules.is_sequential:
        return stats.Schedule.UNTIL_DECIDED
    if {"planned_blocks", "begun_for_blocks"} <= set(runs.columns):
        changed = runs.filter(pl.col("planned_blocks") != pl.col("begun_for_blocks"))
        if len(changed):
            return stats.Schedule.CHANGED
    return stats.Schedule.FIXED if is_finished else stats.Schedule.UNFINISHED


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
    names = {field.name for field in dataclasses.fields(stats.Rules)}
    known = {key: value for key, value in (rules or {}).items() if key in names and value is not None}
    return stats.Rules(**known)


def named(document: Mapping[str, Any]) -> frozenset[frozenset[str]]:
    """Pairs of trial_ids that a study is about; empty where it was stored without."""
    return frozenset(map(frozenset, (document.get("rules") or {}).get("comparisons") or ()))


def _error(a: pl.DataFrame, b: pl.DataFrame, evidence: Evidence, rules: stats.Rules) -> stats.ErrorDifference:
    """The difference of final errors, image by image where these are known to be the same ones.

    Where all blocks have the same images, the test set's share of chance is one and the same in all of them.
    Where each block has images of its own, as a validation split that is drawn anew, their draw is in the
    blocks' spread already, and only the pool that all are drawn from is left.
    """
    evaluated = evidence.evaluated
    of_a, of_b = (dict(side.select("block", "run_id").iter_rows()) for side in (a, b))
    pairs = [(of_a[block], of_b[block]) for block in sorted(of_a.keys() & of_b.keys())]
    sides = [(evaluated.get(one, Evaluated()), evaluated.get(other, Evaluated())) for one, other in pairs]
    images = {one.images if one.images == other.images else None for one, other in sides}
    is_drawn_anew = None not in images and 1 < len(images) == len(pairs)
    is_shared = None not in images and len(images) == 1
    wrong = _wrong(pairs, evidence.outcomes) if is_shared or is_drawn_anew else None
    if is_shared and wrong is not None and len({len(one) for one in wrong[0]}) == 1:
        return stats.error_difference_by_image(np.array(wrong[0]), np.array(wrong[1]), rules)
    nums = [one.num_pool if is_drawn_anew else one.num_images for pair in sides for one in pair]
    num_images = min((num for num in nums if num is not None), default=None) if None not in nums else None
    if is_drawn_anew and wrong is not None:
        return stats.error_difference_of_splits(*wrong, num_images, rules)
    pairing = stats.Pairing.OUTCOMES_MISSING if is_shared or is_drawn_anew else stats.Pairing.OTHER_IMAGES
    errors = paired(a, b, "final_validation_error")
    return stats.error_difference(*errors, rules, num_test_images=num_images, pairing=pairing)


def _wrong(
    pairs: Sequence[tuple[str, str]], outcomes: pl.DataFrame
) -> tuple[list[Array], list[Array]] | None:
    """By block, whether each run of a pair erred on each image (num_images,); None where it is not known."""
    if not len(outcomes) or not pairs:
        return None
    mine = outcomes.filter(pl.col("run_id").is_in([run_id for pair in pairs for run_id in pair]))
    found = {
        run_id: np.unpackbits(np.frombuffer(wrong, dtype=np.uint8), count=num).astype(float)
        for run_id, num, wrong in mine.select("run_id", "num_images", "wrong").iter_rows()
    }
    sides = [[found[run_id] for run_id in side if run_id in found] for side in zip(*pairs, strict=True)]
    if any(len(side) < len(pairs) for side in sides):
        return None
    if any(len(one) != len(other) or len(one) < 2 for one, other in zip(*sides, strict=True)):
        return None
    return sides[0], sides[1]
