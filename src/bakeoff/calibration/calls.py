"""Who is called faster, for many pairs at once: what `stats.judge` says of times, on whole arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats import MIN_BLOCKS, Rules
from bakeoff.stats.doubts import widening

Array = NDArray[np.float64]
Calls = NDArray[np.int8]


def called(ratios: Array, rules: Rules) -> Calls:
    """1 where a is called slower than b, -1 where faster, 0 where neither.

    ratios: log ratios of a's times to b's, shape (..., num_blocks), all of them finite.
    """
    mean, half = _interval(ratios, rules)
    differs = (np.abs(mean) > half) & (np.abs(mean) + half >= rules.log_margin)
    return np.where(differs, np.sign(mean), 0).astype(np.int8)


def equal(ratios: Array, rules: Rules) -> NDArray[np.bool_]:
    """Where a and b are called practically equal; shapes as in `called`."""
    mean, half = _interval(ratios, rules)
    return np.abs(mean) + half < rules.log_margin


def by_look(ratios: Array, rules: Rules) -> Calls:
    """What is called at each look, after `stats.MIN_BLOCKS` and each later block: shape (..., num_looks)."""
    num_blocks = ratios.shape[-1]
    looks = [called(ratios[..., :num], rules) for num in range(MIN_BLOCKS, num_blocks + 1)]
    return np.stack(looks, axis=-1) if looks else np.zeros((*ratios.shape[:-1], 0), dtype=np.int8)


def _interval(ratios: Array, rules: Rules) -> tuple[Array, Array]:
    """Mean log ratio and half the width of its interval; infinite below the fewest blocks."""
    num_blocks = ratios.shape[-1]
    if num_blocks < MIN_BLOCKS:
        return np.zeros(ratios.shape[:-1]), np.full(ratios.shape[:-1], math.inf)
    mean = ratios.mean(axis=-1)
    error = ratios.std(axis=-1, ddof=1) / math.sqrt(num_blocks)
    return mean, rules.critical_value(num_blocks) * widening(ratios) * error
