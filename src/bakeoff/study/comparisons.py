"""Which pairs of a study's trials are compared: those that race, or those of them that the file names."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bakeoff.study import racing
from bakeoff.study.definitions import Trial, contestant
from bakeoff.study.document import Place, Problems
from bakeoff.study.schema import names, shown, suggestion


@dataclasses.dataclass(frozen=True)
class Planned:
    """A trial as a contestant before any run; see `bakeoff.study.racing.Contestant`."""

    trial_id: str
    short: str
    backend: str
    environment: str
    settings: Mapping[str, Any]


Pairs = tuple[tuple[str, str], ...]
_SHOWN = 3  # pairs that are not compared, by name


def racing_pairs(trials: Sequence[Trial]) -> Iterator[tuple[Planned, Planned]]:
    """Pairs that race, as a report will arrange them, in the order of the trials."""
    by_problem: dict[tuple[str, str], list[Planned]] = {}
    for trial in trials:
        by_problem.setdefault(trial.settings.problem, []).append(_planned(trial))
    for members in by_problem.values():
        for race in racing.races(members, racing.axes(members)):
            yield from itertools.combinations(race, 2)


def pairs(trials: Sequence[Trial]) -> Pairs:
    """Pairs of trial_ids that race and may be compared."""
    return tuple(
        (one.trial_id, other.trial_id) for one, other in racing_pairs(trials) if racing.is_asked(one, other)
    )


def named(
    asked: Sequence[Sequence[str]],
    trials: Sequence[Trial],
    racing_pairs: Sequence[tuple[Planned, Planned]],
    place: Place,
    problems: Problems,
) -> Pairs:
    """Of the pairs that race, those whose contestants (or whole labels) are asked for.

    That there is none, or none that may be compared, is a mistake.
    """
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
        meant = [
            (one, other)
            for one, other in racing_pairs
            if any(a in called[one.trial_id] and b in called[other.trial_id] for a, b in (both, both[::-1]))
        ]
        if not meant and not strangers:
            problems.add(here, f"{names(both)} never race: they differ in more than who trains")
        mine = [(one.trial_id, other.trial_id) for one, other in meant if racing.is_asked(one, other)]
        if meant and not mine:
            problems.add(here, f"{names(both)} can't be compared: {why_not(*meant[0])}")
        found.update(dict.fromkeys(mine))
    return tuple(found)


def not_compared(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Which pairs of a race nobody compares and why, in words: three of them, and how many more there are."""
    every = [
        f"{one.short} and {other.short} are not compared: {why}"
        for one, other in racing_pairs(trials)
        if (why := why_not(one, other))
    ]
    more = len(every) - _SHOWN
    are = "pair that races is" if more == 1 else "pairs that race are"
    rest = f"{more} more {are} not compared, for such reasons"
    return (*every[:_SHOWN], *([rest] if more > 0 else []))


def why_not(one: Planned, other: Planned) -> str:
    """Why nobody asks which of two that race is faster; empty if it is a question."""
    grows = racing.growth(one, other)
    if grows:
        return f"different work: {grows}, so that their times say how cost grows, and nobody is faster"
    return racing.refusal(one, other)


def _names_of(trial: Trial, trials: Sequence[Trial]) -> tuple[str, ...]:
    """What the file may call a trial: its contestant, or its label where that says more."""
    settings = trial.settings
    own = {one.settings.environment for one in trials if one.settings.backend == settings.backend}
    name = contestant(settings.backend, settings.environment, own)
    return tuple(dict.fromkeys((name, trial.label)))


def _planned(trial: Trial) -> Planned:
    settings = trial.settings
    plain = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    computed = racing.as_computed(racing.flat(plain), settings.backend)
    return Planned(trial.trial_id, trial.label, settings.backend, settings.environment, computed)
