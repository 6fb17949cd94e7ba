"""From defaults, axes, extra trials and exclusions to complete configurations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from bakeoff.study.definitions import default_environment
from bakeoff.study.document import Problems, path_of
from bakeoff.study.rows import Axis, Row, Value, read_axes, read_row, without_forced
from bakeoff.study.schema import SETTINGS, StudyTable, names
from bakeoff.study.words import OPTION_TABLES
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import MODELS, OPTIMIZERS, SCHEDULES

# By table of options: what each model, optimizer or distribution can be told, with defaults.
KNOWN_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "model_options": MODELS,
    "optimizer_options": OPTIMIZERS,
    "schedule_options": SCHEDULES,
    "distribution_options": DISTRIBUTIONS,
}


# The word for as many rounds as there are epochs, however many these are.
_ROUNDS, EACH_EPOCH = "distribution_options.rounds", "epochs"


@dataclass(frozen=True)
class DraftTrial:
    """A configuration before it is checked.

    row: every setting that the file gives it, with its place. settings: complete, flat.
    baseline: what the keys of [one_at_a_time] are when it is not their turn.
    """

    row: Row
    settings: Mapping[str, Any]
    baseline: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """The settings as text: equal for equal configurations, however they came about."""
        return json.dumps(self.settings, sort_keys=True)


def expand(table: StudyTable, problems: Problems) -> list[DraftTrial]:
    """All configurations that the file asks for, in its order; duplicates are mistakes."""
    document = problems.document
    defaults = read_row(table.defaults, ("defaults",), problems)
    matrix = read_axes(table.matrix, "matrix", problems)
    singles = read_axes(table.one_at_a_time, "one_at_a_time", problems)
    for axis in singles:
        for other in matrix:
            for key in sorted(axis.keys & other.keys):
                problems.add(axis.place, f"`{key}` varies along {path_of(other.place)} already")
    extra = [
        without_forced(read_row(trial, ("trials", index), problems), document.forced)
        for index, trial in enumerate(table.trials)
    ]
    excluded = [
        read_row(partial, ("exclude", index), problems) for index, partial in enumerate(table.exclude)
    ]

    rows: list[Row] = []
    if table.matrix or table.one_at_a_time or not table.trials:
        rows += _around(_product(defaults, matrix), singles)
    rows += [{**defaults, **row} for row in extra]
    rows = [applicable(row) for row in rows]
    _check_applied(defaults, rows, problems)
    baseline = _baseline(defaults, singles)
    drafts = [DraftTrial(row, complete(row), baseline) for row in rows]
    drafts = _without_duplicates(drafts, problems)
    return _without_excluded(drafts, excluded, problems)


def applicable(row: Row) -> Row:
    """The row without the options that [defaults], an override or a follow-up gives to trials on a cluster.

    So that a study can set them once and yet have the same contestants on one machine.
    """
    distribution = row["distribution"].value if "distribution" in row else TrialSettings.distribution
    if DISTRIBUTIONS[distribution]:
        return row
    return {
        key: value
        for key, value in row.items()
        if not (key.startswith("distribution_options.") and value.place[0] in ("defaults", "follow_up"))
    }


def _check_applied(defaults: Row, rows: Sequence[Row], problems: Problems) -> None:
    """An option that no trial takes is a mistake after all, unless an override took the trials away."""
    document = problems.document
    idle = [
        value
        for key, value in defaults.items()
        if key.startswith("distribution_options.")
        and not any(key in row for row in rows)
        and (not document.overridden or document.is_override(value.place))
    ]
    on_cluster = names(name for name, options in DISTRIBUTIONS.items() if options)
    for value in idle if "distribution" not in problems.broken else ():
        problems.add(
            value.place, f"no trial of this study runs on a cluster: none has distribution {on_cluster}"
        )


def _product(defaults: Row, axes: Sequence[Axis]) -> Iterator[Row]:
    for steps in itertools.product(*(axis.rows for axis in axes if axis.rows)):
        row = dict(defaults)
        for step in steps:
            row.update(step)
        yield row


def _around(rows: Iterator[Row], singles: Sequence[Axis]) -> Iterator[Row]:
    """Each row, then each value of each axis alone in its place; the row itself comes once."""
    for row in rows:
        yield row
        baseline = complete(row)
        for axis in singles:
            for step in axis.rows:
                varied = {**row, **step}
                if complete(varied) != baseline:
                    yield varied


def _baseline(defaults: Row, singles: Sequence[Axis]) -> Mapping[str, Any]:
    """What the keys of [one_at_a_time] are when it is not their turn."""
    baseline = complete(defaults)
    return {key: baseline.get(key) for axis in singles for key in axis.keys}


def complete(row: Row) -> dict[str, Any]:
    """A row with all that it leaves out: defaults, environment, and the options of model and optimizer."""
    settings = {
        **{
            field.name: field.default
            for field in fields(TrialSettings)
            if field.name in SETTINGS and field.default is not MISSING and field.name not in OPTION_TABLES
        },
        **{key: value.value for key, value in row.items()},
    }
    if "contestant" in row and row["backend"].place != row["contestant"].place:
        settings["contestant"] = TrialSettings.contestant  # another backend has taken its place
    settings.setdefault(
        "environment",
        default_environment(settings.get("backend", ""), settings["distribution"], settings["device"]),
    )
    for table, known in KNOWN_OPTIONS.items():
        for option, default in known.get(settings[table.partition("_")[0]], {}).items():
            value = settings.setdefault(f"{table}.{option}", default)
            if isinstance(default, float) and type(value) is int:
                settings[f"{table}.{option}"] = float(value)  # 0 and 0.0 are one configuration
    if settings.get(_ROUNDS) == EACH_EPOCH:
        settings[_ROUNDS] = settings["epochs"]
    return settings


def settings_of(flat: Mapping[str, Any]) -> TrialSettings:
    """The frozen form of complete, checked settings."""
    nested: dict[str, Any] = {table: {} for table in OPTION_TABLES}
    for key, value in flat.items():
        table, _, option = key.partition(".")
        if option:
            nested[table][option] = value
        else:
            nested[key] = value
    return TrialSettings(**nested)


def _without_duplicates(drafts: Sequence[DraftTrial], problems: Problems) -> list[DraftTrial]:
    """Each configuration once. An override may make two alike, which is no mistake; a file may not."""
    unique: dict[str, DraftTrial] = {}
    for draft in drafts:
        if draft.identity not in unique:
            unique[draft.identity] = draft
        elif not problems.document.forced and not problems.lines:
            own = [value.place for value in draft.row.values() if value.place[0] != "defaults"]
            place = next((place[:2] for place in own if place[0] == "trials"), own[-1] if own else ())
            problems.add(place, f"this trial is planned twice: {_brief(draft.row)}")
    return list(unique.values())


def _without_excluded(
    drafts: Sequence[DraftTrial], excluded: Sequence[Row], problems: Problems
) -> list[DraftTrial]:
    for index, partial in enumerate(excluded):
        place = ("exclude", index)
        if not partial:
            if not problems.lines:
                problems.add(place, "expected at least one setting; an empty table would exclude everything")
        elif not problems.document.overridden and not any(_matches(c, partial) for c in drafts):
            problems.add(place, f"no trial matches {_brief(partial)}")
    return [c for c in drafts if not any(partial and _matches(c, partial) for partial in excluded)]


def _matches(draft: DraftTrial, partial: Row) -> bool:
    return all(draft.settings.get(key) == value.value for key, value in partial.items())


def _brief(row: Mapping[str, Value]) -> str:
    return ", ".join(f"{key} = {value.value}" for key, value in row.items())
