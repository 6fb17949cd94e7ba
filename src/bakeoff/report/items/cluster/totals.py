"""How long whole runs on a cluster take, by layout, beside one machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl

from bakeoff.metrics import METRICS
from bakeoff.report import vega
from bakeoff.report.item import Column, Item, Table, numbers, words
from bakeoff.report.items.cluster import kit
from bakeoff.report.items.cluster.runs import Cluster
from bakeoff.report.items.words import estimate, slug
from bakeoff.stats import POSITIVE, summarize

_COLUMNS = (
    ("total_s", METRICS["total_s"]),
    ("median_task_s", METRICS["median_task_s"]),
    ("gc_mean_s", METRICS["gc_s"]),
    ("gc_median_s", replace(METRICS["gc_s"], label="Its median over tasks")),
    ("final_validation_error", METRICS["final_validation_error"]),
)


def items(cluster: Cluster) -> Iterator[Item]:
    """Total time, median task, garbage collection and error of each contestant."""
    runs = cluster.runs.with_columns(layout=pl.when(pl.col("layout") != "").then("layout"))
    with_single = {pair.first.contestant.trial_id for pair in cluster.machine}
    shown = runs.filter(pl.col("layout").is_not_null() | pl.col("trial_id").is_in(list(with_single)))
    names = {contestant.contestant.trial_id: contestant.base for contestant in cluster.contestants}
    named = shown.with_columns(contestant=pl.col("trial_id").replace_strict(names, return_dtype=pl.String))
    at = ", ".join(contestant.at for contestant in cluster.distributed)
    yield Item(
        "totals",
        "Total time by layout",
        draw=partial(layouts, named) if shown["total_s"].is_not_null().any() else None,
        caption=f"Total time on {cluster.section.title} by layout: from the application's launch to its "
        "stop, on one machine the whole process. Each dot is one run, ticks are means, bars their 95 % "
        "intervals (from three runs on).",
        alt=f"Total times of {at}; the values are in the table of distributed runs.",
        labels=kit.labels(cluster),
        table=distributed_runs(cluster),
    )


def distributed_runs(cluster: Cluster) -> Table:
    """Means over simulations, with standard deviation and interval, by layout."""
    contestants = kit.by_layout(cluster)
    cells: list[list[tuple[str, str]]] = []
    headings = [*words("Layout", "Contestant"), *numbers("Simulations")]
    for column, metric in _COLUMNS:
        summaries = [kit.summary(cluster.values(contestant, column), metric) for contestant in contestants]
        metric = kit.in_minutes(metric, [summary.mean for summary in summaries])
        cells.append(kit.mean_and_interval(metric, summaries, with_sd=True))
        headings += [Column(metric.heading), Column("95 % interval")]
    rows = tuple(
        (
            contestant.layout,
            contestant.contestant.label(contestant.base),
            str(len(cluster.of(contestant))),
            *(text for column in cells for text in column[index]),
        )
        for index, contestant in enumerate(contestants)
    )
    return Table(
        f"cluster-{slug(cluster.section.title)}",
        f"Distributed runs on {cluster.section.title}: mean ± SD over simulations",
        tuple(headings),
        rows,
        grouped=True,
        remark="Total: from the application's launch to its stop. Median task: of a run's training tasks, "
        "from launch to finish. Garbage collection: mean and median over a run's training tasks. Starting "
        "an embedded cluster comes on top of the total.",
    )


def layouts(runs: pl.DataFrame) -> vega.Chart:
    """Total seconds of each run by backend and layout: every run a dot, their mean, its 95 % interval.

    Intervals are drawn from three runs on. Runs without a total (`total_s`), and those that did not end well,
    are left out.
    """
    metric = METRICS["total_s"]
    good = kit.with_lines(kit.ranked(vega.named(runs).filter(pl.col("total_s").is_finite())))
    rows: list[dict[str, Any]] = []
    for (line, backend), group in good.group_by(["line", "backend"], maintain_order=True):
        common = {"line": line, "backend": backend}
        dots = zip(group["total_s"], metric.texts(group["total_s"]), group["repeat"], strict=True)
        rows += [
            {**common, "kind": "run", "value": value, "shown": shown, "num": num}
            for value, shown, num in dots
        ]
        found = summarize(group["total_s"].to_numpy(), bounds=POSITIVE)
        rows.append({**common, "kind": "mean", **estimate(metric, found)})
    names = list(dict.fromkeys(row["line"] for row in rows))
    x = kit.seconds("value", metric.heading)
    base = {"color": kit.backend_colour(row["backend"] for row in rows)}
    of_run = vega.tips({"contestant": "line", "seconds": "shown", "repeat": "num"})
    of_mean = {"contestant": "line", "mean, seconds": "shown", "95 % interval": "interval", "runs": "num"}
    dot, tick = ({**base, "x": x, "tooltip": found} for found in (of_run, vega.tips(of_mean)))
    layers = [
        vega.layer("rule", {**base, **vega.ends("x", x)}, needs="low", strokeWidth=5, opacity=0.35),
        vega.layer("point", dot, kind="run", size=48, strokeWidth=1.4, opacity=1),
        vega.layer("tick", tick, kind="mean", thickness=3, size=22, opacity=1),
    ]
    return kit.rows_chart(layers, rows, "line", names, 30)
