"""Where the contestants' time goes, and what may be done about it: from profiles in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.profile import words as profile_words
from bakeoff.profile.budget import Part, budget
from bakeoff.profile.findings import findings
from bakeoff.profile.layers import Layers, layers
from bakeoff.profile.profiled import VERSION, Profiled, from_document
from bakeoff.profile.roofline import Roofline, roofline
from bakeoff.races.compose import command_of
from bakeoff.report import vega
from bakeoff.report.contents import Contents
from bakeoff.report.item import Claim, Item, Table, numbers, words
from bakeoff.report.items.cluster.time_budget import PART_COLOURS, budget_chart

_MAX_FINDINGS = 3
# Of these parts by what is likest among a cluster's.
_COLOURS: Mapping[str, tuple[str, str]] = {
    Part.INTERPRETER.capitalize(): PART_COLOURS["worker_start"],
    Part.IMPORTS.capitalize(): PART_COLOURS["import"],
    Part.DATA.capitalize(): PART_COLOURS["data"],
    Part.BUILD.capitalize(): PART_COLOURS["build"],
    Part.COMPILING.capitalize(): PART_COLOURS["exchange"],
    Part.STEPS.capitalize(): PART_COLOURS["training"],
    Part.EVALUATION.capitalize(): PART_COLOURS["warm_up"],
    Part.OWN.capitalize(): PART_COLOURS["scheduler"],
    Part.END.capitalize(): PART_COLOURS["driver"],
    Part.REST.capitalize(): PART_COLOURS["other"],
}
_CAVEAT = (
    "A profile is of a few thousand images, of one contestant at a time, and never counted as a timing: it "
    "says where time goes, not who is faster."
)


@dataclass(frozen=True)
class _Shown:
    """A contestant's profile. name: with its section's title where there are several. command: runs it."""

    name: str
    backend: str
    profiled: Profiled


def items(contents: Contents) -> Iterator[Item]:
    """What was found first, then the budget, the limits and the layers, of contestants that have profiles."""
    shown = _shown(contents)
    if not shown:
        return
    yield _findings(shown, contents)
    yield _budget(shown)
    if limits := [(one, found) for one in shown if (found := _roofline(one))]:
        yield _limits(limits)
    if (table := _layers(shown)).rows:
        yield Item("layers", "What each layer takes of a training step", remarks=_why_not(shown), table=table)


def _shown(contents: Contents) -> list[_Shown]:
    """Of each contestant the last profile under the conditions of its runs."""
    profiles, runs = contents.frames.profiles, contents.selection.chosen
    conditions = ["trial_id", "machine_id", "environment_digest"]
    if not len(profiles) or not len(runs):
        return []
    fitting = profiles.filter(profile_version=VERSION).join(runs.select(conditions).unique(), on=conditions)
    last = fitting.sort("made_at", descending=True).unique("trial_id", keep="first")
    documents = dict(last.select("trial_id", "document").iter_rows())
    several = len(contents.sections) > 1
    return [
        _Shown(
            f"{name} · {section.title}" if several else name,
            contestant.backend,
            from_document(name, document),
        )
        for section in contents.sections
        for contestant in section.contestants
        if contestant.trial_id in documents
        for name, document in [(str(contestant.name), json.loads(documents[contestant.trial_id]))]
    ]


def _findings(shown: Sequence[_Shown], contents: Contents) -> Item:
    command = command_of(contents.selection.chosen) or f"bakeoff run {contents.frames.study}"
    claims = tuple(
        Claim(
            f"{one.name}: {profile_words.evidence(found)}.",
            f"To act on it: {profile_words.remedy(found, command)}",
        )
        for one in shown
        for found in findings(one.profiled)[:_MAX_FINDINGS]
    )
    nothing = [one.name for one in shown if not findings(one.profiled)]
    remarks = [f"Nothing to act on was found in {', '.join(nothing)}."] if nothing else []
    return Item("findings", "What to tune", claims, remarks=(*remarks, _CAVEAT))


def _budget(shown: Sequence[_Shown]) -> Item:
    rows, bars = [], []
    seconds = METRICS["wall_s"]
    for one in shown:
        if not one.profiled.has("budget"):
            continue
        spent = budget(one.profiled.answers["budget"])
        shares = {part: max(0.0, amount) / spent.wall_s for part, amount in spent.parts.items()}
        texts = seconds.texts([*spent.parts.values(), spent.wall_s])
        for order, (part, text) in enumerate(zip(Part, texts, strict=False)):
            rows.append((one.name, part.capitalize(), text, f"{100 * shares[part]:.0f}"))
            bar = {
                "contestant": one.name,
                "part": part.capitalize(),
                "order": order,
                "core_s": spent.parts[part],
            }
            bars.append({**bar, "share": shares[part]})
        rows += [
            (one.name, "All", texts[-1], "100"),
            (one.name, "One step (ms)", f"{1000 * spent.step_s:.1f}", NO_VALUE),
            (one.name, "Cores busy while stepping", _number(spent.cores, ".2f"), NO_VALUE),
            (one.name, "Page faults a step", _number(spent.page_faults, ",.0f"), NO_VALUE),
        ]
        if (found := _layers_of(one)) and found.host:
            share = profile_words.percent(found.host)
            rows.append((one.name, "The host's part of a step, whatever the images", share, NO_VALUE))
    names = list(dict.fromkeys(row[0] for row in rows))
    return Item(
        "budget",
        "Where the time goes",
        remarks=tuple(
            f"{one.name}: no budget: {one.profiled.why_not('budget')}."
            for one in shown
            if one.name not in names
        ),
        draw=partial(_bars, pl.DataFrame(bars)) if bars else None,
        caption="Parts of the wall time of a small run, from the start of its process until it has left.",
        alt=f"Shares of the wall time of {', '.join(names)} by part; the values are in the table.",
        labels=tuple(names),
        table=Table(
            "profile-budget",
            "Where the time of a small run goes",
            (*words("Contestant", "Part"), *numbers("Seconds", "Share (%)")),
            tuple(rows),
            grouped=True,
        ),
    )


def _bars(frame: pl.DataFrame) -> vega.Chart:
    return budget_chart(frame, heading="Share of wall time (%)", amount="seconds", colours=_COLOURS)


def _roofline(shown: _Shown) -> Roofline | None:
    return roofline(shown.profiled.answers["layers"]) if shown.profiled.has("layers") else None


def _limits(limits: Sequence[tuple[_Shown, Roofline]]) -> Item:
    names = ", ".join(shown.name for shown, _ in limits)
    rows = tuple(
        (
            *(shown.name, point.layer, f"{point.intensity:.1f}", f"{point.flops_per_s / 1e9:.1f}"),
            f"{point.low / 1e9:.1f} to {_number(point.high and point.high / 1e9, '.1f')}",
            f"{found.roof(point.intensity) / 1e9:.1f}",
        )
        for shown, found in limits
        for point in found.points
    )
    return Item(
        "limits",
        "How far from the limit",
        draw=partial(_chart, limits),
        caption="Operations a second of layers that multiply, against operations for each byte that they "
        "must move. Lines: what this machine attains at its best in the contestant's own library, with its "
        "threads. Vertical lines: by the interval of the layer's share of the step.",
        alt=f"A roofline for each of {names}, and its layers below it; the values are in the table.",
        labels=tuple(shown.name for shown, _ in limits),
        table=Table(
            "profile-limits",
            "How far from the limit",
            (
                *words("Contestant", "Layer"),
                *numbers("Operations a byte", "10⁹ operations/s", "Interval", "Possible at most"),
            ),
            rows,
            grouped=True,
            remark="Operations are counted from shapes; possible: the better of a large matrix product and a "
            "large convolution, or what a copy by NumPy in one thread moves.",
        ),
    )


def _chart(limits: Sequence[tuple[_Shown, Roofline]]) -> vega.Chart:
    palette = vega.Palette.of((one.name, one.backend) for one, _ in limits)
    every = [point.intensity for _, found in limits for point in found.points]
    ridges = [found.ridge for _, found in limits]
    first, last = min(*every, *ridges) / 2, max(*every, *ridges) * 2
    rows: list[dict[str, object]] = []
    for one, found in limits:
        who = {"contestant": one.name, "line": palette.line(one.name)}
        for intensity in (first, found.ridge, last):
            rows.append({**who, "kind": "roof", "intensity": intensity, "value": found.roof(intensity) / 1e9})
        for point in found.points:
            value, low, high = (
                None if part is None else part / 1e9 for part in (point.flops_per_s, point.low, point.high)
            )
            shown = f"{value:.1f} × 10⁹ operations/s"
            rows.append(
                {
                    **who,
                    "kind": "layer",
                    "layer": point.layer,
                    "intensity": point.intensity,
                    "value": value,
                    "low": low if high else None,
                    "high": high,
                    "shown": shown,
                }
            )
    logarithmic = {"type": "log", "nice": False}
    x = vega.quantity(
        "intensity", "Operations for each byte", {**logarithmic, "domain": [first, last]}, tickCount=5
    )
    y = vega.quantity("value", "10⁹ operations a second", {"type": "log"}, tickCount=5, grid=True)
    base: vega.Spec = {"x": x, "color": palette.colour(), "opacity": vega.picked()}
    tooltip = vega.tips({"contestant": "contestant", "layer": "layer", "attained": "shown"})
    layers_ = [
        vega.layer("line", {**base, "y": y, "strokeDash": palette.dash()}, kind="roof", strokeWidth=1.6),
        vega.layer("rule", {**base, **vega.ends("y", y)}, kind="layer", needs="low", strokeWidth=1.2),
        vega.layer(
            "point",
            {**base, "y": y, "shape": palette.shape(), "tooltip": tooltip},
            kind="layer",
            size=60,
            filled=True,
        ),
        vega.layer(
            "text",
            {"x": x, "y": y, "text": {"field": "layer", "type": "nominal"}, "opacity": vega.picked()},
            kind="layer",
            dx=8,
            align="left",
            fontSize=10,
            color=vega.INK[0],
        ),
    ]
    return vega.chart(layers_, rows, height=280, names=palette.names, pick_by="contestant")


def _layers(shown: Sequence[_Shown]) -> Table:
    rows = []
    for one in shown:
        found = _layers_of(one)
        if found is None:
            continue
        rows += [
            (
                *(one.name, layer.layer.layer_type, layer.layer.name),
                *(f"{100 * share.value:.0f}" for share in (layer.forward, layer.backward, layer.both)),
                f"{100 * layer.both.low:.0f} to {100 * layer.both.high:.0f}",
                NO_VALUE if layer.profiled is None else f"{100 * layer.profiled:.0f}",
                NO_VALUE if layer.saved is None else f"{100 * layer.saved.value:.0f}",
                NO_VALUE if layer.attained is None else f"≤ {100 * layer.attained:.0f}",
                "uncertain" if layer.is_uncertain else "",
            )
            for layer in found.layers
        ]
        rest = f"{100 * found.rest.low:.0f} to {100 * found.rest.high:.0f}"
        blank = (NO_VALUE,) * 3
        rows.append((one.name, "All else", "", *blank[:2], f"{100 * found.rest.value:.0f}", rest, *blank, ""))
    figures = (
        "Forward",
        "Backward",
        "Both",
        "Interval",
        "By profiler",
        "Saved by an equivalent",
        "Of the best",
    )
    return Table(
        "profile-layers",
        "What each layer takes of a training step (%)",
        (*words("Contestant", "Kind", "Layer"), *numbers(*figures), *words("Remark")),
        tuple(rows),
        grouped=True,
        remark="By substitution: what a layer adds to a network of those before it, medians over rounds.",
    )


def _layers_of(shown: _Shown) -> Layers | None:
    return layers(shown.profiled.answers["layers"]) if shown.profiled.has("layers") else None


def _why_not(shown: Sequence[_Shown]) -> tuple[str, ...]:
    return tuple(
        f"{one.name}: no layers: {one.profiled.why_not('layers')}."
        for one in shown
        if not one.profiled.has("layers")
    )


def _number(value: float | None, form: str) -> str:
    return NO_VALUE if value is None else format(value, form).replace(",", "\u202f")
