"""What one setting does to time and error, all others held."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, Metric
from bakeoff.races.contestants import line_name
from bakeoff.races.definitions import Contestant
from bakeoff.races.frames import parted, plain
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.words import estimate, interval_text, slug
from bakeoff.stats import summarize

# What a setting may do: a panel each.
_METRICS = ("train_s", "throughput_images_per_s", "peak_memory_bytes", "final_validation_error")
_SCALED = ("train_s", "peak_memory_bytes")
# What a setting is where the study leaves it to the data or the backend, as it was observed.
_OBSERVED: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "image_size": lambda observed: (observed.get("input_shape") or [None, None])[1],
    "threads": lambda observed: observed.get("threads") or len(observed.get("cpus") or ()),
}
_EXPONENT = Metric("exponent", "Exponent", "", max_decimals=2)


def items(section: Section) -> Iterator[Item]:
    """A figure for each setting of which the main race's contestants have several values."""
    for axis, every in section.axes.items():
        if axis == "distribution":
            continue  # one machine and a cluster meet in a part of their own
        contestants = section.swept(axis)
        own = {plain(contestant.axes[axis]) for contestant in contestants}
        values = [plain(value) for value in every if plain(value) in own]
        if len(own) < 2:
            continue
        # One line for a backend, with the marks of all its points.
        marked: dict[str, list[Mark]] = {}
        for contestant in contestants:
            marked.setdefault(line_name(contestant), []).extend(contestant.short.marks)
        lines = {
            contestant.trial_id: Label(line_name(contestant), marked[line_name(contestant)])
            for contestant in contestants
        }
        naming = pl.DataFrame({"trial_id": list(lines), "contestant": list(map(str, lines.values()))})
        runs = section.runs.drop("contestant").join(naming, on="trial_id", maintain_order="left")
        if not len(runs):
            continue
        title = axis.replace("_", " ").replace(".", ": ")
        palette = vega.Palette.of(
            (lines[contestant.trial_id], contestant.backend) for contestant in contestants
        )
        of_trial = {contestant.trial_id: plain(contestant.axes[axis]) for contestant in contestants}
        yield Item(
            f"sweep-{axis.replace('_', '-').replace('.', '-')}",
            f"By {title}",
            remarks=tuple(_crossings(section, axis, title, contestants)),
            draw=partial(sweep, runs, title, of_trial, values, palette=palette),
            caption=f"Training time, throughput, memory and final validation error on {section.title} "
            f"against {title}, all else as in the main race: means over repeats with 95 % intervals.",
            alt="Training time, throughput, memory and final error of "
            f"{', '.join(dict.fromkeys(lines.values()))} for {title} "
            f"of {', '.join(values)}; the values are in the table of results.",
            labels=tuple(lines.values()),
            table=_scaling(section, axis, title, contestants, runs),
        )


def _crossings(section: Section, axis: str, title: str, contestants: Sequence[Contestant]) -> Iterator[str]:
    """Who trains faster than whom at one value and slower at another, by verdicts on time at both."""
    of_trial = {contestant.trial_id: contestant for contestant in contestants}
    won: dict[tuple[str, str], list[str]] = {}
    for one in (each for race in section.races for each in race.comparisons if each.is_asked):
        pair = of_trial.get(one.first.trial_id), of_trial.get(one.second.trial_id)
        if None in pair or one.verdict.on_time not in (stats.FASTER, stats.SLOWER):
            continue
        first, second = (each for each in pair if each is not None)
        if first.axes[axis] != second.axes[axis]:
            continue
        ordered = (first, second) if one.verdict.on_time == stats.FASTER else (second, first)
        faster, slower = map(line_name, ordered)
        won.setdefault((faster, slower), []).append(plain(first.axes[axis]))
    for (faster, slower), at in won.items():
        otherwise = won.get((slower, faster))
        if otherwise and faster < slower:
            yield (
                f"They cross: {faster} trains faster than {slower} at {title} {', '.join(at)}, and {slower} "
                f"faster than {faster} at {', '.join(otherwise)}."
            )


def _scaling(
    section: Section, axis: str, title: str, contestants: Sequence[Contestant], runs: pl.DataFrame
) -> Table:
    """Exponents of time and memory, of settings that are numbers, or lists of as many numbers each."""
    sizes = {contestant.trial_id: _size(_value(contestant, axis)) for contestant in contestants}
    forms = {_form(_value(contestant, axis)) for contestant in contestants if sizes[contestant.trial_id]}
    values = sorted({size for size in sizes.values() if size})
    rows = []
    if len(values) >= 2 and len(forms) == 1:
        names = list(dict.fromkeys(line_name(contestant) for contestant in contestants))
        by_trial = parted(runs.select("trial_id", "repeat", *_SCALED), sizes)
        for metric in (METRICS[name] for name in _SCALED):
            tables = []
            for name in names:
                of_value = {
                    size: dict(by_trial[contestant.trial_id].select("repeat", metric.name).iter_rows())
                    for contestant in contestants
                    if line_name(contestant) == name and (size := sizes[contestant.trial_id])
                }
                blocks = sorted(set(itertools.chain.from_iterable(of_value.values())))
                found = [[of_value.get(size, {}).get(block) for size in values] for block in blocks]
                tables.append(np.array(found, dtype=float).reshape(len(blocks), len(values)))
            for name, exponent in zip(names, stats.exponents(values, tables), strict=True):
                if exponent is not None:
                    value, low, high = _EXPONENT.texts([exponent.value, exponent.low, exponent.high])
                    row = (name, metric.label, value, interval_text(low, high), str(exponent.num_values))
                    rows.append(row)
    return Table(
        f"scaling-{slug(section.title)}-{slug(axis)}",
        f"How time and memory grow with {title} on {section.title}",
        (*words("Contestant", "Quantity"), *numbers("Exponent", "95 % interval", "Values")),
        tuple(rows),
        grouped=True,
        remark="1: twice the setting, twice the quantity; 0: no change. Contestants lend each other their "
        "noise. Of lists, by their geometric mean.",
    )


def _value(contestant: Contestant, axis: str) -> Any:
    """A contestant's setting, or what it was seen to be where it is unset."""
    value = contestant.axes[axis]
    seen = _OBSERVED.get(axis)
    return seen(contestant.observed) if value is None and seen else value


def _size(value: Any) -> float | None:
    """How large a setting is; None if that is no number."""
    many = list(value) if isinstance(value, list | tuple) else [value]
    if not many or not all(type(one) in (int, float) and one > 0 for one in many):
        return None
    return math.exp(sum(map(math.log, many)) / len(many))


def _form(value: Any) -> int:
    """Numbers in a list; 0 for a number alone. Lists of other lengths are other networks, not larger ones."""
    return len(value) if isinstance(value, list | tuple) else 0


def sweep(
    runs: pl.DataFrame,
    axis: str,
    values: Mapping[str, str],
    order: Sequence[str],
    metrics: Sequence[str] = _METRICS,
    palette: vega.Palette | None = None,
) -> vega.Chart:
    """A panel for each metric against one swept setting: mean over repeats, its 95 % interval.

    axis: what the setting is called. values: its value by trial_id. order: values, left to right.
    The column `contestant` of `runs` names the lines.
    """
    runs = vega.named(runs).filter(pl.col("trial_id").is_in(list(values)))
    runs = runs.with_columns(value=pl.col("trial_id").replace_strict(dict(values), return_dtype=pl.String))
    palette = palette or vega.Palette.of_frame(runs)
    runs = runs.select("contestant", "value", *metrics)
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
