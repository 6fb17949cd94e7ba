"""What all comparisons share: their outcomes, and pairing by block, so that drift of the machine cancels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.summary import Values

FASTER = "faster"
SLOWER = "slower"
UNDECIDED = "undecided"
TOO_FEW = "too few repeats to say"

# Pairs below which there is no verdict. With two pairs the spread is known from a single difference:
# when the two happen to agree the interval is narrow by luck. From three on the t interval's factor
# (12.7 at two pairs, 4.3 at three) is small enough for a large ratio to show, and one pair that
# disagrees with the others is seen.
MIN_PAIRS = 3


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
