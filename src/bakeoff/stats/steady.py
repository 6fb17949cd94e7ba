"""How many leading epochs are warm-up, so that what follows is steady."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Fewer epochs than this have no second half to compare with.
MIN_EPOCHS = 4


def warm_up_epochs(times: NDArray[np.float64]) -> int | None:
    """Number of leading epochs that are slower than what follows; None if there are too few to say.

    times: seconds, shape (num_repeats, num_epochs). The rule, on the median over repeats: an epoch
    is warm-up if it takes longer than the median of the second half by more than 5 % and by more
    than three times that half's scaled median absolute deviation (1.4826 x MAD estimates a normal
    standard deviation), and if all epochs before it are warm-up. Never more than half of them.
    """
    table = np.asarray(times, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"expected shape (num_repeats, num_epochs); got {table.shape}")
    table = table[np.isfinite(table).all(axis=1)]
    if len(table) == 0 or table.shape[1] < MIN_EPOCHS:
        return None
    curve = np.median(table, axis=0)
    half = len(curve) // 2
    tail = curve[half:]
    centre = float(np.median(tail))
    spread = 1.4826 * float(np.median(np.abs(tail - centre)))
    slow = curve[:half] > centre + max(0.05 * centre, 3 * spread)
    return int(np.argmin(slow)) if not slow.all() else half


def two_valued(times: NDArray[np.float64]) -> tuple[float, float] | None:
    """The two levels, in seconds, that epoch times jump between; None if they do not.

    times: seconds, shape (num_repeats, num_epochs). The rule, over all epochs after the warm-up, at
    least 10: split the sorted times at their widest gap; they are two-valued if the gap is at least
    15 % of the median and wider than either side's spread, and each side has a fifth of the epochs.
    """
    table = np.asarray(times, dtype=float)
    steady = np.sort(table[:, warm_up_epochs(table) or 0 :].ravel())
    steady = steady[np.isfinite(steady)]
    if len(steady) < 10:
        return None
    gaps = np.diff(steady)
    split = int(np.argmax(gaps)) + 1
    low, high = steady[:split], steady[split:]
    gap = gaps[split - 1]
    distinct = gap >= 0.15 * np.median(steady) and gap > max(np.ptp(low), np.ptp(high))
    if not distinct or min(len(low), len(high)) < len(steady) / 5:
        return None
    return float(np.median(low)), float(np.median(high))
