"""A stopping rule whose error rate holds however often one looks: exact alpha spending for t statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.comparison import MIN_BLOCKS

# Of the error rate allowed, the share that is spent under normal noise. The rest is a reserve for log ratios
# that are not normal: benchmarks/verdicts.py shows how much of it skew takes.
SPENT_SHARE = 0.8
# Half of that share is spent by this block, a twelfth at the first look. Chosen by simulation: to spend more
# early takes longer under the noise of a shared machine (6 to 7 %), to spend more late costs power before it.
HALF_SPENT_AT = 20
SPENDING_POWER = 2

# Coarse enough for 400 blocks in half a second; four times as fine, no critical value is lower by more than
# 0.15 %.
_GRID = np.concatenate([np.linspace(0, 0.9, 60), 1 - np.geomspace(0.1, 1e-12, 200)[1:]])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def spent(num_blocks: int, alpha: float) -> float:
    """Probability of a false alarm by the given block, if noise is normal: grows to 0.8 `alpha`, never above.

    Source: Lan and DeMets (1983), Discrete sequential boundaries for clinical trials, Biometrika 70: how much
    is spent by when is fixed beforehand, how often and how long one looks is not. This function of the number
    of blocks has no end: a study whose budget is raised goes on with the same rule.
    """
    if num_blocks < MIN_BLOCKS:
        return 0.0
    grown = (num_blocks / HALF_SPENT_AT) ** SPENDING_POWER
    return SPENT_SHARE * alpha * grown / (1 + grown)


def critical_value(num_blocks: int, alpha: float) -> float:
    """The |t| that the paired t statistic must exceed at this look; infinite before the first one.

    If block 6 and every later one is looked at, |t| exceeds its critical value at any of them with
    probability 0.8 `alpha` at most when there is nothing to find (noise normal and independent from block to
    block). The same holds for t about the true mean: the intervals mean ± critical value x standard error
    hold all at once, so that any of them may be the last (repeated confidence intervals, Jennison and
    Turnbull 1989, J. R. Statist. Soc. B 51).
    """
    if num_blocks < MIN_BLOCKS:
        return math.inf
    boundary = _boundary(alpha)
    while len(boundary.values) <= num_blocks - MIN_BLOCKS:
        boundary.extend()
    return boundary.values[num_blocks - MIN_BLOCKS]


@lru_cache(maxsize=64)
def _boundary(alpha: float) -> _Boundary:
    if not 0 < alpha < 1:
        raise ValueError(f"expected an error rate between 0 and 1; got {alpha}")
    return _Boundary(alpha)


@dataclass
class _Boundary:
    """Critical values from `MIN_BLOCKS` on, computed block by block as they are asked for.

    Exact, by a recursion in one dimension (in the spirit of Jennison and Turnbull 1991, Exact calculations
    for sequential t, chi-squared and F tests, Biometrika 78). Let S and Q be the sum and the sum of squares
    of n independent normal values with mean 0, and w = S / √Q, from which t follows. Directions are uniform
    on the sphere and independent of Q, so that w is a Markov chain, and backwards it is explicit: given w
    after n blocks, the last value is x = w / n + √((1 - w²/n)(n - 1)/n) z in units of √Q, where z is one
    coordinate of a uniform direction in n - 1 dimensions, and before it w was (w - x) / √(1 - x²).

    values: critical |t| by block. reached: |w| on a grid after the last block, `alive` the probability that
    no boundary was crossed before it, given that w.
    """

    alpha: float
    values: list[float] = field(default_factory=list)
    reached: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    alive: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def extend(self) -> None:
        """Compute the critical value of the next block."""
        from scipy.special import stdtrit

        num = MIN_BLOCKS + len(self.values)
        t = -stdtrit(num - 1, (1 - _GRID) / 2)
        w = _to_w(t, num)
        alive = self._alive(w, num) if self.values else np.ones_like(w)
        # Mass that crosses nothing before this block and lies outside each |w| of the grid now; summed from
        # the far end, where it is small. Beyond the grid lies a part of 1e-12.
        slices = (alive[1:] + alive[:-1]) / 2 * np.diff(_GRID)
        outside = np.concatenate([np.cumsum(slices[::-1])[::-1], [0.0]])
        to_spend = spent(num, self.alpha) - (spent(num - 1, self.alpha) if self.values else 0.0)
        self.values.append(float(np.interp(-to_spend, -outside, t)))
        self.reached, self.alive = w, alive

    def _alive(self, w: NDArray[np.float64], num: int) -> NDArray[np.float64]:
        """For each w after `num` blocks, the probability that no earlier boundary was crossed."""
        from scipy.special import betaln

        before = num - 1
        limit = _to_w(self.values[-1], before)
        centre = w / num
        scale = np.sqrt((1 - w**2 / num) * before / num)
        # With x = sin φ, the last boundary was not crossed for φ in an interval; z = sin ψ has a density
        # proportional to cos^(before - 2) ψ, nothing of which is left beyond 9 standard deviations.
        half = np.arctan(limit)
        turn = np.arcsin(np.minimum(w / np.hypot(1, limit), 1))
        low = np.maximum(turn - half, -np.pi / 2)
        high = np.minimum(turn + half, np.pi - turn - half)
        reach = min(np.pi / 2, 9 / math.sqrt(before))
        low = np.clip(np.arcsin(np.clip((np.sin(low) - centre) / scale, -1, 1)), -reach, reach)
        high = np.clip(np.arcsin(np.clip((np.sin(high) - centre) / scale, -1, 1)), -reach, reach)
        width = np.maximum(high - low, 0)[:, None] / 2
        psi = (low + high)[:, None] / 2 + width * _NODES
        x = centre[:, None] + scale[:, None] * np.sin(psi)
        earlier = np.abs(w[:, None] - x) / np.sqrt(np.maximum(1 - x**2, 1e-300))
        density = np.cos(psi) ** (before - 2) / math.exp(betaln(0.5, (before - 1) / 2))
        values = np.interp(earlier, self.reached, self.alive)
        return np.asarray((values * density * width) @ _WEIGHTS)


def _to_w(t: NDArray[np.float64] | float, num: int) -> NDArray[np.float64]:
    """|t| of `num` values as |sum| / √(sum of squares), which is √num at most."""
    square = np.square(t)
    return np.asarray(np.sqrt(num * square / (num - 1 + square)))
