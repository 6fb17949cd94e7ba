"""How much a pair's ratio of times varies: from its own blocks, and where these are few, from other runs'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.comparison import MIN_BLOCKS

Array = NDArray[np.float64]

# Degrees of freedom of the noise below which there is neither an interval nor a verdict: those of a pair's
# own `MIN_BLOCKS` blocks.
MIN_DF = MIN_BLOCKS - 1
# Degrees of freedom that a race's other contestants lend at most, however many they are. With more, intervals
# of a contestant that is much noisier than the others are too narrow: by simulation, docs/statistics.md.
MAX_LENT = 2


@dataclass(frozen=True)
class Lent:
    """What other runs of a study show of one pair's noise.

    pair_square, pair_df: sum of squares of log ratios of the same two contestants, about the mean of each of
    the study's other races, and its degrees of freedom. race_square, race_df: likewise of all else that
    differs between contestants from block to block in the pair's own race, as that of a ratio of two.
    """

    pair_square: float = 0.0
    pair_df: int = 0
    race_square: float = 0.0
    race_df: int = 0


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a pair's log ratio from block to block (0.06: about 6 %).

    df: degrees of freedom of the t distribution that goes with it. own_df: those of the pair's own blocks; as
    many as `df` where nothing was borrowed.
    """

    log_sd: float
    df: int
    own_df: int


def noise(logs: Array, lent: Lent | None = None) -> Noise | None:
    """The noise of log ratios of shape (num_blocks,); None below two.

    From `MIN_BLOCKS` blocks on a pair speaks for itself. With fewer, its variance is a moderated one, as in
    Smyth (2004), Linear models and empirical Bayes methods for assessing differential expression, Stat. Appl.
    Genet. Mol. Biol. 3. Unlike there, it is no weighted mean, and the prior's weight is not estimated but
    bounded: with the few contestants of a race both let one that is noisier than the others pass for quiet.
    It is the larger of what the pair shows in all races and what all contestants show in this race; its
    degrees of freedom are those of the pair in all races, and `MAX_LENT` at most from the others.
    """
    own_df = len(logs) - 1
    if own_df < 1:
        return None
    square = float(np.sort((logs - logs.mean()) ** 2).sum())
    if lent is None or len(logs) >= MIN_BLOCKS:
        return Noise(math.sqrt(square / own_df), own_df, own_df)
    of_pair = (square + lent.pair_square) / (own_df + lent.pair_df)
    of_race = (square + lent.race_square) / (own_df + lent.race_df)
    return Noise(math.sqrt(max(of_pair, of_race)), borrowed_df(own_df, lent), own_df)


def borrowed_df(own_df: int, lent: Lent) -> int:
    """Degrees of freedom of a pair's noise, with what it borrows."""
    return own_df + lent.pair_df + min(MAX_LENT, lent.race_df)


Times = Mapping[str, Mapping[int, float]]


def lend(races: Sequence[Times]) -> tuple[Mapping[frozenset[str], Lent], ...]:
    """For each race, by pair of contestants, what the study's other runs show of its noise.

    races: seconds by contestant and block. A contestant has the same name in all races. The race's own sum of
    squares is what is left of log times when contestants and blocks have had their means (a two-way layout,
    missing runs allowed); the pair's is part of it, and the rest is independent of it (Cochran 1934, The
    distribution of quadratic forms in a normal system, Proc. Camb. Phil. Soc. 30).
    """
    logs = [{name: _usable(times) for name, times in race.items()} for race in races]
    own = [
        {frozenset(pair): _of_pair(race[pair[0]], race[pair[1]]) for pair in combinations(race, 2)}
        for race in logs
    ]
    sums: dict[frozenset[str], Array] = {}
    for squares in own:
        for pair, square in squares.items():
            sums[pair] = sums.get(pair, np.zeros(2)) + square
    found = []
    for race, squares in zip(logs, own, strict=True):
        whole = _of_race(race)
        lent = {}
        for pair, square in squares.items():
            (pair_square, pair_df), (race_square, race_df) = sums[pair] - square, whole - square
            lent[pair] = Lent(
                max(float(pair_square), 0.0), int(pair_df), max(float(race_square), 0.0), int(race_df)
            )
        found.append(lent)
    return tuple(found)


def _usable(times: Mapping[int, float]) -> dict[int, float]:
    return {
        block: math.log(seconds)
        for block, seconds in times.items()
        if seconds is not None and math.isfinite(seconds) and seconds > 0
    }


def _of_pair(a: Mapping[int, float], b: Mapping[int, float]) -> Array:
    """Sum of squares of log ratios about their mean, and its degrees of freedom."""
    logs = np.sort([a[block] - b[block] for block in a.keys() & b.keys()])
    return np.array([((logs - logs.mean()) ** 2).sum(), len(logs) - 1]) if len(logs) else np.zeros(2)


def _of_race(logs: Mapping[str, Mapping[int, float]]) -> Array:
    """The same of a race: twice the residuals' sum of squares, since a ratio has the noise of two."""
    blocks = sorted({block for mine in logs.values() for block in mine})
    table = np.array([[mine.get(block, np.nan) for block in blocks] for mine in logs.values()])
    rows, columns = np.nonzero(np.isfinite(table.reshape(len(logs), len(blocks))))
    if not len(rows):
        return np.zeros(2)
    # Blocks are many: their means are taken out of both sides, and contestants alone are left to be fitted.
    num_of_block = np.bincount(columns)
    sides = np.column_stack([table[rows, columns], np.eye(len(logs))[rows]])
    means = np.array([np.bincount(columns, side) / num_of_block for side in sides.T])
    values, *design = (sides - means.T[columns]).T
    solution, _, rank, _ = np.linalg.lstsq(np.array(design).T, values, rcond=None)
    residuals = values - np.array(design).T @ solution
    return np.array([2 * float(np.sort(residuals**2).sum()), len(values) - len(blocks) - int(rank)])
