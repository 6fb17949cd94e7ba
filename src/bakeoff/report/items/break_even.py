"""With how many epochs who takes less time in all, once start-up and compilation count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from bakeoff.metrics import NO_VALUE, RATIO
from bakeoff.races import sentences
from bakeoff.races.definitions import Comparison
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.item import Item
from bakeoff.report.items.certificates import labelled
from bakeoff.report.items.verdicts import confidence
from bakeoff.stats import BreakEven

# Pairs that are drawn, and numbers of epochs at which a curve is, at most.
MAX_CURVES, MAX_POINTS = 6, 60


def items(section: Section) -> Iterator[Item]:
    """Whose total is less, by number of epochs: first the pairs in which that changes."""
    race = section.races[0]
    known = [
        (comparison, comparison.break_even)
        for comparison in race.comparisons
        if comparison.break_even is not None
    ]
    known.sort(key=lambda pair: pair[1].at is None)
    shown = known[:MAX_CURVES]
    if not shown:
        return
    curves = [
        Curve(one.first.short, one.second.short, found, _num_epochs(section, one)) for one, found in shown
    ]
    some = f" {len(shown)} of {len(known)} pairs." if len(known) > len(shown) else ""
    said = "; ".join(filter(None, (sentences.break_even_words(one) for one, _ in shown)))
    yield Item(
        "break-even",
        "Break-even",
        draw=partial(totals, curves),
        caption=f"Break-even on {section.place_of(race)}: total time of a pair's first to that of its "
        "second, by number of epochs; start-up, compilation and training count, evaluation does not. Below 1 "
        f"the first is ahead. Bands: {100 * confidence([section]):g} % intervals. Diamonds: break-even "
        f"points. Dashed: projected from the epochs that were run, by their mean after the warm-up.{some}",
        alt=f"Total times by number of epochs. {said}.",
        labels=tuple(labelled(one, "÷") for one, _ in shown),
    )


def _num_epochs(section: Section, comparison: Comparison) -> int:
    """Epochs that every good run of both was timed over."""
    trials = [comparison.first.trial_id, comparison.second.trial_id]
    mine = section.epochs.filter(pl.col("trial_id").is_in(trials))
    per_run = mine.group_by("run_id").agg(pl.col("epoch").max())["epoch"]
    return int(per_run.min() or 0) if len(per_run) else 0  # type: ignore[arg-type]


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


def totals(curves: Sequence[Curve]) -> vega.Chart:
    """Total time of a pair's first to that of its second, by number of epochs, a panel for each pair.

    Below 1 the first is ahead. The band is the 95 % interval, a diamond the break-even point; the line is
    dashed beyond the epochs that were measured.
    """
    rows = [row for curve in curves for row in _rows(curve)]
    ratios = [row["ratio"] for row in rows]
    domain = [0.9 * min([0.9, *ratios]), 1.1 * max([1.1, *ratios])]
    last = max(2, *(curve.found.epochs[-1] for curve in curves)) if curves else 2
    ticks = [step * 10**power for power in range(6) for step in (1, 2, 5) if step * 10**power <= last]
    scale = {"type": "log", "domain": [1, last], "nice": False}
    x = vega.quantity("epochs", "Epochs", scale, values=ticks, format="d", grid=False)

    y_scale = {"type": "log", "domain": domain, "nice": False, "clamp": True}
    y = vega.quantity("ratio", None, y_scale, tickCount=5, format="~r", grid=True)
    fields = {"pair": "pair", "epochs": "shown_epochs", "total time, ratio": "shown"}
    seen = {
        "x": x,
        "y": y,
        "tooltip": vega.tips({**fields, "95 % interval": "interval", "epochs are": "kind"}),
    }
    is_line, ink = "datum.kind != 'at'", vega.INK[0]
    layers = [
        vega.layer("rule", {"y": vega.at(y, 1)}, strokeDash=[3, 3], color=vega.FAINT[0]),
        vega.layer("area", {"x": x, **vega.ends("y", y)}, needs="low", when=is_line, opacity=0.18, color=ink),
        vega.layer("line", {"x": x, "y": y}, kind="measured", color=ink, strokeWidth=1.8),
        vega.layer("line", {"x": x, "y": y}, kind="projected", color=ink, strokeWidth=1.8, strokeDash=[5, 3]),
        vega.layer("point", seen, kind="at", color=ink, shape="diamond", size=120, filled=True, opacity=1),
        vega.layer("point", seen, when=is_line, color=ink, size=50, opacity=0),
    ]
    columns = 2 if len(curves) > 1 else 1
    return vega.chart(
        layers,
        rows,
        width=vega.panel_width(columns),
        height=150,
        facets=vega.Facets("pair", [curve.title for curve in curves], columns=columns),
    )


def _rows(curve: Curve) -> Iterator[dict[str, Any]]:
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
            "shown_epochs": f"{epochs}",
            "ratio": ratio,
            "low": low,
            "high": high,
            "shown": RATIO.text(ratio),
            "interval": " to ".join(RATIO.texts([low, high])),
        }
        if epochs <= border:
            yield row | {"kind": "measured"}
        if epochs >= border and last > border:
            yield row | {"kind": "projected"}
    if found.at is not None:
        open_end = "the end and beyond" if found.high is None else str(found.high)
        yield {
            "pair": curve.title,
            "kind": "at",
            "epochs": found.at,
            "shown_epochs": f"{found.at:.4g}",
            "ratio": 1.0,
            "low": None,
            "high": None,
            "shown": "both take the same time",
            "interval": NO_VALUE if found.low is None else f"{found.low} to {open_end} epochs",
        }
