"""With how many epochs who wins, once start-up and compilation count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.doubts import widening
from bakeoff.stats.rules import Rules
from bakeoff.stats.warm_up import warm_up


@dataclass(frozen=True)
class BreakEven:
    """Total time of a to that of b, by number of epochs.

    epochs: 1 and on. ratios, lows, highs: by number of epochs; an interval is None where there is none.
    at: number of epochs at which both take the same time, between whole ones; None if one of them is ahead
    from the first epoch to the last. low: the fewest epochs with which it is uncertain who is ahead; high:
    the most, None if it still is at the end. Both None if it is nowhere uncertain.
    """

    epochs: tuple[int, ...]
    ratios: tuple[float, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    at: float | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Costs:
    """What a contestant's runs took, one row for each block.

    once_s: seconds before training, such as start-up and the first step with its compilation, shape
    (num_blocks,). epochs_s: training seconds of each epoch, shape (num_blocks, num_epochs).
    """

    once_s: NDArray[np.float64]
    epochs_s: NDArray[np.float64]

    def totals(self, max_epochs: int) -> NDArray[np.float64]:
        """Seconds for 1 to `max_epochs` epochs, shape (num_blocks, max_epochs).

        As measured, as far as that goes; from there on each epoch takes the mean of the run's own epochs
        after its warm-up (mean, not median: a total holds the slow epochs too).
        """
        once, epochs = np.asarray(self.once_s, dtype=float), np.asarray(self.epochs_s, dtype=float)
        if epochs.ndim != 2 or epochs.shape[1] == 0 or once.shape != epochs.shape[:1]:
            raise ValueError(
                "expected shapes (num_blocks,) and (num_blocks, num_epochs), at least one epoch; "
                f"got {once.shape} and {epochs.shape}"
            )
        measured = epochs[:, :max_epochs]
        steady = np.array([run[_num_warm_up(run) :].mean() for run in epochs])
        further = np.tile(steady[:, None], (1, max_epochs - measured.shape[1]))
        return np.asarray(once[:, None] + np.cumsum(np.hstack([measured, further]), axis=1))


def break_even(a: Costs, b: Costs, max_epochs: int = 200, rules: Rules | None = None) -> BreakEven:
    """Who takes less time in all, for each number of epochs up to `max_epochs`; rows are the same blocks.

    For each number of epochs, ratio and interval are those of `time_ratio` over totals; a block with a total
    that is not finite and positive counts for none. The interval of the break-even point is the set of
    numbers of epochs whose interval includes 1, which holds as often as each of them does, and may be open:
    Fieller (1954), Some problems in interval estimation, J. R. Statist. Soc. B 16, here on the scale of log
    ratios.
    """
    of_a, of_b = a.totals(max_epochs), b.totals(max_epochs)
    if of_a.shape != of_b.shape:
        raise ValueError(f"expected the same blocks on both sides; got {len(of_a)} and {len(of_b)}")
    totals = np.stack([of_a, of_b])
    usable = (np.isfinite(totals) & (totals > 0)).all(axis=(0, 2))
    logs = np.subtract(*np.log(totals[:, usable]))
    num = len(logs)
    means = logs.mean(axis=0) if num else np.full(max_epochs, np.nan)
    critical = (rules or Rules()).critical_value(num)
    if num < 2 or math.isinf(critical):
        halves = np.full(max_epochs, np.inf)
    else:
        halves = critical * widening(logs.T) * logs.std(axis=0, ddof=1) / math.sqrt(num)
    open_at = 1 + np.flatnonzero(~(np.abs(means) > halves))
    return BreakEven(
        epochs=tuple(range(1, max_epochs + 1)),
        ratios=tuple(np.exp(means).tolist()),
        lows=_ends(means - halves),
        highs=_ends(means + halves),
        at=_crossing(means),
        low=int(open_at[0]) if len(open_at) else None,
        high=int(open_at[-1]) if len(open_at) and open_at[-1] < max_epochs else None,
    )


def _ends(logs: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(math.exp(end) if math.isfinite(end) else None for end in logs.tolist())


def _num_warm_up(run: NDArray[np.float64]) -> int:
    found = warm_up(run)
    return found.num_epochs if found else 0


def _crossing(logs: NDArray[np.float64]) -> float | None:
    """Where the last change of sign lies, by linear interpolation between whole numbers of epochs."""
    signs = np.sign(logs)
    changes = np.flatnonzero((signs[1:] != signs[:-1]) & (signs[1:] * signs[:-1] <= 0))
    if len(changes) == 0 or not np.isfinite(logs).all():
        return None
    index = int(changes[-1])
    return float(index + 1 + logs[index] / (logs[index] - logs[index + 1]))
