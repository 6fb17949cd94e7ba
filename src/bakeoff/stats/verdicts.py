"""Who may be called faster than whom: the verdict on a pair, from what both did in each block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bakeoff.stats.comparison import FASTER, SLOWER, TOO_FEW, UNDECIDED
from bakeoff.stats.error_difference import ErrorDifference
from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values

PRACTICALLY_EQUAL = "practically equal"
FASTER_AT_WORSE_ERROR = "faster, but at worse error"
SLOWER_AT_BETTER_ERROR = "slower, but at better error"

# What keeps an error undecided for ever; `Verdict.obstacle`.
TEST_SET_TOO_SMALL = "the test set is too small: no number of blocks would tell about the error"

# Blocks beyond which a projection only says that it would take more.
MAX_PROJECTED = 400

_INVERSE = {
    FASTER: SLOWER,
    SLOWER: FASTER,
    FASTER_AT_WORSE_ERROR: SLOWER_AT_BETTER_ERROR,
    SLOWER_AT_BETTER_ERROR: FASTER_AT_WORSE_ERROR,
}


@dataclass(frozen=True)
class TimeRatio:
    """Ratio of a's times to b's: geometric mean over blocks; below 1, a is faster.

    ratio: None without a block. low, high: interval; None where the rules give none yet, as below two
    blocks. num_blocks: blocks that counted. log_sd: standard deviation of the log ratios, the noise that a
    projection rests on (0.06: about 6 %); None below two blocks.
    """

    ratio: float | None
    low: float | None
    high: float | None
    num_blocks: int
    log_sd: float | None

    @property
    def inverse(self) -> TimeRatio:
        """The same, seen from b."""
        return TimeRatio(
            ratio=None if self.ratio is None else 1 / self.ratio,
            low=None if self.high is None else 1 / self.high,
            high=None if self.low is None else 1 / self.low,
            num_blocks=self.num_blocks,
            log_sd=self.log_sd,
        )


@dataclass(frozen=True)
class Verdict:
    """What may be said of a against b.

    kind: a is `FASTER` or `SLOWER`, with the faster one's error non-inferior (or not asked about);
    `FASTER_AT_WORSE_ERROR` or `SLOWER_AT_BETTER_ERROR`; `PRACTICALLY_EQUAL` in time, whether or not the
    interval excludes 1; `UNDECIDED`; `TOO_FEW`. time, error: the figures; `error` is None if it was not
    asked about. rules: what it was judged by. undecided_on: "time" or "error", whichever keeps it from
    being decided; else empty. more_blocks: about how many more would decide it: with so many, the chance
    is one half at least. None if it is decided, or if `obstacle` says why no number can be given.
    """

    kind: str
    time: TimeRatio
    error: ErrorDifference | None
    rules: Rules
    undecided_on: str = ""
    more_blocks: int | None = None
    obstacle: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether the question has an answer, so that no more blocks are needed for it."""
        return self.kind not in (UNDECIDED, TOO_FEW)

    @property
    def inverse(self) -> Verdict:
        """The same, seen from b."""
        return replace(
            self,
            kind=_INVERSE.get(self.kind, self.kind),
            time=self.time.inverse,
            error=None if self.error is None else self.error.inverse,
        )


def time_ratio(times_a: Values, times_b: Values, rules: Rules | None = None) -> TimeRatio:
    """How a's times compare with b's, block by block: seconds, shape (num_blocks,), in the same order.

    The interval is that of the mean log ratio: Student's for a number of blocks fixed beforehand, otherwise
    the one that holds at every look. Logarithms, because noise of times is multiplicative and a/b should be
    the inverse of b/a. Blocks with a time that is not finite and positive do not count.
    """
    rules = rules or Rules()
    a, b = np.asarray(times_a, dtype=float), np.asarray(times_b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two one-dimensional arrays of one length; got {a.shape}, {b.shape}")
    usable = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    logs = np.sort(np.log(a[usable]) - np.log(b[usable]))  # sorted: sums do not depend on the order of rows
    num = len(logs)
    if num == 0:
        return TimeRatio(None, None, None, 0, None)
    mean = float(logs.mean())
    sd = float(logs.std(ddof=1)) if num > 1 else None
    critical = rules.critical_value(num)
    if sd is None or math.isinf(critical):
        return TimeRatio(math.exp(mean), None, None, num, sd)
    half = critical * sd / math.sqrt(num)
    return TimeRatio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), num, sd)


def judge(
    times_a: Values, times_b: Values, error: ErrorDifference | None = None, rules: Rules | None = None
) -> Verdict:
    """The verdict on a against b; see `Verdict`.

    times_a, times_b: seconds by block, shape (num_blocks,), NaN where a run has none. error: difference of
    a's and b's error rates, made with the same rules; without one, only time is judged.

    Non-inferior means that the interval's upper end lies below the margin (ICH E9, Statistical principles
    for clinical trials, 1998); worse, that it is not, and the interval excludes 0. Practically equal means
    that the whole interval lies within the margin (two one-sided tests at half the error rate: Schuirmann
    1987, J. Pharmacokinet. Biopharm. 15).
    """
    rules = rules or Rules()
    ratio = time_ratio(times_a, times_b, rules)
    kind, undecided_on = _kind(ratio, error, rules)
    if kind not in (UNDECIDED, TOO_FEW):
        return Verdict(kind, ratio, error, rules)
    more_blocks, obstacle = _project(ratio, error, rules)
    return Verdict(kind, ratio, error, rules, undecided_on, more_blocks, obstacle)


def _kind(ratio: TimeRatio, error: ErrorDifference | None, rules: Rules) -> tuple[str, str]:
    """The verdict, and what keeps it open."""
    if ratio.ratio is None or ratio.log_sd is None or ratio.num_blocks < rules.min_blocks:
        return TOO_FEW, "time"
    mean = math.log(ratio.ratio)
    half = rules.critical_value(ratio.num_blocks) * ratio.log_sd / math.sqrt(ratio.num_blocks)
    if abs(mean) + half < rules.log_margin:
        return PRACTICALLY_EQUAL, ""
    if abs(mean) <= half:
        return UNDECIDED, "time"
    sign = 1 if mean < 0 else -1  # 1: a is the faster one
    how = _of_error(error, rules, sign)
    if how == UNDECIDED:
        return UNDECIDED, "error"
    kind = FASTER_AT_WORSE_ERROR if how == "worse" else FASTER
    return (kind if sign > 0 else _INVERSE[kind]), ""


def _of_error(error: ErrorDifference | None, rules: Rules, sign: int, more: int = 0) -> str:
    """Whether the faster one's error is "non-inferior", "worse" or undecided; `sign` is -1 if that is b.

    With `more` blocks of the same difference and noise, if there are to be more.
    """
    if error is None:
        return "non-inferior"
    if error.difference is None:
        return UNDECIDED
    half = error.half_width(rules, error.num_blocks + more)
    if sign * error.difference + half < rules.error_margin:
        return "non-inferior"
    return "worse" if sign * error.difference - half > 0 else UNDECIDED


def _project(ratio: TimeRatio, error: ErrorDifference | None, rules: Rules) -> tuple[int | None, str]:
    """Blocks with which a decision is as likely as not; or None, and why no number can be given."""
    if ratio.ratio is None or ratio.log_sd is None:
        return max(rules.min_blocks - ratio.num_blocks, 1), ""
    most = MAX_PROJECTED - ratio.num_blocks
    for more in range(max(rules.min_blocks - ratio.num_blocks, 1), most + 1):
        differs, is_equal = _chances(ratio, rules, more)
        if differs + is_equal < 0.5:
            continue
        # Of contestants that come out practically equal, the error is not asked.
        if is_equal >= differs or _of_error(error, rules, 1 if ratio.ratio < 1 else -1, more) != UNDECIDED:
            return more, ""
    if error is not None and error.difference is not None and sum(_chances(ratio, rules, most)) >= 0.5:
        for_ever = replace(error, seed_se=0.0)
        if _of_error(for_ever, rules, 1 if ratio.ratio < 1 else -1, most) == UNDECIDED:
            return None, TEST_SET_TOO_SMALL
    return None, f"more than {most} more blocks"


def _chances(ratio: TimeRatio, rules: Rules, more: int) -> tuple[float, float]:
    """Chances that after `more` blocks one is called faster, and that they are called practically equal.

    The mean then is as uncertain now as the blocks to come make it, given the blocks seen and no opinion
    before them (predictive power: Spiegelhalter, Freedman and Blackburn 1986, Monitoring clinical trials:
    conditional or predictive power?, Control. Clin. Trials 7). The noise is taken as seen.
    """
    from scipy.special import ndtr

    if ratio.ratio is None or ratio.log_sd is None:
        return 0.0, 0.0
    mean, num_blocks = math.log(ratio.ratio), ratio.num_blocks + more
    half = rules.critical_value(num_blocks) * ratio.log_sd / math.sqrt(num_blocks)
    spread = max(ratio.log_sd, 1e-12) * math.sqrt(1 / ratio.num_blocks - 1 / num_blocks)
    room = max(rules.log_margin - half, 0.0)
    is_equal = float(ndtr((room - mean) / spread) - ndtr((-room - mean) / spread))
    beyond = max(half, room)  # what lies within the margin counts as equal, even if it excludes 0
    return float(ndtr((mean - beyond) / spread) + ndtr((-mean - beyond) / spread)), is_equal
