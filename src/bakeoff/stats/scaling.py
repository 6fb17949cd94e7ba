"""How a quantity grows with a setting: the exponent of a power law, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.summary import Values


@dataclass(frozen=True)
class Exponent:
    """1: doubling the setting doubles the quantity; 0: it changes nothing. low, high: 95 % interval.

    low and high are None where too little is known of the noise. num_values: of the setting.
    """

    value: float
    low: float | None
    high: float | None
    num_values: int


def exponents(settings: Values, quantities: Sequence[NDArray[np.float64]]) -> tuple[Exponent | None, ...]:
    """Of each contestant, by least squares on logarithms, with a level of its own for each block.

    settings: (num_values,), positive. quantities: of each contestant (num_blocks, num_values), NaN where a
    run has none. None for a contestant that has fewer than two values in every block.

    Contestants lend each other their noise: residuals are pooled, as if alike for all. What is no power law
    is among them, so that the interval of a curved line is wide. Source: Draper, Smith, "Applied Regression
    Analysis", 1998, chapter 1.
    """
    x = np.log(np.asarray(settings, dtype=float))
    fits = [_fit(x, np.log(np.where(table > 0, table, np.nan))) for table in quantities]
    squares = sum(fit[2] for fit in fits if fit)
    df = sum(fit[3] for fit in fits if fit)
    found: list[Exponent | None] = []
    for fit in fits:
        if fit is None:
            found.append(None)
            continue
        slope, spread, _, _, num_values = fit
        if df < 1:
            found.append(Exponent(slope, None, None, num_values))
            continue
        from scipy.special import stdtrit  # a tenth of the start-up time of scipy.stats

        half = float(stdtrit(df, 0.975)) * math.sqrt(squares / df / spread)
        found.append(Exponent(slope, slope - half, slope + half, num_values))
    return tuple(found)


def _fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, int, int] | None:
    """Slope, sum of squares of x within blocks, of the residuals, degrees of freedom; values of x seen."""
    known = np.isfinite(y)
    xs, ys, num_blocks = [], [], 0
    for row, seen in zip(y, known, strict=True):
        if seen.sum() >= 2:
            xs.append(x[seen] - x[seen].mean())
            ys.append(row[seen] - row[seen].mean())
            num_blocks += 1
    if not xs:
        return None
    within, values = np.concatenate(xs), np.concatenate(ys)
    spread = float(within @ within)
    if spread == 0:
        return None
    slope = float(within @ values) / spread
    residuals = values - slope * within
    num_values = int(known.any(axis=0).sum())
    return slope, spread, float(residuals @ residuals), len(values) - num_blocks - 1, num_values
