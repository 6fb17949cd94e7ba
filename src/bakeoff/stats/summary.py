"""What is known of one quantity after a few repeats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]

# Between what a quantity lies: times and sizes, shares, all else. An interval stays inside.
POSITIVE, SHARE, REAL = (0.0, math.inf), (0.0, 1.0), (-math.inf, math.inf)
Bounds = tuple[float, float]

# Values from which an interval is given: of two, Student's is so long that it says nothing.
MIN_INTERVAL = 3


@dataclass(frozen=True)
class Summary:
    """Description of a sample, in the unit of its values.

    num: values that counted. mean, minimum, maximum, median: None without any. variance, sd: of the
    sample (divided by num - 1), None below two. low, high: interval of the mean within what the quantity can
    be, None below `MIN_INTERVAL`. num_left_out: values that were no finite number.
    """

    num: int
    mean: float | None = None
    variance: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    num_left_out: int = 0


def summarize(values: Values, confidence: float = 0.95, bounds: Bounds = REAL) -> Summary:
    """Number, mean, spread and range of `values`, with an interval of the mean; any order.

    bounds: between what the quantity lies, see `mean_interval`.
    """
    every = np.asarray(values, dtype=float).ravel()
    kept = np.sort(every[np.isfinite(every)])  # sorted: sums do not depend on the order of rows
    num, left_out = len(kept), int(len(every) - len(kept))
    if num == 0:
        return Summary(0, num_left_out=left_out)
    mean = float(np.clip(kept.mean(), kept[0], kept[-1]))  # rounding must not push it out of the range
    variance = float(kept.var(ddof=1)) if num > 1 else None
    interval = mean_interval(kept, confidence, bounds)
    return Summary(
        num=num,
        mean=mean,
        variance=variance,
        sd=None if variance is None else variance**0.5,
        minimum=float(kept[0]),
        maximum=float(kept[-1]),
        median=float(np.median(kept)),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        num_left_out=left_out,
    )


def mean_interval(
    values: Values, confidence: float = 0.95, bounds: Bounds = REAL
) -> tuple[float, float] | None:
    """Low and high end of the interval of the mean; None below `MIN_INTERVAL` values.

    Student's t (1908, The probable error of a mean), exact for normal values. Of what can't be negative it is
    taken of the mean's logarithm, of shares of its logit, with the standard error by the delta method, and
    turned back, so that no end lies where the quantity can't be (Agresti 2013, Categorical data analysis,
    3rd ed., sections 3.1 and 16.1). Of values without spread, and at a bound, it is the mean alone.
    """
    kept = np.sort(np.asarray(values, dtype=float))
    if len(kept) < MIN_INTERVAL:
        return None
    from scipy.special import expit, logit, stdtrit  # a tenth of the start-up time of scipy.stats

    half = float(stdtrit(len(kept) - 1, 0.5 + confidence / 2) * kept.std(ddof=1) / np.sqrt(len(kept)))
    mean = float(kept.mean())
    if bounds == REAL:
        return mean - half, mean + half
    if half == 0 or not bounds[0] < mean < bounds[1]:
        return mean, mean
    if bounds == POSITIVE:
        factor = math.exp(min(half / mean, _MAX_EXPONENT))
        return mean / factor, mean * factor
    if bounds != SHARE:
        raise ValueError(f"expected REAL, POSITIVE or SHARE; got {bounds}")
    middle, half = float(logit(mean)), half / (mean * (1 - mean))
    return float(expit(middle - half)), float(expit(middle + half))


_MAX_EXPONENT = 500.0  # of what a float can hold


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The narrowest pair of order statistics that covers the median with 95 %, else all; and its coverage.

    Source: the sign test; coverage of (x_(k), x_(n+1-k)) is 1 - 2 P(Binomial(n, 1/2) < k).
    """
    ordered, n = sorted(values), len(values)

    def coverage(k: int) -> float:
        return 1 - 2 * float(sum(math.comb(n, below) for below in range(k)) / 2**n)

    k = max((k for k in range(1, n // 2 + 1) if coverage(k) >= 0.95), default=1)
    return ordered[k - 1], ordered[n - k], coverage(k)
