"""Tables of a study file as partial configurations, flat: ``model_options.filters`` is a key like others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from bakeoff import registry
from bakeoff.study import content
from bakeoff.study.document import Place, Problems, path_of
from bakeoff.study.schema import (
    SETTINGS,
    SettingsTable,
    read,
    shown,
    unknown_key,
)
from bakeoff.study.words import OPTION_TABLES


@dataclass(frozen=True)
class Value:
    """A setting's value and the place in the file that it came from."""

    value: Any
    place: Place


Row = dict[str, Value]


@dataclass(frozen=True)
class Axis:
    """What varies together along one key of [matrix] or [one_at_a_time]: one row for each step."""

    place: Place
    keys: frozenset[str]
    rows: tuple[Row, ...]


def read_row(data: object, place: Place, problems: Problems, skip: int = 0) -> Row:
    """The settings of one table, checked key by key; those that are wrong are left out and noted.

    skip: leading steps inside the table that `place` stands for already.
    """
    if not isinstance(data, Mapping):
        problems.add(place, f"expected a table of settings; got {shown(data)}")
        return {}
    table = read(SettingsTable, data, place, problems, skip)
    row = {}
    for key in (key for key in data if key in table.model_fields_set):
        value = getattr(table, key)
        here = (*place, *(key,)[skip:])
        if key in OPTION_TABLES:
            for option, option_value in value.items():
                row[f"{key}.{option}"] = Value(option_value, (*place, *(key, option)[skip:]))
        elif key in ("model", "dataset", "contestant"):
            named = content.resolve(key, value, here, problems)
            if named is None:
                problems.broken |= {key, "backend"} if key == "contestant" else {key}
            else:
                row[key] = Value(named, here)
        else:
            row[key] = Value(value, here)
    return _with_its_backend(row, problems)


def _with_its_backend(row: Row, problems: Problems) -> Row:
    """A contestant's file is a backend of its name, from the same place."""
    file = row.get("contestant")
    if file is None:
        return row
    name = PurePath(file.value).stem
    if "backend" in row:
        problems.add(row["backend"].place, f"`contestant` brings its own backend, `{name}`: leave this out")
    if name in registry.backends():
        problems.add(file.place, f"`{name}` is a backend already: give the file another name")
    return {**row, "backend": Value(name, file.place)}


def read_axes(data: Mapping[str, Any], section: str, problems: Problems) -> list[Axis]:
    """The axes of a section, without those that an override has fixed.

    Axes of [matrix] meet in every trial, so no two may vary one key; those of [one_at_a_time] never meet.
    """
    forced = problems.document.forced
    axes: list[Axis] = []
    for name, values, place in _entries(data, section):
        if _is_forced(name, forced):
            continue
        axis = _read_axis(name, values, place, problems)
        for other in axes if section == "matrix" else ():
            for key in sorted(axis.keys & other.keys):
                problems.add(place, f"`{key}` varies along {path_of(other.place)} already")
        axes.append(axis)
    return axes


def without_forced(row: Row, forced: set[str]) -> Row:
    """The row without the settings that an override has fixed for all trials."""
    return {key: value for key, value in row.items() if not _is_forced(key, forced)}


def _is_forced(key: str, forced: set[str]) -> bool:
    same = {"backend", "contestant"}  # who names one, names both
    return key in forced or key.partition(".")[0] in forced or bool(key in same and same & forced)


def _entries(data: Mapping[str, Any], section: str) -> Iterator[tuple[str, object, Place]]:
    """Name, values and place of each axis; the options of a model are axes of their own."""
    for key, values in data.items():
        if key in OPTION_TABLES and isinstance(values, Mapping):
            for option, option_values in values.items():
                yield f"{key}.{option}", option_values, (section, key, option)
        else:
            yield key, values, (section, key)


def _read_axis(name: str, values: object, place: Place, problems: Problems) -> Axis:
    table, _, option = name.partition(".")
    is_of_tables = isinstance(values, list) and any(isinstance(value, Mapping) for value in values)
    composite = table not in SETTINGS or (name == "contestant" and is_of_tables)
    if composite and not is_of_tables:
        wrong = unknown_key(name, SETTINGS)
        problems.add(place, wrong if ";" in wrong else f"{wrong}; an axis of your own is a list of tables")
        return Axis(place, frozenset(), ())
    if not isinstance(values, list):
        problems.add(place, f"expected a list of values; got {shown(values)}: write `[...]`")
        return Axis(place, frozenset(), ())
    if not values:
        problems.add(place, "expected at least one value; got none")
    given: list[Row] = []  # as the file has them, to be compared with each other
    rows: list[Row] = []
    for index, value in enumerate(values):
        here = (*place, index)
        if composite:
            row = read_row(value, here, problems)
        elif option:
            row = read_row({table: {option: value}}, here, problems, skip=2)
        else:
            row = read_row({table: value}, here, problems, skip=1)
        same = next((i for i, other in enumerate(given) if row and _values(other) == _values(row)), None)
        given.append(row)
        if same is not None:
            problems.add(here, f"repeats {path_of((*place, same))}")
        elif row:
            rows.append(without_forced(row, problems.document.forced))
    keys = frozenset(key for row in rows for key in row)
    # A step that an override has emptied is still one, beside steps that change something else.
    return Axis(place, keys, tuple(rows) if keys else ())


def _values(row: Row) -> dict[str, Any]:
    return {key: value.value for key, value in row.items()}
