"""When a study that runs until decided may stop: what its comparisons have come to, after each block. Pure.

A look is a function of the runs in the store alone, so that a study that was interrupted goes on as if it
had not been.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from bakeoff import stats
from bakeoff.races import sentences, verdicts
from bakeoff.races.definitions import Comparison, Contestant, refusal
from bakeoff.races.evidence import Evidence
from bakeoff.races.learning import Learning, nothing_learnt
from bakeoff.study import FEWEST_BLOCKS, Budget, Study
from bakeoff.wording import span

Pair = tuple[str, str]

# A contestant that ended badly in so many blocks running, its last ones, sits out: a fault that lasts would
# cost the whole budget, and one that came and went costs three runs at most.
FAILURES = 3
_SHOWN = 6  # undecided comparisons listed after a block


@dataclass(frozen=True)
class Failing:
    """A contestant whose last blocks all ended badly.

    label: its name. status: how the very last one ended.
    """

    label: str
    status: str


@dataclass(frozen=True)
class Idle:
    """A contestant that learnt nothing, in as many blocks as a fault takes.

    label: its name. learning: how one sees it.
    """

    label: str
    learning: Learning


@dataclass(frozen=True)
class Look:
    """What is decided after `num_blocks` blocks.

    verdicts: by pair of trial_ids, the first against the second. hopeless: undecided pairs of which no more
    blocks would tell, and who of them keeps failing or learnt nothing; nobody where it is the verdict's own
    obstacle. idle: trials that learnt nothing so far; no pair of theirs is decided.
    """

    num_blocks: int
    verdicts: Mapping[Pair, stats.Verdict]
    hopeless: Mapping[Pair, tuple[Failing | Idle, ...]]
    idle: Mapping[str, Learning] = field(default_factory=dict)

    def is_decided(self, pair: Pair) -> bool:
        """Whether the question about a pair has an answer."""
        return self.verdicts[pair].is_decided and not self.idle.keys() & set(pair)

    @property
    def undecided(self) -> tuple[Pair, ...]:
        """Pairs without an answer, hopeless ones included."""
        return tuple(pair for pair in self.verdicts if not self.is_decided(pair))

    @property
    def active(self) -> frozenset[str]:
        """Trials that run in the next block; the others sit out."""
        return frozenset(
            trial_id for pair in self.undecided if pair not in self.hopeless for trial_id in pair
        )


def rules_of(study: Study) -> stats.Rules:
    """The study's rules, for the statistics."""
    rules = dataclasses.asdict(study.rules)
    del rules["comparisons"], rules["errors"]
    return stats.Rules(**rules)


def look(pairs: Sequence[Pair], num_blocks: int, evidence: Evidence, rules: stats.Rules) -> Look:
    """Judge each pair from the first `num_blocks` blocks.

    evidence: its runs are those under the conditions that a run started now would have, however they ended.

    No more blocks are asked for where the test set is too small for the error margin, or where a contestant
    keeps failing. To give up so leaves the chance of a wrong verdict as it is: it can only come to fewer.
    """
    runs = evidence.runs.filter(pl.col("block") < num_blocks)
    good = runs.filter(status="ok")
    found = {
        (a, b): verdicts.verdict(a, b, dataclasses.replace(evidence, runs=good), rules) for a, b in pairs
    }
    idle = evidence.idle
    failing: dict[str, Failing | Idle] = {**_failing(runs), **_lastingly_idle(good, idle)}
    hopeless = {}
    for pair, verdict in found.items():
        if verdict.is_decided and not idle.keys() & set(pair):
            continue
        who = tuple(failing[trial_id] for trial_id in pair if trial_id in failing)
        is_on_error = verdict.undecided_on is stats.Question.ERROR
        if who or (is_on_error and verdict.obstacle is stats.Obstacle.TEST_SET_TOO_SMALL):
            hopeless[pair] = who
    return Look(num_blocks, found, hopeless, idle)


def _failing(runs: pl.DataFrame) -> dict[str, Failing]:
    """By trial_id, the contestants whose last blocks all ended badly."""
    last = runs.unique(["trial_id", "block"], keep="last", maintain_order=True).sort("block")
    found = {}
    for (trial_id,), mine in last.group_by("trial_id", maintain_order=True):
        ends = mine["status"].to_list()[-FAILURES:]
        if len(ends) == FAILURES and "ok" not in ends and "interrupted" not in ends:
            found[str(trial_id)] = Failing(mine["label"][-1], mine["status"][-1])
    return found


def _lastingly_idle(good: pl.DataFrame, idle: Mapping[str, Learning]) -> dict[str, Idle]:
    """By trial_id, the contestants that learnt nothing, where as many blocks show it as a fault takes."""
    blocks = dict(good.group_by("trial_id").agg(pl.col("block").n_unique()).iter_rows())
    labels = dict(good.select("trial_id", "label").iter_rows())
    lasting = (trial_id for trial_id in idle if blocks.get(trial_id, 0) >= FAILURES)
    return {trial_id: Idle(labels[trial_id], idle[trial_id]) for trial_id in lasting}


def hours(evidence: Evidence) -> float:
    """Wall hours of all runs together."""
    return float(evidence.runs["wall_s"].sum() or 0.0) / 3600


def exceeds(evidence: Evidence, max_hours: float | None, trial_ids: Iterable[str]) -> bool:
    """Whether one more run of each trial would go beyond so many hours; each takes the mean of its runs.

    Of trials without a run nothing is known, so that the first block is always begun.
    """
    means = dict(evidence.runs.group_by("trial_id").agg(pl.col("wall_s").mean()).iter_rows())
    expected = sum(means.get(trial_id) or 0.0 for trial_id in trial_ids) / 3600
    return max_hours is not None and expected > 0 and hours(evidence) + expected > max_hours


def _asked(look: Look) -> set[str]:
    return {trial_id for pair in look.verdicts for trial_id in pair}


# ---- in words -------------------------------------------------------------------------------------


def changed(before: stats.Rules, now: stats.Rules) -> str:
    """Which rules are others than those that the same study was judged by before; empty if none is."""
    told = [
        (_rule(name, getattr(now, name)), _rule(name, getattr(before, name)))
        for name in ("margin", "error_margin", "confidence", "is_sequential")
        if getattr(now, name) != getattr(before, name)
    ]
    return ", ".join(f"{new} (before: {old})" for new, old in told)


def _rule(name: str, value: float) -> str:
    if name == "is_sequential":
        return "until decided" if value else "a fixed number of blocks"
    what = {"margin": "{} % margin of times", "error_margin": "{} points margin of errors"}
    return what.get(name, "{} % confidence").format(f"{100 * value:g}")


def opening(num_comparisons: int, budget: Budget) -> str:
    """What a study sets out to do."""
    hours = "" if budget.max_hours is None else f" and {span(3600 * budget.max_hours)}"
    return (
        f"until {_comparisons(num_comparisons)} decided, in {FEWEST_BLOCKS} blocks at least, "
        f"within {budget.max_blocks} blocks{hours}"
    )


def report(look: Look, before: Look | None, labels: Mapping[str, str]) -> str:
    """Lines for people: how much is decided, what is so since the look before, what is not and why.

    labels: names of the trials, by trial_id.
    """
    num = len(look.verdicts)
    lines = [f"after block {look.num_blocks}: {num - len(look.undecided)} of {_comparisons(num)} decided"]
    known = set(before.verdicts) - set(before.undecided) if before else set()
    for pair, verdict in look.verdicts.items():
        if look.is_decided(pair) and pair not in known:
            lines.append(_sentence(verdict, pair, labels, look.idle))
    for pair in look.undecided[:_SHOWN]:
        lines.append(_sentence(look.verdicts[pair], pair, labels, look.idle))
        lines[-1] += "".join(f" ({_fails(one)})" for one in look.hopeless.get(pair, ()))
    if len(look.undecided) > _SHOWN:
        lines.append(f"and {len(look.undecided) - _SHOWN} more undecided")
    resting = [label for one, label in labels.items() if one in _asked(look) and one not in look.active]
    if resting and look.active:
        lines.append(f"sitting out: {', '.join(resting)}")
    return "\n  ".join(lines)


def conclusion(look: Look, budget: Budget, hours: float) -> str:
    """Why a study ends now, and what would make it go on."""
    if not look.undecided:
        return f"all is decided after {look.num_blocks} blocks"
    open_ones = f"{_comparisons(len(look.undecided))} undecided"
    if not look.active:
        return f"{open_ones}, and more blocks would not help"
    if look.num_blocks >= budget.max_blocks:
        return f"{open_ones}: the budget of {budget.max_blocks} blocks is spent; --max-blocks N raises it"
    return (
        f"{open_ones}: {span(3600 * hours)} of runs, and one more block would go beyond the budget of "
        f"{span(3600 * (budget.max_hours or 0.0))}; --max-hours H raises it"
    )


def _sentence(
    verdict: stats.Verdict, pair: Pair, labels: Mapping[str, str], idle: Mapping[str, Learning]
) -> str:
    """A verdict on a pair as it is worded everywhere."""
    if verdict.time.ratio is not None and verdict.time.ratio > 1:
        verdict, pair = verdict.inverse, (pair[1], pair[0])
    first, second = (
        Contestant(one, labels[one], labels[one], "", "", {}, learning=idle.get(one, Learning()))
        for one in pair
    )
    return sentences.sentence(Comparison(first, second, verdict, refusal=refusal(first, second)))


def _fails(failing: Failing | Idle) -> str:
    if isinstance(failing, Idle):
        return f"{failing.label} learnt nothing: {nothing_learnt(failing.learning)}"
    return f"{failing.label} ended badly {FAILURES} times running (last: {failing.status})"


def _comparisons(number: int) -> str:
    return f"{number} comparison is" if number == 1 else f"{number} comparisons are"
