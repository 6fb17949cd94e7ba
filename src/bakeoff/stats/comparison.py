"""Two contestants side by side, paired by block, so that drift of the machine cancels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bakeoff.stats.summary import Values, mean_interval

FASTER = "faster"
SLOWER = "slower"
UNDECIDED = "undecided"
TOO_FEW = "too few repeats to say"

# Pairs below which there is no verdict. With two pairs the spread is known from a single difference:
# when the two happen to agree the interval is narrow by luck. From three on the t interval's factor
# (12.7 at two pairs, 4.3 at three) is small enough for a large ratio to show, and one pair that
# disagrees with the others is seen.
MIN_PAIRS = 3


@dataclass(frozen=True)
class Ratio:
    """Ratio of a's times to b's: geometric mean over pairs; below 1, a is faster.

    ratio: None without a pair. low, high: 95 % interval; None below two pairs.
    verdict: a is `FASTER`, `SLOWER`, `UNDECIDED` or `TOO_FEW`. num_pairs: blocks that counted.
    """

    ratio: float | None
    low: float | None
    high: float | None
    num_pairs: int
    verdict: str

    @property
    def inverse(self) -> Ratio:
        """The same, seen from b."""
        return Ratio(
            ratio=None if self.ratio is None else 1 / self.ratio,
            low=None if self.high is None else 1 / self.high,
            high=None if self.low is None else 1 / self.low,
            num_pairs=self.num_pairs,
            verdict={FASTER: SLOWER, SLOWER: FASTER}.get(self.verdict, self.verdict),
        )


@dataclass(frozen=True)
class Difference:
    """Difference of a's and b's error rates, a fraction: mean over pairs; below 0, a errs less.

    low, high: t interval over the repeats on this one test set; None below two pairs.
    test_set_se: standard error that the finite test set adds, which repeats cannot show: another
    draw of as many images would move the difference by about as much. Each error is taken as
    binomial and the two as independent; both are measured on the same images, so that the true one
    is smaller. None where the number of images is unknown.
    """

    difference: float | None
    low: float | None
    high: float | None
    num_pairs: int
    test_set_se: float | None

    @property
    def inverse(self) -> Difference:
        """The same, seen from b."""
        return Difference(
            difference=None if self.difference is None else -self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            num_pairs=self.num_pairs,
            test_set_se=self.test_set_se,
        )


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


def paired_ratio(times_a: Values, times_b: Values, confidence: float = 0.95) -> Ratio:
    """How a's times compare with b's, pair by pair: exp of the mean log ratio and its t interval.

    Logarithms, because noise of times is multiplicative and a/b should be the inverse of b/a. Pairs
    with a time that is not finite and positive do not count.
    """
    a, b = _two(times_a, times_b)
    usable = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    logs = np.sort(np.log(a[usable]) - np.log(b[usable]))
    num = len(logs)
    if num == 0:
        return Ratio(None, None, None, 0, TOO_FEW)
    interval = mean_interval(logs, confidence)
    low, high = (float(np.exp(interval[0])), float(np.exp(interval[1]))) if interval else (None, None)
    return Ratio(float(np.exp(logs.mean())), low, high, num, _verdict(num, low, high))


def paired_difference(
    errors_a: Values,
    errors_b: Values,
    num_test_images: int | None = None,
    confidence: float = 0.95,
) -> Difference:
    """How a's error rates differ from b's, pair by pair: mean difference and its t interval."""
    a, b = _two(errors_a, errors_b)
    usable = np.isfinite(a) & np.isfinite(b)
    a, b = a[usable], b[usable]
    differences = np.sort(a - b)
    if len(differences) == 0:
        return Difference(None, None, None, 0, None)
    interval = mean_interval(differences, confidence)
    return Difference(
        difference=float(differences.mean()),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        num_pairs=len(differences),
        test_set_se=_binomial_se(float(np.sort(a).mean()), float(np.sort(b).mean()), num_test_images),
    )


def _two(a: Values, b: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"expected two one-dimensional arrays of one length; got {first.shape}, {second.shape}"
        )
    return first, second


def _verdict(num: int, low: float | None, high: float | None) -> str:
    if num < MIN_PAIRS or low is None or high is None:
        return TOO_FEW
    if high < 1:
        return FASTER
    return SLOWER if low > 1 else UNDECIDED


def _binomial_se(error_a: float, error_b: float, num_images: int | None) -> float | None:
    """Standard error of a difference of two independent proportions."""
    if not num_images:
        return None
    spread = error_a * (1 - error_a) + error_b * (1 - error_b)
    return float(np.sqrt(max(spread, 0.0) / num_images))
