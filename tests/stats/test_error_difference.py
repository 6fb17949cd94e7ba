"""Two sources of chance in a difference of errors: by hand, by analysis of variance, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import stats
from bakeoff.stats import Rules

SD = math.sqrt(4 * 0.002**2 / 5)


def test_a_difference_worked_by_hand() -> None:
    found = stats.error_difference([0.010, 0.012, 0.014] * 2, [0.009] * 6, num_test_images=9_998)
    assert found.difference == pytest.approx(0.003)
    assert found.seed_se == pytest.approx(SD / math.sqrt(6))  # squares 4 x 0.002² over 5
    # One right and one wrong more: (0.012 x 9998 + 1) / 10000 and (0.009 x 9998 + 1) / 10000.
    rates = (0.0120976, 0.0090982)
    assert found.test_set_se == pytest.approx(math.sqrt(sum(r * (1 - r) for r in rates) / 10_000))
    half = math.hypot(2.570582 * SD / math.sqrt(6), 1.959964 * (found.test_set_se or 0))
    assert (found.low, found.high) == pytest.approx((0.003 - half, 0.003 + half), rel=1e-5)
    assert (found.num_blocks, found.is_paired_by_image) == (6, False)


def test_images_worked_by_hand() -> None:
    """Two blocks, four images: a errs alone on the first image in both, b alone on the last in one."""
    wrong_a = [[1, 0, 1, 0], [1, 0, 1, 0]]
    wrong_b = [[0, 0, 1, 0], [0, 0, 1, 1]]
    found = stats.error_difference_by_image(wrong_a, wrong_b)
    # Differences (1, 0, 0, 0) and (1, 0, 0, -1): means by run 1/4 and 0.
    assert found.difference == pytest.approx(1 / 8)
    assert found.seed_se == pytest.approx(1 / 8)  # sd of (1/4, 0) is √2/8, over √2
    # By image 1, 0, 0, -1/2; residuals ±1/8 but for the last, ±3/8: squares 6/64 + 18/64 = 3/8, over 1 x 3.
    # With +1 and -1 added, the variance of six values of mean 1/12 is (13/4 - 6/144) / 5.
    of_images = (13 / 4 - 6 / 144) / 5 - (3 / 8 / 3) / 2
    assert found.test_set_se == pytest.approx(math.sqrt(of_images / 6))
    assert found.is_paired_by_image


def test_errors_of_images_and_errors_of_runs_give_one_difference() -> None:
    random = np.random.default_rng(2)
    a, b = random.random((2, 5, 300)) < 0.2
    by_image = stats.error_difference_by_image(a, b)
    by_run = stats.error_difference(a.mean(axis=1), b.mean(axis=1), num_test_images=300)
    assert by_image.difference == pytest.approx(by_run.difference)
    assert by_image.seed_se == pytest.approx(by_run.seed_se)


def test_erring_on_the_same_images_narrows_the_interval() -> None:
    random = np.random.default_rng(3)
    hard = random.random(2000) < 0.1
    a, b = hard ^ (random.random((2, 4, 2000)) < 0.005)
    by_image = stats.error_difference_by_image(a, b)
    by_run = stats.error_difference(a.mean(axis=1), b.mean(axis=1), num_test_images=2000)
    assert by_image.test_set_se is not None and by_run.test_set_se is not None
    assert by_image.test_set_se < by_run.test_set_se / 3


def test_never_disagreeing_on_few_images_is_no_certainty() -> None:
    """Nothing seen of 100 images says little: three in a hundred may be (the rule of three)."""
    nothing = np.zeros((6, 100))
    for found in (
        stats.error_difference_by_image(nothing, nothing),
        stats.error_difference([0.0] * 6, [0.0] * 6, num_test_images=100),
    ):
        assert found.high is not None and 0.02 < found.high < 0.05


def test_without_the_size_of_the_test_set_only_seeds_count() -> None:
    found = stats.error_difference([0.1, 0.2, 0.3] * 2, [0.1] * 6)
    assert found.test_set_se is None
    assert found.high == pytest.approx(0.1 + 2.570582 * math.sqrt(0.04 / 5) / math.sqrt(6), rel=1e-6)


def test_too_little_for_an_interval() -> None:
    one = stats.error_difference([0.1], [0.2], num_test_images=100)
    assert (one.difference, one.low, one.high, one.seed_se) == (pytest.approx(-0.1), None, None, None)
    assert math.isinf(one.half_width(Rules()))
    none = stats.error_difference([math.nan], [0.2], num_test_images=100)
    assert (none.difference, none.num_blocks) == (None, 0)
    early = stats.error_difference([0.1, 0.2], [0.1, 0.1], Rules(is_sequential=True))
    assert (early.low, early.high, early.num_blocks) == (None, None, 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=10), st.randoms())
def test_order_and_side_do_not_matter(pairs: list[tuple[float, float]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = np.array(pairs).T
    c, d = np.array(shuffled).T
    assert stats.error_difference(a, b, num_test_images=50) == stats.error_difference(
        c, d, num_test_images=50
    )
    forth = stats.error_difference(a, b, num_test_images=50)
    back = stats.error_difference(b, a, num_test_images=50).inverse
    assert forth.difference == pytest.approx(back.difference, abs=1e-12)
    if forth.low is not None:
        assert (forth.low, forth.high) == pytest.approx((back.low, back.high), abs=1e-12)


@pytest.mark.parametrize(("seeds", "images"), [(0.02, 0.0), (0.0, 0.3), (0.004, 0.1)])
@pytest.mark.parametrize("rules", [Rules(), Rules(is_sequential=True)], ids=["fixed", "any look"])
def test_the_interval_covers_over_seeds_and_test_sets(seeds: float, images: float, rules: Rules) -> None:
    """Normal scores in place of outcomes, so that the truth is known: seeds alone, images alone, both."""
    random = np.random.default_rng(4)
    num, hits = 500, 0
    for _ in range(num):
        table = random.normal(0, seeds, (12, 1)) + random.normal(0, images, 400)
        table = table + random.normal(0, 0.2, (12, 400))
        looks = (6, 8, 12) if rules.is_sequential else (6,)
        found = [stats.error_difference_by_image(table[:look], 0 * table[:look], rules) for look in looks]
        hits += all(
            one.low is not None and one.high is not None and one.low <= 0 <= one.high for one in found
        )
    assert hits / num >= 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / num)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1.0, 3.0])
def test_the_interval_covers_at_all_looks_to_sixty(share: float) -> None:
    """The test set's share against the seeds' of one block, where it is known: 5 % miss at any look at most.

    With the normal quantile of all 5 % beside a factor for all looks it is 7 % at 0.3.
    """
    random, rules, num = np.random.default_rng(5), Rules(is_sequential=True), 4000
    looks = np.arange(6, 61)
    seeds = random.normal(size=(num, 60))
    mean = (np.cumsum(seeds, axis=1) / np.arange(1, 61))[:, 5:]
    se = np.stack([seeds[:, :look].std(axis=1, ddof=1) / math.sqrt(look) for look in looks], axis=1)
    of_test_set = share * random.normal(size=(num, 1))
    half = np.array(
        [
            [
                stats.ErrorDifference(0.0, None, None, int(look), 1.0, of, stats.Pairing.BY_IMAGE).half_width(
                    rules
                )
                for of in (0.0, share)
            ]
            for look in looks
        ]
    )
    of_seeds, both = half.T
    width = np.sqrt((of_seeds * se) ** 2 + (both**2 - of_seeds**2))
    missed = (np.abs(mean + of_test_set) > width).any(axis=1).mean()
    assert missed <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / num)


@pytest.mark.parametrize(("a", "b"), [(np.zeros((2, 3)), np.zeros((2, 4))), (np.zeros(3), np.zeros(3))])
def test_wrong_shapes_are_refused(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one shape"):
        stats.error_difference_by_image(a, b)
    with pytest.raises(ValueError, match="expected"):
        stats.error_difference(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least one block"):
        stats.error_difference_by_image(np.zeros((0, 5)), np.zeros((0, 5)))


def test_splits_worked_by_hand() -> None:
    """Two blocks with images of their own: differences (1, 0, 0) and (0, 0, -1, 0)."""
    found = stats.error_difference_of_splits([[1, 0, 1], [0, 0, 0, 1]], [[0, 0, 1], [0, 0, 1, 1]], 98)
    assert found.difference == pytest.approx((1 / 3 - 1 / 4) / 2)
    # Squares 4/9 + 1/9 + 1/9 and 1/16 + 1/16 + 9/16 + 1/16 within blocks; 1 and 1 added, of nine values.
    assert found.test_set_se == pytest.approx(math.sqrt((2 / 3 + 3 / 4 + 2) / 8 / 100))
    assert found.is_paired_by_image
    assert stats.error_difference_of_splits([[1, 0]], [[0, 0]]).test_set_se is None


@pytest.mark.parametrize("num_blocks", [6, 20])
def test_splits_drawn_anew_count_the_test_sets_share_once(num_blocks: int) -> None:
    """Blocks hold out a tenth of a pool that is itself a sample; a little long, as an upper bound is."""
    random = np.random.default_rng(20261126)
    num_pool, num_images, num_studies = 2000, 200, 600
    covered, twice = 0, 0
    for _ in range(num_studies):
        chance_a, chance_b = random.beta(0.3, 2.0, (2, num_pool))  # of erring on each image
        rows = [random.choice(num_pool, num_images, replace=False) for _ in range(num_blocks)]
        a = [random.random(num_images) < chance_a[mine] for mine in rows]
        b = [random.random(num_images) < chance_b[mine] for mine in rows]
        found = stats.error_difference_of_splits(a, b, num_pool)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
        counted = stats.error_difference(
            [x.mean() for x in a], [x.mean() for x in b], num_test_images=num_images
        )
        twice += counted.low is not None and counted.low <= 0 <= (counted.high or 0)
    assert 0.93 <= covered / num_studies <= 0.995
    assert covered <= twice and twice / num_studies > 0.985, "counted twice, intervals are too long"
