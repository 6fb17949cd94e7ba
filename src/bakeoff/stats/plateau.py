"""Where the error stops improving: the study's "50 epochs are enough", computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# Epochs averaged before anything is compared: one epoch's error is mostly noise.
WINDOW = 5
# An improvement below this does not count: 0.1 percentage points, about the binomial standard error
# of an error rate of 1 % on 10,000 test images.
MARGIN = 0.001
# Standard errors that count as noise. Three, not two: the best of many later windows lies below its
# true level by chance alone (the lowest of 40 independent means by 2.2 standard errors on average).
NUM_SE = 3.0


@dataclass(frozen=True)
class Plateau:
    """Where the mean error over the repeats stops improving.

    epoch: middle of the first window that no later window beats by more than the tolerance; None if
    there is none. reason: why there is none, for people. tolerance: improvement that does not count,
    a fraction; None where it could not be computed. remaining: by window, the improvement that was
    still to come, a fraction, and 0 where none was; shape (num_windows,). epochs: middle epoch of
    each window, from 1; shape (num_windows,).
    """

    epoch: int | None
    reason: str
    tolerance: float | None
    epochs: tuple[int, ...] = ()
    remaining: tuple[float, ...] = ()


def plateau(errors: NDArray[np.float64], margin: float = MARGIN, window: int = WINDOW) -> Plateau:
    """The first epoch after which the error no longer improves; see `Plateau`.

    errors: fractions, shape (num_repeats, num_epochs); rows with a value that is no finite number do
    not count. The rule: average over `window` epochs and all repeats; the plateau begins with the
    first window that no later window undercuts by more than the tolerance, the larger of `margin`
    and three standard errors of the difference of two windows. The standard error comes from the
    scatter of single epochs about their mean curve, each repeat's own offset taken out, over the
    second half of the epochs. A plateau must be seen to last: what could begin only in the last quarter
    of the epochs counts as still improving.
    """
    table = np.asarray(errors, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"expected shape (num_repeats, num_epochs); got {table.shape}")
    table = table[np.isfinite(table).all(axis=1)]
    num_repeats, num_epochs = table.shape
    if num_epochs < 2 * window:
        return Plateau(None, f"too few epochs: {num_epochs}, at least {2 * window} are needed", None)
    if num_repeats < 2:
        return Plateau(None, "too few repeats to know the noise: at least 2 are needed", None)

    table = table[np.lexsort(table.T[::-1])]  # sums do not depend on the order of rows
    levels = sliding_window_view(table.mean(axis=0), window).mean(axis=1)
    later = np.minimum.accumulate(levels[::-1])[::-1]
    remaining = levels - later
    tolerance = max(margin, NUM_SE * _noise(table) * float(np.sqrt(2 / (num_repeats * window))))
    epochs = np.arange(len(levels)) + 1 + window // 2
    last_start = min(num_epochs - 2 * window, num_epochs - num_epochs // 4)
    candidates = np.flatnonzero(remaining[: last_start + 1] <= tolerance)
    epoch = int(epochs[candidates[0]]) if len(candidates) else None
    return Plateau(
        epoch=epoch,
        reason="" if epoch else f"still improving at epoch {num_epochs}",
        tolerance=tolerance,
        epochs=tuple(int(value) for value in epochs),
        remaining=tuple(float(value) for value in remaining),
    )


def _noise(table: NDArray[np.float64]) -> float:
    """Standard deviation of one epoch's error about its mean curve, repeats' offsets taken out.

    The residual of a two-way layout without interaction, (repeats - 1)(epochs - 1) degrees of freedom.
    """
    tail = table[:, table.shape[1] // 2 :]
    residual = tail - tail.mean(axis=0) - tail.mean(axis=1, keepdims=True) + tail.mean()
    freedom = (tail.shape[0] - 1) * (tail.shape[1] - 1)
    return float(np.sqrt((residual**2).sum() / freedom))
