"""Which change, or combination of changes, to confirm. Pure: a race hands it times, and it says who goes on.

What is found here proves nothing: the best of many that are alike looks better than it is. Only what
fresh blocks confirm is told as found.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from bakeoff.errors import MachineError
from bakeoff.refine.space import Effect, Option, fit_together
from bakeoff.stats import MIN_BLOCKS

if TYPE_CHECKING:
    import optuna

DEFAULT, JOINT = "default", " + "
# Of the budget, what the search may take at most; the rest is for the confirmation. As long as nothing seems
# to help it may take more, up to the time of the shortest confirmation.
SEARCH_SHARE = 0.6
# Of the search, what single changes may take: what helps is to be combined, too.
_SCREENING_SHARE = 2 / 3
# Blocks of a wave: fewer show nothing, since three of three blocks on one side are one in eight by chance.
SCREENING_BLOCKS, COMBINATION_BLOCKS, FEWEST_BLOCKS = 4, 4, 3
# One-sided, of the Wilcoxon test of two candidates. No error rate rests on it: that is the confirmation's.
_P_DROPPED = 0.2
# Who takes so many times as long as the default in one block goes at once.
_HOPELESS = 1.5
# Changes that are combined, candidates in a wave of combinations, waves.
_MOST_COMBINED, _WAVE, _WAVES = 6, 4, 3
_ATTEMPTS = 50  # combinations that are asked for until a wave is full


class Fate(Enum):
    """What became of a candidate. OPEN: nothing yet that would end it."""

    HELPS = "seems to help"
    NO_HELP = "no help seen"
    SLOWER = "dropped: slower in some block"
    WORSE_ERROR = "error seems worse"
    NO_EFFECT = "had no effect"
    FAILED = "failed"
    NO_TIME = "no time for it"
    OPEN = "open"


@dataclass(frozen=True)
class Candidate:
    """The default with some changes."""

    options: tuple[Option, ...]

    @property
    def name(self) -> str:
        """For people, and in the store."""
        return JOINT.join(option.name for option in self.options)


@dataclass
class Measured:
    """What the blocks so far say of a candidate, by block: none where it or the default failed.

    logs: log of its training seconds ÷ the default's. errors: its final error less the default's. effect:
    whether its change was seen to do anything. failure: how a run of it ended, where not well.
    """

    logs: dict[int, float] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    effect: Effect = Effect.UNKNOWN
    failure: str = ""

    @property
    def mean(self) -> float:
        """Of `logs`; infinite without any."""
        return statistics.fmean(self.logs.values()) if self.logs else math.inf

    @property
    def mean_error(self) -> float:
        """Of `errors`; 0 without any."""
        return statistics.fmean(self.errors.values()) if self.errors else 0.0


@dataclass(frozen=True)
class Standing:
    """A wave after some of its blocks.

    measured: by candidate's name. run_s: wall seconds of a run, by name, the default's included. spent_s: of
    all runs of the whole refinement so far.
    """

    num_blocks: int
    measured: Mapping[str, Measured]
    run_s: Mapping[str, float]
    spent_s: float

    def of(self, name: str) -> Measured:
        """What is known of a candidate; nothing, before it ran."""
        return self.measured.get(name) or Measured()


GoingOn = Callable[[Standing], Collection[str]]
# Number of a wave, its candidates, and the rule that names who runs in the next block, nobody at the end.
Race = Callable[[int, Sequence[Candidate], GoingOn], Standing]


@dataclass
class Search:
    """What a search found.

    fates, measured: by candidate's name, single changes first. winner: what is to be confirmed; None: nothing
    seems to help. spent_s: wall seconds of its runs.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    winner: Candidate | None = None
    spent_s: float = 0.0

    def add(self, candidates: Iterable[Candidate], standing: Standing, error_margin: float) -> None:
        """What one more wave says of its candidates."""
        self.spent_s = standing.spent_s
        for name in (candidate.name for candidate in candidates):
            mine = standing.of(name)
            known = self.measured.setdefault(name, Measured(effect=mine.effect))
            known.logs |= mine.logs
            known.errors |= mine.errors
            known.failure = known.failure or mine.failure
            self.fates[name] = _settled(mine, error_margin)

    def helping(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Those that seem to help, the fastest first."""
        helping = [candidate for candidate in candidates if self.fates[candidate.name] is Fate.HELPS]
        return sorted(helping, key=lambda one: self.measured[one.name].mean)


def search(options: Iterable[Option], race: Race, budget_s: float, error_margin: float) -> Search:
    """Screen single changes, then combine those that seem to help.

    race: runs waves. budget_s: wall seconds for search and confirmation together. error_margin: fraction by
    which an error may exceed the default's.

    Raises:
        MachineError: the budget is too small for anything.
    """
    _optuna()  # said now, if it isn't there
    found = Search()
    alone = race(0, (), lambda standing: () if standing.num_blocks else (DEFAULT,))
    found.spent_s = alone.spent_s
    most_s = budget_s - 2 * MIN_BLOCKS * alone.run_s.get(DEFAULT, 0.0)
    limit_s = min(SEARCH_SHARE * budget_s, most_s)
    singles = [Candidate((option,)) for option in options]
    found.fates = dict.fromkeys((single.name for single in singles), Fate.NO_TIME)
    places = _num_fitting(alone, limit_s, budget_s)
    # No more than may get their turn: each may need an environment of its own.
    tried = singles[: max(places, _num_blocks(alone, most_s - found.spent_s) // FEWEST_BLOCKS)]

    def against_default(name: str, standing: Standing) -> Fate:
        return _fate(standing.of(name), error_margin)

    def cost_s(names: Iterable[str], standing: Standing) -> float:
        run_s = standing.run_s or alone.run_s
        return sum(run_s.get(name, alone.run_s.get(DEFAULT, 0.0)) for name in (DEFAULT, *names))

    def screening(standing: Standing) -> Collection[str]:
        """Who is being tried goes on. Who is through makes room for the next, as long as there is time."""
        num = {candidate.name: len(standing.of(candidate.name).logs) for candidate in tried}
        left = [name for name in num if against_default(name, standing) is Fate.OPEN]
        trying = [name for name in left if 0 < num[name] < SCREENING_BLOCKS]
        joining = [name for name in left if not num[name]][: max(places - len(trying), 0)]
        helping = [name for name in num if _settled(standing.of(name), error_margin) is Fate.HELPS]
        end_s = limit_s if helping else most_s
        share = _SCREENING_SHARE if trying or len(helping) > 1 else 1.0
        while joining and standing.num_blocks:
            expected_s = FEWEST_BLOCKS * cost_s([*trying, *joining], standing)
            if standing.spent_s + expected_s <= share * end_s:
                break
            joining.pop()
        names = [*trying, *joining]
        is_over = standing.num_blocks and standing.spent_s + cost_s(names, standing) > end_s
        if not names or is_over or standing.num_blocks == SCREENING_BLOCKS * len(tried):
            return ()
        return (DEFAULT, *names)

    standing = race(1, tried, screening)
    found.add(tried, standing, error_margin)

    helping = found.helping(tried)[:_MOST_COMBINED]
    best = helping[0] if helping else None
    asked = _Combinations(helping, found.measured)
    for wave in range(2, 2 + _WAVES):
        most = (limit_s - found.spent_s) / (FEWEST_BLOCKS * sum(alone.run_s.values())) - 2 if best else 0
        fresh = asked.next(most)
        if best is None or not fresh:
            break
        members = [best, *fresh]

        def combining(standing: Standing, members: Sequence[Candidate] = members) -> Collection[str]:
            logs = {member.name: standing.of(member.name).logs for member in members}
            leader = min(logs, key=lambda name: standing.of(name).mean)
            left = [
                name
                for name in logs
                if against_default(name, standing) is Fate.OPEN
                and (name == leader or not is_worse(logs[name], logs[leader]))
            ]
            is_over = standing.num_blocks and standing.spent_s + cost_s(left, standing) > limit_s
            if not left or is_over or standing.num_blocks == COMBINATION_BLOCKS:
                return ()
            return (DEFAULT, *left)

        standing = race(wave, members, combining)
        if not standing.num_blocks:
            break
        found.add(members, standing, error_margin)
        asked.tell(fresh, found.measured)
        better = found.helping(members)[:1]
        if better in ([], [best]):
            break
        (best,) = better
    found.winner = best
    return found


def _num_blocks(alone: Standing, left_s: float) -> int:
    """How many runs of the default take that long; as many as there can be where they take no time."""
    run_s = alone.run_s.get(DEFAULT)
    return 0 if run_s is None else int(min(left_s / run_s, sys.maxsize))


def _num_fitting(alone: Standing, limit_s: float, budget_s: float) -> int:
    """How many single changes the budget can screen side by side; one at least."""
    run_s = alone.run_s.get(DEFAULT)
    if run_s is None:
        return 0
    if (limit_s - alone.spent_s) / (run_s * FEWEST_BLOCKS) < 2:
        search_s = (2 * FEWEST_BLOCKS + 1) * run_s
        needed_s = max(search_s / SEARCH_SHARE, search_s + 2 * MIN_BLOCKS * run_s)
        raise MachineError(
            f"a budget of {budget_s:.0f} s is too small: one run of the default takes {run_s:.0f} s, and to "
            f"try and confirm one change takes {needed_s:.0f} s",
            f"Give it more (--budget {math.ceil(needed_s / 60)}m), or fewer images or epochs "
            "(--set train_images=N).",
        )
    fitting = (_SCREENING_SHARE * limit_s - alone.spent_s) / (run_s * SCREENING_BLOCKS) - 1
    return int(min(max(1, fitting), sys.maxsize))


def _fate(measured: Measured, error_margin: float) -> Fate:
    """What the blocks so far make of a candidate, against the default."""
    if measured.failure:
        return Fate.FAILED
    if measured.effect is Effect.NO:
        return Fate.NO_EFFECT
    if len(measured.errors) > 1 and measured.mean_error > error_margin:
        return Fate.WORSE_ERROR
    default = dict.fromkeys(measured.logs, 0.0)
    if any(log > math.log(_HOPELESS) for log in measured.logs.values()) or is_worse(measured.logs, default):
        return Fate.SLOWER
    return Fate.OPEN


def _settled(measured: Measured, error_margin: float) -> Fate:
    """The same at the end of a wave, when nothing stays open."""
    fate = _fate(measured, error_margin)
    if fate is not Fate.OPEN:
        return fate
    if len(measured.logs) < FEWEST_BLOCKS:
        return Fate.NO_TIME
    return Fate.HELPS if is_worse(dict.fromkeys(measured.logs, 0.0), measured.logs) else Fate.NO_HELP


def is_worse(logs: Mapping[int, float], than: Mapping[int, float]) -> bool:
    """Whether Optuna's Wilcoxon pruner would end one in favour of the other, by the blocks that both have."""
    common = sorted(logs.keys() & than.keys())
    if len(common) < FEWEST_BLOCKS:
        return False
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is marked experimental, since 2024
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=_P_DROPPED, n_startup_steps=FEWEST_BLOCKS)
    study = optuna.create_study(pruner=pruner)
    values = {block: than[block] for block in common}
    study.add_trial(
        optuna.trial.create_trial(value=statistics.fmean(values.values()), intermediate_values=values)
    )
    trial = study.ask()
    for block in common:
        trial.report(logs[block], block)
    return bool(trial.should_prune())


class _Combinations:
    """Combinations of changes that seem to help, as Optuna proposes them; all together first."""

    def __init__(self, helping: Sequence[Candidate], measured: Mapping[str, Measured]) -> None:
        self._options = {one.name: one.options[0] for one in helping}
        self._seen = {DEFAULT, *self._options}
        self._waiting: dict[str, optuna.Trial] = {}
        if len(helping) < 2:
            return
        optuna = _optuna()
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
        choice = optuna.distributions.CategoricalDistribution([False, True])
        self._distributions: dict[str, Any] = dict.fromkeys(self._options, choice)
        for candidate in helping:
            self._study.add_trial(
                optuna.trial.create_trial(
                    value=measured[candidate.name].mean,
                    params={name: name == candidate.name for name in self._options},
                    distributions=self._distributions,
                )
            )
        together: list[Option] = []
        for option in self._options.values():
            if fit_together([*together, option]):
                together.append(option)
        self._study.enqueue_trial({name: one in together for name, one in self._options.items()})

    def next(self, most: float) -> list[Candidate]:
        """A wave of them that nobody has tried, `most` at most; empty when there are no more."""
        fresh: list[Candidate] = []
        for _ in range(_ATTEMPTS if len(self._options) > 1 and most >= 1 else 0):
            trial = self._study.ask(self._distributions)
            candidate = Candidate(
                tuple(option for name, option in self._options.items() if trial.params[name])
            )
            if candidate.name in self._seen or not candidate.options or not fit_together(candidate.options):
                self._study.tell(trial, state=_optuna().trial.TrialState.FAIL)
                continue
            self._seen.add(candidate.name)
            self._waiting[candidate.name] = trial
            fresh.append(candidate)
            if len(fresh) == int(min(most, _WAVE)):
                break
        return fresh

    def tell(self, candidates: Iterable[Candidate], measured: Mapping[str, Measured]) -> None:
        """What became of a wave."""
        for candidate in candidates:
            mean = measured[candidate.name].mean
            trial = self._waiting.pop(candidate.name)
            if math.isinf(mean):
                self._study.tell(trial, state=_optuna().trial.TrialState.FAIL)
            else:
                self._study.tell(trial, mean)


def _optuna() -> Any:
    """Optuna, told to be quiet.

    Raises:
        MachineError: it isn't installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MachineError(
            "refine searches with Optuna, which is not installed here",
            "Install it beside Bakeoff: pip install 'bakeoff[refine]'.",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
