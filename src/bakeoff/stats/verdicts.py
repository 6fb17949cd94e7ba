"""Who may be called faster than whom: the verdict on a pair, from what both did in each block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from bakeoff.stats.comparison import Kind
from bakeoff.stats.doubts import Doubt, Finding, doubts
from bakeoff.stats.error_difference import ErrorDifference
from bakeoff.stats.projection import MoreBlocks, Obstacle, project
from bakeoff.stats.ratio import TimeRatio, time_ratio, usable_logs
from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values

_INVERSE = {
    Kind.FASTER: Kind.SLOWER,
    Kind.SLOWER: Kind.FASTER,
    Kind.FASTER_AT_WORSE_ERROR: Kind.SLOWER_AT_BETTER_ERROR,
    Kind.SLOWER_AT_BETTER_ERROR: Kind.FASTER_AT_WORSE_ERROR,
}


class Question(StrEnum):
    """What keeps a verdict from being decided."""

    TIME = "time"
    ERROR = "error"


class Schedule(StrEnum):
    """How it was settled how many blocks there are; all but the first ask for intervals at every look."""

    FIXED = "fixed beforehand"
    UNTIL_DECIDED = "added until all is decided"
    CHANGED = "changed after runs had begun"
    UNFINISHED = "not all have run yet"


@dataclass(frozen=True)
class Verdict:
    """What may be said of a against b.

    kind: a is faster or slower, with the faster one's error non-inferior (or not asked about); faster at
    worse error, or slower at better; practically equal in time, whether or not the interval excludes 1;
    undecided; or too few blocks. time, error: the figures; `error` is None if it was not asked about. rules:
    what it was judged by. undecided_on: whichever keeps it from being decided; None if it is. more: how many
    more blocks would decide it; None if it is decided, or if `obstacle` says why no number can be given.
    doubts: what the blocks show that the interval does not allow for. schedule: how the number of blocks was
    settled.
    """

    kind: Kind
    time: TimeRatio
    error: ErrorDifference | None
    rules: Rules
    undecided_on: Question | None = None
    more: MoreBlocks | None = None
    obstacle: Obstacle | None = None
    doubts: tuple[Doubt, ...] = ()
    schedule: Schedule = Schedule.FIXED

    @property
    def is_decided(self) -> bool:
        """Whether the question has an answer, so that no more blocks are needed for it."""
        return self.kind not in (Kind.UNDECIDED, Kind.TOO_FEW)

    @property
    def median_disagrees(self) -> bool:
        """Whether a few blocks make the mean ratio what it is, so that the median is to be shown beside it.

        The median lies outside the interval of the mean; or the two differ by more than the margin, and the
        blocks have outliers or two values.
        """
        ratio, median = self.time.ratio, self.time.median
        if ratio is None or median is None or self.time.low is None:
            return False
        apart = abs(math.log(median / ratio))
        moved = any(one.finding in (Finding.OUTLIERS, Finding.TWO_VALUED) for one in self.doubts)
        return apart > self.time.half_width(self.rules) + 1e-9 or (moved and apart > self.rules.log_margin)

    @property
    def inverse(self) -> Verdict:
        """The same, seen from b."""
        return replace(
            self,
            kind=_INVERSE.get(self.kind, self.kind),
            time=self.time.inverse,
            error=None if self.error is None else self.error.inverse,
            doubts=tuple(one.inverse for one in self.doubts),
        )


def judge(
    times_a: Values, times_b: Values, error: ErrorDifference | None = None, rules: Rules | None = None
) -> Verdict:
    """The verdict on a against b; see `Verdict`.

    times_a, times_b: seconds by block, shape (num_blocks,), in the blocks' order, NaN where a run has none.
    error: difference of a's and b's error rates, made with the same rules; without one, only time is judged.

    Non-inferior means that the interval's upper end lies below the margin (ICH E9, Statistical principles
    for clinical trials, 1998); worse, that it is not, and the interval excludes 0. Practically equal means
    that the whole interval lies within the margin (two one-sided tests at half the error rate: Schuirmann
    1987, J. Pharmacokinet. Biopharm. 15).
    """
    rules = rules or Rules()
    ratio = time_ratio(times_a, times_b, rules)
    kind, undecided_on = _kind(ratio, error, rules)
    more, obstacle = (None, None) if undecided_on is None else project(ratio, error, rules)
    return Verdict(
        kind,
        ratio,
        error,
        rules,
        undecided_on,
        more,
        obstacle,
        doubts(*usable_logs(times_a, times_b)),
        Schedule.UNTIL_DECIDED if rules.is_sequential else Schedule.FIXED,
    )


def _kind(ratio: TimeRatio, error: ErrorDifference | None, rules: Rules) -> tuple[Kind, Question | None]:
    """The verdict, and what keeps it open."""
    half = ratio.half_width(rules)
    if ratio.ratio is None or math.isinf(half):
        return Kind.TOO_FEW, Question.TIME
    mean = math.log(ratio.ratio)
    if abs(mean) + half < rules.log_margin:
        return Kind.PRACTICALLY_EQUAL, None
    if abs(mean) <= half:
        return Kind.UNDECIDED, Question.TIME
    sign = 1 if mean < 0 else -1  # 1: a is the faster one
    kind = _of_error(error, rules, sign)
    if kind is Kind.UNDECIDED:
        return kind, Question.ERROR
    return (kind if sign > 0 else _INVERSE[kind]), None


def _of_error(error: ErrorDifference | None, rules: Rules, sign: int) -> Kind:
    """What the error leaves of "faster"; `sign` is -1 if the faster one is b."""
    if error is None:
        return Kind.FASTER
    if error.difference is None:
        return Kind.UNDECIDED
    half = error.half_width(rules)
    if sign * error.difference + half < rules.error_margin:
        return Kind.FASTER
    return Kind.FASTER_AT_WORSE_ERROR if sign * error.difference - half > 0 else Kind.UNDECIDED
