"""Where a cluster's time went: every second of every task slot, from the application's launch to its stop.

The parts of `spent` add up to slots x wall, and none is below zero. They are measured by two clocks
(Spark's and ours inside the task), so that one needs a rule for what both claim:

1. A task occupies its slot from launch to finish. Where more tasks run than there are slots, as when
   Spark speculates, they share the slots evenly.
2. Of a task, Spark's scheduler delay, (de)serialization and result transfer come first, then its run.
3. Of the run, what was measured inside Python comes first, in the order of `PARTS`, then the start of the
   Python worker if it is new, then the JVM's shuffle and its garbage collection. So collection that
   goes on while Python trains is no part of its own: it costs the slot nothing.
4. What is left is ``other`` inside tasks. Slots without a task are idle: because their executor is not
   there (``absent``), because others still work (``stragglers``), or because no task runs at all, when the
   driver works alone (``driver``).

A second of a slot is a second of a core only where each slot has a core of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One item of the budget.

    title: for people. remedy: what would make it smaller; empty where nothing sensible would.
    """

    name: str
    title: str
    remedy: str = ""


# In the order in which figures stack and tables list them.
PARTS: tuple[Part, ...] = (
    Part("training", "Training"),
    Part("exchange", "Exchange with the parameter server", "exchange weights per epoch, not per batch"),
    Part("build", "Model rebuilt and compiled", "train more epochs in a task: each task rebuilds its model"),
    Part("data", "Reading and moving data", "let the executors read Parquet files of their own shards"),
    Part("import", "Importing the framework", "keep Python workers alive, and warm them up before"),
    Part("worker_start", "Starting Python workers", "keep Python workers alive, and warm them up before"),
    Part("warm_up", "Training to warm up"),
    Part("shuffle", "Shuffle and result transfer", "send fewer, smaller results: fewer rounds"),
    Part("serialization", "(De)serialization", "send fewer, smaller tasks and results: fewer rounds"),
    Part("scheduler", "Scheduler delay", "run fewer, longer tasks"),
    Part("gc", "Garbage collection outside Python", "give the executors more memory"),
    Part("failed", "Attempts that failed", "see why they failed, under Troubles"),
    Part("other", "Other, inside tasks"),
    Part("stragglers", "Idle: waiting for other tasks", "make the shards equally large, as many as slots"),
    Part("driver", "Idle: the driver works alone", "train longer per job: launch, merging, evaluation wait"),
    Part("absent", "Idle: executors not there yet", "keep the application or its executors for several runs"),
)
TITLES: Mapping[str, str] = {part.name: part.title for part in PARTS}
# Seconds of a task before Python: those of a process that served others before are no start of one.
WORKER_START = pl.when(pl.col("process_s") == 0).then(0.0).otherwise(pl.col("worker_start_s"))
# Parts of a task that were measured inside Python, and the columns that hold them, first come first served.
_IN_PYTHON: tuple[tuple[str, str], ...] = (
    ("training", "train_s"),
    ("exchange", "exchange_s"),
    ("build", "build_s"),
    ("data", "data_s"),
    ("import", "import_s"),
)


def spent(
    tasks: pl.DataFrame, executors: pl.DataFrame, *, slots: int, wall_s: float, task_cpus: int = 1
) -> dict[str, float]:
    """Core-seconds of one run by the names of `PARTS`; they add up to ``slots * wall_s``.

    tasks, executors: as `Reader.tasks` and `Reader.executors` give them, of this run alone. Without
    executors all slots count as there. slots: tasks that can run at once. wall_s: from the launch of the
    application to its stop. task_cpus: cores that each task claims.
    """
    total = max(0.0, slots * wall_s)
    found = {part.name: 0.0 for part in PARTS}
    start, end = (np.clip(_column(tasks, name), 0.0, wall_s) for name in ("launched_s", "finished_s"))
    end = np.maximum(start, end)
    shares, idle = _occupied(start, end, _present(executors, slots, wall_s, task_cpus), slots, wall_s)
    length = np.maximum(0.0, _column(tasks, "finished_s") - _column(tasks, "launched_s"))
    weight = np.divide(shares, length, out=np.zeros_like(shares), where=length > 0)
    for name, seconds in _of_tasks(tasks, length).items():
        found[name] += float(seconds @ weight)
    found |= idle
    # Sums of many floats: what rounding left goes to the largest part, which it can't make negative.
    largest = max(found, key=lambda name: found[name])
    found[largest] += total - sum(found.values())
    return found


def driver_alone_s(tasks: pl.DataFrame, wall_s: float) -> float:
    """Wall seconds of the application during which no task ran."""
    start, end = (np.clip(_column(tasks, name), 0.0, wall_s) for name in ("launched_s", "finished_s"))
    _, idle = _occupied(start, np.maximum(start, end), None, 1, wall_s)
    return idle["driver"]


def largest_avoidable(parts: Mapping[str, float]) -> Part | None:
    """The largest part that something could be done about; None if there is none."""
    candidates = [part for part in PARTS if part.remedy and parts.get(part.name, 0.0) > 0]
    return max(candidates, key=lambda part: parts[part.name], default=None)


def _of_tasks(tasks: pl.DataFrame, length: Array) -> dict[str, Array]:
    """By part, each task's seconds; for every task they add up to its length."""
    found = {part.name: np.zeros_like(length) for part in PARTS}

    def take(part: str, seconds: Array | float, *within: Array) -> None:
        """Give the part its seconds, as far as there is room in all of `within`."""
        taken = np.clip(seconds, 0.0, np.minimum.reduce(within))
        found[part] += taken
        for one in within:
            one -= taken

    left = length.copy()
    purpose = tasks["purpose"].to_numpy()
    take("failed", np.where((tasks["task_status"] != "ok").to_numpy(), np.inf, 0.0), left)
    take("scheduler", _column(tasks, "scheduler_delay_s"), left)
    take("serialization", _column(tasks, "deserialize_s"), left)
    take("serialization", _column(tasks, "serialize_s"), left)
    take("shuffle", _column(tasks, "getting_result_s"), left)
    run = np.minimum(left, _column(tasks, "run_s", missing=np.inf))
    python = np.minimum(run, _column(tasks, "python_s"))
    for part, column in _IN_PYTHON:
        seconds = _column(tasks, column)
        if part == "training":
            take("warm_up", np.where(purpose == "warm_up", seconds, 0.0), python, run, left)
            seconds = np.where(purpose == "warm_up", 0.0, seconds)
        take(part, seconds, python, run, left)
    take("other", np.inf, python, run, left)
    take("worker_start", _column(tasks.select(start=WORKER_START), "start"), run, left)
    take("shuffle", _column(tasks, "shuffle_wait_s"), run, left)
    take("shuffle", _column(tasks, "shuffle_write_s"), run, left)
    take("gc", _column(tasks, "gc_s"), run, left)
    # A task without Python of ours moves data before the training: that is what its JVM does.
    moving = (purpose == "other") & tasks["python_s"].is_null().to_numpy()
    take("data", np.where(moving, np.inf, 0.0), run, left)
    take("other", np.inf, left)
    return found


def _occupied(
    start: Array, end: Array, present: list[tuple[float, float, int]] | None, slots: int, wall_s: float
) -> tuple[Array, dict[str, float]]:
    """Slot-seconds that each task got, and those that nobody did, by why.

    present: from when to when how many slots were there; None if all always were.
    """
    if present is None:
        present = [(0.0, wall_s, slots)]
    since, until, number = np.array(present, dtype=float).reshape(-1, 3).T
    moments = np.unique(np.concatenate([[0.0, wall_s], start, end, since, until]))
    width = np.diff(moments)
    running = _level(moments, start, end, np.ones_like(start))
    there = np.minimum(_level(moments, since, until, number), slots)
    busy = np.minimum(running, slots)
    fraction = np.divide(busy, running, out=np.zeros_like(busy), where=running > 0)
    so_far = np.concatenate([[0.0], np.cumsum(fraction * width)])
    shares = so_far[np.searchsorted(moments, end)] - so_far[np.searchsorted(moments, start)]
    absent = slots - np.maximum(there, busy)
    free = slots - busy - absent
    return shares, {
        "stragglers": float((free * width)[running > 0].sum()),
        "driver": float((free * width)[running == 0].sum()),
        "absent": float((absent * width).sum()),
    }


def _level(moments: Array, start: Array, end: Array, height: Array) -> Array:
    """Sum of the heights of the intervals that cover each gap between moments."""
    change = np.zeros(len(moments))
    np.add.at(change, np.searchsorted(moments, start), height)
    np.add.at(change, np.searchsorted(moments, end), -height)
    return np.cumsum(change)[:-1]


def _present(
    executors: pl.DataFrame, slots: int, wall_s: float, task_cpus: int
) -> list[tuple[float, float, int]] | None:
    """From when to when each executor offered how many slots; None if nothing is known of them."""
    if not len(executors):
        return None
    found = []
    columns = ("executor", "added_s", "removed_s", "num_cores")
    for executor, added, removed, cores in executors.select(columns).iter_rows():
        if executor != "driver":
            since = min(max(added, 0.0), wall_s)
            until = wall_s if removed is None else min(max(removed, since), wall_s)
            found.append((since, until, cores // task_cpus))
    return found


def _column(frame: pl.DataFrame, name: str, missing: float = 0.0) -> Array:
    """A column as floats; what is null or no number counts as `missing`."""
    values: Array = frame[name].cast(pl.Float64).fill_null(missing).fill_nan(missing).to_numpy()
    return values.astype(float)
