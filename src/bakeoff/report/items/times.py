"""How long everybody takes: in all, to the first step, and per epoch; with every other measured quantity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, Metric
from bakeoff.races.definitions import Contestant
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.contents import FAILED
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.words import estimate, interval_text, main_race, slug


def items(section: Section) -> Iterator[Item]:
    """Execution times, and the table of all results."""
    main = main_race(section)
    yield Item(
        "times",
        "Execution times",
        draw=partial(execution_times, main.runs, palette=main.palette) if len(main.runs) else None,
        caption=f"Execution times on {main.at}. Each dot is one repeat (hollow: on a disturbed machine); "
        "ticks are means, bars their 95 % intervals (from three repeats on). Training excludes start-up, "
        "first step and evaluation; wall time is the whole run (where others found a warm compile cache, "
        "runs with a cold one are drawn, and not in the mean); user and system are CPU times of training, "
        "over all cores.",
        alt=f"Times of {main.names}; the values are in the table of results.",
        labels=main.labels,
        table=results(section),
    )


def first_steps(section: Section) -> Iterator[Item]:
    """Compilation and the first step."""
    main = main_race(section)
    if len(main.runs) and main.runs["first_step_s"].is_not_null().any():
        yield Item(
            "first-step",
            "First step",
            draw=partial(first_step, main.runs, main.palette),
            caption=f"First training step on {main.at}, compilation included, with a cold or a warm compile "
            "cache where the backend keeps one. It is undone before training and in no training time.",
            alt=f"Seconds of the first step of {main.names}; the values are in the table of results.",
            labels=main.labels,
        )


# ---- charts -------------------------------------------------------------------------------------


def execution_times(
    runs: pl.DataFrame, metrics: Sequence[str] | None = None, palette: vega.Palette | None = None
) -> vega.Chart:
    """What runs took, one panel for each metric: every repeat a dot, their mean, its 95 % interval.

    metrics: None takes those that `bakeoff.metrics` has for this figure: times, and energy.
    Intervals are drawn from three repeats on. Metrics that nobody measured are left out. Runs on a
    disturbed machine are hollow. Of more than 40 repeats the range is drawn instead of the dots.
    """
    runs = vega.named(runs)
    palette = palette or vega.Palette.of_frame(runs)
    metrics = metrics or [name for name, metric in METRICS.items() if metric.in_figure]
    measured = [name for name in metrics if name in runs.columns and runs[name].is_not_null().any()]
    rows = [
        row
        for name in measured
        for (contestant,), group in runs.group_by(["contestant"], maintain_order=True)
        for row in _time_rows(METRICS[name], str(contestant), group)
    ]
    headings = list(dict.fromkeys(row["metric"] for row in rows))
    x = vega.quantity("value", None, grid=True, domain=False, tickCount=5)
    base = {"y": vega.rows_of("contestant", palette.names), "color": palette.colour(legend=False)}
    spread = {**base, **vega.ends("x", x)}
    dot = {
        **base,
        "x": x,
        "fill": palette.colour(legend=False),
        "fillOpacity": vega.either("datum.disturbed", 0, 0.4),
        "tooltip": vega.tips(
            {"contestant": "contestant", "value": "shown", "repeat": "num", "disturbed": "disturbed"}
        ),
    }
    fields = {"contestant": "contestant", "mean": "shown", "95 % interval": "interval"}
    tick = {**base, "x": x, "tooltip": vega.tips({**fields, "repeats": "num"})}
    layers = [
        vega.layer("rule", spread, kind="range", strokeWidth=1, opacity=0.6),
        vega.layer("rule", spread, kind="mean", needs="low", strokeWidth=4, opacity=0.35),
        vega.layer("point", dot, kind="repeat", size=42, strokeWidth=1.2),
        vega.layer("tick", tick, kind="mean", thickness=2.5, size=20),
    ]
    columns = 2 if len(headings) > 1 else 1
    return vega.chart(
        layers,
        rows,
        width=vega.panel_width(2),
        height=26 * max(1, len(palette.names)),
        facets=vega.Facets(
            "metric", headings, free=("x",), columns=columns, labels=vega.label_width(palette.names)
        ),
        switch="x",
    )


def _time_rows(metric: Metric, contestant: str, runs: pl.DataFrame) -> list[dict[str, Any]]:
    """One contestant's dots and mean in one panel."""
    values = runs[metric.name].cast(pl.Float64)
    averaged = values
    if metric.name == "wall_s" and "cache" in runs.columns and runs["cache"].drop_nulls().n_unique() > 1:
        averaged = values.filter(runs["cache"].fill_null("") != "cold")
    summary = stats.summarize(averaged.drop_nulls().to_numpy(), bounds=metric.bounds)
    if summary.mean is None:
        return []
    common = {"metric": metric.heading, "contestant": contestant, "disturbed": False}
    mean = {**common, "kind": "mean", **estimate(metric, summary)}
    if summary.num > vega.MAX_DOTS:
        return [common | {"kind": "range", "low": summary.minimum, "high": summary.maximum}, mean]
    disturbed = runs["disturbed"].fill_null(False) if "disturbed" in runs.columns else [False] * len(runs)
    dots = [
        {
            **common,
            "kind": "repeat",
            "value": value,
            "shown": metric.text(value),
            "num": num,
            "disturbed": flag,
        }
        for value, num, flag in zip(values, runs["repeat"], disturbed, strict=True)
        if value is not None and math.isfinite(value)
    ]
    return [*dots, mean]


def first_step(runs: pl.DataFrame, palette: vega.Palette | None = None) -> vega.Chart:
    """Seconds of the first training step, compilation included, per run.

    A column `cache`, if there is one, tells what a run found in its compile cache: ``cold``, ``warm``,
    or null where there is no cache.
    """
    runs = vega.named(runs)
    palette = palette or vega.Palette.of_frame(runs)
    cache = pl.col("cache").fill_null("no cache") if "cache" in runs.columns else pl.lit("no cache")
    metric = METRICS["first_step_s"]
    frame = (
        runs.with_columns(cache=cache)
        .filter(pl.col("first_step_s").is_finite())
        .select("contestant", "repeat", "cache", value=pl.col("first_step_s"))
    )
    if len(frame) > 4 * vega.MAX_DOTS:  # too many to draw: their medians
        frame = frame.group_by(["contestant", "cache"], maintain_order=True).agg(
            pl.col("repeat").count(), pl.col("value").median()
        )
    symbols = {"cold": "circle", "warm": "diamond", "no cache": "square"}
    present = [state for state in symbols if state in frame["cache"].to_list()]
    ink = {"symbolFillColor": vega.INK[0], "symbolStrokeColor": vega.INK[0]}
    tooltip = {"contestant": "contestant", "seconds": "shown", "cache": "cache", "repeat": "repeat"}
    point = {
        "x": vega.quantity("value", metric.heading, {"type": "log"}, tickCount=6),
        "y": vega.rows_of("contestant", palette.names, grid=True, ticks=False),
        "color": palette.colour(legend=False),
        "shape": vega.nominal(
            "cache",
            scale={"domain": present, "range": [symbols[state] for state in present]},
            legend=ink if len(present) > 1 else None,
        ),
        "tooltip": vega.tips(tooltip),
    }
    return vega.chart(
        [vega.layer("point", point, size=70, strokeWidth=1.4, filled=True, opacity=0.75)],
        frame.with_columns(shown=pl.Series(metric.texts(frame["value"]), dtype=pl.String)),
        height=28 * len(palette.names),
        switch="x",
    )


# ---- table --------------------------------------------------------------------------------------


def results(section: Section) -> Table:
    """Mean, interval, spread and range of every metric, for every contestant of a section."""
    rows: list[tuple[str, ...]] = []
    counted = section.attempts.group_by("trial_id").agg(
        failed=pl.col("status").is_in(FAILED).sum(), skipped=(pl.col("status") == "skipped").sum()
    )
    counts = {trial_id: (str(failed), str(skipped)) for trial_id, failed, skipped in counted.iter_rows()}
    by_trial = section.runs_by_trial
    parts = ("mean", "low", "high", "sd", "minimum", "maximum")
    for name, metric in METRICS.items():
        if not metric.in_summary:
            continue
        samples = [
            (label, contestant, stats.summarize(values, bounds=metric.bounds))
            for contestant in section.contestants
            for label, values in _samples(by_trial[contestant.trial_id], contestant, name)
        ]
        if all(one.num == 0 for *_, one in samples) and name != "train_s":
            continue
        # One number of decimals for the whole metric, so that its columns compare at a glance.
        texts = iter(metric.texts([getattr(one, part) for *_, one in samples for part in parts]))
        variances = metric.squares([one.variance for *_, one in samples])
        for (label, contestant, summary), variance in zip(samples, variances, strict=True):
            mean, low, high, sd, minimum, maximum = (next(texts) for _ in parts)
            measured = (str(summary.num), mean, interval_text(low, high), sd, variance, minimum, maximum)
            ended = counts.get(contestant.trial_id, ("0", "0"))
            rows.append((metric.heading, label, *measured, *ended))
    shown = ("Repeats", "Mean", "95 % interval", "SD", "Variance", "Min", "Max", "Failed", "Skipped")
    return Table(
        f"summary-{slug(section.title)}",
        f"Results on {section.title}",
        (*words("Metric", "Contestant"), *numbers(*shown)),
        tuple(rows),
        grouped=True,
    )


def _samples(runs: pl.DataFrame, contestant: Contestant, column: str) -> list[tuple[str, list[float]]]:
    """One sample of a metric; of what includes compilation one for each state of the compile cache."""
    states = [state for state in ("cold", "warm") if state in runs["cache"].to_list()]
    if not METRICS[column].includes_compilation or not states:
        return [(contestant.name, _values(runs, column))]
    return [
        (
            contestant.label(f"{contestant.plain_name}, {state} cache"),
            _values(runs.filter(cache=state), column),
        )
        for state in states
    ]


def _values(runs: pl.DataFrame, column: str) -> list[float]:
    return [float(one) for one in runs[column] if one is not None] if column in runs.columns else []
