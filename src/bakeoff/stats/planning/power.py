"""How large a difference of times so many blocks show, and how many blocks show a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.comparison import MIN_BLOCKS
from bakeoff.stats.noise import Lent, borrowed_df
from bakeoff.stats.planning.projection import MAX_PROJECTED
from bakeoff.stats.rules import Rules

Array = NDArray[np.float64]

# Of studies, the share that finds the difference that they were planned for.
POWER = 0.9
# Studies that are simulated; seeded, so that the same question has the same answer.
_NUM_SIMULATED = 2000
_SEED = 20261125


@dataclass(frozen=True)
class Field:
    """Who lends noise where blocks are few (`noise.lend`): races with the same contestants, and how many."""

    num_races: int = 1
    num_contestants: int = 2


ALONE = Field()


def least_signal(num_blocks: int, rules: Rules, field: Field = ALONE) -> float:
    """The least difference of log times that so many blocks show, in standard deviations of a log ratio.

    With a power of 90 %: the interval excludes 1 in nine of ten studies; where blocks are added until all is
    decided, within so many. Infinite for fewer blocks than have an interval. Noise is normal, and as large
    everywhere. Beyond `MAX_PROJECTED` blocks fixed beforehand it falls with their square root; of more that
    are added one by one, what the last of these show.
    """
    known = _least_signals(rules, field)
    if num_blocks <= MAX_PROJECTED:
        return float(known[num_blocks])
    return float(known[-1]) * (1.0 if rules.is_sequential else math.sqrt(MAX_PROJECTED / num_blocks))


def blocks_needed(signal: float, rules: Rules, field: Field = ALONE) -> int | None:
    """The fewest blocks that show a difference, in the unit of `least_signal`.

    None where blocks are added until all is decided, and it takes more than `MAX_PROJECTED`.
    """
    known = _least_signals(rules, field)
    enough = np.flatnonzero(known <= signal)
    if len(enough):
        return int(enough[0])
    return None if rules.is_sequential else math.ceil(MAX_PROJECTED * (float(known[-1]) / signal) ** 2)


@lru_cache(maxsize=16)
def _least_signals(rules: Rules, field: Field) -> Array:
    """By number of blocks from 0 to `MAX_PROJECTED`."""
    found = np.full(MAX_PROJECTED + 1, np.inf)
    num_blocks = np.arange(MIN_BLOCKS, MAX_PROJECTED + 1)
    critical = np.array([rules.critical_value(int(num)) for num in num_blocks])
    found[MIN_BLOCKS:] = (_until_decided if rules.is_sequential else _fixed)(num_blocks, critical)
    if not rules.is_sequential:
        found[2:MIN_BLOCKS] = [_borrowing(num, rules, field) for num in range(2, MIN_BLOCKS)]
    return found


def _borrowing(num_blocks: int, rules: Rules, field: Field) -> float:
    """By simulation of the sums of squares that `noise.noise` compares: independent, each a chi-square."""
    own_df = num_blocks - 1
    lent = Lent(pair_df=own_df * (field.num_races - 1), race_df=max(own_df * (field.num_contestants - 2), 0))
    random = np.random.default_rng(_SEED)
    own, pair, race = (
        random.chisquare(df, _NUM_SIMULATED) if df else np.zeros(_NUM_SIMULATED)
        for df in (own_df, lent.pair_df, lent.race_df)
    )
    variance = np.maximum((own + pair) / (own_df + lent.pair_df), (own + race) / (own_df + lent.race_df))
    critical = rules.student(borrowed_df(own_df, lent))
    least = critical * np.sqrt(variance) - random.normal(size=_NUM_SIMULATED)
    return float(np.quantile(least, POWER, method="higher")) / math.sqrt(num_blocks)


def _fixed(num_blocks: NDArray[np.int64], critical: Array) -> Array:
    """By the noncentral t distribution, approximated as in Abramowitz and Stegun (1964), 26.7.10.

    The power that it gives is 90 % to a tenth of a point from three blocks on. The chance of a call the
    wrong way round is neglected.
    """
    from scipy.special import ndtri

    freedom = num_blocks - 1
    shift = critical * (1 - 1 / (4 * freedom)) + ndtri(POWER) * np.sqrt(1 + critical**2 / (2 * freedom))
    return np.asarray(shift / np.sqrt(num_blocks))


def _until_decided(num_blocks: NDArray[np.int64], critical: Array) -> Array:
    """By simulation: at each look of each study a signal has to exceed this to be seen by then."""
    noise = np.random.default_rng(_SEED).normal(size=(_NUM_SIMULATED, MAX_PROJECTED))
    sums, squares = (table.cumsum(axis=1)[:, num_blocks - 1] for table in (noise, noise**2))
    mean = sums / num_blocks
    errors = np.sqrt((squares - num_blocks * mean**2) / (num_blocks - 1) / num_blocks)
    least = np.minimum.accumulate(critical * errors - mean, axis=1)
    return np.asarray(np.quantile(least, POWER, axis=0, method="higher"))
