"""The budget of a cluster's time: parts that add up, by hand and for whatever Spark may log."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.report.items.cluster.budget import PARTS, driver_alone_s, largest_avoidable, spent

pytestmark = pytest.mark.slow

SECONDS = (
    *("run_s", "deserialize_s", "serialize_s", "getting_result_s", "scheduler_delay_s", "gc_s"),
    *("shuffle_wait_s", "shuffle_write_s", "worker_start_s", "python_s", "import_s", "data_s", "build_s"),
    *("train_s", "exchange_s", "process_s"),
)
SCHEMA = {
    "purpose": pl.String,
    "task_status": pl.String,
    "launched_s": pl.Float64,
    "finished_s": pl.Float64,
    **dict.fromkeys(SECONDS, pl.Float64),
}
EXECUTORS = {"executor": pl.String, "num_cores": pl.Int64, "added_s": pl.Float64, "removed_s": pl.Float64}


def tasks(*rows: dict[str, Any]) -> pl.DataFrame:
    """Tasks that ended well and trained, unless a row says otherwise."""
    plain = {"purpose": "training", "task_status": "ok"}
    return pl.DataFrame([dict.fromkeys(SCHEMA) | plain | row for row in rows], schema=SCHEMA)


def executors(*rows: tuple[str, int, float, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EXECUTORS, orient="row")


def nonzero(parts: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 9) for name, value in parts.items() if abs(value) > 1e-9}


# One task of 10 s, launched at 2: 0.5 + 0.25 + 0.25 + 1 outside its run of 8, of which Python had 6.
WHOLE = {
    "launched_s": 2.0,
    "finished_s": 12.0,
    "scheduler_delay_s": 0.5,
    "deserialize_s": 0.25,
    "serialize_s": 0.25,
    "getting_result_s": 1.0,
    "run_s": 8.0,
    "worker_start_s": 1.0,
    "python_s": 6.0,
    "import_s": 1.5,
    "data_s": 0.5,
    "build_s": 0.75,
    "train_s": 3.0,
    "exchange_s": 0.125,
    "shuffle_wait_s": 0.25,
    "shuffle_write_s": 0.125,
    "gc_s": 0.5,
}


def test_one_task_by_hand() -> None:
    found = spent(tasks(WHOLE), executors(("0", 2, 1.0, None)), slots=2, wall_s=14.0)
    assert nonzero(found) == {
        "training": 3.0,
        "exchange": 0.125,
        "build": 0.75,
        "data": 0.5,
        "import": 1.5,
        "worker_start": 1.0,
        "shuffle": 1.375,  # getting the result, waiting, writing
        "serialization": 0.5,
        "scheduler": 0.5,
        "gc": 0.5,
        "other": 0.25,  # 6 - 5.875 in Python, 8 - 6 - 1 - 0.375 - 0.5 in the JVM
        "stragglers": 10.0,  # the second slot, while the first one worked
        "driver": 6.0,  # both slots from 1 to 2 and from 12 to 14
        "absent": 2.0,  # both before the executor came
    }
    assert sum(found.values()) == 28.0
    assert driver_alone_s(tasks(WHOLE), 14.0) == 4.0


def test_a_worker_that_served_others_before_is_not_started() -> None:
    used = {"launched_s": 0.0, "finished_s": 4.0, "run_s": 4.0, "python_s": 3.0, "train_s": 3.0}
    used |= {"worker_start_s": 1.0, "gc_s": 0.25}
    for process_s, expected in (
        (0.0, {"training": 3.0, "gc": 0.25, "other": 0.75}),
        (0.5, {"training": 3.0, "worker_start": 1.0}),  # its daemon's start comes on top of its own
        (None, {"training": 3.0, "worker_start": 1.0}),
    ):
        found = spent(tasks(used | {"process_s": process_s}), executors(), slots=1, wall_s=4.0)
        assert nonzero(found) == expected


def test_collection_while_python_works_costs_the_slot_nothing() -> None:
    busy = {"launched_s": 0.0, "finished_s": 4.0, "run_s": 4.0, "python_s": 4.0, "train_s": 4.0, "gc_s": 3.0}
    assert nonzero(spent(tasks(busy), executors(), slots=1, wall_s=4.0)) == {"training": 4.0}


def test_failed_warming_and_moving_tasks_train_nothing() -> None:
    found = spent(
        tasks(
            WHOLE | {"task_status": "ExecutorLostFailure"},
            {"launched_s": 0.0, "finished_s": 3.0, "run_s": 2.0, "purpose": "other", "gc_s": 0.5},
            {"launched_s": 12.0, "finished_s": 14.0, "run_s": 2.0, "purpose": "warm_up", "python_s": 2.0}
            | {"build_s": 0.5, "train_s": 1.5},
        ),
        executors(),
        slots=1,
        wall_s=14.0,
    )
    # From 2 to 3 two tasks share the only slot: the failed one has 9.5 of its 10 s, the moving one 2.5 of 3.
    moving = 2.5 / 3
    assert nonzero(found) == {
        "failed": 9.5,
        "gc": round(0.5 * moving, 9),
        "data": round(1.5 * moving, 9),
        "other": round(moving, 9),
        "warm_up": 1.5,
        "build": 0.5,
    }


def test_a_lost_executor_is_absent_until_another_comes() -> None:
    there = executors(("driver", 0, 0.0, None), ("0", 4, 0.0, 6.0), ("1", 4, 8.0, None))
    found = spent(tasks(), there, slots=2, wall_s=10.0, task_cpus=2)
    assert nonzero(found) == {"absent": 4.0, "driver": 16.0}


def test_a_cluster_on_which_no_executor_came() -> None:
    found = spent(tasks(), executors(("driver", 0, 0.0, None)), slots=3, wall_s=2.0)
    assert nonzero(found) == {"absent": 6.0}
    assert largest_avoidable(found).name == "absent"  # type: ignore[union-attr]


def test_what_training_takes_is_not_avoidable() -> None:
    assert largest_avoidable({"training": 9.0, "other": 3.0, "warm_up": 2.0}) is None
    assert largest_avoidable({"training": 9.0, "import": 1.0, "build": 2.0}).name == "build"  # type: ignore[union-attr]


seconds = st.one_of(st.none(), st.floats(0, 50), st.just(float("nan")))
task_rows = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(["training", "warm_up", "other"]),
        "task_status": st.sampled_from(["ok", "ExecutorLostFailure"]),
        "launched_s": st.floats(-5, 120),
        "finished_s": st.floats(-5, 120),
        **dict.fromkeys(SECONDS, seconds),
    }
)
executor_rows = st.tuples(
    st.sampled_from(["0", "1", "driver"]),
    st.integers(0, 8),
    st.floats(-5, 120),
    st.one_of(st.none(), st.floats(-5, 120)),
)


@settings(deadline=None)
@given(
    st.lists(task_rows, max_size=12),
    st.lists(executor_rows, max_size=4),
    st.integers(1, 6),
    st.floats(0, 100),
    st.integers(1, 3),
)
def test_parts_add_up_and_are_never_negative_whatever_was_logged(
    rows: list[dict[str, Any]], there: list[Any], slots: int, wall_s: float, task_cpus: int
) -> None:
    found = spent(tasks(*rows), executors(*there), slots=slots, wall_s=wall_s, task_cpus=task_cpus)
    assert list(found) == [part.name for part in PARTS]
    assert sum(found.values()) == pytest.approx(slots * wall_s, rel=1e-12, abs=1e-12)
    assert min(found.values()) >= 0


@settings(deadline=None)
@given(st.lists(task_rows, max_size=8), st.randoms())
def test_the_order_of_tasks_does_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    a, b = (spent(tasks(*some), executors(), slots=3, wall_s=100.0) for some in (rows, shuffled))
    assert a == pytest.approx(b, abs=1e-9)
