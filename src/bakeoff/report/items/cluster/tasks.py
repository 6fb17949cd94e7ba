"""How long training tasks take, all runs of a contestant together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import polars as pl

from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.report import vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.cluster import kit
from bakeoff.report.items.cluster.runs import Cluster
from bakeoff.report.items.words import slug


def items(cluster: Cluster) -> Iterator[Item]:
    """The whole distribution of training tasks."""
    training = cluster.tasks.filter(pl.col("purpose") == "training") if len(cluster.tasks) else cluster.tasks
    at = {contestant.contestant.trial_id: contestant.plain_at for contestant in cluster.contestants}
    if len(training):
        training = training.with_columns(
            contestant=pl.col("trial_id").replace_strict(at, return_dtype=pl.String)
        )
    names = ", ".join(contestant.at for contestant in cluster.distributed)
    yield Item(
        "task-times",
        "Training tasks",
        draw=partial(task_times, training) if len(training) else None,
        caption=f"How long training tasks on {cluster.section.title} took, all runs of a contestant "
        "together: range, the middle 90 % and 50 %, and the mean of the runs' medians.",
        alt=f"Times of training tasks of {names}; the values are in the table of training tasks.",
        labels=kit.labels(cluster),
        table=task_table(cluster),
    )


def task_table(cluster: Cluster) -> Table:
    """The whole distribution of training tasks, all runs of a contestant together."""
    rows = []
    collection = METRICS["gc_s"]
    every = [(contestant, cluster.tasks_of(contestant)) for contestant in kit.by_layout(cluster)]
    quantiles = [
        [
            (tasks["finished_s"] - tasks["launched_s"]).quantile(share, "linear")
            for share in (0, 0.25, 0.5, 0.75, 1)
        ]
        for _, tasks in every
    ]
    shown = kit.in_minutes(METRICS["task_s"], [value for values in quantiles for value in values])
    unit = {"s": "seconds", "min": "minutes"}[shown.unit]
    texts = iter(shown.texts([value for values in quantiles for value in values]))
    collections = [kit.summary(tasks["gc_s"].drop_nulls().to_list(), collection) for _, tasks in every]
    parts = ("mean", "median", "maximum")
    collected = iter(collection.texts([getattr(summary, part) for summary in collections for part in parts]))
    for contestant, tasks in every:
        runs = cluster.of(contestant)
        stages = sorted({int(number) for number in runs["num_stages"].drop_nulls()})
        cells = (contestant.at, str(len(tasks)), " / ".join(map(str, stages)) or NO_VALUE)
        rows.append((*cells, *(next(texts) for _ in range(5)), *(next(collected) for _ in range(3))))
    columns = (
        *(*words("Contestant"), *numbers("Tasks", "Stages per run")),
        *numbers("Min", "Lower quartile", "Median", "Upper quartile", "Max"),
        *numbers("GC mean (ms)", "GC median", "GC max"),
    )
    return Table(
        f"tasks-{slug(cluster.section.title)}",
        f"Training tasks on {cluster.section.title}: {unit} from launch to finish, all runs together",
        columns,
        tuple(rows),
        remark="Attempts that failed are not in it. Spark counts a collection once for every task that ran "
        "in the executor meanwhile.",
    )


_QUANTILES: Mapping[str, float] = {"q0": 0.0, "q5": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95, "q100": 1.0}


def task_times(tasks: pl.DataFrame) -> vega.Chart:
    """How long the training tasks of each contestant took, all runs together: seconds from launch to end.

    The thin line reaches from the shortest to the longest, the thicker ones hold 90 % and 50 % of the tasks,
    and the tick is the mean of the runs' medians. Up to 40 tasks are drawn each. Attempts that failed, tasks
    that did not train, and runs that did not end well are left out.
    """
    if "task_status" in tasks.columns:
        tasks = plain(vega.named(tasks))
    seconds = pl.col("finished_s") - pl.col("launched_s")
    trained = tasks.filter(pl.col("purpose") == "training", pl.col("status") == "ok")
    trained = kit.ranked(trained.with_columns(seconds=seconds).filter(seconds > 0, seconds.is_finite()))
    rows = [
        row
        for (contestant, backend), group in trained.group_by(["contestant", "backend"], maintain_order=True)
        for row in _rows(group, {"contestant": contestant, "backend": backend})
    ]
    names = list(dict.fromkeys(row["contestant"] for row in rows))
    x = kit.seconds("value", "Training task, from launch to end (s)")
    base = {"color": kit.backend_colour(row["backend"] for row in rows)}
    of_task = vega.tips({"contestant": "contestant", "seconds": "shown", "repeat": "repeat"})
    fields = {"contestant": "contestant", "mean of medians, seconds": "shown", "half of the tasks": "half"}
    of_all = vega.tips({**fields, "all tasks": "range", "tasks": "num", "runs": "runs"})
    dot, tick = ({**base, "x": x, "tooltip": found} for found in (of_task, of_all))
    layers = [
        vega.layer(
            "rule", {**base, **vega.ends("x", x, "q0", "q100")}, kind="all", strokeWidth=1, opacity=0.7
        ),
        vega.layer(
            "rule", {**base, **vega.ends("x", x, "q5", "q95")}, kind="all", strokeWidth=5, opacity=0.35
        ),
        vega.layer(
            "rule", {**base, **vega.ends("x", x, "q25", "q75")}, kind="all", strokeWidth=14, opacity=0.45
        ),
        vega.layer("point", dot, kind="task", size=24, strokeWidth=1, opacity=0.8),
        vega.layer("tick", tick, kind="all", thickness=3, size=24, opacity=1),
    ]
    return kit.rows_chart(layers, rows, "contestant", names, 34)


def _rows(tasks: pl.DataFrame, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One contestant's distribution, and its tasks while they are few."""
    times = tasks["seconds"]
    medians = tasks.group_by("run_id", maintain_order=True).agg(pl.col("seconds").median())["seconds"]
    mean = float(medians.mean())  # type: ignore[arg-type]
    ends = {name: times.quantile(share, "linear") for name, share in _QUANTILES.items()}
    texts = dict(zip(("mean", *ends), kit.SECONDS.texts([mean, *ends.values()]), strict=True))
    whole = {
        "kind": "all",
        "value": mean,
        "shown": texts["mean"],
        "half": f"{texts['q25']} to {texts['q75']}",
        "range": f"{texts['q0']} to {texts['q100']}",
        "num": len(times),
        "runs": len(medians),
    }
    rows = [{**common, **whole, **ends}]
    if len(times) <= vega.MAX_DOTS:
        dots = zip(times, kit.SECONDS.texts(times), tasks["repeat"], strict=True)
        for value, shown, repeat in dots:
            rows.append({**common, "kind": "task", "value": value, "shown": shown, "repeat": repeat})
    return rows


def plain(tasks: pl.DataFrame) -> pl.DataFrame:
    """Tasks under the record's own names; the reader's frame has the run's status and attempt beside them."""
    if "task_status" not in tasks.columns:
        return tasks
    of_task = {"task_status": "status", "task_attempt": "attempt"}
    return tasks.drop("status", "attempt", strict=False).rename(of_task)
