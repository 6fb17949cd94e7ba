"""What is known of one quantity after a few repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Description of a sample, in the unit of its values.

    num: values that counted. mean, minimum, maximum, median: None without any. variance, sd: of the
    sample (divided by num - 1), None below two. low, high: Student's t interval of the mean, None
    below two. num_left_out: values that were no finite number.
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


def summarize(values: Values, confidence: float = 0.95) -> Summary:
    """Number, mean, spread and range of `values`, with a t interval of the mean; any order."""
    every = np.asarray(values, dtype=float).ravel()
    kept = np.sort(every[np.isfinite(every)])  # sorted: sums do not depend on the order of rows
    num, left_out = len(kept), int(len(every) - len(kept))
    if num == 0:
        return Summary(0, num_left_out=left_out)
    mean = float(np.clip(kept.mean(), kept[0], kept[-1]))  # rounding must not push it out of the range
    variance = float(kept.var(ddof=1)) if num > 1 else None
    interval = mean_interval(kept, confidence)
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


def mean_interval(values: Values, confidence: float = 0.95) -> tuple[float, float] | None:
    """Low and high end of Student's t interval of the mean; None below two values.

    Source: Student (1908), The probable error of a mean. Exact for normal values.
    """
    kept = np.sort(np.asarray(values, dtype=float))
    if len(kept) < 2:
        return None
    from scipy.special import stdtrit  # a tenth of the start-up time of scipy.stats

    half = float(stdtrit(len(kept) - 1, 0.5 + confidence / 2) * kept.std(ddof=1) / np.sqrt(len(kept)))
    mean = float(kept.mean())
    return mean - half, mean + half
