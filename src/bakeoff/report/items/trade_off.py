"""Training time against final error: who is better in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import polars as pl

from bakeoff.metrics import METRICS
from bakeoff.races.definitions import Race
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.item import Item
from bakeoff.report.items.verdicts import confidence
from bakeoff.stats import POSITIVE, error_rate, summarize

# Races that have a panel, at most.
MAX_PANELS = 12


def items(section: Section) -> Iterator[Item]:
    """One figure of everybody's time against error, a panel for each race."""
    raced = [race for race in section.races if len(section.runs_of(race))]
    shown = raced[:MAX_PANELS]
    if not shown or not section.runs["final_validation_error"].is_not_null().any():
        return
    titles = [section.place_of(race) for race in shown]
    columns = ("contestant", "trial_id", "backend", "train_s", "final_validation_error")
    runs = pl.concat(
        [
            section.runs_of(race).select(columns).with_columns(panel=pl.lit(title))
            for race, title in zip(shown, titles, strict=True)
        ],
        how="vertical_relaxed",
    )
    palette = vega.Palette.of_frame(runs)
    some = f" {len(shown)} of {len(raced)} races." if len(raced) > len(shown) else ""
    level = confidence([section])
    yield Item(
        "time-and-error",
        "Time and error",
        draw=partial(time_and_error, runs, _num_images(shown), palette, level),
        caption=f"Training time against final validation error on {section.title}: means over "
        f"repeats.{some} Horizontal bars: {100 * level:g} % interval of the time. Vertical ones: of the "
        "error, thick over seeds alone, thin over seeds and the draw of test images. Bars are those of one "
        "contestant each; pairs are compared within blocks, and where possible image by image: bars may "
        "overlap where the verdict is clear.",
        alt=f"Training time and final error of {', '.join(palette.names)} on {', '.join(titles)}; the "
        "values are in the tables of results.",
        labels=tuple(contestant.short for race in shown for contestant in race.contestants),
    )


def _num_images(races: list[Race]) -> dict[str, int | None]:
    """By trial_id, on how many images its error was measured."""
    every = [contestant for race in races for contestant in race.contestants]
    found = {one.trial_id: one.observed.get("num_evaluation_images") for one in every}
    return {trial_id: None if num is None else int(num) for trial_id, num in found.items()}


def time_and_error(
    runs: pl.DataFrame,
    num_images: Mapping[str, int | None],
    palette: vega.Palette,
    confidence: float = 0.95,
) -> vega.Chart:
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
    rows = _points(runs, num_images, palette, confidence)
    single = len(panels) == 1

    x = vega.quantity("time", METRICS["train_s"].heading, tickCount=8 if single else 5)
    scale = {"type": "linear", "zero": False, "nice": True, "padding": 12}
    y = vega.quantity("error", METRICS["final_validation_error"].heading, scale, tickCount=6)

    def bar(place: vega.Spec, needs: str, width: float, opacity: float) -> vega.Spec:
        look = {"color": palette.colour(), "opacity": vega.picked(opacity, 0.08)}
        return vega.layer("rule", {**look, **place}, needs=needs, strokeWidth=width)

    fields = {"training time, s": "shown_time", "final error, %": "shown_error", "repeats": "num"}
    point = {
        "x": x,
        "y": y,
        "color": palette.colour(),
        "shape": palette.shape(),
        "opacity": vega.picked(),
        "tooltip": vega.tips({"contestant": "contestant", **fields}),
    }
    layers = [
        bar({"x": x, **vega.ends("y", y, "error_low", "error_high")}, "error_low", 1.3, 0.9),
        bar({"x": x, **vega.ends("y", y, "seed_low", "seed_high")}, "seed_low", 6.0, 0.35),
        bar({"y": y, **vega.ends("x", x, "time_low", "time_high")}, "time_low", 1.3, 0.9),
        vega.layer("point", point, size=95, filled=True),
    ]
    facets = None if single else vega.Facets("panel", panels, free=("x", "y"), labels=52, each=True)
    return vega.chart(
        layers,
        rows,
        width=vega.WIDTH if single else vega.panel_width(2),
        height=vega.HEIGHT if single else 220,
        facets=facets,
        switch="x",
        names=palette.names,
        pick_by="contestant",
    )


def _points(
    runs: pl.DataFrame, num_images: Mapping[str, int | None], palette: vega.Palette, confidence: float
) -> list[dict[str, Any]]:
    percent = METRICS["final_validation_error"].factor
    rows = []
    for (panel, name, trial_id), mine in runs.group_by(
        ["panel", "contestant", "trial_id"], maintain_order=True
    ):
        time = summarize(mine["train_s"].drop_nulls().to_numpy(), confidence, POSITIVE)
        errors = mine["final_validation_error"].drop_nulls().to_numpy()
        error = error_rate(errors, num_images.get(str(trial_id)), confidence)
        if time.mean is None or error.rate is None:
            continue
        whole = error.low, error.high
        rows.append(
            {
                "panel": panel,
                "contestant": name,
                "time": time.mean,
                **_both("time", (time.low, time.high), 1.0),
                "error": percent * error.rate,
                **_both("seed", (error.seed_low, error.seed_high), percent),
                **_both("error", whole, percent),
                "num": time.num,
                "shown_time": _with_interval("train_s", (time.mean, time.low, time.high)),
                "shown_error": _with_interval("final_validation_error", (error.rate, *whole)),
            }
        )
    return sorted(rows, key=lambda row: palette.names.index(str(row["contestant"])))


def _both(name: str, ends: tuple[float | None, float | None], factor: float) -> dict[str, float | None]:
    return {
        f"{name}_{side}": None if end is None else factor * end
        for side, end in zip(("low", "high"), ends, strict=True)
    }


def _with_interval(metric: str, values: tuple[float | None, float | None, float | None]) -> str:
    mean, low, high = METRICS[metric].texts(values)
    return mean if values[1] is None else f"{mean} ({low} to {high})"
