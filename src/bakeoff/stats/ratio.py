"""Ratio of two contestants' times, from the blocks in which both ran."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.doubts import widening
from bakeoff.stats.noise import Lent, Noise, noise
from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values


@dataclass(frozen=True)
class TimeRatio:
    """Ratio of a's times to b's: geometric mean over blocks, each a process of both; below 1, a is faster.

    ratio: None without a block. low, high: interval; None where too little is known of the noise. num_blocks:
    blocks that counted. log_sd: standard deviation of these blocks' log ratios (0.06: about 6 %); None below
    two. median: of the blocks' ratios. widening: the factor by which the interval is wider because blocks
    depend on the ones before; 1 where they were not found to. noise: what the interval of a number of blocks
    fixed beforehand rests on, and projections; None below two blocks.
    """

    ratio: float | None
    low: float | None
    high: float | None
    num_blocks: int
    log_sd: float | None
    median: float | None = None
    widening: float = 1.0
    noise: Noise | None = None

    @property
    def inverse(self) -> TimeRatio:
        """The same, seen from b."""
        return replace(
            self,
            ratio=None if self.ratio is None else 1 / self.ratio,
            low=None if self.high is None else 1 / self.high,
            high=None if self.low is None else 1 / self.low,
            median=None if self.median is None else 1 / self.median,
        )

    def half_width(self, rules: Rules) -> float:
        """Half of the interval's width on the scale of log ratios; infinite where there is none."""
        if self.noise is None or self.log_sd is None:
            return math.inf
        if rules.is_sequential:
            critical, log_sd = rules.critical_value(self.num_blocks), self.log_sd
        else:
            critical, log_sd = rules.student(self.noise.df), self.noise.log_sd
        if math.isinf(critical):
            return math.inf
        return critical * self.widening * log_sd / math.sqrt(self.num_blocks)


def time_ratio(
    times_a: Values, times_b: Values, rules: Rules | None = None, lent: Lent | None = None
) -> TimeRatio:
    """How a's times compare with b's, block by block: seconds, shape (num_blocks,), in the blocks' order.

    lent: what other runs show of the noise (`noise.lend`), for where blocks are few.

    The interval is that of the mean log ratio: Student's for a number of blocks fixed beforehand, otherwise
    the one that holds at every look, for which nothing is borrowed; wider where neighbouring blocks are found
    to depend on one another (`doubts.widening`). Logarithms, because noise of times is multiplicative and a/b
    should be the inverse of b/a. Blocks with a time that is not finite and positive do not count.
    """
    rules = rules or Rules()
    a, b = usable_logs(times_a, times_b)
    in_order = a - b
    logs = np.sort(in_order)  # so that rounding does not depend on the order
    num = len(logs)
    if num == 0:
        return TimeRatio(None, None, None, 0, None)
    mean = float(logs.mean())
    known = TimeRatio(
        ratio=math.exp(mean),
        low=None,
        high=None,
        num_blocks=num,
        log_sd=float(logs.std(ddof=1)) if num > 1 else None,
        median=math.exp(float(np.median(logs))),
        widening=float(widening(in_order)),
        noise=noise(logs, None if rules.is_sequential else lent),
    )
    half = known.half_width(rules)
    if math.isinf(half):
        return known
    return replace(known, low=math.exp(mean - half), high=math.exp(mean + half))


def usable_logs(times_a: Values, times_b: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log times of the blocks in which both are finite and positive.

    Raises:
        ValueError: the two are no one-dimensional arrays of one length.
    """
    a, b = np.asarray(times_a, dtype=float), np.asarray(times_b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two one-dimensional arrays of one length; got {a.shape}, {b.shape}")
    usable = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    return np.log(a[usable]), np.log(b[usable])
