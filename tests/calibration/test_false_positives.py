"""Identical entries told apart: counted rightly, and held against what chance does to their pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bakeoff import stats
from bakeoff.calibration.false_positives import differ_by_chance, false_positives

FIXED, SEQUENTIAL = stats.Rules(), stats.Rules(is_sequential=True)


def normal(seed: int, num_blocks: int = 12, num_entries: int = 8, sd: float = 0.03) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(0, sd, (num_blocks, num_entries)) + random.normal(0, 0.2, (num_blocks, 1))


def test_a_worked_case() -> None:
    # Three entries, six blocks; the third is 10 % slower in every block, the first two take turns.
    turns = np.array([0.01, -0.01, 0.01, -0.01, 0.01, -0.01])
    plain = np.column_stack([turns, -turns, 0.1 + 0.5 * turns])
    found = false_positives(plain, FIXED)
    assert found is not None
    assert (found.num_windows, found.num_blocks, found.num_comparisons) == (1, 6, 3)
    assert (found.num_false, found.num_called, found.rate) == (2, 2, pytest.approx(2 / 3))
    sequential = false_positives(plain, SEQUENTIAL)
    assert sequential is not None and sequential.num_false == 2


def test_the_margin_makes_a_difference_to_users_and_none_to_the_count() -> None:
    plain = np.column_stack([np.zeros(6), np.full(6, 0.01) + 1e-4 * np.arange(6)])
    found = false_positives(plain, FIXED)
    assert found is not None
    assert (found.num_false, found.num_called) == (1, 0)


@pytest.mark.parametrize(("num_blocks", "windows"), [(7, (1, 7)), (11, (1, 11)), (12, (2, 6)), (20, (3, 6))])
def test_stretches_have_six_blocks_at_least(num_blocks: int, windows: tuple[int, int]) -> None:
    found = false_positives(normal(0, num_blocks, 4), FIXED)
    assert found is not None
    assert (found.num_windows, found.num_blocks) == windows
    assert found.num_comparisons == 6 * windows[0]


def test_each_pair_and_stretch_is_judged_as_by_the_statistics() -> None:
    plain = normal(3) + 0.02 * np.arange(8)
    expected = 0
    for (a, b), start in itertools.product(itertools.combinations(range(8), 2), (0, 6)):
        part = np.exp(plain[start : start + 6])
        ratio = stats.time_ratio(part[:, a], part[:, b], FIXED)
        assert ratio.low is not None and ratio.high is not None
        expected += ratio.low > 1 or ratio.high < 1
    found = false_positives(plain, FIXED)
    assert found is not None and found.num_false == expected > 10


def test_too_few_blocks_or_entries_say_nothing() -> None:
    assert false_positives(normal(0, 5), SEQUENTIAL) is None
    assert false_positives(normal(0, 2), FIXED) is None
    assert false_positives(normal(0, 12, 1), FIXED) is None


def test_names_and_the_machines_speed_do_not_matter() -> None:
    plain = normal(1)
    found = false_positives(plain, FIXED)
    shuffled = false_positives(plain[:, ::-1] + np.linspace(0, 1, 12)[:, None], FIXED)
    assert found is not None and shuffled is not None
    assert (found.num_false, found.rate, found.low, found.high) == (
        shuffled.num_false,
        shuffled.rate,
        shuffled.low,
        shuffled.high,
    )


def test_intervals_hold_and_the_allowance_is_rarely_passed_where_all_is_well() -> None:
    """400 calibrations of a sound machine: the interval has the true 5 %, and few fail."""
    found = [false_positives(normal(seed, num_entries=6), FIXED) for seed in range(400)]
    rates = np.array([one.rate for one in found if one])
    assert rates.mean() == pytest.approx(0.05, abs=0.01)
    covered = np.mean([one.low <= 0.05 <= one.high for one in found if one])
    assert covered >= 0.94
    assert np.mean([not one.is_allowed for one in found if one]) <= 0.025
    assert all(one.num_effective < one.num_comparisons for one in found if one), "pairs share entries"
    assert np.mean([one.noise_rate for one in found if one]) == pytest.approx(0.05, abs=0.01)


def test_an_entry_that_is_different_after_all_is_seen() -> None:
    plain = normal(5, num_entries=10)
    plain[:, 0] += 0.05
    found = false_positives(plain, FIXED)
    assert found is not None and found.num_false >= 5
    assert differ_by_chance(plain) < 0.01


def test_the_permutation_test_keeps_its_level() -> None:
    skewed = np.random.default_rng(8).exponential(0.05, (200, 8, 6))
    chances = np.array([differ_by_chance(plain) for plain in skewed])
    assert np.mean(chances < 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert 0.35 < np.median(chances) < 0.65


def test_entries_that_never_vary_do_not_differ() -> None:
    assert differ_by_chance(np.zeros((6, 4))) == 1.0
