"""The opening's two charts: time against error, and the break-even point. Altair, as `report.figures`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from bakeoff.metrics import METRICS, RATIO
from bakeoff.report.figures import FAINT, HEIGHT, INK, WIDTH, Figure, Palette, finish
from bakeoff.stats import POSITIVE, BreakEven, error_rate, summarize

# Numbers of epochs at which a break-even curve is drawn, at most.
MAX_POINTS = 60

_PICK = alt.selection_point(name="pick", fields=["contestant"], bind="legend", toggle="true")


# ---- time against error -------------------------------------------------------------------------


def time_and_error(
    runs: pl.DataFrame,
    num_images: Mapping[str, int | None],
    palette: Palette,
    confidence: float = 0.95,
) -> Figure:
    """Training time against final error, a symbol for each contestant, with the intervals of both.

    runs: good runs with the columns `contestant`, `trial_id`, `train_s` and `final_validation_error`; with a
    column `panel`, each of its values has a panel of its own. num_images: by trial_id, on how many test
    images the error was measured. The error's thick bar is what other seeds would do, the thin one what other
    test images would do as well (`stats.error_rate`). Intervals are drawn from three repeats on, and are
    those of single contestants: of a pair, much cancels within a block.
    """
    if "panel" not in runs.columns:
        runs = runs.with_columns(panel=pl.lit(""))
    panels = list(dict.fromkeys(runs["panel"]))
    frame = pl.DataFrame(_points(runs, num_images, palette, confidence), schema=_SCHEMA)
    time, error = METRICS["train_s"].heading, METRICS["final_validation_error"].heading
    x_scale = alt.Scale(type="linear", zero=True)
    y_scale = alt.Scale(type="linear", zero=False, nice=True, padding=12)
    single = len(panels) == 1

    def x(column: str) -> alt.X:
        axis = alt.Axis(tickCount=8 if single else 5)
        return alt.X(f"{column}:Q", title=time, scale=x_scale, axis=axis)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=error, scale=y_scale, axis=alt.Axis(tickCount=6))

    base = alt.Chart(frame) if single else alt.Chart()
    base = base.encode(color=palette.colour())
    layers = []
    for low, high, width, opacity, is_time in (
        ("error_low", "error_high", 1.3, 0.9, False),
        ("seed_low", "seed_high", 6.0, 0.35, False),
        ("time_low", "time_high", 1.3, 0.9, True),
    ):
        if frame[low].is_null().all():
            continue
        place = (
            {"x": x(low), "x2": high, "y": y("error")}
            if is_time
            else {"x": x("time"), "y": y(low), "y2": high}
        )
        bar = base.mark_rule(strokeWidth=width).transform_filter(f"isValid(datum.{low})")
        layers.append(bar.encode(opacity=alt.condition(_PICK, alt.value(opacity), alt.value(0.08)), **place))
    points = base.mark_point(size=95, filled=True).encode(
        x=x("time"),
        y=y("error"),
        shape=palette.shape(),
        opacity=alt.condition(_PICK, alt.value(1), alt.value(0.1)),
        tooltip=[
            "contestant:N",
            alt.Tooltip("shown_time:N", title="training time, s"),
            alt.Tooltip("shown_error:N", title="final error, %"),
            alt.Tooltip("num:Q", title="repeats"),
        ],
    )
    if single:
        chart = alt.layer(*layers, points).add_params(_PICK).properties(width=WIDTH, height=HEIGHT + 40)
        return finish(chart, switch="x", names=palette.names, height=HEIGHT + 130)
    cells = alt.layer(*layers, points, data=frame).properties(width=WIDTH // 2 - 60, height=220)
    facets = cells.facet(facet=alt.Facet("panel:N", title=None, sort=panels), columns=2)
    facets = facets.resolve_scale(x="independent", y="independent").add_params(_PICK)
    height = 290 * math.ceil(len(panels) / 2) + 40
    return finish(facets, switch="x", columns=2, labels=52, each=True, names=palette.names, height=height)


_SCHEMA: Mapping[str, Any] = {
    "panel": pl.String,
    "contestant": pl.String,
    **dict.fromkeys(("time", "time_low", "time_high"), pl.Float64),
    **dict.fromkeys(("error", "seed_low", "seed_high", "error_low", "error_high"), pl.Float64),
    "num": pl.Int64,
    "shown_time": pl.String,
    "shown_error": pl.String,
}


def _points(
    runs: pl.DataFrame, num_images: Mapping[str, int | None], palette: Palette, confidence: float
) -> list[dict[str, Any]]:
    percent = METRICS["final_validation_error"].factor
    order = {name: place for place, name in enumerate(palette.names)}
    rows = []
    for (panel, name, trial_id), mine in runs.group_by(
        ["panel", "contestant", "trial_id"], maintain_order=True
    ):
        time = summarize(mine["train_s"].drop_nulls().to_numpy(), confidence, POSITIVE)
        errors = mine["final_validation_error"].drop_nulls().to_numpy()
        error = error_rate(errors, num_images.get(str(trial_id)), confidence)
        if time.mean is None or error.rate is None:
            continue
        seeds, whole = (error.seed_low, error.seed_high), (error.low, error.high)
        rows.append(
            {
                "panel": panel,
                "contestant": name,
                "time": _digits(time.mean),
                **_ends("time", (time.low, time.high), 1.0),
                "error": _digits(percent * error.rate),
                **_ends("seed", seeds, percent),
                **_ends("error", whole, percent),
                "num": time.num,
                "shown_time": _with_interval("train_s", (time.mean, time.low, time.high)),
                "shown_error": _with_interval("final_validation_error", (error.rate, *whole)),
            }
        )
    return sorted(rows, key=lambda row: order[str(row["contestant"])])


def _ends(name: str, ends: tuple[float | None, float | None], factor: float) -> dict[str, float | None]:
    return {
        f"{name}_{side}": None if end is None else _digits(factor * end)
        for side, end in zip(("low", "high"), ends, strict=True)
    }


def _with_interval(metric: str, values: tuple[float | None, float | None, float | None]) -> str:
    mean, low, high = METRICS[metric].texts(values)
    return mean if values[1] is None else f"{mean} ({low} to {high})"


# ---- break-even ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """One pair's break-even, for a figure. measured: epochs that were run; beyond them it is projected."""

    first: str
    second: str
    found: BreakEven
    measured: int

    @property
    def title(self) -> str:
        """What its panel is called: the ratio that it shows."""
        return f"{self.first} ÷ {self.second}"


def break_even(curves: Sequence[Curve]) -> Figure:
    """Total time of a pair's first to that of its second, by number of epochs, a panel for each pair.

    Below 1 the first is ahead. The band is the 95 % interval, a diamond the break-even point; the line is
    dashed beyond the epochs that were measured.
    """
    titles = [one.title for one in curves]
    frame = pl.DataFrame([row for one in curves for row in _curve_rows(one)], schema=_CURVE_SCHEMA)
    seen = [value for value in frame["ratio"] if value is not None]
    domain = [0.9 * min([0.9, *seen]), 1.1 * max([1.1, *seen])]
    last = max((one.found.epochs[-1] for one in curves), default=2)
    x = alt.X(
        "epochs:Q",
        title="Epochs",
        scale=alt.Scale(type="log", domain=[1, max(last, 2)], nice=False),
        axis=alt.Axis(values=_ticks(last), format="d", grid=False),
    )
    y_scale = alt.Scale(type="log", domain=domain, nice=False, clamp=True)
    y_axis = alt.Axis(tickCount=5, format="~r", grid=True)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=None, scale=y_scale, axis=y_axis)

    base = alt.Chart().encode(x=x)
    lines = base.transform_filter("datum.kind != 'at'")
    layers: list[Any] = [alt.Chart().mark_rule(strokeDash=[3, 3], color=FAINT[0]).encode(y=y("one"))]
    if frame["low"].is_not_null().any():
        band = lines.mark_area(opacity=0.18, color=INK[0]).transform_filter("isValid(datum.low)")
        layers.append(band.encode(y=y("low"), y2="high:Q"))
    tooltip = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("epochs:Q", format=".4~r"),
        alt.Tooltip("shown:N", title="total time, ratio"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("kind:N", title="epochs are"),
    ]
    for kind, dash in (("measured", [1, 0]), ("projected", [5, 3])):
        if (frame["kind"] == kind).any():
            line = base.transform_filter(f"datum.kind == '{kind}'").mark_line(
                color=INK[0], strokeWidth=1.8, strokeDash=dash
            )
            layers.append(line.encode(y=y("ratio")))
    if (frame["kind"] == "at").any():
        mark = base.transform_filter("datum.kind == 'at'")
        layers.append(
            mark.mark_point(shape="diamond", size=120, filled=True, opacity=1, color=INK[0]).encode(
                y=y("ratio"), tooltip=tooltip
            )
        )
    hover = lines.mark_point(size=50, opacity=0, color=INK[0])
    layers.append(hover.encode(y=y("ratio"), tooltip=tooltip))
    columns = 2 if len(titles) > 1 else 1
    panels = alt.layer(*layers, data=frame).properties(width=WIDTH // columns - 50, height=150)
    chart = panels.facet(facet=alt.Facet("pair:N", title=None, sort=titles), columns=columns)
    height = 205 * math.ceil(max(len(titles), 1) / columns)
    return finish(chart, columns=columns, labels=36, height=height)


_CURVE_SCHEMA: Mapping[str, Any] = {
    "pair": pl.String,
    "kind": pl.String,
    **dict.fromkeys(("epochs", "ratio", "low", "high", "one"), pl.Float64),
    "shown": pl.String,
    "interval": pl.String,
}


def _curve_rows(curve: Curve) -> Iterable[dict[str, Any]]:
    """Points of the curve, as far apart as they look on a logarithmic axis; the last measured one in both."""
    found = curve.found
    last = found.epochs[-1]
    even = {round(one) for one in np.geomspace(1, last, MAX_POINTS)}
    border = min(max(curve.measured, 1), last)
    for epochs, ratio, low, high in zip(found.epochs, found.ratios, found.lows, found.highs, strict=True):
        if (epochs not in even and epochs != border) or not math.isfinite(ratio):
            continue
        row = {
            "pair": curve.title,
            "epochs": float(epochs),
            "ratio": _digits(ratio),
            "low": None if low is None else _digits(low),
            "high": None if high is None else _digits(high),
            "one": 1.0,
            "shown": RATIO.text(ratio),
            "interval": " to ".join(RATIO.texts([low, high])),
        }
        if epochs <= border:
            yield row | {"kind": "measured"}
        if epochs >= border and last > border:
            yield row | {"kind": "projected"}
    if found.at is not None:
        open_end = "" if found.high is None else str(found.high)
        between = "–" if found.low is None else f"{found.low} to {open_end or 'the end and beyond'} epochs"
        yield {
            "pair": curve.title,
            "kind": "at",
            "epochs": found.at,
            "ratio": 1.0,
            "low": None,
            "high": None,
            "one": 1.0,
            "shown": "both take the same time",
            "interval": between,
        }


def _ticks(last: int) -> list[int]:
    """1, 2, 5, 10, … up to the last number of epochs."""
    every = [step * 10**power for power in range(6) for step in (1, 2, 5)]
    return [one for one in every if one <= max(last, 2)]


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
