"""What items share: names of places, the main race, facts as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import NO_VALUE, Metric
from bakeoff.races.frames import plain
from bakeoff.races.marks import Label
from bakeoff.races.sections import Section
from bakeoff.report import vega


@dataclass(frozen=True)
class Main:
    """A section's main race, ready to be drawn. at: where it is; names: of its contestants, in a sentence."""

    runs: pl.DataFrame
    epochs: pl.DataFrame
    palette: vega.Palette
    labels: tuple[Label, ...]
    at: str
    names: str


def main_race(section: Section) -> Main:
    """The section's main race."""
    race = section.races[0]
    labels = tuple(contestant.short for contestant in race.contestants)
    palette = vega.Palette.of((contestant.short, contestant.backend) for contestant in race.contestants)
    runs, epochs = section.runs_of(race), section.epochs_of(race)
    return Main(runs, epochs, palette, labels, section.place_of(race), ", ".join(labels))


def slug(text: str) -> str:
    """For anchors and file names."""
    return re.sub(r"\W+", "-", text.lower()).strip("-") or "table"


def estimate(metric: Metric, found: stats.Summary) -> dict[str, Any]:
    """A mean with its interval for a chart: numbers in the shown unit, and texts."""
    mean, low, high = (
        None if value is None else metric.shown(value) for value in (found.mean, found.low, found.high)
    )
    texts = {"shown": metric.text(found.mean), "interval": " to ".join(metric.texts((found.low, found.high)))}
    return {"value": mean, "low": low, "high": high, "num": found.num, **texts}


def interval_text(low: str, high: str) -> str:
    """``1.0 to 2.0``; a dash where there is none."""
    return NO_VALUE if NO_VALUE in (low, high) else f"{low} to {high}"


def fact(value: Any) -> str:
    """A fact's value for people; lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(plain, value)) or "none"
    return plain(value)


def facts(values: Mapping[str, Any]) -> str:
    """Several facts with their names."""
    shown = (f"{key.replace('_', ' ')}: {fact(value)}" for key, value in values.items() if value is not None)
    return "; ".join(shown) or NO_VALUE


def one_or_many(values: Sequence[str]) -> str:
    """The one value that all runs share; else how many there were."""
    distinct = list(dict.fromkeys(values))
    return " / ".join(distinct) if len(distinct) <= 3 else f"{len(distinct)} different values"
