"""Whether a contestant's epochs take one of two times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.warm_up import warm_up


def two_valued(times: NDArray[np.float64]) -> tuple[float, float] | None:
    """The two levels, in seconds, that epoch times jump between; None if they do not.

    times: seconds, shape (num_repeats, num_epochs). The rule, over all epochs after each run's warm-up, at
    least 9: split the sorted times at their widest gap; they are two-valued if the gap is at least
    15 % of the median and wider than either side's spread, and each side has a fifth of the epochs.
    """
    table = np.asarray(times, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"expected shape (num_repeats, num_epochs); got {table.shape}")
    leading = [found.num_epochs if (found := warm_up(run)) else 0 for run in table]
    steady = np.sort(np.concatenate([run[num:] for run, num in zip(table, leading, strict=True)] or [[]]))
    steady = steady[np.isfinite(steady)]
    if len(steady) < 9:
        return None
    gaps = np.diff(steady)
    split = int(np.argmax(gaps)) + 1
    low, high = steady[:split], steady[split:]
    gap = gaps[split - 1]
    distinct = gap >= 0.15 * np.median(steady) and gap > max(np.ptp(low), np.ptp(high))
    if not distinct or min(len(low), len(high)) < len(steady) / 5:
        return None
    return float(np.median(low)), float(np.median(high))
