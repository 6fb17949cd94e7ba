"""Scaling exponents: right by hand, and their intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from bakeoff.stats import exponents


def test_a_power_law_by_hand_whatever_the_blocks_level() -> None:
    table = np.array([[3.0, 6.0, 12.0], [5.0, 10.0, 20.0]])
    straight, flat = exponents([10, 20, 40], [table, np.ones((2, 3))])
    assert straight is not None and flat is not None
    assert (straight.value, straight.low, straight.high) == pytest.approx(
        (1, 1, 1)
    ) and straight.num_values == 3
    assert flat.value == pytest.approx(0)


def test_what_is_missing_is_left_out_and_too_little_has_no_interval() -> None:
    some = np.array([[2.0, np.nan, 8.0]])
    (found,) = exponents([1, 2, 4], [some])
    assert (
        found is not None and found.value == pytest.approx(1) and found.low is None and found.num_values == 2
    )
    assert exponents([1, 2, 4], [np.array([[2.0, np.nan, np.nan], [0.0, 3.0, -1.0]])]) == (None,)


def test_a_curved_line_has_a_wide_interval() -> None:
    """A fixed cost of 1 s, and 1 s for each unit: no power law."""
    sizes = np.array([0.1, 1.0, 10.0])
    (found,) = exponents(sizes, [np.tile(1 + sizes, (4, 1))])
    assert found is not None and found.low is not None and found.high is not None
    assert found.high - found.low > 0.2


def test_intervals_hold_the_exponent_as_often_as_they_say() -> None:
    """Four contestants of two blocks each lend each other their noise."""
    random, sizes, held, num = np.random.default_rng(1), np.array([50.0, 200.0, 800.0]), 0, 0
    for _ in range(500):
        noise = np.exp(random.normal(0, 0.05, (4, 2, 3)) + random.normal(0, 0.3, (4, 2, 1)))
        for found in exponents(sizes, list(noise * sizes**0.7)):
            assert found is not None and found.low is not None and found.high is not None
            held += found.low <= 0.7 <= found.high
            num += 1
    assert 0.93 < held / num < 0.97
