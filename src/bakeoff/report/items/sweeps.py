"""What one setting does to time and error, all others held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from bakeoff.metrics import METRICS
from bakeoff.races.contestants import line_name
from bakeoff.races.frames import plain
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.item import Item
from bakeoff.report.items.words import estimate
from bakeoff.stats import summarize


def items(section: Section) -> Iterator[Item]:
    """A figure for each setting of which the main race's contestants have several values."""
    for axis, every in section.axes.items():
        if axis == "distribution":
            continue  # one machine and a cluster meet in a part of their own
        contestants = section.swept(axis)
        own = {plain(one.axes[axis]) for one in contestants}
        values = [plain(value) for value in every if plain(value) in own]
        if len(own) < 2:
            continue
        # One line for a backend, with the marks of all its points.
        marked: dict[str, list[Mark]] = {}
        for one in contestants:
            marked.setdefault(line_name(one), []).extend(one.short.marks)
        lines = {one.trial_id: Label(line_name(one), marked[line_name(one)]) for one in contestants}
        naming = pl.DataFrame({"trial_id": list(lines), "contestant": list(map(str, lines.values()))})
        runs = section.runs.drop("contestant").join(naming, on="trial_id", maintain_order="left")
        if not len(runs):
            continue
        title = axis.replace("_", " ").replace(".", ": ")
        palette = vega.Palette.of((lines[one.trial_id], one.backend) for one in contestants)
        of_trial = {one.trial_id: plain(one.axes[axis]) for one in contestants}
        yield Item(
            f"sweep-{axis.replace('_', '-').replace('.', '-')}",
            f"By {title}",
            draw=partial(sweep, runs, title, of_trial, values, palette=palette),
            caption=f"Training time and final validation error on {section.title} against {title}, all "
            "other settings as in the main race: means over repeats with 95 % intervals.",
            alt=f"Training time and final error of {', '.join(dict.fromkeys(lines.values()))} for {title} "
            f"of {', '.join(values)}; the values are in the table of results.",
            labels=tuple(lines.values()),
        )


def sweep(
    runs: pl.DataFrame,
    axis: str,
    values: Mapping[str, str],
    order: Sequence[str],
    metrics: Sequence[str] = ("train_s", "final_validation_error"),
    palette: vega.Palette | None = None,
) -> vega.Chart:
    """A panel for each metric against one swept setting: mean over repeats, its 95 % interval.

    axis: what the setting is called. values: its value by trial_id. order: values, left to right.
    The column `contestant` of `runs` names the lines.
    """
    runs = vega.named(runs).filter(pl.col("trial_id").is_in(list(values)))
    runs = runs.with_columns(value=pl.col("trial_id").replace_strict(dict(values), return_dtype=pl.String))
    palette = palette or vega.Palette.of_frame(runs)
    rows = []
    for metric in (METRICS[name] for name in metrics):
        for (contestant, value), group in runs.group_by(["contestant", "value"], maintain_order=True):
            summary = summarize(group[metric.name].drop_nulls().to_numpy(), bounds=metric.bounds)
            if summary.mean is None:
                continue
            who = {"metric": metric.heading, "contestant": contestant, "line": palette.line(contestant)}
            rows.append({**who, "setting": value, **estimate(metric, summary)})
    x_axis = {"labelAngle": 0, "grid": False, "labelOverlap": "greedy"}
    x = {"field": "setting", "type": "ordinal", "title": axis, "sort": list(order), "axis": x_axis}
    y = vega.quantity("value", None, tickCount=5)
    base: vega.Spec = {"x": x, "color": palette.colour()}
    seen = {**base, "y": y, "opacity": vega.picked()}
    tooltip = vega.tips({"contestant": "contestant", axis: "setting", "mean": "shown", "repeats": "num"})
    interval = {**base, **vega.ends("y", y), "opacity": vega.picked(0.6, 0.05)}
    layers = [
        vega.layer("rule", interval, needs="low", strokeWidth=1.2),
        vega.layer("line", {**seen, "strokeDash": palette.dash()}, strokeWidth=1.8),
        vega.layer("point", {**seen, "shape": palette.shape(), "tooltip": tooltip}, size=55, filled=True),
    ]
    headings = list(dict.fromkeys(str(row["metric"]) for row in rows))
    return vega.chart(
        layers,
        rows,
        width=vega.panel_width(2),
        height=220,
        facets=vega.Facets("metric", headings, free=("y",), each=True),
        switch="y",
        names=palette.names,
        pick_by="contestant",
    )
