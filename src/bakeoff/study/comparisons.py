"""Which pairs of a study's trials are compared: those that race, or those of them that the file names."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from bakeoff.study.definitions import Trial, contestant
from bakeoff.study.document import Place, Problems
from bakeoff.study.schema import OPTION_TABLES, names, shown, suggestion
from bakeoff_worker.records import TrialSettings

Pairs = tuple[tuple[str, str], ...]

# Make a race, name a contestant, or change nothing that is measured.
_NO_AXES = frozenset(
    {"backend", "environment", "entry", "handicap", "dataset", "model", "content", "time_limit_s"}
)


def races(trials: Sequence[Trial]) -> Iterator[tuple[Trial, ...]]:
    """Trials that solve the same problem under the same settings, race by race, as a report arranges them.

    A setting that varies within one backend's trials tells races apart; what differs only between
    backends, as their own environments do, names contestants. Where no two trials have equal settings (one
    backend under several), all of them race; but one machine never races a cluster, whose training times
    include other things.
    """
    by_problem: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        by_problem.setdefault((trial.settings.dataset, trial.settings.model), []).append(trial)
    for members in by_problem.values():
        flat = {trial.trial_id: _as_computed(trial.settings) for trial in members}
        axes = _axes(members, flat)
        groups: dict[str, list[Trial]] = {}
        for trial in members:
            setting = json.dumps([flat[trial.trial_id].get(key) for key in axes])
            groups.setdefault(setting, []).append(trial)
        if len(groups) == len(members):
            groups = {}
            for trial in members:
                groups.setdefault(trial.settings.distribution, []).append(trial)
        yield from (tuple(group) for group in groups.values())


def pairs(trials: Sequence[Trial]) -> Pairs:
    """Pairs of trial_ids that race, in the order of the trials."""
    return tuple(
        (one.trial_id, other.trial_id)
        for race in races(trials)
        for one, other in itertools.combinations(race, 2)
    )


def named(
    asked: Sequence[Sequence[str]],
    trials: Sequence[Trial],
    racing: Sequence[tuple[str, str]],
    place: Place,
    problems: Problems,
) -> Pairs:
    """Of the pairs that race, those whose contestants (or whole labels) are asked for; none is a mistake."""
    called = {trial.trial_id: _names_of(trial, trials) for trial in trials}
    known = list(dict.fromkeys(name for both in called.values() for name in both))
    found: dict[tuple[str, str], None] = {}
    for index, both in enumerate(asked):
        here = (*place, index)
        if len(both) != 2 or both[0] == both[1]:
            problems.add(here, f"expected two different contestants; got {shown(both)}")
            continue
        strangers = [name for name in both if name not in known]
        for name in strangers:
            hint = suggestion(name, known)
            problems.add(here, f"expected contestants of this study, {names(known)}; got `{name}`{hint}")
        mine = [
            (one, other)
            for one, other in racing
            if any(a in called[one] and b in called[other] for a, b in (both, both[::-1]))
        ]
        if not mine and not strangers:
            problems.add(here, f"{names(both)} never race: they differ in more than who trains")
        found.update(dict.fromkeys(mine))
    return tuple(found)


def _names_of(trial: Trial, trials: Sequence[Trial]) -> tuple[str, ...]:
    """What the file may call a trial: its contestant, or its label where that says more."""
    settings = trial.settings
    own = {one.settings.environment for one in trials if one.settings.backend == settings.backend}
    name = contestant(settings.backend, settings.environment, own)
    return tuple(dict.fromkeys((name, trial.label)))


def _axes(trials: Sequence[Trial], flat: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Settings of which the trials of one backend and environment have several values."""
    seen: dict[tuple[str, str, str], set[str]] = {}
    for trial in trials:
        for key, value in flat[trial.trial_id].items():
            if key == "global_batch_size" and trial.settings.distribution != "single":
                continue  # on a cluster it is not used
            contestant_key = (key, trial.settings.backend, trial.settings.environment)
            seen.setdefault(contestant_key, set()).add(json.dumps(value))
    return sorted({key for (key, _, _), values in seen.items() if len(values) > 1})


def _as_computed(settings: TrialSettings) -> dict[str, Any]:
    """Settings by what they compute, flat: the current Elephas averages by itself in synchronous mode."""
    found: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in OPTION_TABLES:
            found |= {f"{field.name}.{option}": one for option, one in value.items()}
        elif field.name not in _NO_AXES:
            found[field.name] = value
    synchronous = found.get("distribution_options.mode") == "synchronous"
    if synchronous and settings.environment == "tensorflow_spark":
        found["distribution_options.merge"] = "averaged"
    return found
