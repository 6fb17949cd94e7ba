"""From a section's runs, who takes part: names, swept settings, and what was seen to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import polars as pl

from bakeoff.races.definitions import Contestant
from bakeoff.races.frames import commonest, plain, short_of_samples
from bakeoff.races.learning import Learning
from bakeoff.registry import backend_rank
from bakeoff.study import racing
from bakeoff.study.words import OPTION_TABLES, key_name, text

_SEPARATOR = " · "


def contestants(
    attempts: pl.DataFrame,
    seen: Mapping[str, Mapping[str, Any]],
    learnings: Mapping[str, Learning],
    drop: set[str],
) -> tuple[list[Contestant], dict[str, tuple[Any, ...]]]:
    """A section's contestants in the order of a report; and its axes: by swept setting, its values in order.

    attempts: all runs of the section. seen: by trial_id, what was observed; learnings: likewise, whether it
    learnt anything. drop: words that the section's title says already.
    """
    first = attempts.unique("trial_id", keep="first", maintain_order=True)
    rows = sorted(first.iter_rows(named=True), key=lambda row: (backend_rank(row["backend"]), row["label"]))
    settings = {row["trial_id"]: as_computed(row, seen.get(row["trial_id"], {})) for row in rows}
    names = _names([(row["trial_id"], row["label"]) for row in rows], drop)
    short = set(short_of_samples(attempts)["trial_id"])
    found = [
        Contestant(
            trial_id=row["trial_id"],
            plain_name=names[row["trial_id"]],
            plain_short=names[row["trial_id"]],
            backend=row["backend"],
            environment=row["environment"],
            axes={},
            settings=settings[row["trial_id"]],
            observed=seen.get(row["trial_id"], {}),
            is_short=row["trial_id"] in short,
            learning=learnings.get(row["trial_id"], Learning()),
        )
        for row in rows
    ]
    axes = _axes(found)
    return [
        replace(contestant, axes={key: contestant.settings.get(key) for key in axes}) for contestant in found
    ], axes


def titles(runs: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By data set and model, what their section is called; files by their names, as long as these differ."""
    pairs = list(runs.select("dataset", "model").unique(maintain_order=True).iter_rows())
    several = len({dataset for dataset, _ in pairs}) < len(pairs)
    for name in (stem, str):
        found = {
            (dataset, model): name(dataset) + (f"{_SEPARATOR}{name(model)}" if several else "")
            for dataset, model in pairs
        }
        if len(set(found.values())) == len(found):
            break
    return found


def stem(name: str) -> str:
    """A file's name without folder and suffix; other names as they are."""
    return PurePath(name).stem or name


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings, of its columns, their tables opened: ``model_options.filters``."""
    found = {
        column.removeprefix("settings."): value
        for column, value in row.items()
        if column.startswith("settings.")
    }
    tables = {key: json.loads(found[key]) for key in OPTION_TABLES if found.get(key)}
    return racing.flat({**found, **tables})


def as_computed(row: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings, flat, by what they computed."""
    version = str((observed.get("elephas") or {}).get("version", ""))
    return racing.as_computed(flat(row), row["backend"], version)


def _axes(contestants: Sequence[Contestant]) -> dict[str, tuple[Any, ...]]:
    """What is swept, and all its values, in order."""
    found = {}
    for key in racing.axes(contestants):
        values = {
            json.dumps(contestant.settings.get(key)): contestant.settings.get(key)
            for contestant in contestants
        }
        found[key] = tuple(sorted(values.values(), key=_rank))
    return found


def _rank(value: Any) -> tuple[int, Any]:
    """Order of axis values: unset, then numbers and lists of numbers, then text."""
    if value is None:
        return (0, 0)
    if isinstance(value, (bool, int, float)):
        return (1, value)
    if isinstance(value, list) and all(isinstance(item, (int, float)) for item in value):
        return (2, value)
    return (3, plain(value))


def _names(labels: Sequence[tuple[str, str]], drop: set[str]) -> dict[str, str]:
    """Labels without the parts that a section's title says already, as long as they stay unique."""
    full = dict(labels)
    short = {
        trial_id: _SEPARATOR.join(part for part in label.split(_SEPARATOR) if part not in drop) or label
        for trial_id, label in labels
    }
    return short if len(set(short.values())) == len(short) else full


def groups(
    contestants: Sequence[Contestant], axes: Mapping[str, tuple[Any, ...]]
) -> list[tuple[str, list[Contestant]]]:
    """Who races whom: a setting for people, empty if there is only one race, and its contestants.

    The race with the most common settings comes first. Where each other race differs from it in one setting,
    it is the baseline, and the others are called by that one.
    """
    found = [list(race) for race in racing.races(contestants, list(axes))]
    names = [""]
    if len(found) > 1:
        common = {key: commonest([c.axes.get(key) for c in contestants]) for key in axes}

        def place(members: list[Contestant]) -> tuple[int, int, list[int]]:
            first = members[0].axes
            shared = sum(first[key] == common[key] for key in axes)
            return -shared, -len(members), [list(axes[key]).index(first[key]) for key in axes]

        found.sort(key=place)
        names = _one_at_a_time(found, axes) or [_setting(members, axes) for members in found]
        found = [_shortened(members) for members in found]
    return list(zip(names, found, strict=True))


def _setting(members: Sequence[Contestant], axes: Mapping[str, tuple[Any, ...]]) -> str:
    shared = [(key, members[0].axes[key]) for key in axes if _common(key, members)]
    return ", ".join(
        text(key, value) if key == "distribution" else f"{_axis_name(key)} {plain(value)}"
        for key, value in shared
    )


def _one_at_a_time(
    races: Sequence[Sequence[Contestant]], axes: Mapping[str, tuple[Any, ...]]
) -> list[str] | None:
    """Names of races of which each differs from the first in one setting; None where that isn't so."""
    baseline, *others = ({key: race[0].axes[key] for key in axes if _common(key, race)} for race in races)
    turns = [[key for key in axes if other.get(key) != baseline.get(key)] for other in others]
    if any(len(keys) != 1 or one.keys() != baseline.keys() for keys, one in zip(turns, others, strict=True)):
        return None
    if len({key for keys in turns for key in keys}) == 1:
        return None
    named = [f"{key_name(key)} {text(key, one[key])}" for (key,), one in zip(turns, others, strict=True)]
    return ["baseline", *named]


def _common(key: str, members: Sequence[Contestant]) -> bool:
    """Whether an axis says something of a race as a whole."""
    values = [member.axes[key] for member in members]
    if key.startswith("distribution_options."):
        return None not in values and all(value == values[0] for value in values)
    if key == "global_batch_size" and members[0].axes.get("distribution", "single") != "single":
        return False
    return all(value == values[0] for value in values)


def line_name(contestant: Contestant) -> str:
    """The backend, with its environment where the label says so; without marks."""
    long = f"{contestant.backend} ({contestant.environment})"
    return long if long in contestant.plain_name else contestant.backend


def _shortened(members: Sequence[Contestant]) -> list[Contestant]:
    """Members of a race with their backends for short names, if those tell them apart."""
    if len({line_name(member) for member in members}) < len(members):
        return list(members)
    return [replace(member, plain_short=line_name(member)) for member in members]


def _axis_name(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")
