"""Entries that were made slower by a known amount: whether they were found, and after how many blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff import stats
from bakeoff.calibration.calls import by_look, called, equal
from bakeoff.stats import MIN_BLOCKS, Rules, TimeRatio, time_ratio

Array = NDArray[np.float64]

_FIXED, _SEQUENTIAL = Rules(), Rules(is_sequential=True)


@dataclass(frozen=True)
class SlowedEntry:
    """An entry that was slower by `handicap`, a fraction, against each plain entry.

    num_slower, num_equal, num_faster: of `num_comparisons`, how many end with that verdict after all
    `num_blocks` blocks, the number fixed beforehand; the others stay undecided. num_equal can be right: a
    handicap below the margin is meant to be called so. blocks: for each comparison, the block after which a
    study that runs until decided calls it slower; None if it does not within these blocks. ratio: its times
    to the mean of the plain entries. projected: blocks that suffice in nine of ten studies that run until
    decided, at the noise seen here; None if that is more than are projected, or if so little counts as equal.
    """

    handicap: float
    num_blocks: int
    num_comparisons: int
    num_slower: int
    num_equal: int
    num_faster: int
    blocks: tuple[int | None, ...]
    ratio: TimeRatio
    projected: int | None

    @property
    def median_blocks(self) -> int | None:
        """Blocks until it was called slower, in half of the comparisons; None if in fewer than half."""
        ordered = sorted(math.inf if block is None else block for block in self.blocks)
        middle = ordered[(len(ordered) - 1) // 2] if ordered else math.inf
        return None if math.isinf(middle) else int(middle)


def found(handicap: float, slowed: Array, plain: Array, log_sd: float) -> SlowedEntry:
    """What became of a handicapped entry.

    slowed: its log times, shape (num_blocks,), NaN in blocks that do not count. plain: those of the plain
    entries, shape (num_blocks, num_entries). log_sd: noise of the log ratio of two runs of a block.
    """
    usable = np.isfinite(slowed)
    ratios = (slowed[usable, None] - plain[usable]).T
    calls, looks = called(ratios, _FIXED), by_look(ratios, _SEQUENTIAL)
    return SlowedEntry(
        handicap=handicap,
        num_blocks=int(usable.sum()),
        num_comparisons=len(ratios),
        num_slower=int((calls > 0).sum()),
        num_equal=int(equal(ratios, _FIXED).sum()),
        num_faster=int((calls < 0).sum()),
        blocks=tuple(_first(look) for look in looks),
        ratio=time_ratio(np.exp(slowed), np.exp(plain.mean(axis=1)), _FIXED),
        projected=blocks_needed(handicap, log_sd),
    )


def blocks_needed(difference: float, log_sd: float) -> int | None:
    """Blocks within which nine of ten studies that run until decided find a difference of times, a fraction.

    log_sd: noise of the log ratio of two runs of a block. None if it takes more than are projected, or if so
    small a difference is called practically equal.
    """
    asked = math.log1p(difference)
    return None if asked <= _SEQUENTIAL.log_margin else stats.blocks_needed(asked / log_sd, _SEQUENTIAL)


def _first(calls: NDArray[np.int8]) -> int | None:
    """The block of the first look that called it slower."""
    hits = np.flatnonzero(calls > 0)
    return MIN_BLOCKS + int(hits[0]) if len(hits) else None
