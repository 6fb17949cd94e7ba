"""The cheapest number of blocks, and of epochs in each run, that shows a difference of times."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bakeoff.stats.planning.components import Components
from bakeoff.stats.planning.power import ALONE, Field, blocks_needed, least_signal
from bakeoff.stats.rules import Rules

# Of a hundred estimates of the noise, so many allow at most the lower and the upper end of a range.
_RANGE = (0.1, 0.9)


@dataclass(frozen=True)
class Cost:
    """Seconds of one block, all its contestants together: before its epochs and after, and for each epoch."""

    start_s: float
    epoch_s: float

    def __post_init__(self) -> None:
        # The rest of a run's time, which the clocks of its parts may put below nothing.
        object.__setattr__(self, "start_s", max(self.start_s, 0.0))

    def of(self, num_epochs: float) -> float:
        """Seconds of a block whose runs have so many epochs."""
        return self.start_s + self.epoch_s * num_epochs


@dataclass(frozen=True)
class Design:
    """So many blocks, each run with so many epochs (below 1: with so much of the images), in seconds.

    low, high: of blocks, as the noise may be given what was seen of it; `high` is None where that is
    more than `blocks_needed` tells.
    """

    num_blocks: int
    num_epochs: float
    time_s: float
    low: int
    high: int | None


@dataclass(frozen=True)
class Resolution:
    """The least difference (0.03: times 3 % longer) that so many blocks and epochs show with 90 % power.

    low, high: as the noise may be given what was seen of it.
    """

    difference: float
    low: float
    high: float
    num_blocks: int
    num_epochs: float


def optimal_epochs(seen: Components, cost: Cost) -> float:
    """Epochs a process that make the error of the mean smallest at a given cost; infinite if only they vary.

    √(cost of a start ÷ cost of an epoch × variance of epochs ÷ variance of processes): Kalibera and Jones
    (2013), section 6. Before it is rounded, and before there have to be so many blocks at least.
    """
    if not seen.epoch:
        return 1.0
    return math.sqrt(cost.start_s / cost.epoch_s * seen.epoch / seen.process) if seen.process else math.inf


def cheapest(
    difference: float,
    seen: Components,
    cost: Cost,
    rules: Rules,
    epochs: Iterable[float],
    field: Field = ALONE,
) -> Design | None:
    """What shows a difference (0.03: times 3 % longer) with 90 % power in the least time; None if nothing.

    epochs: the numbers of epochs to choose from. Of all, since blocks are whole and few runs have wide
    intervals: the optimum of the formula (`optimal_epochs`) is that of many blocks.
    """
    asked = math.log1p(difference)
    found = [
        (blocks * cost.of(num), blocks, num)
        for num in epochs
        if (blocks := blocks_needed(asked / seen.log_sd(num), rules, field)) is not None
    ]
    if not found:
        return None
    time_s, blocks, num = min(found)
    low, high = np.quantile(seen.plausible_log_sds(num), _RANGE)
    fewest = blocks_needed(asked / low, rules, field)
    return Design(
        blocks, num, time_s, min(fewest or blocks, blocks), blocks_needed(asked / high, rules, field)
    )


def resolution(
    num_blocks: int, num_epochs: float, seen: Components, rules: Rules, field: Field = ALONE
) -> Resolution | None:
    """What so many blocks, of runs with so many epochs, can tell apart; None if they are too few for it."""
    signal = least_signal(num_blocks, rules, field)
    if math.isinf(signal):
        return None
    low, high = np.quantile(seen.plausible_log_sds(num_epochs), _RANGE)
    least, *ends = (math.expm1(signal * sd) for sd in (seen.log_sd(num_epochs), float(low), float(high)))
    return Resolution(least, min(ends[0], least), max(ends[1], least), num_blocks, num_epochs)


def finest(
    seconds: float, seen: Components, cost: Cost, rules: Rules, epochs: Iterable[float]
) -> Resolution | None:
    """The best that can be told apart in so much time, over the numbers of epochs; None if nothing fits."""
    found = [resolution(int(seconds / cost.of(num)), num, seen, rules) for num in epochs]
    return min((one for one in found if one is not None), key=lambda one: one.difference, default=None)
