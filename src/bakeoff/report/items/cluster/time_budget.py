"""Where the time of the task slots went, from the application's launch to its stop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial

import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.report import vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.cluster import kit, sentences
from bakeoff.report.items.cluster.budget import PARTS, TITLES
from bakeoff.report.items.cluster.measures import PART_COLUMNS
from bakeoff.report.items.cluster.runs import Cluster
from bakeoff.report.items.words import slug

# One colour per part of `budget.PARTS`, light page and dark page, training the strongest. Neighbours in a bar
# stay apart for colour-blind eyes, and training from all others (tests/report/test_cluster_charts.py).
PART_COLOURS: Mapping[str, tuple[str, str]] = {
    "training": ("#3f56e8", "#528ffd"),
    "exchange": ("#1a5a43", "#bbdb82"),
    "build": ("#9e590e", "#e79e61"),
    "data": ("#469cc2", "#8be0da"),
    "import": ("#bd8030", "#b08551"),
    "worker_start": ("#491e6b", "#6f5fa0"),
    "warm_up": ("#708df7", "#adb4d7"),
    "shuffle": ("#4d6054", "#127969"),
    "serialization": ("#323c22", "#835e0f"),
    "scheduler": ("#83677f", "#a77bb6"),
    "gc": ("#3b541c", "#8ecdbd"),
    "failed": ("#cf553d", "#f45131"),
    "other": ("#8a8d8d", "#878089"),
    "stragglers": ("#b0a9a5", "#6f6149"),
    "driver": ("#c9cdcf", "#444a50"),
    "absent": ("#eceef2", "#292f32"),
}
# Parts in which nobody works: paler than the rest.
IDLE = ("stragglers", "driver", "absent")
# Colours in charts of clusters as drawn on a light page, and what a dark page has in their place.
DARK: Mapping[str, str] = dict([*PART_COLOURS.values(), kit.WARNING, kit.PAGE])


def items(cluster: Cluster) -> Iterator[Item]:
    """The parts of the time, and the largest that could be avoided."""
    found = shares(cluster)
    names = ", ".join(contestant.at for contestant in cluster.distributed)
    yield Item(
        "time-budget",
        "Where the time went",
        remarks=(*sentences.shared_cores(cluster), *sentences.where_time_went(cluster)),
        draw=partial(budget_chart, found) if len(found) else None,
        caption=f"Where the time of the task slots went on {cluster.section.title}, from the application's "
        "launch to its stop: shares of task slots × total time, means over runs.",
        alt=f"Shares of the time of {names} by part; the values are in the table of where the time went.",
        labels=kit.labels(cluster),
        table=budget_table(cluster),
    )


def shares(cluster: Cluster) -> pl.DataFrame:
    """Mean core-seconds and shares, a row for each contestant and part."""
    rows = []
    for contestant in cluster.distributed:
        runs = cluster.of(contestant).select(PART_COLUMNS.values()).drop_nulls()
        known = cluster.shares(contestant)
        rows += [
            {
                "contestant": contestant.plain_at,
                "part": part.name,
                "order": order,
                "core_s": runs[PART_COLUMNS[part.name]].mean(),
                "share": sum(run[part.name] for run in known) / len(known),
            }
            for order, part in enumerate(PARTS)
            if known
        ]
    schema = {"contestant": pl.String, "part": pl.String, "order": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"core_s": pl.Float64, "share": pl.Float64})


def budget_table(cluster: Cluster) -> Table:
    """Where the core-seconds went, by contestant and part, means over runs."""
    rows: list[tuple[str, ...]] = []
    for contestant in kit.by_layout(cluster):
        runs = cluster.of(contestant).filter(pl.col(PART_COLUMNS["training"]).is_not_null())
        if not len(runs):
            continue
        totals = runs.select(pl.sum_horizontal(PART_COLUMNS.values())).to_series()
        parts = [part for part in PARTS if runs[PART_COLUMNS[part.name]].sum() > 0]
        spent = [kit.summary(runs[PART_COLUMNS[part.name]].to_list(), METRICS["core_s"]) for part in parts]
        of_all = cluster.shares(contestant)
        known = [kit.summary([run[part.name] for run in of_all], METRICS["share"]) for part in parts]
        core_s = kit.mean_and_interval(METRICS["core_s"], spent)
        share = kit.mean_and_interval(METRICS["share"], known)
        rows += [
            (contestant.at, part.title, *core_s[index], *share[index]) for index, part in enumerate(parts)
        ]
        whole = METRICS["core_s"].text(stats.summarize(totals.to_list()).mean)
        rows.append((contestant.at, "All task slots, launch to stop", whole, NO_VALUE, "100", NO_VALUE))
    columns = numbers("Core-seconds", "95 % interval", "Share (%)", "95 % interval")
    return Table(
        f"budget-{slug(cluster.section.title)}",
        f"Where the time of the task slots went on {cluster.section.title}: means over runs",
        (*words("Contestant", "Part"), *columns),
        tuple(rows),
        grouped=True,
        remark="The parts add up to task slots × total time. A core-second is a second of one slot, "
        "whether or not a core was free for it. Collection while Python works costs a slot nothing and is "
        "not listed.",
    )


def budget_chart(
    budget: pl.DataFrame,
    *,
    heading: str = kit.SHARE.heading,
    amount: str = "core-seconds",
    colours: Mapping[str, tuple[str, str]] = {},
) -> vega.Chart:
    """What the core time of each contestant went into: a bar of 100 % each, split by part.

    heading: of the axis. amount: what `core_s` is called. colours: of parts that `PART_COLOURS` doesn't have.
    budget: a row per `contestant` and `part` (a name or a title of `budget.PARTS`), with its place from the
    left (`order`), its core-seconds (`core_s`) and their `share` of all, a fraction in [0, 1]. Bars come in
    the order of the frame. A click in the legend picks a part out.
    """
    known = budget.filter(pl.col("share").is_finite(), pl.col("share") > 0)
    names = known["contestant"].unique(maintain_order=True).to_list()
    known = known.sort("order", maintain_order=True).with_columns(pl.col("part").replace(TITLES))
    parts = known["part"].unique(maintain_order=True).to_list()
    share, stop = pl.col("share"), pl.col("share").cum_sum().over("contestant")
    frame = known.select(
        "contestant",
        "part",
        start=(100 * (stop - share)).round(3),
        stop=(100 * stop).round(3),
        shown=pl.Series(kit.SHARE.texts(known["share"]), dtype=pl.String) + " %",
        core_s=pl.Series(kit.SECONDS.texts(known["core_s"]), dtype=pl.String),
        label=(100 * share).round(0).cast(pl.Int64),
        idle=pl.col("part").is_in([TITLES[part] for part in IDLE]),
    )
    end = max(100.0, float(frame["stop"].max() or 0))  # type: ignore[arg-type]
    scale = {"domain": [0, end], "nice": False}
    y = vega.rows_of("contestant", names, labelLimit=330)
    bar = {
        "y": y,
        "x": vega.quantity("start", heading, scale, grid=True, domain=False, tickCount=5),
        "x2": {"field": "stop"},
        "fill": part_fill(parts, colours),
        "opacity": vega.picked(1, 0.2),
        "tooltip": vega.tips(
            {"contestant": "contestant", "part": "part", "share": "shown", amount: "core_s"}
        ),
    }
    number = {
        "y": y,
        "x": {"field": "middle", "type": "quantitative"},
        "text": {"field": "words", "type": "nominal"},
        "color": vega.either("datum.idle", vega.INK[0], kit.PAGE[0]),
    }
    # Where a number fits into its surface, 30 pixels; elsewhere the tooltip has it.
    written = vega.layer(
        "text", number, when="(datum.stop - datum.start) * width > 3000", fontSize=11, aria=False
    )
    written["transform"] += [
        {"calculate": "(datum.start + datum.stop) / 2", "as": "middle"},
        {"calculate": "datum.label + ' %'", "as": "words"},
    ]
    bars = vega.layer("bar", bar, height={"band": 0.78}, stroke=kit.PAGE[0], strokeWidth=1)
    room = 60 + 9 * len(parts)
    return vega.chart(
        [bars, written], frame, height=32 * max(1, len(names)), room=room, names=parts, pick_by="part"
    )


def part_fill(titles: list[str], more: Mapping[str, tuple[str, str]] = {}) -> vega.Spec:
    """The fill of these parts, in this order."""
    named = {**{TITLES[part]: both for part, both in PART_COLOURS.items()}, **more}
    colours = {title: both[0] for title, both in named.items()}
    spare = itertools.cycle(vega.SPARE_COLOURS)
    scale = {"domain": titles, "range": [colours.get(title) or next(spare)[0] for title in titles]}
    return vega.nominal("part", scale=scale, sort=None, legend={"symbolType": "square"})
