"""Who races whom, and what came of it: plain values that reports, commands and notebooks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bakeoff import stats
from bakeoff.races.frames import MARK
from bakeoff.study.racing import Entrant

# Tracks of a comparison; what they mean is said in docs/compare.md, and decided in `races.tracks`.
OUT_OF_THE_BOX = "out-of-the-box"
MATCHED = "matched"
TUNED = "tuned"
SETTINGS = "settings"

# What verification says of a pair; empty where it was never asked.
SAME, DIFFERENT, NOT_COMPARED, UNCERTIFIED = "same", "different", "not compared", ""


@dataclass(frozen=True)
class Contestant:
    """One trial of a study.

    name: for people, unique in its section; it ends with a dagger where samples were silently skipped.
    short: the same, without what its race says already. axes: its values of the section's swept settings.
    settings: all of them, flat (``model_options.filters``), by what they computed. observed: what was seen
    to run, the facts of its last good run; empty if it has none.
    """

    trial_id: str
    name: str
    short: str
    backend: str
    environment: str
    axes: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entrant(self) -> Entrant:
        """What the rules of racing look at."""
        return Entrant(self.trial_id, self.short, self.backend, self.environment, self.settings)

    @property
    def asked(self) -> Mapping[str, Any]:
        """Settings of how its backend is to run that are other than by default; empty out of the box."""
        return self.entrant.asked

    @property
    def is_short(self) -> bool:
        """Whether some run of it trained fewer samples than it was asked to."""
        return self.name.endswith(MARK)

    @property
    def track(self) -> str:
        """`OUT_OF_THE_BOX`, or "set" where something was asked; what a pair is, only both together say."""
        return "set" if self.asked else OUT_OF_THE_BOX


@dataclass(frozen=True)
class Certified:
    """Whether two contestants were shown to train the same thing.

    verdict: `SAME`, `DIFFERENT`, `NOT_COMPARED`, or `UNCERTIFIED`. words: what differs, or why it is unknown.
    """

    verdict: str = UNCERTIFIED
    words: str = ""

    @property
    def is_same(self) -> bool:
        """Whether they were."""
        return self.verdict == SAME


@dataclass(frozen=True)
class Exclusion:
    """A run that a comparison leaves out. why: for people, without a full stop."""

    run_id: str
    contestant: str
    block: int
    why: str


@dataclass(frozen=True)
class Comparison:
    """Two contestants of one race, the one with the faster estimate first.

    verdict: on training time, first to second, and on their final errors, first less second. measures:
    ratios of other times, first to second, by the name of a metric in `bakeoff.metrics`; those that both
    have. target: how soon either reaches `target_error`, a fraction; both None where there is no target.
    break_even: total times, by number of epochs; None where epochs were not timed one by one.
    certificate: whether both train the same thing. track: under which conditions they meet; differing: what
    ran differently in them as far as it governs speed, ``threads 2 and 1``. refusal: why the two may not be
    compared at all; empty if they may. growth: in what the work of one backend's two trials differs,
    ``data scale 1 and 4``: their ratio says how cost grows, and nobody is faster; empty for equal work.
    excluded: runs left out, by rules that stand in docs/compare.md. hinge: how the verdict would change with
    them in, or without disturbed runs; empty if it wouldn't. run_ids: those that count. command: what repeats
    them.
    """

    first: Contestant
    second: Contestant
    verdict: stats.Verdict
    measures: Mapping[str, stats.TimeRatio] = field(default_factory=dict)
    target: stats.TargetComparison | None = None
    target_error: float | None = None
    break_even: stats.BreakEven | None = None
    certificate: Certified = Certified()
    track: str = OUT_OF_THE_BOX
    differing: tuple[str, ...] = ()
    refusal: str = ""
    growth: str = ""
    excluded: tuple[Exclusion, ...] = ()
    hinge: str = ""
    run_ids: tuple[str, ...] = ()
    command: str = ""

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
