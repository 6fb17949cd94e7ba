"""Charts, in a notebook as in a report: polars frames in, Altair charts out.

Every function takes a frame as `bakeoff.store.Reader` gives it, of one data set; runs that did not end
well are left out. Contestants are told apart by the column `contestant`, or else by `label`. Each has
one colour (its backend's, wherever it appears), one dash pattern and one symbol. A click in a legend
picks contestants out. Units are those of `bakeoff.metrics`.

What a page needs besides the chart (which axis may become logarithmic, how wide the labels are)
travels in the chart's ``usermeta``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from bakeoff import registry
from bakeoff.metrics import METRICS, RATIO, Metric
from bakeoff.races.sentences import answer
from bakeoff.registry import backend_rank
from bakeoff.stats import Plateau, Verdict, summarize

Figure = alt.LayerChart | alt.FacetChart

WIDTH, HEIGHT = 640, 260

# Runs of one contestant up to which each is drawn; above, their range.
MAX_DOTS = 40
# Runs of one contestant up to which each error curve is drawn, and points of all curves together.
MAX_CURVES, MAX_CURVE_POINTS = 10, 4000

# One colour per backend, light page and dark page. Each has a contrast of at least 3:1 with its page
# and stays apart from the others for colour-blind eyes (tests/report/test_figures.py measures both).
BACKEND_COLOURS: Mapping[str, tuple[str, str]] = {
    name: brought.record.colours for name, brought in registry.backends().items()
}
SPARE_COLOURS: tuple[tuple[str, str], ...] = (
    ("#334155", "#cbd5e1"),
    ("#0891b2", "#67e8f9"),
    ("#be185d", "#f9a8d4"),
    ("#4d7c0f", "#bef264"),
    ("#7c3aed", "#c4b5fd"),
    ("#92400e", "#fcd9a8"),
)
INK, FAINT = ("#1f2328", "#e6e8eb"), ("#9aa1a9", "#6b737c")
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (5, 2, 1, 2, 1, 2), (12, 4))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

FONT = "Inter, 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

# Looks shared by all charts; colours of text and lines come from the page.
CONFIG: Mapping[str, Any] = {
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 5,
        "tickSize": 4,
        "gridWidth": 0.5,
        "labelLimit": 220,
    },
    "axisY": {"domain": False, "ticks": False},
    "axisX": {"grid": False},
    "legend": {
        "orient": "top",
        "title": None,
        "labelFontSize": 12,
        "labelLimit": 260,
        "symbolSize": 70,
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
        "columnPadding": 16,
        "offset": 8,
    },
    "header": {"labelFontSize": 12, "labelFontWeight": "bold", "labelAnchor": "start", "title": None},
}

# What differs between a light page, a dark page and a file of its own.
THEMES: Mapping[str, Mapping[str, Any]] = {
    name: {
        "background": background,
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "gridColor": grid,
            "tickColor": line,
            "domainColor": line,
        },
        "legend": {"labelColor": ink},
        "header": {"labelColor": ink},
    }
    for name, background, ink, grid, line in (
        ("light", "transparent", "#3d444d", "#e3e6ea", "#9aa1a9"),
        ("dark", "transparent", "#c9d1d9", "#30363d", "#6b737c"),
        ("file", "white", "#3d444d", "#e3e6ea", "#9aa1a9"),
    )
}
# Numbers on axes as in the tables.
LOCALE: dict[str, Any] = {"decimal": ".", "thousands": "\u202f", "grouping": [3], "currency": ["", ""]}
# Colours in charts as drawn on a light page, and what a dark page has in their place.
DARK: Mapping[str, str] = dict([*BACKEND_COLOURS.values(), *SPARE_COLOURS, INK, FAINT])


@dataclass(frozen=True)
class Palette:
    """Which colour, dash and symbol each contestant has; names in the order of legends."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, contestants: Iterable[tuple[str, str]]) -> Palette:
        """For pairs of name and backend. A backend's first contestant has the backend's colour and symbol."""
        unique = dict(contestants)
        order = {name: number for number, name in enumerate(unique)}
        ranked = sorted(unique, key=lambda name: (backend_rank(unique[name]), order[name]))
        known = registry.backends()
        first = {backend: name for name in reversed(ranked) if (backend := unique[name]) in known}
        own = {name: known[backend].record for backend, name in first.items()}
        used = {record.symbol for record in own.values()}
        spare = (
            itertools.cycle(SPARE_COLOURS),
            itertools.cycle([one for one in SHAPES if one not in used] or SHAPES),
        )
        looks = [
            (own[name].colours[0], own[name].symbol) if name in own else (next(spare[0])[0], next(spare[1]))
            for name in ranked
        ]
        return cls(tuple(ranked), tuple(colour for colour, _ in looks), tuple(symbol for _, symbol in looks))

    def colour(self, **options: Any) -> alt.Color:
        """The colour channel."""
        scale = alt.Scale(domain=list(self.names), range=list(self.colours))
        return alt.Color("contestant:N", title=None, scale=scale, sort=None, **options)

    def fill(self) -> alt.Fill:
        """The fill channel, for points whose filling says something of its own."""
        scale = alt.Scale(domain=list(self.names), range=list(self.colours))
        return alt.Fill("contestant:N", title=None, scale=scale, sort=None, legend=None)

    def dash(self) -> alt.StrokeDash:
        """The dash channel, for lines.

        Of a column and a domain of its own (`with_lines`): Vega-Lite merges legends with equal domains,
        and symbols drawn with dashed outlines are hard to tell apart.
        """
        patterns = [list(DASHES[index % len(DASHES)]) for index in range(len(self.names))]
        scale = alt.Scale(domain=[str(index) for index in range(len(self.names))], range=patterns)
        return alt.StrokeDash("line:N", title=None, scale=scale, sort=None, legend=None)

    def with_lines(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the column that `dash` reads."""
        lines = {name: str(index) for index, name in enumerate(self.names)}
        return frame.with_columns(line=pl.col("contestant").replace_strict(lines, return_dtype=pl.String))

    def shape(self, **options: Any) -> alt.Shape:
        """The symbol channel, for points."""
        scale = alt.Scale(domain=list(self.names), range=list(self.symbols))
        return alt.Shape("contestant:N", title=None, scale=scale, sort=None, **options)


# ---- times --------------------------------------------------------------------------------------


def execution_times(
    runs: pl.DataFrame, metrics: Sequence[str] | None = None, palette: Palette | None = None
) -> Figure:
    """What runs took, one panel for each metric: every repeat a dot, their mean, its 95 % interval.

    metrics: None takes those that `bakeoff.metrics` has for this figure: times, and energy.

    Intervals are drawn from three repeats on. Metrics that nobody measured are left out. Runs on a
    disturbed machine are hollow. Of more than 40 repeats the range is drawn instead of the dots.
    """
    runs = _named(runs)
    palette = palette or _palette(runs)
    rows: list[dict[str, Any]] = []
    for name in metrics or [name for name, metric in METRICS.items() if metric.in_figure]:
        if name not in runs.columns or not runs[name].is_not_null().any():
            continue
        for (contestant,), group in runs.group_by(["contestant"], maintain_order=True):
            rows += _time_rows(METRICS[name], str(contestant), group)
    headings = list(dict.fromkeys(row["metric"] for row in rows))
    frame = pl.DataFrame(rows, schema=_TIME_SCHEMA)
    y = alt.Y("contestant:N", title=None, sort=list(palette.names), axis=alt.Axis(grid=False))
    base = alt.Chart().encode(y=y, color=palette.colour(legend=None))
    value_axis = alt.Axis(grid=True, domain=False, tickCount=5)
    x = alt.X("value:Q", title=None, axis=value_axis, scale=alt.Scale(type="linear", zero=True))
    ends: dict[str, Any] = {"x": alt.X("low:Q", title=None, axis=value_axis), "x2": "high:Q"}
    tooltip: list[Any] = ["contestant:N", alt.Tooltip("shown:N", title="value"), "repeat:Q", "disturbed:N"]
    kinds = set(frame["kind"])
    layers = []
    if "range" in kinds:
        layers.append(_only(base.mark_rule(strokeWidth=1, opacity=0.6), "range").encode(**ends))
    if frame.filter(kind="mean")["low"].is_not_null().any():
        interval = _only(base.mark_rule(strokeWidth=4, opacity=0.35), "mean")
        layers.append(interval.transform_filter("isValid(datum.low)").encode(**ends))
    if "repeat" in kinds:
        filling = alt.condition("datum.disturbed", alt.value(0), alt.value(0.4))
        dots = _only(base.mark_point(size=42, strokeWidth=1.2), "repeat")
        layers.append(dots.encode(x=x, fill=palette.fill(), fillOpacity=filling, tooltip=tooltip))
    tooltip = [
        "contestant:N",
        alt.Tooltip("shown:N", title="mean"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("repeat:Q", title="repeats"),
    ]
    ticks = _only(base.mark_tick(thickness=2.5, size=20), "mean")
    layers.append(ticks.encode(x=x, tooltip=tooltip))
    columns = 2 if len(headings) > 1 else 1
    height = 26 * max(1, len(palette.names))
    panels = alt.layer(*layers, data=frame).properties(width=WIDTH // 2 - 60, height=height)
    chart = panels.facet(facet=alt.Facet("metric:N", title=None, sort=headings), columns=columns)
    return finish(
        chart.resolve_scale(x="independent"),
        switch="x",
        columns=columns,
        labels=_label_width(palette.names),
        height=(height + 55) * math.ceil(len(headings) / columns),
    )


def _only(chart: alt.Chart, kind: str) -> alt.Chart:
    return chart.transform_filter(f"datum.kind == '{kind}'")


_TIME_SCHEMA = {
    "metric": pl.String,
    "contestant": pl.String,
    "kind": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "shown": pl.String,
    "interval": pl.String,
    "repeat": pl.Int64,
    "disturbed": pl.Boolean,
}


def _time_rows(metric: Metric, contestant: str, runs: pl.DataFrame) -> list[dict[str, Any]]:
    """One contestant's dots and mean in one panel."""
    values = runs[metric.name].cast(pl.Float64)
    averaged = values
    if metric.name == "wall_s" and "cache" in runs.columns and runs["cache"].drop_nulls().n_unique() > 1:
        averaged = values.filter(runs["cache"].fill_null("") != "cold")
    summary = summarize(averaged.drop_nulls().to_numpy(), bounds=metric.bounds)
    if summary.mean is None:
        return []
    common = {"metric": metric.heading, "contestant": contestant, "disturbed": False}
    ends = summary.low, summary.high
    mean = common | {
        "kind": "mean",
        "value": _short(summary.mean),
        "low": None if ends[0] is None else _short(ends[0]),
        "high": None if ends[1] is None else _short(ends[1]),
        "shown": metric.text(summary.mean),
        "interval": " to ".join(metric.texts(ends)),
        "repeat": summary.num,
    }
    if summary.num > MAX_DOTS:
        span = common | {"kind": "range", "low": summary.minimum, "high": summary.maximum}
        return [span, mean]
    disturbed = runs["disturbed"].fill_null(False) if "disturbed" in runs.columns else [False] * len(runs)
    dots = [
        common
        | {
            "kind": "repeat",
            "value": _short(value),
            "shown": metric.text(value),
            "repeat": repeat,
            "disturbed": flag,
        }
        for value, repeat, flag in zip(values, runs["repeat"], disturbed, strict=True)
        if value is not None and math.isfinite(value)
    ]
    return [*dots, mean]


def first_step(runs: pl.DataFrame, palette: Palette | None = None) -> Figure:
    """Seconds of the first training step, compilation included, per run.

    A column `cache`, if there is one, tells what a run found in its compile cache: ``cold``, ``warm``,
    or null where there is no cache.
    """
    runs = _named(runs)
    palette = palette or _palette(runs)
    if "cache" not in runs.columns:
        runs = runs.with_columns(cache=pl.lit(None, pl.String))
    metric = METRICS["first_step_s"]
    frame = (
        runs.with_columns(pl.col("cache").fill_null("no cache"))
        .filter(pl.col("first_step_s").is_finite())
        .select("contestant", "repeat", "cache", value=pl.col("first_step_s"))
    )
    if len(frame) > 4 * MAX_DOTS:  # too many to draw: their medians
        frame = frame.group_by(["contestant", "cache"], maintain_order=True).agg(
            pl.col("repeat").count(), pl.col("value").median()
        )
    present = [state for state in ("cold", "warm", "no cache") if state in frame["cache"].to_list()]
    y = alt.Y(
        "contestant:N",
        title=None,
        scale=alt.Scale(domain=list(palette.names)),
        axis=alt.Axis(grid=True, ticks=False),
    )
    symbols = {"cold": "circle", "warm": "diamond", "no cache": "square"}
    chart = (
        alt.Chart(frame.with_columns(shown=pl.Series(metric.texts(frame["value"]), dtype=pl.String)))
        .mark_point(size=70, strokeWidth=1.4, filled=True, opacity=0.75)
        .encode(
            x=alt.X("value:Q", title=metric.heading, scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=6)),
            y=y,
            color=palette.colour(legend=None),
            shape=alt.Shape(
                "cache:N",
                title=None,
                scale=alt.Scale(domain=present, range=[symbols[state] for state in present]),
                legend=_MONOCHROME if len(present) > 1 else None,
            ),
            tooltip=["contestant:N", alt.Tooltip("shown:N", title="seconds"), "cache:N", "repeat:Q"],
        )
        .properties(width=WIDTH, height=28 * len(palette.names))
    )
    return finish(alt.layer(chart), switch="x")


def epoch_times(epochs: pl.DataFrame, palette: Palette | None = None) -> Figure:
    """Training seconds per epoch: mean over repeats, and one standard deviation to each side."""
    return _mean_and_spread(epochs, "train_s", palette or _palette(_named(epochs)), None)


# ---- errors -------------------------------------------------------------------------------------


def error_per_epoch(epochs: pl.DataFrame, palette: Palette | None = None) -> Figure:
    """Validation error in % per epoch: each contestant's mean, and its single runs while they are few."""
    epochs = _named(epochs)
    palette = palette or _palette(epochs)
    means = _per_epoch(epochs, "validation_error")
    curves = epochs.group_by("contestant").agg(pl.col("run_id").n_unique())["run_id"].max() or 0
    layers = []
    if 1 < int(curves) <= MAX_CURVES and len(epochs) <= MAX_CURVE_POINTS:  # type: ignore[arg-type]
        single = epochs.filter(pl.col("validation_error").is_finite()).select(
            "contestant", "run_id", "epoch", mean=(100 * pl.col("validation_error")).round_sig_figs(5)
        )
        layers.append(
            alt.Chart(single)
            .mark_line(strokeWidth=0.8)
            .encode(
                x=_epoch_axis(means),
                y=_value_axis("validation_error"),
                color=palette.colour(),
                detail="run_id:N",
                opacity=alt.condition(_PICK, alt.value(0.35), alt.value(0.05)),
            )
        )
    return _curves(means, "validation_error", palette, layers, spread=False)


def error_mean_and_spread(
    epochs: pl.DataFrame, window: int | None = None, palette: Palette | None = None
) -> Figure:
    """Mean and standard deviation over repeats of the validation error in %, epochs 1 to `window`."""
    return _mean_and_spread(epochs, "validation_error", palette or _palette(_named(epochs)), window)


def remaining_improvement(plateaus: Mapping[str, Plateau], palette: Palette | None = None) -> Figure:
    """By how much the error will still fall, in percentage points, per epoch; a mark where it stops.

    plateaus: by contestant, as `bakeoff.stats.plateau` finds them.
    """
    palette = palette or Palette.of((name, name) for name in plateaus)
    left_over = [100 * left for found in plateaus.values() for left in found.remaining if left > 0]
    floor = max(0.01, min(left_over, default=0.01))  # where the logarithmic axis begins
    rows = [
        {
            "contestant": name,
            "epoch": epoch,
            "mean": _short(max(100 * left, floor)),
            "shown": f"{100 * left:.2f}",
            "stop": epoch == found.epoch,
        }
        for name, found in plateaus.items()
        for epoch, left in zip(found.epochs, found.remaining, strict=True)
    ]
    schema = {"contestant": pl.String, "epoch": pl.Int64, "mean": pl.Float64, "shown": pl.String}
    frame = palette.with_lines(pl.DataFrame(rows, schema=schema | {"stop": pl.Boolean}))
    scale = alt.Scale(type="log", domainMin=floor, clamp=True, nice=False)
    y = alt.Y("mean:Q", title="Improvement still to come (pp)", scale=scale, axis=alt.Axis(tickCount=5))
    base = alt.Chart(frame).encode(x=_epoch_axis(frame), y=y, color=palette.colour())
    opacity = alt.condition(_PICK, alt.value(1), alt.value(0.1))
    tooltip = ["contestant:N", "epoch:Q", alt.Tooltip("shown:N", title="still to come, pp")]
    line = base.mark_line(strokeWidth=1.8).encode(strokeDash=palette.dash(), opacity=opacity, tooltip=tooltip)
    marks = (
        base.mark_point(size=110, filled=True, stroke="white", strokeWidth=1)
        .transform_filter("datum.stop")
        .encode(shape=palette.shape(), opacity=opacity, tooltip=tooltip)
    )
    stops = base.mark_rule(strokeWidth=1, opacity=0.6).transform_filter("datum.stop")
    stops = stops.encode(y2=alt.datum(floor))
    layers = [line, stops, marks] if frame["stop"].any() else [line]
    chart = alt.layer(*layers).add_params(_PICK).properties(width=WIDTH, height=HEIGHT)
    return finish(chart, switch="y", floor=floor, names=palette.names)


def error_against_time(epochs: pl.DataFrame, palette: Palette | None = None) -> Figure:
    """Mean validation error in % against mean training seconds so far: who is where after how long."""
    epochs = _named(epochs)
    palette = palette or _palette(epochs)
    so_far = epochs.sort("run_id", "epoch").with_columns(so_far=pl.col("train_s").cum_sum().over("run_id"))
    frame = _per_epoch(so_far, "validation_error", so_far=pl.col("so_far").mean().round_sig_figs(5))
    scale = alt.Scale(type="linear", zero=True)
    x = alt.X("so_far:Q", title="Training time so far (s)", scale=scale, axis=alt.Axis(tickCount=8))
    return _curves(frame, "validation_error", palette, [], spread=False, x=x, switch="x")


# ---- comparisons --------------------------------------------------------------------------------


def time_ratios(comparisons: Iterable[tuple[str, str, Verdict]]) -> Figure:
    """Ratio of training times of each pair, the first's over the second's, with its 95 % interval.

    comparisons: name of the first, name of the second, and the verdict on them. Filled where one is faster.
    """
    rows: list[dict[str, Any]] = []
    for first, second, verdict in comparisons:
        times = verdict.time
        if times.ratio is None:
            continue
        rows.append(
            {
                "pair": f"{first} vs {second}",
                "ratio": _short(times.ratio),
                "low": None if times.low is None else _short(times.low),
                "high": None if times.high is None else _short(times.high),
                "verdict": answer(verdict),
                "shown": RATIO.text(times.ratio),
                "interval": " to ".join(RATIO.texts([times.low, times.high])),
                "pairs": times.num_blocks,
            }
        )
    schema = {"pair": pl.String, "ratio": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    schema |= {"verdict": pl.String, "shown": pl.String, "interval": pl.String, "pairs": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema)
    # An interval of two pairs may span powers of ten: it is cut where it would hide all the others.
    ratios = [1.0, *(row["ratio"] for row in rows)]
    ends = [end for row in rows for end in (row["low"], row["high"]) if end is not None]
    domain = [
        max(0.95 * min([0.85, *ratios, *ends]), min(ratios) / 3),
        min(1.05 * max([1.05, *ratios, *ends]), 1.5 * max(ratios) / min(ratios)),
    ]
    scale = alt.Scale(type="log", domain=domain, nice=False, clamp=True)
    axis = alt.Axis(grid=True, tickCount=6, format="~r")
    x = alt.X("ratio:Q", title=_RATIO_TITLE, scale=scale, axis=axis)
    y = alt.Y("pair:N", title=None, sort=None)
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("shown:N", title="ratio"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("pairs:Q", title="paired blocks"),
        alt.Tooltip("verdict:N"),
    ]
    base = alt.Chart(frame)
    one = (
        alt.Chart()
        .mark_rule(strokeDash=[3, 3], color=FAINT[0])
        .encode(x=alt.datum(1, type="quantitative", title=_RATIO_TITLE, scale=scale))
    )
    interval = (
        base.mark_rule(strokeWidth=2, color=INK[0])
        .transform_filter("isValid(datum.low)")
        .encode(x=alt.X("low:Q", scale=scale, title=_RATIO_TITLE, axis=axis), x2="high:Q", y=y)
    )
    point = base.mark_point(size=70, opacity=1, color=INK[0], fill=INK[0], strokeWidth=1.5).encode(
        x=x,
        y=y,
        fillOpacity=alt.condition("datum.verdict == 'faster'", alt.value(1), alt.value(0)),
        tooltip=tooltip,
    )
    chart = alt.layer(one, interval, point, data=frame).properties(width=WIDTH, height=22 * max(1, len(rows)))
    return finish(chart, height=22 * len(rows) + 60)


def sweep(
    runs: pl.DataFrame,
    axis: str,
    values: Mapping[str, str],
    order: Sequence[str],
    metrics: Sequence[str] = ("train_s", "final_validation_error"),
    palette: Palette | None = None,
) -> Figure:
    """A panel for each metric against one swept setting: mean over repeats, its 95 % interval.

    axis: what the setting is called. values: its value by trial_id. order: values, left to right.
    The column `contestant` of `runs` names the lines.
    """
    runs = _named(runs).filter(pl.col("trial_id").is_in(list(values)))
    runs = runs.with_columns(value=pl.col("trial_id").replace_strict(dict(values), return_dtype=pl.String))
    palette = palette or _palette(runs)
    rows = []
    for name in metrics:
        metric = METRICS[name]
        for (contestant, value), group in runs.group_by(["contestant", "value"], maintain_order=True):
            summary = summarize(group[name].drop_nulls().to_numpy(), bounds=metric.bounds)
            if summary.mean is None:
                continue
            ends = [None if end is None else _short(metric.shown(end)) for end in (summary.low, summary.high)]
            rows.append(
                {
                    "metric": metric.heading,
                    "contestant": contestant,
                    "value": value,
                    "position": order.index(str(value)),
                    "mean": _short(metric.shown(summary.mean)),
                    "low": ends[0],
                    "high": ends[1],
                    "shown": metric.text(summary.mean),
                    "num": summary.num,
                }
            )
    schema = {"metric": pl.String, "contestant": pl.String, "value": pl.String, "position": pl.Int64}
    schema |= {"mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "shown": pl.String, "num": pl.Int64}
    frame = palette.with_lines(pl.DataFrame(rows, schema=schema))
    x_axis = alt.Axis(labelAngle=0, grid=False, labelOverlap="greedy")
    x = alt.X("value:O", title=axis, sort=list(order), axis=x_axis)
    base = alt.Chart().encode(x=x, color=palette.colour())
    opacity = alt.condition(_PICK, alt.value(1), alt.value(0.1))
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(type="linear", zero=True), axis=alt.Axis(tickCount=5))
    tooltip = ["contestant:N", alt.Tooltip("value:N", title=axis), alt.Tooltip("shown:N", title="mean")]
    tooltip.append(alt.Tooltip("num:Q", title="repeats"))
    layers = []
    if frame["low"].is_not_null().any():
        faint = alt.condition(_PICK, alt.value(0.6), alt.value(0.05))
        interval = base.mark_rule(strokeWidth=1.2).transform_filter("isValid(datum.low)")
        layers.append(interval.encode(y=alt.Y("low:Q", title=None), y2="high:Q", opacity=faint))
    panels = alt.layer(
        *layers,
        base.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=palette.dash(), opacity=opacity),
        base.mark_point(size=55, filled=True).encode(
            y=y, shape=palette.shape(), opacity=opacity, tooltip=tooltip
        ),
        data=frame,
    ).properties(width=WIDTH // 2 - 60, height=220)
    headings = list(dict.fromkeys(str(row["metric"]) for row in rows))
    chart = (
        panels.facet(facet=alt.Facet("metric:N", title=None, sort=headings), columns=2)
        .resolve_scale(y="independent")
        .add_params(_PICK)
    )
    return finish(chart, switch="y", columns=2, labels=36, each=True, names=palette.names)


# ---- shared -------------------------------------------------------------------------------------

_RATIO_TITLE = "Ratio of training times, the first’s over the second’s"
_MONOCHROME = alt.Legend(symbolFillColor=INK[0], symbolStrokeColor=INK[0])
_PICK = alt.selection_point(name="pick", fields=["contestant"], bind="legend", toggle="true")


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """Good runs, with a column `contestant`."""
    if "contestant" not in frame.columns:
        frame = frame.with_columns(contestant=pl.col("label"))
    return frame.filter(pl.col("status") == "ok") if "status" in frame.columns else frame


def _palette(frame: pl.DataFrame) -> Palette:
    return Palette.of(frame.select("contestant", "backend").unique(maintain_order=True).iter_rows())


def _per_epoch(epochs: pl.DataFrame, column: str, **extra: pl.Expr) -> pl.DataFrame:
    """Mean, standard deviation and number of runs, for each contestant and epoch, in the shown unit."""
    metric = METRICS[column]
    frame = (
        epochs.filter(pl.col(column).is_finite())
        .group_by(["contestant", "epoch"])
        .agg(mean=pl.col(column).mean(), sd=pl.col(column).std(), num=pl.len(), **extra)
        .sort("contestant", "epoch")
    )
    last = frame["epoch"].max()
    every = max(1, math.ceil(int(last) / 10)) if last is not None else 1  # type: ignore[arg-type]
    # One standard deviation is no interval: it is cut where the quantity ends.
    low = (pl.col("mean") - pl.col("sd")).clip(lower_bound=metric.bounds[0])
    high = (pl.col("mean") + pl.col("sd")).clip(upper_bound=metric.bounds[1])
    return frame.with_columns(
        mean=(pl.col("mean") * metric.factor).round_sig_figs(5),
        low=(low * metric.factor).round_sig_figs(5),
        high=(high * metric.factor).round_sig_figs(5),
        shown=pl.Series(metric.texts(frame["mean"]), dtype=pl.String),
        spread=pl.Series(metric.texts(frame["sd"]), dtype=pl.String),
        # Where the error was not measured after each epoch, every point is marked: there are few.
        marked=((pl.col("epoch") - 1) % every == 0)
        | (pl.len().over("contestant") < pl.col("epoch").max().over("contestant")),
    ).drop("sd")


def _mean_and_spread(epochs: pl.DataFrame, column: str, palette: Palette, window: int | None) -> Figure:
    epochs = _named(epochs)
    if window is not None:
        epochs = epochs.filter(pl.col("epoch") <= window)
    return _curves(_per_epoch(epochs, column), column, palette, [], spread=True)


def _curves(
    frame: pl.DataFrame,
    column: str,
    palette: Palette,
    under: Sequence[alt.Chart],
    *,
    spread: bool,
    x: alt.X | None = None,
    switch: str = "y",
) -> Figure:
    """Mean curves with a symbol here and there, and a tooltip at each epoch."""
    frame = palette.with_lines(frame)
    x = x or _epoch_axis(frame)
    y = _value_axis(column)
    hover = alt.selection_point(
        name="hover",
        on="pointerover",
        clear="pointerout",
        nearest=True,
        fields=["contestant", "epoch"],
        empty=False,
    )
    base = alt.Chart(frame).encode(x=x, color=palette.colour())
    opacity = alt.condition(_PICK, alt.value(1), alt.value(0.08))
    layers = list(under)
    if spread and frame["low"].is_not_null().any():
        layers.append(
            base.mark_area().encode(
                y=alt.Y("low:Q", title=METRICS[column].heading),
                y2="high:Q",
                opacity=alt.condition(_PICK, alt.value(0.16), alt.value(0.02)),
            )
        )
        if frame["epoch"].n_unique() == 1:  # an area of one epoch has no width
            layers[-1] = base.mark_rule(strokeWidth=3).encode(
                y="low:Q", y2="high:Q", opacity=alt.condition(_PICK, alt.value(0.4), alt.value(0.05))
            )
    layers.append(base.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=palette.dash(), opacity=opacity))
    layers.append(
        base.mark_point(size=42, filled=True)
        .transform_filter("datum.marked")
        .encode(y=y, shape=palette.shape(), opacity=opacity)
    )
    layers.append(
        base.mark_point(size=60, strokeWidth=2)
        .encode(
            y=y,
            opacity=alt.condition(hover, alt.value(1), alt.value(0)),
            tooltip=[
                "contestant:N",
                "epoch:Q",
                alt.Tooltip("shown:N", title=METRICS[column].heading.lower()),
                alt.Tooltip("spread:N", title="standard deviation"),
                alt.Tooltip("num:Q", title="repeats"),
            ],
        )
        .add_params(hover)
    )
    chart = alt.layer(*layers).add_params(_PICK).properties(width=WIDTH, height=HEIGHT)
    low = frame.filter(pl.col("mean") > 0)["mean"].min()
    floor = None if low is None else float(low) / 2  # type: ignore[arg-type]
    return finish(chart, switch=switch, floor=floor, names=palette.names)


def _epoch_axis(frame: pl.DataFrame) -> alt.X:
    last = int(frame["epoch"].max() or 1)  # type: ignore[arg-type]
    axis = alt.Axis(format="d", values=list(range(1, last + 1))) if last <= 12 else alt.Axis(format="d")
    domain = [1, last] if last > 1 else [0, 2]
    return alt.X("epoch:Q", title="Epoch", axis=axis, scale=alt.Scale(domain=domain, nice=False, padding=6))


def _value_axis(column: str) -> alt.Y:
    return alt.Y(
        "mean:Q",
        title=METRICS[column].heading,
        scale=alt.Scale(type="linear", zero=True),
        axis=alt.Axis(tickCount=5),
    )


def finish(
    chart: Any,
    *,
    switch: str = "",
    floor: Any = None,
    columns: int = 0,
    labels: int = 0,
    each: bool = False,
    names: Sequence[str] = (),
    height: int = HEIGHT + 90,
) -> Figure:
    """The chart with the common looks, and what a page needs to know of it in ``usermeta``.

    switch: channel whose scale may be linear or logarithmic. floor: where a logarithmic scale begins.
    columns: panels side by side; labels: width of the labels beside them, px; each: beside each panel.
    names: what the legend lists. height: how much to keep free until the chart is drawn, px.
    """
    page = {"switch": switch, "floor": floor, "columns": columns, "labels": labels, "each": each}
    page |= {"legend": _label_width(names) if names else 0, "height": height}
    size = {} if columns else {"autosize": {"type": "fit-x", "contains": "padding"}}
    finished: Figure = chart.properties(config=CONFIG, usermeta={"bakeoff": page}, **size)
    return finished


def _label_width(names: Sequence[str]) -> int:
    """Pixels that the longest name takes on an axis."""
    return min(220, max((len(name) for name in names), default=0) * 6) + 12


def _short(value: float) -> float:
    """Five significant digits: more than a figure shows, less than a file of floats takes."""
    return float(f"{value:.5g}")
