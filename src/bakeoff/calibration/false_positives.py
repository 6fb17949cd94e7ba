"""Identical entries that were told apart: how often, and how often chance alone would."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bakeoff.calibration.calls import by_look, called
from bakeoff.stats import MIN_BLOCKS, Rules

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Blocks that a comparison by the fixed rule has at least: as many as the sequential rule needs for its first
# look.
WINDOW = 6
# A calibration with more false positives than this share of calibrations would have by chance has failed.
ALLOWED_SHARE = 0.99
# Seeded, so that the same runs always get the same answer.
_NUM_SIMULATED = 2000
_SEED = 20261125


@dataclass(frozen=True)
class FalsePositives:
    """How often identical entries were told apart, among all their pairs.

    is_sequential: by the rule for studies that run until decided, looked at after each block; else by the one
    for a number of blocks fixed beforehand, over `num_windows` stretches of `num_blocks` blocks.
    num_comparisons: pairs times stretches. num_effective: independent comparisons that would tell as much;
    pairs share entries. num_false: intervals that exclude 1, the margin set aside. num_called: of these, how
    many a user would have been told as "faster"; the others lie within the margin. rate: num_false ÷
    num_comparisons; low, high: its 95 % interval. allowed: as many as 99 in 100 such calibrations have at
    most at the rules' own error rate. noise_rate: the rate if the entries' names are dealt anew within each
    block, which shows what the rule makes of this machine's noise whatever the entries are.
    """

    is_sequential: bool
    num_windows: int
    num_blocks: int
    num_comparisons: int
    num_effective: float
    num_false: int
    num_called: int
    rate: float
    low: float
    high: float
    allowed: int
    noise_rate: float

    @property
    def is_allowed(self) -> bool:
        """Whether chance accounts for them."""
        return self.num_false <= self.allowed


def false_positives(plain: Array, rules: Rules) -> FalsePositives | None:
    """Among all pairs of entries, whose log times are `plain`, shape (num_blocks, num_entries).

    None with fewer than two entries, or fewer blocks than the rules need.
    """
    num_blocks, num_entries = plain.shape
    if num_entries < 2 or num_blocks < MIN_BLOCKS:
        return None
    strict = replace(rules, margin=0.0)
    windows = 1 if rules.is_sequential else max(num_blocks // WINDOW, 1)
    size = num_blocks // windows
    found, told = (_told_apart(plain, one, windows) for one in (strict, rules))
    num_effective, allowed = _by_chance(num_blocks, num_entries, strict, windows)
    rate = float(found.mean())
    low, high = _interval(rate, num_effective)
    random = np.random.default_rng(_SEED)
    dealt = random.permuted(np.broadcast_to(plain, (_NUM_SIMULATED // 4, *plain.shape)), axis=-1)
    return FalsePositives(
        is_sequential=rules.is_sequential,
        num_windows=windows,
        num_blocks=size,
        num_comparisons=found.size,
        num_effective=num_effective,
        num_false=int(found.sum()),
        num_called=int(told.sum()),
        rate=rate,
        low=low,
        high=high,
        allowed=allowed,
        noise_rate=float(_told_apart(dealt, strict, windows).mean()),
    )


def differ_by_chance(plain: Array) -> float:
    """Probability that identical entries differ as much as these do, all together: a permutation test.

    The variance of the entries' means against that when their names are dealt anew within each block, which
    assumes nothing about the noise. plain: as in `false_positives`.
    """
    random = np.random.default_rng(_SEED)
    dealt = random.permuted(np.broadcast_to(plain, (_NUM_SIMULATED, *plain.shape)), axis=-1)
    spread, found = dealt.mean(axis=-2).var(axis=-1), plain.mean(axis=0).var()
    at_least = int((spread >= found * (1 - 1e-9)).sum())
    return (at_least + 1) / (_NUM_SIMULATED + 1)


def _told_apart(logs: Array, rules: Rules, windows: int) -> Bools:
    """Whether each pair is, in each stretch: (..., num_blocks, num_entries) to (..., num_comparisons)."""
    first, second = np.triu_indices(logs.shape[-1], 1)
    ratios = np.moveaxis(logs[..., first] - logs[..., second], -2, -1)
    if rules.is_sequential:
        ever: Bools = np.any(by_look(ratios, rules) != 0, axis=-1)
        return ever
    size = logs.shape[-2] // windows
    parts = [called(ratios[..., start * size : (start + 1) * size], rules) != 0 for start in range(windows)]
    return np.concatenate(parts, axis=-1)


@lru_cache(maxsize=32)
def _by_chance(num_blocks: int, num_entries: int, rules: Rules, windows: int) -> tuple[float, int]:
    """Effective number of comparisons, and how many false positives chance allows, by simulation.

    Normal noise, identical entries: the variance of the rate among so many pairs that share entries, against
    that among independent comparisons.
    """
    random = np.random.default_rng(_SEED)
    apart = _told_apart(random.normal(size=(_NUM_SIMULATED, num_blocks, num_entries)), rules, windows)
    rates = apart.mean(axis=-1)
    rate, variance = float(rates.mean()), float(rates.var())
    independent = rate * (1 - rate) / variance if variance else float(apart.shape[-1])
    allowed = int(np.quantile(apart.sum(axis=-1), ALLOWED_SHARE, method="higher"))
    return min(independent, float(apart.shape[-1])), allowed


def _interval(rate: float, num: float) -> tuple[float, float]:
    """95 % interval of a rate among dependent comparisons that tell as much as `num` independent ones.

    Clopper and Pearson's (1934) with an effective number, which need not be whole: Korn and Graubard (1998),
    Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data, Survey Methodology 24. It holds where not one was found, unlike those that resample.
    """
    from scipy.special import betaincinv

    hits = rate * num
    low = float(betaincinv(hits, num - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, num - hits, 0.975)) if hits < num else 1.0
    return low, high
