"""Who may be called faster than whom: the verdict on a pair, from what both did in each block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from bakeoff.stats.comparison import Kind
from bakeoff.stats.doubts import Doubt, Finding, doubts
from bakeoff.stats.error_difference import ErrorDifference
from bakeoff.stats.noise import Lent
from bakeoff.stats.planning.projection import MoreBlocks, Obstacle, project
from bakeoff.stats.ratio import TimeRatio, time_ratio, usable_logs
from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values

_INVERSE = {Kind.FASTER: Kind.SLOWER, Kind.SLOWER: Kind.FASTER}
_AT_WORSE = {Kind.FASTER: Kind.FASTER_AT_WORSE_ERROR, Kind.SLOWER: Kind.SLOWER_AT_BETTER_ERROR}


class Question(StrEnum):
    """What keeps a verdict from being decided."""

    TIME = "time"
    ERROR = "error"


class OnError(StrEnum):
    """What is known of the faster contestant's error against the other's.

    CERTIFIED: the runs leave it open, but both were shown to train the same thing.
    """

    NOT_ASKED = "not asked"
    NON_INFERIOR = "non-inferior"
    WORSE = "worse"
    CERTIFIED = "certified"
    OPEN = "open"


class Schedule(StrEnum):
    """How it was settled how many blocks there are; all but the first ask for intervals at every look."""

    FIXED = "fixed beforehand"
    UNTIL_DECIDED = "added until all is decided"
    CHANGED = "changed after runs had begun"
    UNFINISHED = "not all have run yet"


@dataclass(frozen=True)
class Verdict:
    """What may be said of a against b: on time, and on the error of whoever is faster.

    on_time: faster, slower, practically equal (whether or not the interval excludes 1), undecided, or too few
    repeats. on_error: what is known of the faster one's error; `OnError.NOT_ASKED` where nobody is faster, or
    errors were not to be compared. time, error: the figures; `error` is None if it was not asked about.
    rules: what it was judged by. doubts: what the blocks show that the interval does not allow for. schedule:
    how the number of blocks was settled. is_certified: whether both were shown to train the same thing.
    """

    on_time: Kind
    on_error: OnError
    time: TimeRatio
    error: ErrorDifference | None
    rules: Rules
    doubts: tuple[Doubt, ...] = ()
    schedule: Schedule = Schedule.FIXED
    is_certified: bool = False

    @property
    def more(self) -> MoreBlocks | None:
        """How many more blocks would decide it; None if it is decided, or where an `obstacle` stands."""
        return self._projected[0]

    @property
    def obstacle(self) -> Obstacle | None:
        """Why no number of blocks can be given that would decide it."""
        return self._projected[1]

    @cached_property
    def _projected(self) -> tuple[MoreBlocks | None, Obstacle | None]:
        if self.is_decided:
            return None, None
        return project(self.time, None if self.is_certified else self.error, self.rules)

    @property
    def kind(self) -> Kind:
        """Both answers in one: undecided as long as one of them is open."""
        if self.on_error is OnError.OPEN:
            return Kind.UNDECIDED
        return _AT_WORSE[self.on_time] if self.on_error is OnError.WORSE else self.on_time

    @property
    def is_decided_on_time(self) -> bool:
        """Whether it is known who is faster, or that nobody is by more than the margin."""
        return self.on_time not in (Kind.UNDECIDED, Kind.TOO_FEW)

    @property
    def is_decided(self) -> bool:
        """Whether both questions have an answer, so that no more blocks are needed."""
        return self.undecided_on is None

    @property
    def undecided_on(self) -> Question | None:
        """Whichever keeps it from being decided; None if it is."""
        if not self.is_decided_on_time:
            return Question.TIME
        return Question.ERROR if self.on_error is OnError.OPEN else None

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
        moved = any(doubt.finding in (Finding.OUTLIERS, Finding.TWO_VALUED) for doubt in self.doubts)
        return apart > self.time.half_width(self.rules) + 1e-9 or (moved and apart > self.rules.log_margin)

    @property
    def inverse(self) -> Verdict:
        """The same, seen from b."""
        return replace(
            self,
            on_time=_INVERSE.get(self.on_time, self.on_time),
            time=self.time.inverse,
            error=None if self.error is None else self.error.inverse,
            doubts=tuple(doubt.inverse for doubt in self.doubts),
        )


def judge(
    times_a: Values,
    times_b: Values,
    error: ErrorDifference | None = None,
    rules: Rules | None = None,
    lent: Lent | None = None,
    *,
    is_certified: bool = False,
) -> Verdict:
    """The verdict on a against b; see `Verdict`.

    times_a, times_b: seconds by block, shape (num_blocks,), in the blocks' order, NaN where a run has none.
    error: difference of a's and b's error rates, made with the same rules; without one, only time is judged.
    lent: what other runs of the study show of the noise (`noise.lend`). is_certified: whether both were shown
    to train the same thing, which answers for the error where the runs don't. What they show comes first.

    Non-inferior means that the interval's upper end lies below the margin (ICH E9, Statistical principles
    for clinical trials, 1998); worse, that it is not, and the interval excludes 0. Practically equal means
    that the whole interval lies within the margin (two one-sided tests at half the error rate: Schuirmann
    1987, J. Pharmacokinet. Biopharm. 15).
    """
    rules = rules or Rules()
    ratio = time_ratio(times_a, times_b, rules, lent)
    on_time = _on_time(ratio, rules)
    on_error = OnError.NOT_ASKED
    if error is not None and on_time in _INVERSE:
        on_error = _on_error(error if on_time is Kind.FASTER else error.inverse, rules)
        if is_certified and on_error is OnError.OPEN:
            on_error = OnError.CERTIFIED
    return Verdict(
        on_time,
        on_error,
        ratio,
        error,
        rules,
        doubts=doubts(*usable_logs(times_a, times_b)),
        schedule=Schedule.UNTIL_DECIDED if rules.is_sequential else Schedule.FIXED,
        is_certified=is_certified,
    )


def _on_time(ratio: TimeRatio, rules: Rules) -> Kind:
    half = ratio.half_width(rules)
    if ratio.ratio is None or math.isinf(half):
        return Kind.TOO_FEW
    mean = math.log(ratio.ratio)
    if abs(mean) + half < rules.log_margin:
        return Kind.PRACTICALLY_EQUAL
    if abs(mean) <= half:
        return Kind.UNDECIDED
    return Kind.FASTER if mean < 0 else Kind.SLOWER


def _on_error(error: ErrorDifference, rules: Rules) -> OnError:
    """What an error difference, the faster one's less the other's, says."""
    if error.difference is None:
        return OnError.OPEN
    half = error.half_width(rules)
    if error.difference + half < rules.error_margin:
        return OnError.NON_INFERIOR
    return OnError.WORSE if error.difference - half > 0 else OnError.OPEN
