"""Difference of two contestants' error rates, with both of its uncertainties: seed, and finite test set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import Values


class Pairing(StrEnum):
    """How the test set's share of chance in a difference of errors is known."""

    BY_IMAGE = "from both contestants' outcomes on each image"
    OUTCOMES_MISSING = "as an upper bound, since not every run recorded which images it got wrong"
    OTHER_IMAGES = "as an upper bound, since the two were not measured on the same images"


@dataclass(frozen=True)
class ErrorDifference:
    """Difference of a's and b's error rates, a fraction: mean over blocks; below 0, a errs less.

    difference: None without a block. low, high: interval over both sources of chance; None below six blocks.
    num_blocks: blocks that counted. seed_se: standard error from the repeats (initial weights, order of
    batches, dropout); None below two blocks. test_set_se: standard error from the finite test set, which no
    repeating shows; None where its size is unknown, and the interval leaves it out. pairing: how it is known.
    """

    difference: float | None
    low: float | None
    high: float | None
    num_blocks: int
    seed_se: float | None
    test_set_se: float | None
    pairing: Pairing = Pairing.OUTCOMES_MISSING

    @property
    def is_paired_by_image(self) -> bool:
        """Whether it is that of the contestants on the same images, not an upper bound."""
        return self.pairing is Pairing.BY_IMAGE

    @property
    def inverse(self) -> ErrorDifference:
        """The same, seen from b."""
        return replace(
            self,
            difference=None if self.difference is None else -self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
        )

    def half_width(self, rules: Rules) -> float:
        """Half of the interval's width; infinite where there is none.

        Squares of the two sources' own half widths are added: Zou and Donner (2008), Construction of
        confidence limits about effect measures (MOVER), Statist. Med. 27. The seeds' is Student's or the
        sequential one, the test set's is normal, at the level that leaves the seeds theirs
        (`Rules.test_set_quantile`): it was drawn once, and is the same at every look.
        """
        critical = rules.critical_value(self.num_blocks)
        if self.seed_se is None or math.isinf(critical):
            return math.inf
        return math.hypot(critical * self.seed_se, rules.test_set_quantile * (self.test_set_se or 0.0))


def error_difference(
    errors_a: Values,
    errors_b: Values,
    rules: Rules | None = None,
    *,
    num_test_images: int | None = None,
    pairing: Pairing = Pairing.OUTCOMES_MISSING,
) -> ErrorDifference:
    """How a's error rates differ from b's, block by block; error rates as fractions, shape (num_blocks,).

    num_test_images: of the one test set of all blocks; where each block draws its own, of the pool that they
    are drawn from, since the draw is in the differences between blocks. pairing: why outcomes are not
    compared image by image.

    The test set's share is binomial, and takes the two contestants as independent. Both are measured on the
    same images and err on many of the same, so that the true share is smaller: an upper bound, often too
    wide to show non-inferiority (`error_difference_by_image` measures it). One right and one wrong image
    are added to each contestant's, so that an error of 0 is not taken for certain: Agresti and Caffo (2000),
    Simple and effective confidence intervals for proportions, Am. Statist. 54.
    """
    a, b = np.asarray(errors_a, dtype=float), np.asarray(errors_b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two one-dimensional arrays of one length; got {a.shape}, {b.shape}")
    usable = np.isfinite(a) & np.isfinite(b)
    a, b = a[usable], b[usable]
    test_set_se = None
    if num_test_images and len(a):
        means = [float(np.sort(errors).mean()) for errors in (a, b)]  # sorted: row order must not matter
        rates = [(mean * num_test_images + 1) / (num_test_images + 2) for mean in means]
        test_set_se = math.sqrt(sum(rate * (1 - rate) for rate in rates) / (num_test_images + 2))
    return _build(np.sort(a - b), test_set_se, pairing, rules or Rules())


def error_difference_by_image(
    wrong_a: ArrayLike, wrong_b: ArrayLike, rules: Rules | None = None
) -> ErrorDifference:
    """How a's error rates differ from b's, from each image's outcome; see `ErrorDifference`.

    wrong_a, wrong_b: whether the run of a block erred on a test image, shape (num_blocks, num_test_images),
    with the same blocks and images in the same order. Runs and images are crossed and both random: variances
    of such a two-way layout without replication are those of Cornfield and Tukey (1956), Average values of
    mean squares in factorials, Ann. Math. Statist. 27. The mean over images of each run gives the seeds'
    share, what is peculiar to one run on one image included; the test set's is what images have in common
    over the runs. Two images are added, one on which only a errs and one on which only b does, so that
    contestants that never disagree are not taken for equal on images not seen: after Agresti and Min (2005),
    Simple improved confidence intervals for comparing matched proportions, Statist. Med. 24.
    """
    a, b = np.asarray(wrong_a, dtype=float), np.asarray(wrong_b, dtype=float)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(
            f"expected two arrays of one shape (num_blocks, num_images); got {a.shape}, {b.shape}"
        )
    table = a - b
    num_blocks, num_images = table.shape
    if num_blocks == 0 or num_images < 2:
        raise ValueError(f"expected at least one block and two images; got {table.shape}")
    by_run, by_image = table.mean(axis=1), table.mean(axis=0)
    of_images = _variance(np.concatenate([by_image, [1.0, -1.0]]))
    if num_blocks > 1:
        residual = table - by_run[:, None] - by_image[None, :] + table.mean()
        peculiar = float((residual**2).sum()) / ((num_blocks - 1) * (num_images - 1))
        of_images = max(of_images - peculiar / num_blocks, 2.0 / (num_images + 2))
    return _build(
        np.sort(by_run), math.sqrt(of_images / (num_images + 2)), Pairing.BY_IMAGE, rules or Rules()
    )


def error_difference_of_splits(
    wrong_a: Sequence[ArrayLike],
    wrong_b: Sequence[ArrayLike],
    num_pool: int | None = None,
    rules: Rules | None = None,
) -> ErrorDifference:
    """How a's error rates differ from b's, where each block draws evaluation images of its own.

    wrong_a, wrong_b: block by block, whether the run erred on an image, shape (num_images,), the same images
    in both. num_pool: images that each block draws anew from; None: unknown. What the draw of a block adds to
    chance is in the spread over blocks already. What is left is that all blocks draw from one pool, itself a
    sample: the mean of simple random samples has the variance that the spread shows, plus that of the pool's
    mean (Cochran 1977, Sampling techniques, 3rd ed., chapter 2). An image's variance is taken within blocks,
    with one image added on which only a errs and one on which only b does, as above. It has in it what is
    peculiar to one run on one image, which images that no two blocks share can't tell: an upper bound.
    """
    if len(wrong_a) != len(wrong_b) or any(
        np.shape(a) != np.shape(b) or np.ndim(a) != 1 for a, b in zip(wrong_a, wrong_b, strict=False)
    ):
        raise ValueError("expected, for each block, two one-dimensional arrays of one length")
    tables = [np.asarray(a, float) - np.asarray(b, float) for a, b in zip(wrong_a, wrong_b, strict=True)]
    test_set_se = None
    if num_pool:
        centred = [table - table.mean() for table in tables]
        of_images = _variance(np.concatenate([*centred, [1.0, -1.0]]))
        test_set_se = math.sqrt(of_images / (num_pool + 2))
    differences = np.sort([float(table.mean()) for table in tables])
    return _build(differences, test_set_se, Pairing.BY_IMAGE, rules or Rules())


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1))


def _build(
    differences: NDArray[np.float64], test_set_se: float | None, pairing: Pairing, rules: Rules
) -> ErrorDifference:
    num = len(differences)
    if num == 0:
        return ErrorDifference(None, None, None, 0, None, None, pairing)
    mean = float(differences.mean())
    seed_se = math.sqrt(_variance(differences) / num) if num > 1 else None
    known = ErrorDifference(mean, None, None, num, seed_se, test_set_se, pairing)
    half = known.half_width(rules)
    if math.isinf(half):
        return known
    return replace(known, low=mean - half, high=mean + half)
