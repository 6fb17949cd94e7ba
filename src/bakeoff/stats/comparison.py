"""What all comparisons share: their kinds, and pairing by block, so that drift of the machine cancels."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.summary import Values


class Kind(StrEnum):
    """What may be said of one contestant against another."""

    FASTER = "faster"
    SLOWER = "slower"
    FASTER_AT_WORSE_ERROR = "faster, but at worse error"
    SLOWER_AT_BETTER_ERROR = "slower, but at better error"
    PRACTICALLY_EQUAL = "practically equal"
    UNDECIDED = "undecided"
    TOO_FEW = "too few repeats to say"


FASTER, SLOWER = Kind.FASTER, Kind.SLOWER
FASTER_AT_WORSE_ERROR, SLOWER_AT_BETTER_ERROR = Kind.FASTER_AT_WORSE_ERROR, Kind.SLOWER_AT_BETTER_ERROR
PRACTICALLY_EQUAL, UNDECIDED, TOO_FEW = Kind.PRACTICALLY_EQUAL, Kind.UNDECIDED, Kind.TOO_FEW

# No verdict and no interval before this block. Blocks run in random order, so that even if every one differed
# by the same amount for no other reason than its order, all of n point one way with probability 2^(1-n): 6 is
# the first n at which that is below 5 %. The same holds of a contestant whose times take one of two values.
MIN_BLOCKS = 6


def pair(
    blocks_a: Sequence[int], values_a: Values, blocks_b: Sequence[int], values_b: Values
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of the blocks that both have, in the order of the blocks: two arrays of one length.

    Raises:
        ValueError: a block occurs twice on one side, so that pairs would be ambiguous.
    """
    by_block_a = dict(zip(map(int, blocks_a), values_a, strict=True))
    by_block_b = dict(zip(map(int, blocks_b), values_b, strict=True))
    if len(by_block_a) != len(blocks_a) or len(by_block_b) != len(blocks_b):
        raise ValueError("a block occurs twice on one side; expected one run per block")
    common = sorted(by_block_a.keys() & by_block_b.keys())
    return (
        np.array([by_block_a[block] for block in common], dtype=float),
        np.array([by_block_b[block] for block in common], dtype=float),
    )
