"""What each run took, epoch by epoch, and what follows for a pair: other times, targets, break-even."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats
from bakeoff.metrics import METRICS
from bakeoff.races.verdicts import by_block

Array = NDArray[np.float64]

# Phases that a run on one machine goes through once, whatever its number of epochs.
ONCE = ("interpreter", "import", "data", "build", "first_step")
# The study's own number of epochs, up to which break-even is followed.
MAX_EPOCHS = 200


@dataclass(frozen=True)
class Course:
    """One good run.

    once_s: seconds of what comes once; None where not all of it was timed. epochs_s: training seconds of each
    epoch; errors: after each, fractions; both of shape (num_epochs,).
    """

    once_s: float | None
    epochs_s: Array
    errors: Array

    @cached_property
    def steady_s(self) -> float:
        """Mean seconds of an epoch after the warm-up."""
        found = stats.warm_up(self.epochs_s)
        return float(self.epochs_s[found.num_epochs if found else 0 :].mean())


# By trial and block.
Courses = Mapping[str, Mapping[int, Course]]


def courses(runs: pl.DataFrame, epochs: pl.DataFrame, phases: pl.DataFrame) -> Courses:
    """The runs of which each epoch was timed alone; a cluster may report several as one, and is left out."""
    if not len(epochs) or not len(runs):
        return {}
    timed = epochs.sort("epoch").group_by("run_id").agg("epoch", "train_s", "validation_error")
    by_run = {run_id: columns for run_id, *columns in timed.iter_rows()}
    once = _once(phases)
    found: dict[str, dict[int, Course]] = {}
    for run_id, trial_id, block in runs.select("run_id", "trial_id", "block").iter_rows():
        numbers, *values = by_run.get(run_id, ([], [], []))
        if numbers and numbers == list(range(1, len(numbers) + 1)):
            seconds, errors = np.array(values, dtype=float)
            found.setdefault(trial_id, {})[block] = Course(once.get(run_id), seconds, errors)
    return found


def alike_compiled(a: pl.DataFrame, b: pl.DataFrame) -> frozenset[int]:
    """Blocks of both in which all that includes compilation may share a mean.

    a, b: runs with `block` and `cache`, what each found in its compile cache. Those in which neither had to
    compile what others found compiled, ``cold``; where there are none, the most that are alike.
    """
    states = [dict(side.select("block", "cache").iter_rows()) for side in (a, b)]
    groups: dict[tuple[str | None, ...], set[int]] = {}
    for block in states[0].keys() & states[1].keys():
        groups.setdefault(tuple(side[block] for side in states), set()).add(block)
    best = max(groups, key=lambda pair: ("cold" not in pair, len(groups[pair]), str(pair)), default=None)
    return frozenset(groups[best]) if best is not None else frozenset()


# By metric and block.
Measured = Mapping[str, Mapping[int, float]]


def measured(runs: pl.DataFrame) -> Measured:
    """What one contestant's runs took, by metric that is compared; a block's last run counts."""
    compared = {
        name: pl.sum_horizontal(metric.columns, ignore_nulls=False)
        for name, metric in METRICS.items()
        if metric.compared and {*metric.columns} <= {*runs.columns}
    }
    values = runs.select("block", **compared)
    return {name: dict(zip(*by_block(values, name), strict=True)) for name in compared}


def measures(
    a: Measured,
    b: Measured,
    of_a: Mapping[int, Course],
    of_b: Mapping[int, Course],
    alike: frozenset[int],
    rules: stats.Rules,
) -> dict[str, stats.TimeRatio]:
    """Ratios of what both have, a's to b's, by metric; those on which no block of both has a value left out.

    alike: blocks of which times that include compilation count. Of one machine and of a cluster alike, total
    time is that of the whole process. A throughput is a rate: above 1, a is faster.
    """
    found = {"epoch_s": _ratio(of_a, of_b, lambda course: course.steady_s, rules)}
    for name in a.keys() & b.keys():
        common = a[name].keys() & b[name].keys()
        blocks = sorted(common & alike if METRICS[name].includes_compilation else common)
        of_first, of_second = ([side[name][block] for block in blocks] for side in (a, b))
        found[name] = stats.time_ratio(of_first, of_second, rules)
    return {name: found[name] for name in ("epoch_s", *METRICS) if name in found and found[name].num_blocks}


def to_target(
    of_a: Mapping[int, Course], of_b: Mapping[int, Course], target: float, rules: stats.Rules
) -> stats.TargetComparison | None:
    """Training time until the target; None without a block of both."""
    blocks = _common(of_a, of_b)
    if not blocks:
        return None
    times = [
        [stats.time_to_target(side[block].epochs_s, side[block].errors, target) for block in blocks]
        for side in (of_a, of_b)
    ]
    return stats.compare_to_target(times[0], times[1], rules)


def break_even(
    of_a: Mapping[int, Course], of_b: Mapping[int, Course], alike: frozenset[int], rules: stats.Rules
) -> stats.BreakEven | None:
    """Total time by number of epochs; None where what comes once was not timed in both, or too little was.

    alike: blocks that count, see `alike_compiled`.
    """
    blocks = [
        block
        for block in _common(of_a, of_b)
        if block in alike and None not in (of_a[block].once_s, of_b[block].once_s)
    ]
    if len(blocks) < 2:
        return None
    a, b = _costs(of_a, blocks), _costs(of_b, blocks)
    longest = max(MAX_EPOCHS, a.epochs_s.shape[1], b.epochs_s.shape[1])
    return stats.break_even(a, b, longest, rules)


def _costs(courses: Mapping[int, Course], blocks: Sequence[int]) -> stats.Costs:
    """Of these blocks, as many epochs as all of them have."""
    chosen = [courses[block] for block in blocks]
    num = min(len(course.epochs_s) for course in chosen)
    once = np.array([course.once_s for course in chosen], dtype=float)
    return stats.Costs(once, np.array([course.epochs_s[:num] for course in chosen]))


def _once(phases: pl.DataFrame) -> dict[str, float]:
    """By run, seconds of what comes once; runs that lack a phase of it, or ran on a cluster, left out."""
    if not len(phases):
        return {}
    mine = phases.filter(pl.col("phase").is_in(ONCE)).group_by("run_id")
    summed = mine.agg(once_s=pl.col("wall_s").sum(), num=pl.col("phase").n_unique())
    on_cluster = set(phases.filter(phase="application")["run_id"])
    return {
        run_id: once_s
        for run_id, once_s, num in summed.iter_rows()
        if num == len(ONCE) and run_id not in on_cluster
    }


def _ratio(
    of_a: Mapping[int, Course],
    of_b: Mapping[int, Course],
    value: Callable[[Course], float],
    rules: stats.Rules,
) -> stats.TimeRatio:
    blocks: Sequence[int] = _common(of_a, of_b)
    return stats.time_ratio(
        [value(of_a[block]) for block in blocks], [value(of_b[block]) for block in blocks], rules
    )


def _common(of_a: Mapping[int, Course], of_b: Mapping[int, Course]) -> list[int]:
    return sorted(of_a.keys() & of_b.keys())
