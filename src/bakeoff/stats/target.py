"""Time until an error is reached, where some runs may never reach it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.stats.comparison import FASTER, MIN_BLOCKS, SLOWER, TOO_FEW, UNDECIDED, Kind
from bakeoff.stats.ratio import TimeRatio, time_ratio
from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values


@dataclass(frozen=True)
class TargetComparison:
    """How soon a and b reach a target, block by block.

    verdict: a is `FASTER`, `SLOWER`, `UNDECIDED` or `TOO_FEW`. ratio: of their times over the blocks in which
    both reached it; it is what the verdict rests on if that is every block. num_blocks: of both. num_reached:
    by a and by b. num_first: blocks in which a, and in which b, reached it first or alone; the rest are ties.
    share, low, high: of blocks with a first one, the share that a won, with its interval: what the verdict
    rests on where a run never reached the target. None without any.
    """

    verdict: Kind
    ratio: TimeRatio
    num_blocks: int
    num_reached: tuple[int, int]
    num_first: tuple[int, int]
    share: float | None
    low: float | None
    high: float | None


def time_to_target(times: Values, errors: Values, target: float, start_s: float = 0.0) -> float | None:
    """Training seconds until the error first is `target` or less; None if never.

    times: seconds by epoch; errors: fractions, after each epoch; shape (num_epochs,). start_s: what is to
    count besides, such as the first step with its compilation. Source: DAWNBench (Coleman et al. 2017).
    """
    seconds, after = np.asarray(times, dtype=float), np.asarray(errors, dtype=float)
    if seconds.shape != after.shape or seconds.ndim != 1:
        raise ValueError(
            f"expected two one-dimensional arrays of one length; got {seconds.shape}, {after.shape}"
        )
    reached = np.flatnonzero(after <= target)
    return start_s + float(seconds[: reached[0] + 1].sum()) if len(reached) else None


def compare_to_target(
    a: Sequence[float | None], b: Sequence[float | None], rules: Rules | None = None
) -> TargetComparison:
    """Compare seconds to a target, in the same blocks; None where a run ended well but never reached it.

    A run that never reached it is no missing value, and no time either: it lost against one that did. Where
    all runs reached it, times are compared as ever; otherwise the sign test over blocks decides, which needs
    no more than who was first (two that never did are a tie, and ties are left out). A ratio over those that
    reached it would leave out the slowest. The interval of the share is Clopper and Pearson's (1934,
    Biometrika 26); where blocks are added until all is decided, that of Robbins (1970, Statistical methods
    related to the law of the iterated logarithm, Ann. Math. Statist. 41): a mixture of the likelihoods of all
    shares against that of one, which holds at every look.
    """
    rules = rules or Rules()
    if len(a) != len(b):
        raise ValueError(f"expected two sequences of one length; got {len(a)}, {len(b)}")
    first = [_first(one, other) for one, other in zip(a, b, strict=True)]
    wins, losses = first.count(1), first.count(-1)
    both = [(one, other) for one, other in zip(a, b, strict=True) if one is not None and other is not None]
    ratio = time_ratio([one for one, _ in both], [other for _, other in both], rules)
    low, high = _share_interval(wins, wins + losses, rules)
    if len(a) < MIN_BLOCKS:
        verdict = TOO_FEW
    elif len(both) == len(a):
        verdict = _side(ratio.high is not None and ratio.high < 1, ratio.low is not None and ratio.low > 1)
    else:
        verdict = _side(low is not None and low > 0.5, high is not None and high < 0.5)
    return TargetComparison(
        verdict=verdict,
        ratio=ratio,
        num_blocks=len(a),
        num_reached=(sum(one is not None for one in a), sum(other is not None for other in b)),
        num_first=(wins, losses),
        share=wins / (wins + losses) if wins + losses else None,
        low=low,
        high=high,
    )


def _side(is_faster: bool, is_slower: bool) -> Kind:
    return FASTER if is_faster else SLOWER if is_slower else UNDECIDED


def _first(a: float | None, b: float | None) -> int:
    """1 if a was first, -1 if b was, 0 for a tie."""
    if a == b:
        return 0
    return 1 if b is None or (a is not None and a < b) else -1


def _share_interval(wins: int, num: int, rules: Rules) -> tuple[float | None, float | None]:
    """Interval of the probability to win; None without a block that has a first one."""
    if num == 0:
        return None, None
    if rules.is_sequential:
        return _robbins(wins, num, rules.alpha), 1 - _robbins(num - wins, num, rules.alpha)
    from scipy.special import betaincinv

    half = rules.alpha / 2
    low = float(betaincinv(wins, num - wins + 1, half)) if wins else 0.0
    high = float(betaincinv(wins + 1, num - wins, 1 - half)) if wins < num else 1.0
    return low, high


def _robbins(wins: int, num: int, alpha: float) -> float:
    """Lower end: where the mixture of likelihoods over all shares is 1 / alpha times that of the share."""
    if wins == 0:
        return 0.0
    from scipy.optimize import brentq
    from scipy.special import betaln

    least = float(betaln(wins + 1, num - wins + 1)) + math.log(alpha)
    if wins == num:
        return math.exp(least / num)

    def excess(share: float) -> float:
        return wins * math.log(share) + (num - wins) * math.log1p(-share) - least

    return float(brentq(excess, 1e-300, wins / num))
