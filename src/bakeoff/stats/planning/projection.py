"""How many more blocks a pair that is undecided would take: simulated from what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.comparison import MIN_BLOCKS
from bakeoff.stats.error_difference import ErrorDifference
from bakeoff.stats.noise import Noise
from bakeoff.stats.ratio import TimeRatio
from bakeoff.stats.rules import Rules

Array = NDArray[np.float64]

# Blocks in all beyond which a projection only says that it would take more.
MAX_PROJECTED = 400
# Of a hundred futures, so many need at most the lower, the middle and the upper number of blocks.
_RANGE = (0.1, 0.5, 0.9)
# A range whose upper end is so many times its middle predicts nothing.
_TOO_WIDE = 10
_NUM_FUTURES = 400
_SEED = 20261126


class Obstacle(StrEnum):
    """Why it is not said how many more blocks would tell."""

    TOO_FEW_BLOCKS = "too few blocks to predict how many more"
    UNPREDICTABLE = "anything between few and very many more blocks"
    TOO_MANY_BLOCKS = "more blocks than are projected"
    TEST_SET_TOO_SMALL = "the test set is too small to tell about the error, with any number of blocks"


@dataclass(frozen=True)
class MoreBlocks:
    """How many more blocks would decide a pair, if they are judged at every look.

    num: with so many, the chance of a decision is one half. low, high: one in ten futures is decided with
    fewer than `low`, one in ten only with more than `high`.
    """

    num: int
    low: int
    high: int


def project(
    ratio: TimeRatio, error: ErrorDifference | None, rules: Rules
) -> tuple[MoreBlocks | None, Obstacle | None]:
    """How many more blocks it takes until a pair is decided; or None, and why that is not said.

    ratio, error: what is known of an undecided pair. Blocks that are added are added after a look, so that
    they are judged by the sequential rule, whatever rule the blocks so far were planned by.

    Futures are drawn from the predictive distribution: mean and variance of the blocks to come from their
    posterior given those seen (the variance's with what was borrowed), with no opinion before (Jeffreys's
    prior: variance from an inverse chi-square, mean from a normal about the one seen, so that the next block
    is Student's t: Box and Tiao 1973, Bayesian inference in statistical analysis, section 2.4), then block
    after block until a look decides. So predictive power (Spiegelhalter, Freedman and Blackburn 1986,
    Control. Clin. Trials 7) integrates over the unknown standard deviation as well. Seeded: the same blocks
    always have the same projection. Nothing is projected from errors of fewer than `MIN_BLOCKS` blocks.
    """
    if ratio.ratio is None or ratio.log_sd is None or math.isinf(ratio.half_width(rules)):
        return None, Obstacle.TOO_FEW_BLOCKS
    if error is not None and (error.difference is None or error.seed_se is None):
        return None, Obstacle.TOO_FEW_BLOCKS
    if error is not None and error.num_blocks < MIN_BLOCKS:  # too little is known of its seeds
        is_told = abs(math.log(ratio.ratio)) > ratio.half_width(rules)
        mine = error if ratio.ratio < 1 else error.inverse
        is_stuck = is_told and _is_stuck(mine, replace(rules, is_sequential=True))
        return None, Obstacle.TEST_SET_TOO_SMALL if is_stuck else Obstacle.TOO_FEW_BLOCKS
    if ratio.ratio > 1:  # so that a pair seen from either side has the same futures
        ratio, error = ratio.inverse, error.inverse if error is not None else None
    then = replace(rules, is_sequential=True)
    looks = _looks(ratio.num_blocks)
    times = _futures(math.log(ratio.ratio or 1.0), ratio.log_sd or 0.0, ratio.num_blocks, 0, ratio.noise)
    critical = np.array([then.critical_value(int(num)) for num in looks])
    half = critical * ratio.widening * times.standard_error
    is_equal = np.abs(times.mean) + half < rules.log_margin
    differs = (np.abs(times.mean) > half) & ~is_equal
    is_stuck = False
    if error is not None:
        answers, never = _on_error(error, times.mean, critical, then)
        is_stuck = bool(differs[:, -1].mean() >= 0.5 and never[differs[:, -1]].mean() >= 0.9)
        differs &= answers
    decided = is_equal | differs
    first = np.where(decided.any(axis=1), decided.argmax(axis=1), len(looks))
    needed = np.append(looks - ratio.num_blocks, np.inf)[first]
    low, middle, high = np.quantile(needed, _RANGE, method="higher")
    if math.isinf(middle):
        return None, Obstacle.TEST_SET_TOO_SMALL if is_stuck else Obstacle.TOO_MANY_BLOCKS
    if high > _TOO_WIDE * middle:
        return None, Obstacle.UNPREDICTABLE
    return MoreBlocks(int(middle), int(low), int(high)), None


def _is_stuck(error: ErrorDifference, rules: Rules) -> bool:
    """Whether the test set's share alone keeps the faster one's error open, if the difference is as seen."""
    of_test_set = rules.test_set_quantile * (error.test_set_se or 0.0)
    difference = error.difference or 0.0
    return difference + of_test_set >= rules.error_margin and difference - of_test_set <= 0


def _on_error(
    error: ErrorDifference, mean: Array, critical: Array, rules: Rules
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the faster one's error is known to be non-inferior or worse at each look; and if it never is.

    mean: log ratio of times at each look, whose sign says who is faster. Never, that is if the seeds' share
    of chance had vanished: the test set's stays.
    """
    num = error.num_blocks
    futures = _futures(error.difference or 0.0, (error.seed_se or 0.0) * math.sqrt(num), num, 1)
    of_test_set = rules.test_set_quantile * (error.test_set_se or 0.0)
    half = np.hypot(critical * futures.standard_error, of_test_set)
    excess = -np.sign(mean) * futures.mean
    in_the_end = -np.sign(mean[:, -1]) * futures.limit
    answers = (excess + half < rules.error_margin) | (excess - half > 0)
    never = (in_the_end + of_test_set >= rules.error_margin) & (in_the_end - of_test_set <= 0)
    return answers, never


@dataclass(frozen=True)
class _Futures:
    """Mean of all blocks and its standard error, shape (num_futures, num_looks), and the mean in the end."""

    mean: Array
    standard_error: Array
    limit: Array


def _looks(num_blocks: int) -> NDArray[np.int64]:
    """Blocks in all at which a future is looked at: each of the next 40, then every twentieth part more."""
    first = max(num_blocks + 1, MIN_BLOCKS)
    looks = list(range(first, first + 40))
    while looks[-1] < MAX_PROJECTED:
        looks.append(math.ceil(looks[-1] * 1.05))
    return np.array([num for num in looks if num <= MAX_PROJECTED] or looks[:1])


def _futures(mean: float, sd: float, num_blocks: int, stream: int, noise: Noise | None = None) -> _Futures:
    """Futures of a mean over blocks; those of times and errors are drawn from streams of their own.

    sd: of the blocks so far. noise: what is known of that of the blocks to come; None: these blocks alone.
    """
    noise = noise or Noise(sd, num_blocks - 1, num_blocks - 1)
    looks = _looks(num_blocks)
    added = np.diff(looks, prepend=num_blocks)
    of_all, deviates, squares = _draws(num_blocks, noise.df, stream)
    sigma = noise.log_sd * of_all[0]
    shift = sigma * of_all[1] / math.sqrt(num_blocks)
    # Each look's blocks about the mean seen: their own mean, and with it the sums of all and of squares.
    means = shift[:, None] + sigma[:, None] * deviates / np.sqrt(added)
    sums = np.cumsum(added * means, axis=1)
    within = np.cumsum(sigma[:, None] ** 2 * squares + added * means**2, axis=1) - sums**2 / looks
    error = np.sqrt(((num_blocks - 1) * sd**2 + within) / (looks - 1) / looks)
    return _Futures(mean + sums / looks, error, mean + shift)


@lru_cache(maxsize=256)
def _draws(num_blocks: int, df: int, stream: int) -> tuple[Array, Array, Array]:
    """What is random in futures: of their standard deviation and mean, then of each look's blocks."""
    random = np.random.default_rng((_SEED, stream, num_blocks))
    added = np.diff(_looks(num_blocks), prepend=num_blocks)
    of_all = np.stack(
        [
            np.sqrt(df / random.chisquare(df, _NUM_FUTURES)),
            random.normal(size=_NUM_FUTURES),
        ]
    )
    squares = np.where(added > 1, random.chisquare(np.maximum(added - 1, 1), (_NUM_FUTURES, len(added))), 0.0)
    return of_all, random.normal(size=squares.shape), squares
