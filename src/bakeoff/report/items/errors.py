"""How errors fall: by epoch, by training time, and where they stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.races.sections import Section, error_table
from bakeoff.report import vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.words import main_race, slug

# Runs of one contestant up to which each error curve is drawn, and points of all curves together.
MAX_CURVES, MAX_CURVE_POINTS = 10, 4000


def items(section: Section) -> Iterator[Item]:
    """Everything over epochs, where there are several."""
    main = main_race(section)
    epochs, palette, names, at = main.epochs, main.palette, main.names, main.at
    if not len(epochs) or _only_at_the_end(epochs):
        return
    last, ends = int(epochs["epoch"].max() or 0), last_values(epochs)  # type: ignore[arg-type]
    yield Item(
        "error",
        "Error by epoch",
        draw=partial(error_per_epoch, epochs, palette),
        caption=f"Validation error after each epoch on {at}: means over repeats, and single runs (thin) "
        "where they are few.",
        alt=f"Validation error per epoch of {names}. {ends}",
        labels=main.labels,
    )
    found = plateaus(section)
    if any(plateau.epochs for plateau in found.values()):
        said = "; ".join(
            f"{name}: {f'epoch {plateau.epoch}' if plateau.epoch else plateau.reason}"
            for name, plateau in found.items()
        )
        yield Item(
            "plateau",
            "Where the error stops improving",
            draw=partial(
                remaining_improvement,
                {name: plateau for name, plateau in found.items() if plateau.epochs},
                palette,
            ),
            caption=f"How far the mean validation error on {at} will still fall after each epoch (averages "
            f"of five epochs). A symbol marks where it stops improving: {said}.",
            alt=f"Where the error stops improving: {said}.",
            labels=main.labels,
            table=plateau_table(section, found),
            in_files=False,
        )
    if last > 1:
        yield Item(
            "error-time",
            "Error by training time",
            draw=partial(error_against_time, epochs, palette),
            caption=f"Validation error against training time on {at}, means over repeats: at equal height, "
            "who is further left was sooner.",
            alt=f"Validation error against training time of {names}. {ends}",
            labels=main.labels,
        )
    counted = epochs.group_by("run_id").agg(num=pl.len(), last=pl.col("epoch").max())
    if last > 1 and bool((counted["num"] == counted["last"]).all()):  # no record stands for several epochs
        yield Item(
            "epoch-times",
            "Time per epoch",
            draw=partial(epoch_times, epochs, palette),
            caption=f"Training time of each epoch on {at}, mean ± one standard deviation over repeats.",
            alt=f"Training seconds per epoch of {names}.",
            labels=main.labels,
        )


def _only_at_the_end(epochs: pl.DataFrame) -> bool:
    """Whether the error was measured once, after several epochs: a cluster may train them in one go."""
    per_run = epochs.group_by("run_id").agg(num=pl.len(), last=pl.col("epoch").max())
    return len(per_run) > 0 and bool(((per_run["num"] == 1) & (per_run["last"] > 1)).all())


def last_values(epochs: pl.DataFrame) -> str:
    """Each contestant's error after its last epoch, in a sentence."""
    means = (
        epochs.filter(pl.col("epoch") == pl.col("epoch").max().over("contestant"))
        .group_by("contestant", maintain_order=True)
        .agg(pl.col("validation_error").mean())
    )
    texts = METRICS["validation_error"].texts(means["validation_error"])
    parts = [f"{name} {text} %" for name, text in zip(means["contestant"], texts, strict=True)]
    return f"After the last epoch: {', '.join(parts)}."


def plateaus(section: Section) -> dict[str, stats.Plateau]:
    """By contestant of the main race: where its error stops improving."""
    epochs = section.epochs_of(section.races[0])
    return {
        contestant.short: stats.plateau(error_table(epochs.filter(contestant=contestant.short)))
        for contestant in section.races[0].contestants
    }


def plateau_table(section: Section, found: Mapping[str, stats.Plateau]) -> Table:
    """The epoch from which each contestant's error no longer improves."""
    tolerances = METRICS["validation_error"].texts([plateau.tolerance for plateau in found.values()])
    rows = tuple(
        (name, NO_VALUE if plateau.epoch is None else str(plateau.epoch), tolerance, plateau.reason)
        for (name, plateau), tolerance in zip(found.items(), tolerances, strict=True)
    )
    columns = (
        *words("Contestant"),
        *numbers("No more improvement from epoch", "Tolerance (pp)"),
        *words("Remark"),
    )
    title = f"Where the error stops improving on {section.title}"
    return Table(f"plateau-{slug(section.title)}", title, columns, rows)


# ---- charts -------------------------------------------------------------------------------------


def error_per_epoch(epochs: pl.DataFrame, palette: vega.Palette | None = None) -> vega.Chart:
    """Validation error in % per epoch: each contestant's mean, and its single runs while they are few."""
    epochs = vega.named(epochs)
    palette = palette or vega.Palette.of_frame(epochs)
    rows = _per_epoch(epochs, "validation_error", palette)
    counts = epochs.group_by("contestant").agg(pl.col("run_id").n_unique())["run_id"]
    under, single = [], []
    if 1 < int(counts.max() or 0) <= MAX_CURVES and len(epochs) <= MAX_CURVE_POINTS:  # type: ignore[arg-type]
        single = (
            epochs.filter(pl.col("validation_error").is_finite())
            .select("contestant", "run_id", "epoch", mean=(100 * pl.col("validation_error")))
            .to_dicts()
        )
        run = {
            "x": _epoch_axis(rows),
            "y": _value_axis("validation_error"),
            "color": palette.colour(),
            "detail": {"field": "run_id", "type": "nominal"},
            "opacity": vega.picked(0.35, 0.05),
        }
        under.append(vega.layer("line", run, data="single", strokeWidth=0.8))
    return _curves(rows, "validation_error", palette, under, more={"single": single} if single else None)


def error_mean_and_spread(
    epochs: pl.DataFrame, window: int | None = None, palette: vega.Palette | None = None
) -> vega.Chart:
    """Mean and standard deviation over repeats of the validation error in %, epochs 1 to `window`."""
    return _mean_and_spread(epochs, "validation_error", palette, window)


def epoch_times(epochs: pl.DataFrame, palette: vega.Palette | None = None) -> vega.Chart:
    """Training seconds per epoch: mean over repeats, and one standard deviation to each side."""
    return _mean_and_spread(epochs, "train_s", palette, None)


def error_against_time(epochs: pl.DataFrame, palette: vega.Palette | None = None) -> vega.Chart:
    """Mean validation error in % against mean training seconds so far: who is where after how long."""
    epochs = vega.named(epochs)
    palette = palette or vega.Palette.of_frame(epochs)
    so_far = epochs.sort("run_id", "epoch").with_columns(so_far=pl.col("train_s").cum_sum().over("run_id"))
    rows = _per_epoch(so_far, "validation_error", palette, so_far=pl.col("so_far").mean())
    x = vega.quantity("so_far", "Training time so far (s)", tickCount=8)
    return _curves(rows, "validation_error", palette, x=x)


def remaining_improvement(
    plateaus: Mapping[str, stats.Plateau], palette: vega.Palette | None = None
) -> vega.Chart:
    """By how much the error will still fall, in percentage points, per epoch; a mark where it stops.

    plateaus: by contestant, as `bakeoff.stats.plateau` finds them.
    """
    palette = palette or vega.Palette.of((name, name) for name in plateaus)
    left_over = [100 * left for found in plateaus.values() for left in found.remaining if left > 0]
    floor = max(0.01, min(left_over, default=0.01))  # where the logarithmic axis begins
    rows = [
        {
            "contestant": name,
            "line": palette.line(name),
            "epoch": epoch,
            "mean": max(100 * left, floor),
            "shown": f"{100 * left:.2f}",
            "stop": True if epoch == found.epoch else None,
        }
        for name, found in plateaus.items()
        for epoch, left in zip(found.epochs, found.remaining, strict=True)
    ]
    scale = {"type": "log", "domainMin": floor, "clamp": True, "nice": False}
    base = {
        "x": _epoch_axis(rows),
        "y": vega.quantity("mean", "Improvement still to come (pp)", scale, tickCount=5),
        "color": palette.colour(),
    }
    tooltip = vega.tips({"contestant": "contestant", "epoch": "epoch", "still to come, pp": "shown"})
    seen = {**base, "opacity": vega.picked(), "tooltip": tooltip}
    mark: vega.Spec = {"size": 110, "filled": True, "stroke": "white", "strokeWidth": 1}
    layers = [
        vega.layer("line", {**seen, "strokeDash": palette.dash()}, strokeWidth=1.8),
        vega.layer("rule", {**base, "y2": {"datum": floor}}, needs="stop", strokeWidth=1, opacity=0.6),
        vega.layer("point", {**seen, "shape": palette.shape()}, needs="stop", **mark),
    ]
    return vega.chart(
        layers, rows, height=vega.HEIGHT, switch="y", floor=floor, names=palette.names, pick_by="contestant"
    )


def _per_epoch(
    epochs: pl.DataFrame, column: str, palette: vega.Palette, **extra: pl.Expr
) -> list[dict[str, Any]]:
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
    lines = {name: str(index) for index, name in enumerate(palette.names)}
    found = frame.with_columns(
        mean=(pl.col("mean") * metric.factor),
        low=(low * metric.factor),
        high=(high * metric.factor),
        shown=pl.Series(metric.texts(frame["mean"]), dtype=pl.String),
        spread=pl.Series(metric.texts(frame["sd"]), dtype=pl.String),
        # Where the error was not measured after each epoch, every point is marked: there are few.
        marked=((pl.col("epoch") - 1) % every == 0)
        | (pl.len().over("contestant") < pl.col("epoch").max().over("contestant")),
        line=pl.col("contestant").replace_strict(lines, return_dtype=pl.String),
    ).drop("sd")
    return found.to_dicts()


def _mean_and_spread(
    epochs: pl.DataFrame, column: str, palette: vega.Palette | None, window: int | None
) -> vega.Chart:
    epochs = vega.named(epochs)
    palette = palette or vega.Palette.of_frame(epochs)
    if window is not None:
        epochs = epochs.filter(pl.col("epoch") <= window)
    rows = _per_epoch(epochs, column, palette)
    y = _value_axis(column)
    base = {"x": _epoch_axis(rows), **vega.ends("y", y), "color": palette.colour()}
    under = vega.layer("area", {**base, "opacity": vega.picked(0.16, 0.02)}, needs="low")
    if len({row["epoch"] for row in rows}) == 1:  # an area of one epoch has no width
        under = vega.layer("rule", {**base, "opacity": vega.picked(0.4, 0.05)}, needs="low", strokeWidth=3)
    return _curves(rows, column, palette, [under])


def _curves(
    rows: Sequence[Mapping[str, Any]],
    column: str,
    palette: vega.Palette,
    under: Sequence[dict[str, Any]] = (),
    *,
    x: dict[str, Any] | None = None,
    more: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> vega.Chart:
    """Mean curves with a symbol here and there, and a tooltip at each epoch. x: epochs, where None."""
    base = {"x": x or _epoch_axis(rows), "y": _value_axis(column), "color": palette.colour()}
    near = {"type": "point", "on": "pointerover", "clear": "pointerout", "nearest": True}
    hover = {"name": "hover", "select": {**near, "fields": ["contestant", "epoch"]}}
    tooltip = {"contestant": "contestant", "epoch": "epoch", METRICS[column].heading.lower(): "shown"}
    answering = {
        **base,
        "opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0},
        "tooltip": vega.tips({**tooltip, "standard deviation": "spread", "repeats": "num"}),
    }
    faint = vega.picked(1, 0.08)
    symbol = {**base, "shape": palette.shape(), "opacity": faint}
    layers = [
        *under,
        vega.layer("line", {**base, "strokeDash": palette.dash(), "opacity": faint}, strokeWidth=1.8),
        vega.layer("point", symbol, when="datum.marked", size=42, filled=True),
        vega.with_params(vega.layer("point", answering, size=60, strokeWidth=2), hover),
    ]
    means = [row["mean"] for row in rows if row["mean"]]
    return vega.chart(
        layers,
        rows,
        height=vega.HEIGHT,
        switch="x" if x else "y",
        floor=min(means) / 2 if means else None,
        names=palette.names,
        pick_by="contestant",
        more=more,
    )


def _epoch_axis(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    last = max((int(row["epoch"]) for row in rows), default=1)
    scale = {"domain": [1, last] if last > 1 else [0, 2], "nice": False, "padding": 6}
    ticks = {"values": list(range(1, last + 1))} if last <= 12 else {}
    return vega.quantity("epoch", "Epoch", scale, format="d", **ticks)


def _value_axis(column: str) -> dict[str, Any]:
    return vega.quantity("mean", METRICS[column].heading, tickCount=5)
