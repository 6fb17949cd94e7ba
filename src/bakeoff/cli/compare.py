"""``bakeoff compare``: who may be called faster, pair by pair, with everything that it rests on."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bakeoff import races, stats
from bakeoff.cli.console import say
from bakeoff.cli.stores import chosen_study, store_path
from bakeoff.errors import FAILED, UNDECIDED, ReportError
from bakeoff.metrics import ERROR_DIFFERENCE
from bakeoff.races import Comparison, Judgement, Race, Section, sentences
from bakeoff.store.reader import Reader
from bakeoff.wording import counted

# Of whom a remark is said by name; more are counted.
MAX_NAMES = 3


def main(arguments: argparse.Namespace) -> int:
    """Print; 0 if every comparison that was asked for is decided, 9 if one is not, 1 if one can't be made.

    Raises:
        ReportError: the study has no two contestants that could be compared.
    """
    with Reader(store_path(arguments)) as reader:
        judged = races.judge(
            reader,
            chosen_study(arguments, reader),
            margin=arguments.margin,
            error_margin=arguments.error_margin,
            target_error=arguments.target,
        )
    if not list(judged):
        raise ReportError(
            f"{judged.frames.study or 'the store'}: no two contestants to compare",
            "A study compares what it trains with several backends: bakeoff run quick",
        )
    if arguments.json:
        json.dump(_document(judged), sys.stdout, allow_nan=False)
        print()
    else:
        say(*_lines(judged.sections, judged.stored, judged.rules))
        if judged.num_missing:
            say("", f"Without runs to compare: {counted(judged.num_missing, 'pair')} that the study names.")
    if judged.num_missing or not all(comparison.is_asked for comparison in judged.required):
        return FAILED
    return 0 if all(comparison.verdict.is_decided for comparison in judged.required) else UNDECIDED


# ---- for people -----------------------------------------------------------------------------------


def _lines(sections: tuple[Section, ...], stored: stats.Rules, rules: stats.Rules) -> Iterator[str]:
    yield _of_rules(rules)
    if rules != stored:
        yield f"These margins were chosen after the runs. The study's own are {_margins(stored)}."
    compared = (
        comparison for section in sections for race in section.races for comparison in race.comparisons
    )
    if words := sentences.noise_words(compared):
        yield words
    every = [_Place(section, race) for section in sections for race in section.races if race.comparisons]
    groups: dict[tuple[object, ...], list[_Placed]] = {}
    undecided: list[_Placed] = []
    aside: list[_Placed] = []
    reasons = _Reasons()
    for place in every:
        for comparison in place.race.comparisons:
            if comparison.is_aside:
                aside.append((place, comparison))
            elif comparison.is_asked and not comparison.verdict.is_decided_on_time:
                undecided.append((place, comparison))
            else:
                groups.setdefault(_alike(comparison), []).append((place, comparison))
    for group in groups.values():
        yield ""
        yield from (f"{place.name}: {races.sentence(one)}" for place, one in group)
        yield from _folded([(place.name, list(_below(one, place.section, reasons))) for place, one in group])
    if undecided:
        yield ""
        num = sum(len(place.race.comparisons) for place in every) - len(aside)
        yield f"Undecided, {len(undecided)} of {num}:"
        yield from (f"{place.name}: {races.sentence(one)}" for place, one in undecided)
        yield from _folded(
            [
                (
                    f"{one.first.short} against {one.second.short} on {place.name}",
                    [*sentences.remarks(one, reasons)],
                )
                for place, one in undecided
            ]
        )
    if aside:
        yield from ["", f"The study does not ask about {counted(len(aside), 'other pair')}:"]
        yield from (f"{place.name}: {races.sentence(one)}" for place, one in aside)
    if ranked := [(place.name, list(_ranking(place.race, rules))) for place in every]:
        folded = list(_folded(ranked))
        yield from ["", *(line.strip() for line in folded)] if folded else []
    if told := list(reasons.lines()):
        yield from ["", *told]
    commands = {
        comparison.command: None
        for place in every
        for comparison in place.race.comparisons
        if comparison.command
    }
    yield from ["", *(f"Repeat it with: {command}" for command in commands)] if commands else []


@dataclass(frozen=True)
class _Place:
    """Where contestants met."""

    section: Section
    race: Race

    @property
    def name(self) -> str:
        """For people."""
        return self.section.place_of(self.race)


_Placed = tuple[_Place, Comparison]


def _alike(comparison: Comparison) -> tuple[object, ...]:
    """What comparisons share that stand in one paragraph: the pair, and what may be said of it."""
    refused = comparison.refusal.kind if comparison.refusal else None
    return (
        comparison.first.plain_short,
        comparison.second.plain_short,
        comparison.verdict.on_time,
        comparison.verdict.on_error,
        refused,
        bool(comparison.growth),
    )


def _folded(remarks: Sequence[tuple[str, list[str]]]) -> Iterator[str]:
    """Remarks, each once: without a name where all have it, else with the names of those, or their number."""
    who: dict[str, list[str]] = {}
    for name, lines in remarks:
        for line in lines:
            who.setdefault(line, []).append(name)
    for line, names in who.items():
        if len(names) == len(remarks):
            yield f"  {line}"
        else:
            of = ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names)} of {len(remarks)}"
            yield f"  {of}: {line}"


def _of_rules(rules: stats.Rules) -> str:
    how = (
        "Blocks were added until all was decided; intervals hold at every look"
        if rules.is_sequential
        else "The number of blocks was fixed beforehand"
    )
    together = f" over {rules.num_comparisons} comparisons together" if rules.num_comparisons > 1 else ""
    return f"Margins: {_margins(rules)}, at {100 * rules.confidence:g} % confidence{together}. {how}."


def _margins(rules: stats.Rules) -> str:
    error = ERROR_DIFFERENCE.text(rules.error_margin)
    return f"±{100 * rules.margin:g} % in time and {error} pp in error"


class _Reasons:
    """Why contestants do not train the same thing: told once, at the end, and pointed at from above."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, reason: str) -> str:
        """What stands in place of the reason."""
        return f" [{self._numbers.setdefault(reason, len(self._numbers) + 1)}]" if reason else ""

    def lines(self) -> Iterator[str]:
        """All of them."""
        yield from (f"[{number}] {reason}" for reason, number in self._numbers.items())


def _below(comparison: Comparison, section: Section, reasons: _Reasons) -> Iterator[str]:
    """What belongs to a sentence."""
    yield from sentences.remarks(comparison, reasons)
    if comparison.refusal:
        return
    if target := sentences.target_words(comparison):
        yield f"target: {target}" + (f" ({section.target.why})" if section.target else "")
    if even := sentences.break_even_words(comparison):
        yield f"break-even: {even}"
    measures = sentences.bare_measures(comparison) or "; ".join(
        f"{words} {ratio}" for words, ratio in sentences.measure_words(comparison)
    )
    if measures:
        yield f"{comparison.first.short} to {comparison.second.short}: {measures}"


def _ranking(race: Race, rules: stats.Rules) -> Iterator[str]:
    if len(race.contestants) < 3 or race.ranking is None:
        return
    yield (
        f"places, at {100 * rules.confidence:g} % for all pairs of this race together: "
        f"{sentences.ranking_words(race)}"
    )
    for group in race.ranking.groups:
        if len(group) > 1:
            names = ", ".join(race.contestants[index].short for index in group)
            yield f"no difference is shown among {names}"


# ---- for programs ---------------------------------------------------------------------------------


def _document(judged: Judgement) -> dict[str, Any]:
    return {
        "study": judged.frames.study,
        "rules": asdict(judged.rules),
        "rules_of_the_study": asdict(judged.stored),
        "sections": [
            {
                "title": section.title,
                "target": asdict(section.target) if section.target else None,
                "races": [_race(race) for race in section.races if race.comparisons],
            }
            for section in judged.sections
        ],
    }


def _race(race: Race) -> dict[str, Any]:
    ranking = race.ranking
    return {
        "setting": race.setting,
        "contestants": [_contestant(contestant) for contestant in race.contestants],
        "comparisons": [_comparison(comparison) for comparison in race.comparisons],
        "ranking": None
        if ranking is None
        else {
            "order": ranking.order,
            "ranks": ranking.ranks,
            "groups": ranking.groups,
            "faster": sorted(ranking.faster),
        },
    }


def _contestant(contestant: races.Contestant) -> dict[str, Any]:
    return {
        "trial_id": contestant.trial_id,
        "name": contestant.name,
        "backend": contestant.backend,
        "environment": contestant.environment,
        "asked": dict(contestant.asked),
        "ran": races.ran(contestant),
        "learnt": contestant.learning.outcome.value,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    verdict = {key: value for key, value in asdict(comparison.verdict).items() if key != "rules"}
    verdict |= {"kind": comparison.verdict.kind, "undecided_on": comparison.verdict.undecided_on}
    return {
        "first": comparison.first.trial_id,
        "second": comparison.second.trial_id,
        "sentence": races.sentence(comparison),
        "verdict": _plain(verdict),
        "is_decided": comparison.verdict.is_decided and comparison.is_asked,
        "is_aside": comparison.is_aside,
        "what_would_decide": races.what_would_decide(comparison),
        "refusal": comparison.refusal.words if comparison.refusal else "",
        "growth": comparison.growth,
        "track": comparison.track,
        "differing": comparison.differing,
        "certificate": asdict(comparison.certificate),
        "measures": {name: _plain(asdict(ratio)) for name, ratio in comparison.measures.items()},
        "target_error": comparison.target_error,
        "target": _plain(asdict(comparison.target)) if comparison.target else None,
        "break_even": _plain(asdict(comparison.break_even)) if comparison.break_even else None,
        "excluded": [asdict(run) for run in comparison.excluded],
        "hinge": comparison.hinge,
        "run_ids": comparison.run_ids,
        "command": comparison.command,
    }


def _plain(value: Any) -> Any:
    """The value with null for what is no finite number."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
