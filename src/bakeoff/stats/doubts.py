"""What a pair's blocks show that Student's interval does not allow for: dependence, two values, outliers.

Each rule is right about normal, independent log ratios in 95 % at least, and says nothing below six blocks.
All functions take log ratios, shape (..., num_blocks), in the order of the blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.comparison import MIN_BLOCKS

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Variation below this is rounding.
_ROUNDING = 1e-9


class Finding(StrEnum):
    """What was found in a pair's blocks."""

    DEPENDENT = "blocks depend on the ones before"
    TWO_VALUED = "takes one of two times"
    OUTLIERS = "outliers"


@dataclass(frozen=True)
class Doubt:
    """One finding, and the number that it rests on.

    of: whose own times show it most, 0 for the first contestant and 1 for the second; None where only their
    ratio does. value: of `DEPENDENT`, the correlation of neighbouring blocks; of `TWO_VALUED`, the longer of
    the two times divided by the shorter; of `OUTLIERS`, the number of blocks.
    """

    finding: Finding
    of: int | None
    value: float

    @property
    def inverse(self) -> Doubt:
        """The same, with the contestants exchanged."""
        return replace(self, of=None if self.of is None else 1 - self.of)


def doubts(logs_a: Array, logs_b: Array) -> tuple[Doubt, ...]:
    """What the log times of a and b, shape (num_blocks,), in the same blocks and in their order, show.

    The machine's moods cancel in the ratios, so that what these show is of one contestant alone: of the one
    whose own times differ more between the blocks that stand out and the others.
    """
    logs = logs_a - logs_b
    found = []
    if bool(is_dependent(logs)):
        found.append(Doubt(Finding.DEPENDENT, None, float(correlation(logs))))
    if bool(is_two_valued(logs)):
        cut = _cut(np.sort(logs))
        upper = logs >= cut
        step = float(np.median(logs[upper]) - np.median(logs[~upper]))
        found.append(Doubt(Finding.TWO_VALUED, _whose(logs_a, logs_b, upper), math.exp(step)))
    elif bool(has_outliers(logs)):
        outlying = _outlying(logs)
        found.append(Doubt(Finding.OUTLIERS, _whose(logs_a, logs_b, outlying), float(outlying.sum())))
    return tuple(found)


def correlation(logs: Array) -> Array:
    """Correlation of neighbouring blocks, without the bias of small numbers; 0 below `MIN_BLOCKS`.

    The correction alone would lead beyond 1 where blocks drift one way.

    Source of the correction: Kendall (1954), Note on bias in the estimation of autocorrelation,
    Biometrika 41.
    """
    num = logs.shape[-1]
    if num < MIN_BLOCKS:
        return np.zeros(logs.shape[:-1])
    raw = _serial(logs)
    return np.asarray(np.clip(raw + (1 + 3 * raw) / num, -1.0, 1.0))


def is_dependent(logs: Array) -> Bools:
    """Whether neighbouring blocks are more alike than chance makes them, at 5 %.

    Mean and variance of the serial correlation of values in random order: Moran (1948), Some theorems on time
    series II, Biometrika 35.
    """
    num = logs.shape[-1]
    if num < MIN_BLOCKS:
        return np.zeros(logs.shape[:-1], dtype=bool)
    return np.asarray((_serial(logs) + 1 / num) * num * math.sqrt(num - 1) / (num - 2) > 1.645)


def widening(logs: Array) -> Array:
    """By what factor dependence widens the interval of the mean: 1 where none is found.

    Of a first-order autoregression, the variance of the mean grows by (1 + r) / (1 - r): Bartlett (1946), On
    the theoretical specification and sampling properties of autocorrelated time-series, Suppl. J. R. Statist.
    Soc. 8.
    """
    r = np.clip(correlation(logs), 0.0, 0.9)
    return np.asarray(np.where(is_dependent(logs), np.sqrt((1 + r) / (1 - r)), 1.0))


def is_two_valued(logs: Array) -> Bools:
    """Whether two groups, each a fifth of the blocks and two at least, explain more than chance does, at 5 %.

    The best split leaves a share of the sum of squares. Of normal values, split at their mean, 1 - 2 / π
    remains; 0.7 / √n less is what one in twenty samples has, by simulation for 6 to 60 blocks.
    """
    num = logs.shape[-1]
    if num < MIN_BLOCKS:
        return np.zeros(logs.shape[:-1], dtype=bool)
    ordered = np.sort(logs, axis=-1)
    total = ((ordered - ordered.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    share = 1 - 2 / math.pi - 0.7 / math.sqrt(num)
    return np.asarray((_within(ordered).min(axis=-1) < share * total) & (total > _ROUNDING**2))


def has_outliers(logs: Array) -> Bools:
    """Whether the block that lies farthest out lies farther than chance makes it, at 1 %.

    Source: Grubbs (1950), Sample criteria for testing outlying observations, Ann. Math. Statist. 21.
    """
    num = logs.shape[-1]
    if num < MIN_BLOCKS:
        return np.zeros(logs.shape[:-1], dtype=bool)
    return np.asarray(_deviation(logs).max(axis=-1) > _grubbs(num))


def _serial(logs: Array) -> Array:
    centred = logs - logs.mean(axis=-1, keepdims=True)
    square = np.maximum((centred**2).sum(axis=-1), _ROUNDING**2)
    return np.asarray((centred[..., 1:] * centred[..., :-1]).sum(axis=-1) / square)


def _within(ordered: Array) -> Array:
    """Sum of squares within the two groups, by split: the first `_splits` values against the rest."""
    centred = ordered - ordered.mean(axis=-1, keepdims=True)
    sums, squares = np.cumsum(centred, axis=-1), np.cumsum(centred**2, axis=-1)
    num = ordered.shape[-1]
    first = _splits(num)
    low = squares[..., first - 1] - sums[..., first - 1] ** 2 / first
    high_sum, high_square = sums[..., -1:] - sums[..., first - 1], squares[..., -1:] - squares[..., first - 1]
    return np.asarray(low + high_square - high_sum**2 / (num - first))


def _splits(num: int) -> NDArray[np.int64]:
    least = max(2, math.ceil(num / 5))
    return np.arange(least, num - least + 1)


def _cut(ordered: Array) -> float:
    """The least value of the upper one of the two groups."""
    return float(ordered[_splits(len(ordered))[int(np.argmin(_within(ordered)))]])


def _deviation(logs: Array) -> Array:
    """Distance from the mean in standard deviations."""
    sd = logs.std(axis=-1, ddof=1, keepdims=True)
    return np.asarray(np.abs(logs - logs.mean(axis=-1, keepdims=True)) / np.maximum(sd, _ROUNDING))


def _grubbs(num: int) -> float:
    from scipy.special import stdtrit  # a tenth of the start-up time of scipy.stats

    square = float(stdtrit(num - 2, 0.01 / (2 * num))) ** 2
    return (num - 1) / math.sqrt(num) * math.sqrt(square / (num - 2 + square))


def _outlying(logs: Array) -> Bools:
    """Blocks that lie out, one after the other, each tested among those that are left."""
    outlying = np.zeros(len(logs), dtype=bool)
    while (left := int((~outlying).sum())) >= MIN_BLOCKS and bool(has_outliers(logs[~outlying])):
        inside = np.flatnonzero(~outlying)
        outlying[inside[int(np.argmax(_deviation(logs[inside])))]] = True
        if left == MIN_BLOCKS:
            break
    return outlying


def _whose(logs_a: Array, logs_b: Array, group: Bools) -> int:
    """The contestant whose own times differ more between the blocks of a group and the others."""
    apart = [abs(float(np.median(one[group]) - np.median(one[~group]))) for one in (logs_a, logs_b)]
    return 0 if apart[0] >= apart[1] else 1
