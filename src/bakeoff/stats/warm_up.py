"""Where one run's epochs become steady."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.summary import Values

# Fewer epochs than this have no second half to compare with.
MIN_EPOCHS = 4


@dataclass(frozen=True)
class WarmUp:
    """Leading epochs of one run that are slower than what follows.

    num_epochs: how many. excess_s: what they took beyond as many steady ones, in seconds. steady_s: median
    of the epochs after them. is_steady: False if there is no telling where it ends: the whole first half
    is slower than the second, or the second half itself still changes.
    """

    num_epochs: int
    excess_s: float
    steady_s: float
    is_steady: bool


def warm_up(times: Values) -> WarmUp | None:
    """Warm-up of one run; None below 4 epochs. times: seconds by epoch, shape (num_epochs,).

    The rule: an epoch is warm-up if it takes 5 % longer than nine in ten epochs of the second half, and
    longer than their median by three times their scaled median absolute deviation (1.4826 x MAD estimates a
    normal standard deviation), and if all before it are. Epochs that jump between two lengths are no warm-up:
    the longer ones are among the nine in ten.

    From 12 epochs on, the second half still changes if all epochs of its first half lie above, or all below,
    all of its last half, by 5 % of their medians.

    MSER-5 (White 1997, An effective truncation heuristic for bias reduction in simulation output, Simulation
    69) cuts where the rest has the least standard error. It is made for thousands of values: of so few it
    cuts off some by chance in a third of the runs or more (benchmarks/verdicts.py has both rules' figures).
    """
    seconds = np.asarray(times, dtype=float)
    if seconds.ndim != 1:
        raise ValueError(f"expected shape (num_epochs,); got {seconds.shape}")
    if len(seconds) < MIN_EPOCHS or not np.isfinite(seconds).all():
        return None
    half = len(seconds) // 2
    tail = seconds[half:]
    centre = _quantile(tail, 0.5)
    spread = 1.4826 * _quantile(np.abs(tail - centre), 0.5)
    slow = seconds[:half] > max(1.05 * _quantile(tail, 0.9), centre + 3 * spread)
    num = half if slow.all() else int(np.argmin(slow))
    steady = _quantile(seconds[num:], 0.5)
    is_steady = not slow.all() and not _changes(tail)
    return WarmUp(num, float(seconds[:num].sum()) - num * steady, steady, is_steady)


def _quantile(values: NDArray[np.float64], share: float) -> float:
    """As `numpy.quantile`, which takes ten times as long on so few values; a report has thousands of runs."""
    place = share * (len(values) - 1)
    below = int(place)
    ends = np.sort(values)[below : below + 2]
    return float(ends[0] + (ends[-1] - ends[0]) * (place - below))


def _changes(tail: NDArray[np.float64]) -> bool:
    """Whether the second half of a run still gets faster, or slower."""
    middle = len(tail) // 2
    if middle < 3:
        return False  # so few are all longer or all shorter by chance
    early, late = tail[:middle], tail[middle:]
    if early.min() <= late.max() and late.min() <= early.max():
        return False
    return bool(abs(np.log(np.median(early) / np.median(late))) > np.log(1.05))
