"""Charts of distributed runs: tested by the data that they are handed, and by what colour-blind eyes see."""

import dataclasses
import itertools
import json
import re
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import stats
from bakeoff.report import figures, vega
from bakeoff.report.formats.figures import LOCALE
from bakeoff.report.items.cluster import kit, time_budget
from bakeoff.report.items.cluster.budget import PARTS, TITLES
from bakeoff.report.items.cluster.timelines import lanes
from bakeoff_worker.records import ExecutorRecord, TaskRecord

pytestmark = pytest.mark.slow

# Contrast and colour blindness as for the other figures.
VISION = runpy.run_path(str(Path(__file__).with_name("test_figures.py")))

TASK_SCHEMA = {
    field.name: pl.String
    if field.name in ("purpose", "executor", "host", "status")
    else pl.Float64
    if field.name.endswith("_s")
    else pl.Int64
    for field in dataclasses.fields(TaskRecord)
}
EXECUTOR_SCHEMA = {
    "executor": pl.String,
    "host": pl.String,
    "num_cores": pl.Int64,
    "added_s": pl.Float64,
    "removed_s": pl.Float64,
    "removed_reason": pl.String,
    "jvm_peak_bytes": pl.Int64,
    "python_peak_bytes": pl.Int64,
}


def task(launched: float, finished: float, **changes: Any) -> TaskRecord:
    """One attempt, by default of a training task from which nothing inside Python is known."""
    plain = TaskRecord(
        stage=1,
        stage_attempt=0,
        partition=0,
        attempt=0,
        task_id=next(NUMBERS),
        purpose="training",
        executor="0",
        host="node-0",
        status="ok",
        launched_s=launched,
        finished_s=finished,
    )
    return dataclasses.replace(plain, **changes)


NUMBERS = itertools.count()


def tasks_of(
    *tasks: TaskRecord,
    contestant: str = "theano",
    backend: str = "theano",
    run_id: str = "r0",
    repeat: int = 0,
) -> pl.DataFrame:
    """A frame with the records' own columns, and whose they are."""
    frame = pl.DataFrame([dataclasses.asdict(one) for one in tasks], schema=TASK_SCHEMA)
    whose = {"contestant": contestant, "backend": backend, "layout": "5x4", "run_id": run_id}
    return frame.with_columns(**{key: pl.lit(value) for key, value in whose.items()}, repeat=pl.lit(repeat))


def executors_of(*executors: ExecutorRecord) -> pl.DataFrame:
    return pl.DataFrame([dataclasses.asdict(one) for one in executors], schema=EXECUTOR_SCHEMA)


def cluster(executors: int = 1, cores: int = 2) -> pl.DataFrame:
    driver = ExecutorRecord("driver", "node-0", 2, 0.1)
    nodes = (ExecutorRecord(str(n), f"node-{n}", cores, 5.0 + n) for n in range(executors))
    return executors_of(driver, *nodes)


def split(start: float, train_s: float, **changes: Any) -> TaskRecord:
    """A task that is measured inside: 1 s starting, 2 importing, 0.5 reading, 0.25 rebuilding, 0.5 left."""
    inside = {"worker_start_s": 1.0, "import_s": 2.0, "data_s": 0.5, "build_s": 0.25, "train_s": train_s}
    return task(start, start + 4.25 + train_s, **{**inside, "python_s": 3.0 + train_s, **changes})


def epochs_of_tasks(num_executors: int, num_cores: int, num_epochs: int) -> pl.DataFrame:
    """A task a core and epoch, invented."""
    random = np.random.default_rng(7)
    found, start = [], 20.0
    for epoch in range(num_epochs):
        seconds = 2.0 * np.exp(random.normal(0, 0.1, num_executors * num_cores))
        for slot, trained in enumerate(seconds):
            executor = str(slot // num_cores)
            found.append(split(start, float(trained), stage=epoch, partition=slot, executor=executor))
        start = max(one.finished_s for one in found) + 0.3
    return tasks_of(*found)


def data_of(chart: Any, *columns: str) -> list[dict[str, Any]]:
    """The rows that a chart draws from, of the frame that has all these columns."""
    return [row for row in chart.rows if set(columns) <= set(row)]


def layers_of(chart: Any, mark: str) -> list[dict[str, Any]]:
    return [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == mark]


# ---- lanes --------------------------------------------------------------------------------------


@st.composite
def some_tasks(draw: st.DrawFn) -> list[TaskRecord]:
    span = st.tuples(st.integers(0, 12), st.integers(1, 12), st.sampled_from("012"))
    spans = draw(st.lists(span, max_size=25))
    return [task(float(start), float(start + length), executor=executor) for start, length, executor in spans]


@given(some_tasks())
def test_no_two_tasks_of_a_lane_overlap_and_no_lane_is_more_than_needed(found: list[TaskRecord]) -> None:
    placed = lanes(tasks_of(*found))
    assert placed["task_id"].to_list() == [one.task_id for one in found]
    for _, lane in placed.group_by("lane"):
        times = sorted(lane.select("launched_s", "finished_s").iter_rows())
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(times))
    for (executor,), group in placed.group_by(["executor"]):
        at_once = max(
            sum(one.launched_s < moment < one.finished_s for one in found if one.executor == executor)
            for moment in np.arange(0.5, 25)
        )
        assert group["lane"].n_unique() == at_once


@given(some_tasks(), st.randoms(use_true_random=False))
def test_lanes_do_not_depend_on_the_order_of_the_rows(found: list[TaskRecord], random: Any) -> None:
    shuffled = random.sample(found, len(found))
    first, second = (lanes(tasks_of(*order)).sort("task_id") for order in (found, shuffled))
    assert first["lane"].to_list() == second["lane"].to_list()


def test_a_lane_says_executor_and_core() -> None:
    found = [
        task(0, 10, executor="3"),
        task(0, 4, executor="3"),
        task(4, 6, executor="3"),
        task(1, 2, executor="driver"),
    ]
    places = lanes(tasks_of(*found))["lane"].to_list()
    assert sorted(places[:2]) == ["executor 3 · core 1", "executor 3 · core 2"]
    assert places[2:] == [places[1], "driver · core 1"]
    assert lanes(tasks_of(*found), task_cpus=2)["lane"][3] == "driver · slot 1"


def test_a_task_without_a_time_has_no_lane_and_is_not_drawn() -> None:
    frame = tasks_of(task(1, 2), task(1, 3)).with_columns(
        finished_s=pl.when(pl.col("finished_s") == 3).then(None).otherwise("finished_s")
    )
    assert lanes(frame)["lane"].to_list() == ["executor 0 · core 1", None]
    assert len(data_of(figures.timeline(frame, cluster()), "task")) == 1


# ---- timeline -----------------------------------------------------------------------------------


def test_a_bar_is_split_at_the_seconds_at_which_its_parts_are_over() -> None:
    (row,) = data_of(figures.timeline(tasks_of(split(10, 30, partition=7)), cluster()), "task")
    times = [
        row[key] for key in ("launched", "worker_start", "import", "data", "build", "training", "finished")
    ]
    assert times == [10, 11, 13, 13.5, 13.75, 43.75, 44.25]
    assert (row["lane"], row["task"], row["base"]) == (
        "executor 0 · core 1",
        "stage 1 · partition 7",
        "other",
    )


def test_parts_that_nobody_measured_are_no_layer_and_no_word_of_the_legend() -> None:
    without = figures.timeline(tasks_of(split(10, 30)), cluster())
    with_it = figures.timeline(tasks_of(split(10, 30, exchange_s=0.25)), cluster())
    assert [row["exchange"] for row in data_of(with_it, "task")] == [44.0]
    assert data_of(without, "exchange") == []
    assert TITLES["exchange"] in json.dumps(with_it.spec)
    assert TITLES["exchange"] not in json.dumps(without.spec)


def test_no_part_outlasts_its_task() -> None:
    (row,) = data_of(figures.timeline(tasks_of(split(0, 3, finished_s=6.0)), cluster()), "task")
    assert (row["build"], row["training"], row["finished"]) == (3.75, 6.0, 6.0)


def test_tasks_that_are_not_split_say_what_they_did() -> None:
    found = [task(0, 1, purpose="other"), split(1, 3), task(9, 10), task(11, 12, status="FetchFailed")]
    rows = data_of(figures.timeline(tasks_of(*found), cluster()), "task")
    assert [row["base"] for row in rows] == ["data", "other", "other", None]
    assert [row["training"] for row in rows] == [None, 7.75, None, None]


def test_what_a_warm_up_trains_is_not_training() -> None:
    found = [split(0, 3, purpose="warm_up"), split(10, 5)]
    first, second = data_of(figures.timeline(tasks_of(*found), cluster()), "task")
    assert (first["build"], first["training"], first["warm_up"]) == (3.75, 3.75, 6.75)
    assert (second["build"], second["training"], second["warm_up"]) == (13.75, 18.75, 18.75)


def test_idle_cores_have_rows_and_executors_are_in_the_order_of_their_numbers() -> None:
    nodes = [ExecutorRecord(name, "node", 2, 3.0) for name in ("10", "9", "driver")]
    rows = data_of(figures.timeline(tasks_of(task(5, 8, executor="9")), executors_of(*nodes)), "until")
    assert [row["lane"] for row in rows] == [
        f"executor {number} · core {core}" for number in (9, 10) for core in (1, 2)
    ]
    assert {(row["added"], row["until"]) for row in rows} == {(3.0, 8.0)}


def test_tasks_of_several_cores_have_slots() -> None:
    chart = figures.timeline(tasks_of(task(6, 8)), cluster(cores=4), task_cpus=2)
    assert [row["lane"] for row in data_of(chart, "until")] == ["executor 0 · slot 1", "executor 0 · slot 2"]


def test_stragglers_are_training_tasks_beyond_one_and_a_half_medians_of_their_stage() -> None:
    first = [task(0, end, stage=1, partition=int(end)) for end in (10.0, 10.0, 15.0, 15.1)]
    second = [task(20, 60, stage=2), task(20, 60, stage=2, purpose="other"), task(20, 99, status="killed")]
    moving = [task(20, end, stage=3, purpose="other") for end in (21.0, 21.0, 99.0)]
    # The median of 10, 10, 15, 15.1 is 12.5, so that none of the first stage is one ...
    signs = data_of(figures.timeline(tasks_of(*first, *second, *moving), cluster()), "sign")
    assert [row["sign"] for row in signs] == ["failed: killed"]
    # ... and with one more task it is 10: 15 is at the border, 15.1 beyond it.
    signs = data_of(figures.timeline(tasks_of(task(0, 10), *first), cluster()), "sign")
    assert [(row["sign"], row["at"]) for row in signs] == [("straggler: over 1.5 × its stage’s median", 15.1)]


def test_failed_attempts_are_outlined_and_named() -> None:
    found = [
        task(0, 10, executor="0", status="ExecutorLostFailure", train_s=4.0),
        task(0, 6, executor="1", status="FetchFailed"),
        task(12, 20, executor="1", attempt=1, stage_attempt=2),
    ]
    chart = figures.timeline(tasks_of(*found), cluster(2))
    signs = data_of(chart, "sign")
    assert [(row["sign"], row["at"]) for row in signs] == [
        ("failed: ExecutorLostFailure", 5.0),
        ("failed: FetchFailed", 3.0),
    ]
    (outline,) = [layer for layer in layers_of(chart, "bar") if "strokeDash" in layer["mark"]]
    assert outline["transform"] == [{"filter": "datum.status != 'ok'"}]
    (shape,) = [layer["encoding"]["shape"] for layer in layers_of(chart, "point")]
    assert shape["scale"]["domain"] == ["failed: ExecutorLostFailure", "failed: FetchFailed"]
    assert len(set(shape["scale"]["range"])) == 2
    words = [row["task"] for row in data_of(chart, "task")]
    assert words[2] == "stage 1 · partition 0 · stage attempt 2 · attempt 1"


def test_a_lost_executor_is_marked_in_each_of_its_rows_and_shaded_no_longer() -> None:
    lost = ExecutorRecord("0", "node-0", 2, 3.0, removed_s=9.0, removed_reason="worker lost")
    kept = ExecutorRecord("1", "node-1", 2, 3.0)
    found = [task(4, 8), task(4, 20, executor="1", stage=2)]
    chart = figures.timeline(tasks_of(*found), executors_of(lost, kept))
    assert [(row["lane"], row["at"], row["why"]) for row in data_of(chart, "sign")] == [
        ("executor 0 · core 1", 9.0, "worker lost"),
        ("executor 0 · core 2", 9.0, "worker lost"),
    ]
    assert [row["until"] for row in data_of(chart, "until")] == [9.0, 9.0, 20.0, 20.0]


def test_a_run_that_went_well_has_no_signs() -> None:
    chart = figures.timeline(tasks_of(split(6, 3)), cluster())
    assert data_of(chart, "sign") == []
    assert layers_of(chart, "point") == layers_of(chart, "tick") == []


@pytest.mark.parametrize("executors", [executors_of(), pl.DataFrame()], ids=["no rows", "no columns"])
def test_executors_that_were_never_reported_are_drawn_by_their_tasks(executors: pl.DataFrame) -> None:
    chart = figures.timeline(tasks_of(task(2, 5), task(2, 4)), executors)
    assert [row["lane"] for row in data_of(chart, "until")] == ["executor 0 · core 1", "executor 0 · core 2"]


def test_a_thousand_bars_are_all_there_and_of_a_size_that_a_page_can_hold() -> None:
    chart = figures.timeline(epochs_of_tasks(4, 5, 50), cluster(4, 5))
    assert len(data_of(chart, "task")) == 1000
    assert len({row["lane"] for row in data_of(chart, "task")}) == 20
    assert len(json.dumps(chart.spec)) < 400_000


def test_a_readers_frame_with_the_runs_own_status_beside_the_tasks_does_as_well() -> None:
    records = tasks_of(split(6, 3), task(10, 12, status="FetchFailed", attempt=1))
    reader = records.rename({"status": "task_status", "attempt": "task_attempt"}).with_columns(
        status=pl.lit("failed"), attempt=pl.lit(0)
    )
    first, second = (figures.timeline(frame, cluster()).spec for frame in (records, reader))
    assert first["datasets"] == second["datasets"]


# ---- contestants --------------------------------------------------------------------------------


def budget_of(shares: dict[str, dict[str, float | None]]) -> pl.DataFrame:
    """Shares by contestant and part, of 1000 core-seconds each."""
    order = {part.name: place for place, part in enumerate(PARTS)}
    rows = [
        (name, part, order.get(part, 99), None if share is None else 1000 * share, share)
        for name, parts in shares.items()
        for part, share in parts.items()
    ]
    schema = {"contestant": pl.String, "part": pl.String, "order": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"core_s": pl.Float64, "share": pl.Float64}, orient="row")


def test_a_budget_is_stacked_in_its_order_to_a_hundred_percent() -> None:
    budget = budget_of({"b": {"driver": 0.35, "training": 0.5, "import": 0.15}, "a": {"training": 1.0}})
    rows = data_of(figures.time_budget(budget), "part")
    assert [(row["part"], row["start"], row["stop"]) for row in rows if row["contestant"] == "b"] == [
        ("Training", 0, 50),
        ("Importing the framework", 50, 65),
        ("Idle: the driver works alone", 65, 100),
    ]
    first = next(row for row in rows if row["contestant"] == "b")
    assert (first["shown"], first["core_s"], first["label"]) == ("50.0 %", "500", 50)
    chart = figures.time_budget(budget).spec
    assert chart["layer"][0]["encoding"]["y"]["sort"] == ["b", "a"]


def test_parts_without_time_are_left_out() -> None:
    shares = {"a": {"training": 0.96, "gc": 0.04, "failed": 0.0, "exchange": None}}
    rows = data_of(figures.time_budget(budget_of(shares)), "part")
    assert [row["part"] for row in rows] == ["Training", "Garbage collection outside Python"]


@pytest.mark.parametrize(("width", "numbers"), [(640, ["60 %", "36 %"]), (90, ["60 %"])])
def test_a_number_is_written_where_it_fits(width: int, numbers: list[str]) -> None:
    spec = figures.time_budget(budget_of({"a": {"training": 0.6, "import": 0.36, "gc": 0.04}})).spec
    svg = vl_convert.vegalite_to_svg({**spec, "width": width}, show_warnings=True)
    assert re.findall(r">(\d+ %)<", svg) == numbers


def test_a_budget_may_name_its_parts_or_title_them_or_have_parts_of_its_own() -> None:
    named = budget_of({"a": {"training": 0.5, "import": 0.3, "lunch": 0.2}})
    titled = named.with_columns(pl.col("part").replace(TITLES))
    first, second = (figures.time_budget(frame).spec for frame in (named, titled))
    assert first["datasets"] == second["datasets"]
    scale = first["layer"][0]["encoding"]["fill"]["scale"]
    assert scale["domain"] == ["Training", "Importing the framework", "lunch"]
    assert len(set(scale["range"])) == 3


def test_task_times_hold_the_distribution_and_the_mean_of_the_runs_medians() -> None:
    random = np.random.default_rng(3)
    runs = [random.lognormal(2, 0.3, number) for number in (30, 51)]
    frames = [
        tasks_of(*(task(5, 5 + float(one)) for one in run), run_id=f"r{index}", repeat=index)
        for index, run in enumerate(runs)
    ]
    (row,) = data_of(figures.task_times(pl.concat(frames)), "value")
    together = np.concatenate(runs)
    assert row["value"] == pytest.approx(np.mean([np.median(run) for run in runs]), rel=1e-4)
    found = [row[name] for name in ("q0", "q5", "q25", "q75", "q95", "q100")]
    assert found == pytest.approx(np.quantile(together, [0, 0.05, 0.25, 0.75, 0.95, 1]), rel=1e-4)
    assert (row["num"], row["runs"]) == (81, 2)


def test_few_tasks_are_drawn_each() -> None:
    few = figures.task_times(tasks_of(*(task(0, 1 + n) for n in range(40))))
    many = figures.task_times(tasks_of(*(task(0, 1 + n) for n in range(41))))
    assert [row["value"] for row in data_of(few, "kind") if row["kind"] == "task"] == list(range(1, 41))
    assert {row["kind"] for row in data_of(many, "kind")} == {"all"}


def test_task_times_are_of_tasks_that_trained_to_the_end() -> None:
    found = [
        task(0, 5),
        task(0, 50, purpose="warm_up"),
        task(0, 50, purpose="other"),
        task(0, 50, status="killed"),
    ]
    records = tasks_of(*found)
    (row, _) = data_of(figures.task_times(records), "kind")
    assert (row["num"], row["q100"]) == (1, 5.0)
    failed = records.rename({"status": "task_status", "attempt": "task_attempt"}).with_columns(
        status=pl.lit("failed")
    )
    assert data_of(figures.task_times(failed), "kind") == []


def runs_of(*rows: tuple[str, str | None, float | None], status: Sequence[str] | None = None) -> pl.DataFrame:
    """Backend (also the contestant's name), layout, total seconds."""
    frame = pl.DataFrame(
        {
            "contestant": [row[0] for row in rows],
            "backend": [row[0] for row in rows],
            "layout": pl.Series([row[1] for row in rows], dtype=pl.String),
            "repeat": list(range(len(rows))),
            "total_s": pl.Series([row[2] for row in rows], dtype=pl.Float64),
        }
    )
    return frame if status is None else frame.with_columns(status=pl.Series(status))


def test_layouts_hold_each_run_its_mean_and_an_interval_from_three_runs_on() -> None:
    three = [("theano", "5x4", total) for total in (50.0, 52.0, 55.0)]
    two = [("theano", "4x5", total) for total in (57.0, 60.0)]
    rows = data_of(figures.layouts(runs_of(*three, *two)), "line", "kind")
    means = {row["line"]: row for row in rows if row["kind"] == "mean"}
    assert list(means) == ["theano · 5 × 4", "theano · 4 × 5"]
    expected = stats.summarize(np.array([50.0, 52.0, 55.0]), bounds=stats.POSITIVE)
    first = means["theano · 5 × 4"]
    assert (first["value"], first["low"], first["high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high), rel=1e-4
    )
    assert means["theano · 4 × 5"]["low"] is None
    assert [row["value"] for row in rows if row["kind"] == "run"] == [50, 52, 55, 57, 60]


def test_layouts_leave_out_runs_without_a_total_and_those_that_failed() -> None:
    runs = runs_of(
        ("theano", "5x4", 50.0),
        ("theano", "5x4", None),
        ("theano", "5x4", 3.0),
        status=["ok", "ok", "failed"],
    )
    dots = [row for row in data_of(figures.layouts(runs), "line") if row["kind"] == "run"]
    assert [row["value"] for row in dots] == [50.0]


def test_a_layout_that_the_contestants_name_has_is_not_said_twice() -> None:
    runs = runs_of(("torch", "5x4", 1.0), ("theano", None, 2.0)).with_columns(
        contestant=pl.Series(["torch · layout 5x4", "theano"])
    )
    lines = {row["line"] for row in data_of(figures.layouts(runs), "line")}
    assert lines == {"torch · layout 5x4", "theano · one machine"}


def speed_ups(*rows: tuple[float | None, float | None, float | None, int | None]) -> pl.DataFrame:
    """Ratio, low, high and cores of as many layouts."""
    floats = {
        name: pl.Series([row[index] for row in rows], dtype=pl.Float64) for index, name in enumerate(_ENDS)
    }
    return pl.DataFrame(
        {
            "contestant": ["theano"] * len(rows),
            "backend": ["theano"] * len(rows),
            "layout": [f"{index + 1}x4" for index in range(len(rows))],
            **floats,
            "num_cpus": pl.Series([row[3] for row in rows], dtype=pl.Int64),
            "num_slots": [20] * len(rows),
        }
    )


_ENDS = ("ratio", "low", "high")


def test_speed_up_is_filled_where_its_interval_excludes_one() -> None:
    table = speed_ups((1.5, 1.2, 1.9, 2), (0.5, 0.4, 0.6, 2), (1.1, 0.9, 1.3, 2), (3.0, None, None, 2))
    rows = data_of(figures.speed_up(table), "ratio")
    assert [row["decided"] for row in rows] == [True, True, False, False]
    assert [row["shown"] for row in rows] == ["1.50", "0.500", "1.10", "3.00"]
    assert [row["efficiency"] for row in rows] == ["75.0 %", "25.0 %", "55.0 %", "150.0 %"]
    assert rows[3]["interval"] == "– to –"


def axis_of(chart: Any) -> list[float]:
    (domain,) = {
        tuple(layer["encoding"]["x"]["scale"]["domain"])
        for layer in chart.spec["layer"]
        if "scale" in layer["encoding"].get("x", {})
    }
    return list(domain)


def test_the_ideal_is_the_number_of_cores_that_are_there_and_on_the_axis_with_one() -> None:
    chart = figures.speed_up(speed_ups((0.5, 0.4, 0.6, 4)))
    low, high = axis_of(chart)
    assert low < 0.4 < 1 < 4 < high < 20  # not the 20 slots
    assert {row["words"] for row in data_of(chart, "words")} == {"one machine", "ideal: 4 cores"}
    unknown = figures.speed_up(speed_ups((0.5, 0.4, 0.6, None)))
    assert {row["words"] for row in data_of(unknown, "words")} == {"one machine"}


def test_an_interval_that_would_hide_all_others_is_cut() -> None:
    low, high = axis_of(figures.speed_up(speed_ups((1.5, 1.2, 1.9, 2), (1.0, 1e-4, 1e4, 2))))
    assert low > 0.2
    assert high < 10


def test_a_speed_up_that_nobody_knows_is_left_out() -> None:
    rows = data_of(figures.speed_up(speed_ups((None, None, None, 2), (2.0, None, None, 2))), "ratio")
    assert [row["line"] for row in rows] == ["theano · 2 × 4"]


def scales_of(
    *rows: tuple[str, str, str | None, int, float | None, float | None, float | None],
) -> pl.DataFrame:
    schema: dict[str, Any] = dict.fromkeys(("backend", "distribution", "layout"), pl.String)
    schema |= {"data_scale": pl.Int64} | dict.fromkeys(("train_s", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(contestant="backend")


SCALES = scales_of(
    ("theano", "elephas", "5x4", 4, 20.0, -1.0, 25.0),
    ("theano", "elephas", "5x4", 1, 12.0, 11.0, 13.0),
    ("theano", "single", "5x4", 1, 4.0, None, None),
    ("theano", "single", "5x4", 4, 16.0, None, None),
    ("tensorflow", "single", None, 1, 2.0, None, None),
    ("tensorflow", "single", None, 4, None, None, None),
)


def test_data_scale_has_a_line_per_contestant_and_layout_one_machine_among_them() -> None:
    rows = data_of(figures.data_scale(SCALES), "line")
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        found.setdefault(row["line"], []).append((row["data_scale"], row["train_s"]))
    assert found == {
        "theano · 5 × 4": [(1, 12.0), (4, 20.0)],
        "theano · one machine": [(1, 4.0), (4, 16.0)],
        "tensorflow · one machine": [(1, 2.0)],
    }
    lows = {(row["line"], row["data_scale"]): row["low"] for row in rows}
    assert lows["theano · 5 × 4", 1] == 11.0
    assert lows["theano · 5 × 4", 4] is None  # -1 has no logarithm


def test_data_scale_has_two_logarithmic_axes_and_looks_that_tell_lines_apart() -> None:
    chart = figures.data_scale(SCALES).spec
    (points,) = [layer["encoding"] for layer in chart["layer"] if layer["mark"]["type"] == "point"]
    assert points["x"]["scale"]["type"] == points["y"]["scale"]["type"] == "log"
    assert points["x"]["axis"]["values"] == [1, 4]
    looks = list(zip(points["color"]["scale"]["range"], points["shape"]["scale"]["range"], strict=True))
    assert points["color"]["scale"]["domain"] == points["shape"]["scale"]["domain"]
    assert len(set(looks)) == 3
    assert looks[0][0] == looks[1][0] == vega.looks()["theano"].colour


def test_the_guide_rises_in_proportion() -> None:
    chart = figures.data_scale(SCALES).spec
    (guide,) = [rows for rows in chart["datasets"].values() if "words" in rows[0]]
    assert [row["train_s"] / row["data_scale"] for row in guide] == pytest.approx([1.4, 1.4, 1.4])


# ---- all of them --------------------------------------------------------------------------------


def charts() -> dict[str, Callable[[], Any]]:
    """Every kind of chart, with all that it can show and with nothing."""
    lost = ExecutorRecord("0", "node-0", 2, 3.0, removed_s=30.0, removed_reason="worker lost")
    nodes = executors_of(lost, ExecutorRecord("1", "node-1", 2, 4.0))
    found = [
        task(5, 6, purpose="other"),
        split(7, 3, purpose="warm_up"),
        *(split(20, 2 + 9 * (n == 2), exchange_s=0.1, executor=str(n % 2), stage=2) for n in range(3)),
        task(20, 30, status="ExecutorLostFailure"),
        task(20, 22, executor="1", status="FetchFailed"),
    ]
    budget = budget_of({name: {part.name: 1 / len(PARTS) for part in PARTS} for name in ("a", "b")})
    ratios = speed_ups((0.5, 0.4, 0.6, 2), (1.5, None, None, None))
    three = runs_of(*((backend, "5x4", 9.0 + n) for backend in ("theano", "torch") for n in range(3)))
    return {
        "timeline": lambda: figures.timeline(tasks_of(*found), nodes),
        "time_budget": lambda: figures.time_budget(budget),
        "task_times": lambda: figures.task_times(tasks_of(*found)),
        "layouts": lambda: figures.layouts(three),
        "speed_up": lambda: figures.speed_up(ratios),
        "data_scale": lambda: figures.data_scale(SCALES),
        "empty timeline": lambda: figures.timeline(tasks_of(), executors_of()),
        "idle timeline": lambda: figures.timeline(tasks_of(), nodes),
        "failed timeline": lambda: figures.timeline(tasks_of(task(1, 2, status="FetchFailed")), nodes),
        "empty time_budget": lambda: figures.time_budget(budget.clear()),
        "empty task_times": lambda: figures.task_times(tasks_of()),
        "empty layouts": lambda: figures.layouts(three.clear()),
        "empty speed_up": lambda: figures.speed_up(ratios.clear()),
        "empty data_scale": lambda: figures.data_scale(SCALES.clear()),
    }


CHARTS = charts()


@pytest.mark.parametrize("name", CHARTS)
def test_charts_obey_the_schema_and_draw_without_a_warning(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = CHARTS[name]().spec
    json.dumps(spec, allow_nan=False)
    alt.Chart.from_dict({**spec}, validate=True)
    svg = vl_convert.vegalite_to_svg(spec, show_warnings=True, format_locale=LOCALE)
    assert "NaN" not in svg
    assert "undefined" not in svg
    assert capfd.readouterr().err == ""
    page = spec["usermeta"]["bakeoff"]
    assert page["height"] > 60
    if not name.startswith("empty"):
        height = float(svg.split('height="')[1].split('"')[0])
        assert abs(page["height"] - height) < 40, "what a page keeps free for it"


def test_a_warning_would_be_seen(capfd: pytest.CaptureFixture[str]) -> None:
    y = alt.Y("b:N", scale=alt.Scale(zero=True))
    spec = alt.Chart(pl.DataFrame({"b": ["x"]})).mark_bar().encode(y=y).to_dict()
    vl_convert.vegalite_to_svg(spec, show_warnings=True)
    assert "WARN" in capfd.readouterr().err


def test_the_tooltip_of_a_task_says_what_is_known_of_it() -> None:
    spec = figures.timeline(tasks_of(split(10, 30), task(50, 60, purpose="other")), cluster()).spec
    svg = vl_convert.vegalite_to_svg(spec)
    assert "of which: worker start 1.00 · import 2.00 · data 0.50 · build 0.25 · training 30.00" in svg
    assert "seconds: 34.25" in svg
    assert 'purpose: other; status: ok; seconds: 10.00; of which: "' in svg


# ---- colours ------------------------------------------------------------------------------------

DRAWN = ("worker_start", "import", "data", "build", "training", "warm_up", "exchange", "other")
STACKED = tuple(time_budget.PART_COLOURS)


def distance(first: str, second: str, theme: int, blindness: str) -> float:
    matrix = np.array(VISION["BLINDNESS"][blindness])
    seen = [
        VISION["oklab"](matrix @ VISION["linear"](time_budget.PART_COLOURS[part][theme]))
        for part in (first, second)
    ]
    return float(np.linalg.norm(seen[0] - seen[1]))


def test_every_part_of_the_budget_has_a_colour_in_the_same_order() -> None:
    assert tuple(time_budget.PART_COLOURS) == tuple(part.name for part in PARTS)


@pytest.mark.parametrize("blindness", VISION["BLINDNESS"])
@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("order", [DRAWN, STACKED], ids=["timeline", "budget"])
def test_neighbours_stay_apart_for_colour_blind_eyes(
    order: Sequence[str], theme: int, blindness: str
) -> None:
    # A part may be missing, so that the next but one is a neighbour too; a line of the page is between.
    pairs = [(pair, 0.08) for pair in itertools.pairwise(order)]
    pairs += [(pair, 0.06) for pair in zip(order, order[2:], strict=False)]
    found = {pair: round(distance(*pair, theme, blindness), 3) for pair, least in pairs}
    assert {pair: found[pair] for pair, least in pairs if found[pair] < least} == {}


@pytest.mark.parametrize("blindness", VISION["BLINDNESS"])
@pytest.mark.parametrize("theme", [0, 1])
def test_training_stands_apart_from_everything(theme: int, blindness: str) -> None:
    others = [part for part in STACKED if part != "training"]
    found = {part: round(distance("training", part, theme, blindness), 3) for part in others}
    assert {part: value for part, value in found.items() if value < 0.08} == {}


@pytest.mark.parametrize(("theme", "page", "ink"), [(0, "#ffffff", "#1f2328"), (1, "#14171c", "#e6e8eb")])
def test_parts_stand_out_from_their_page_and_numbers_on_them_can_be_read(
    theme: int, page: str, ink: str
) -> None:
    contrast = VISION["contrast"]
    working = {
        part: pair[theme] for part, pair in time_budget.PART_COLOURS.items() if part not in time_budget.IDLE
    }
    working["sign"] = kit.WARNING[theme]
    low = {part: contrast(colour, page) for part, colour in working.items() if contrast(colour, page) < 3}
    assert low == {}
    idle = [time_budget.PART_COLOURS[part][theme] for part in time_budget.IDLE]
    assert min(contrast(colour, ink) for colour in idle) > 4.5
    # Idle time recedes: paler than any work, and the less the less could be done about it.
    faint = [contrast(colour, page) for colour in idle]
    assert faint == sorted(faint, reverse=True)
    assert faint[0] < min(contrast(colour, page) for colour in working.values())
    assert (kit.PAGE[theme], vega.INK[theme]) == (page, ink)


def test_a_dark_page_replaces_each_colour_once() -> None:
    """The page replaces one colour after the other: none may bring in a colour that is replaced later."""
    together = {**vega.dark(), **time_budget.DARK}
    assert set(vega.dark()) & set(time_budget.DARK) == set()
    assert set(together) & set(together.values()) == set()


@pytest.mark.parametrize("name", CHARTS)
def test_every_colour_drawn_has_one_for_dark_pages(name: str) -> None:
    spec = CHARTS[name]().spec
    text = json.dumps({key: value for key, value in spec.items() if key not in ("config", "datasets")})
    drawn = {f"#{part[:6]}" for part in text.split('"#')[1:]}
    assert drawn - {*vega.dark(), *time_budget.DARK} == set()
    assert drawn or name.startswith("empty")
