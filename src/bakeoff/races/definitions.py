"""Who races whom, and what came of it: plain values that reports, commands and notebooks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bakeoff import stats
from bakeoff.races.learning import Learning, nothing_learnt
from bakeoff.races.marks import Label, Mark
from bakeoff.study import Agreement, racing

# Tracks of a comparison; what they mean is said in docs/compare.md, and decided in `races.tracks`.
OUT_OF_THE_BOX = "out-of-the-box"
MATCHED = "matched"
TUNED = "tuned"
SETTINGS = "settings"

SAME, DIFFERENT, NOT_COMPARED, UNCERTIFIED = Agreement


@dataclass(frozen=True)
class Contestant:
    """One trial of a study.

    plain_name: unique in its section. plain_short: the same, without what its race says already. axes: its
    values of the section's swept settings. settings: all of them, flat (``model_options.filters``), by what
    they computed. observed: what was seen to run, the facts of its last good run; empty if it has none.
    is_short: whether some run of it trained fewer samples than it was asked to, without saying so. learning:
    whether it learnt anything.
    """

    trial_id: str
    plain_name: str
    plain_short: str
    backend: str
    environment: str
    axes: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)
    is_short: bool = False
    learning: Learning = field(default_factory=Learning)

    def label(self, name: str) -> Label:
        """One of its names as it is printed, marked."""
        shown = {Mark.SHORT: self.is_short, Mark.NOTHING_LEARNT: self.learning.is_nothing}
        return Label(name, (mark for mark, is_shown in shown.items() if is_shown))

    @property
    def name(self) -> Label:
        """For people, unique in its section."""
        return self.label(self.plain_name)

    @property
    def short(self) -> Label:
        """For people, without what its race says already."""
        return self.label(self.plain_short)

    @property
    def asked(self) -> Mapping[str, Any]:
        """Settings of how its backend is to run that are other than by default; empty out of the box."""
        return racing.asked(self)

    @property
    def track(self) -> str:
        """`OUT_OF_THE_BOX`, or "set" where something was asked; what a pair is, only both together say."""
        return "set" if self.asked else OUT_OF_THE_BOX


@dataclass(frozen=True)
class Certified:
    """Whether two contestants were shown to train the same thing.

    words: what differs, or why it is unknown.
    """

    verdict: Agreement = UNCERTIFIED
    words: str = ""

    @property
    def is_same(self) -> bool:
        """Whether they were."""
        return self.verdict is SAME


@dataclass(frozen=True)
class Exclusion:
    """A run that a comparison leaves out. why: for people, without a full stop."""

    run_id: str
    contestant: str
    block: int
    why: str


class Unfit(Enum):
    """Why two contestants may not be compared at all."""

    UNLIKE = "unlike"
    NOTHING_LEARNT = "nothing learnt"


@dataclass(frozen=True)
class Refusal:
    """Why nobody of a pair is faster.

    kind: `Unfit.UNLIKE`: other work, or other tracks; difference says in what, for people.
    `Unfit.NOTHING_LEARNT`: of whom, `who` says.
    """

    kind: Unfit
    difference: str = ""
    who: tuple[Contestant, ...] = ()

    @property
    def words(self) -> str:
        """For people, without a full stop."""
        if self.kind is Unfit.UNLIKE:
            return self.difference
        return "; ".join(
            f"{contestant.short} learnt nothing: {nothing_learnt(contestant.learning)}"
            for contestant in self.who
        )


def refusal(first: Contestant, second: Contestant) -> Refusal | None:
    """Why these two may not be compared; None if they may."""
    if difference := racing.refusal(first, second):
        return Refusal(Unfit.UNLIKE, difference)
    idle = tuple(one for one in (first, second) if one.learning.is_nothing)
    return Refusal(Unfit.NOTHING_LEARNT, who=idle) if idle else None


@dataclass(frozen=True)
class Comparison:
    """Two contestants of one race, the one with the faster estimate first.

    verdict: on training time, first to second, and on their final errors, first less second. measures:
    ratios of other times, first to second, by the name of a metric in `bakeoff.metrics`; those that both
    have. num_compiled_otherwise: blocks left out of those that include compilation, and of break_even: one
    had to compile in them what it found compiled in others.
    target: how soon either reaches `target_error`, a fraction; both None where there is no target.
    break_even: total times, by number of epochs; None where epochs were not timed one by one.
    certificate: whether both train the same thing. track: under which conditions they meet; differing: what
    ran differently in them as far as it governs speed, ``threads 2 and 1``. refusal: why the two may not be
    compared at all; None if they may. growth: in what the work of one backend's two trials differs,
    ``data scale 1 and 4``: their ratio says how cost grows, and nobody is faster; empty for equal work.
    is_aside: whether nobody is refused, but the study names other pairs that it is about. excluded: runs left
    out, by rules that stand in docs/compare.md. hinge: how the verdict would change with them in, or without
    disturbed runs; empty if it wouldn't. run_ids: those that count. command: what repeats them.
    """

    first: Contestant
    second: Contestant
    verdict: stats.Verdict
    measures: Mapping[str, stats.TimeRatio] = field(default_factory=dict)
    num_compiled_otherwise: int = 0
    target: stats.TargetComparison | None = None
    target_error: float | None = None
    break_even: stats.BreakEven | None = None
    certificate: Certified = Certified()
    track: str = OUT_OF_THE_BOX
    differing: tuple[str, ...] = ()
    refusal: Refusal | None = None
    growth: str = ""
    is_aside: bool = False
    excluded: tuple[Exclusion, ...] = ()
    hinge: str = ""
    run_ids: tuple[str, ...] = ()
    command: str = ""

    @property
    def pair(self) -> frozenset[str]:
        """Both trial_ids."""
        return frozenset((self.first.trial_id, self.second.trial_id))

    @property
    def is_asked(self) -> bool:
        """Whether it is a question who is faster."""
        return not self.refusal and not self.growth

    @property
    def hinges(self) -> bool:
        """Whether the verdict depends on which runs were left out."""
        return bool(self.hinge)

    @property
    def is_short(self) -> bool:
        """Whether either skipped samples."""
        return self.first.is_short or self.second.is_short


@dataclass(frozen=True)
class Race:
    """Contestants that solve the same problem under the same settings.

    setting: what distinguishes this race from the section's others, for people; empty if there is only one.
    ranking: of the contestants by their training times, by index; None where of some pair nobody is faster.
    """

    setting: str
    contestants: tuple[Contestant, ...]
    comparisons: tuple[Comparison, ...]
    ranking: stats.Ranking | None = None
