"""What the items on distributed runs share: cells, rows of a chart, backends' colours, parts' colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, NO_VALUE, RATIO, Metric
from bakeoff.races.marks import Label
from bakeoff.registry import backend_rank
from bakeoff.report import vega
from bakeoff.report.items.cluster.runs import Between, Cluster, ClusterContestant
from bakeoff.report.items.words import interval_text

# Seconds from which minutes read better.
MINUTES_FROM_S = 120.0
COUNT = Metric("count", "Count", "", max_decimals=1)
WHOLE = replace(COUNT, max_decimals=0)
SECONDS, SHARE = METRICS["task_s"], replace(METRICS["share"], label="Share of core time")

WARNING = ("#cf222e", "#ff7b72")
# What is written on a coloured surface, and what keeps two of them apart.
PAGE = ("#ffffff", "#14171c")


# ---- cells --------------------------------------------------------------------------------------


def by_layout(cluster: Cluster) -> list[ClusterContestant]:
    """Those with good runs, contestants of one layout together, in the order in which layouts appear."""
    layouts = list(dict.fromkeys(contestant.layout for contestant in cluster.distributed))
    return sorted(cluster.distributed, key=lambda contestant: layouts.index(contestant.layout))


def in_minutes(metric: Metric, values: Iterable[float | None]) -> Metric:
    """The metric in minutes where its values are long; others as they are."""
    longest = max((value for value in values if value is not None), default=0.0)
    return metric.in_minutes if metric.unit == "s" and longest >= MINUTES_FROM_S else metric


def summary(values: stats.Values, metric: Metric) -> stats.Summary:
    """With an interval within what the metric can be."""
    return stats.summarize(values, bounds=metric.bounds)


def mean_and_interval(
    metric: Metric, summaries: Sequence[stats.Summary], with_sd: bool = False
) -> list[tuple[str, str]]:
    """Cells of each: the mean (± the standard deviation), and the interval."""
    parts = ("mean", "sd", "low", "high")
    texts = iter(metric.texts([getattr(one, part) for one in summaries for part in parts]))
    found = []
    for _ in summaries:
        mean, sd, low, high = (next(texts) for _ in parts)
        spread = f" ± {sd}" if with_sd and sd != NO_VALUE else ""
        found.append((mean + spread, interval_text(low, high)))
    return found


def ratio_cells(ratio: stats.TimeRatio) -> tuple[str, str, str]:
    """Ratio, interval and number of pairs."""
    times = RATIO.texts([ratio.ratio, ratio.low, ratio.high])
    return times[0], interval_text(times[1], times[2]), str(ratio.num_blocks)


def error_cells(pair: Between) -> tuple[str, str]:
    """Error and interval: of a cluster less that of one machine; of two clusters, first less second."""
    error = (pair.verdict if pair.first.is_distributed else pair.verdict.inverse).error
    shown = ERROR_DIFFERENCE.texts([getattr(error, part, None) for part in ("difference", "low", "high")])
    return shown[0], interval_text(shown[1], shown[2])


# ---- charts -------------------------------------------------------------------------------------


def labels(cluster: Cluster) -> tuple[Label, ...]:
    """Every name that a chart of these runs may have, with its marks."""
    every = [
        (contestant, name)
        for contestant in cluster.contestants
        for name in (contestant.base, contestant.plain_at, _placed(contestant))
    ]
    return tuple(contestant.contestant.label(name) for contestant, name in every)


def _placed(contestant: ClusterContestant) -> str:
    words = contestant.layout or "one machine"
    return contestant.base if words in contestant.base else f"{contestant.base} · {words}"


def ranked(frame: pl.DataFrame) -> pl.DataFrame:
    """Backends in the order of a report, the rows of each as they come."""
    rank = pl.Series("rank", [backend_rank(backend) for backend in frame["backend"]], dtype=pl.Int64)
    return frame.with_columns(rank).sort("rank", maintain_order=True).drop("rank")


def with_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """With a column `line`: the contestant and its layout (null: one machine), said once."""
    names = []
    for contestant, layout in frame.select("contestant", "layout").iter_rows():
        words = "one machine" if layout is None else layout.replace("x", " × ")
        said = words in contestant or (layout is not None and layout in contestant)
        names.append(contestant if said else f"{contestant} · {words}")
    return frame.with_columns(line=pl.Series(names, dtype=pl.String))


def intervals(frame: pl.DataFrame, metric: Metric) -> pl.Series:
    """The intervals of a frame with `low` and `high`, in words."""
    ends = frame.select("low", "high").iter_rows()
    return pl.Series([" to ".join(metric.texts(both)) for both in ends], dtype=pl.String)


def backend_palette(backends: Iterable[str]) -> vega.Palette:
    """The looks of backends alone."""
    return vega.Palette.of((backend, backend) for backend in dict.fromkeys(backends))


def backend_colour(backends: Iterable[str]) -> vega.Spec:
    """The colour, or fill, that tells the backend; rows have their names beside them, so no legend."""
    return backend_palette(backends).colour(legend=False, field="backend")


def seconds(column: str, title: str) -> vega.Spec:
    """An axis of seconds that a page may make logarithmic."""
    return vega.quantity(column, title, grid=True, domain=False, tickCount=6)


def rows_chart(
    layers: Sequence[vega.Spec],
    rows: Sequence[Mapping[str, Any]],
    field: str,
    names: Sequence[str],
    step: int,
) -> vega.Chart:
    """Layers over one row per name, `step` pixels high, along an axis that a page may make logarithmic."""
    y = vega.rows_of(field, names, labelLimit=330)
    placed = [{**layer, "encoding": {"y": y, **layer["encoding"]}} for layer in layers]
    return vega.chart(placed, rows, height=step * max(1, len(names)), room=60, switch="x")
