"""Time to a target error, and what it means never to reach it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy import stats as reference

from bakeoff import stats
from bakeoff.stats import Rules

SEQUENTIAL = Rules(is_sequential=True)
runs = st.one_of(st.none(), st.floats(0.1, 1000))


@pytest.mark.parametrize(
    ("target", "expected"), [(0.5, 2.0), (0.2, 5.0), (0.1, 9.0), (0.15, 9.0), (0.05, None)]
)
def test_the_seconds_until_a_target_is_first_met(target: float, expected: float | None) -> None:
    assert stats.time_to_target([2.0, 3.0, 4.0, 5.0], [0.5, 0.2, 0.1, 0.3], target) == expected


def test_what_comes_before_may_count() -> None:
    assert stats.time_to_target([2.0, 3.0], [0.5, 0.2], 0.2, start_s=10.0) == 15.0


def test_where_all_reach_it_times_decide() -> None:
    a, b = [1.0, 1.1, 0.9] * 2, [3.0, 3.3, 2.8] * 2
    found = stats.compare_to_target(a, b)
    assert found.verdict == stats.FASTER
    assert found.ratio == stats.time_ratio(a, b)
    assert (found.num_reached, found.num_first) == ((6, 6), (6, 0))


def test_a_run_that_never_reached_it_lost() -> None:
    """a always reaches it, b in half of the blocks, then a little sooner: the ratio would call b faster."""
    a = [10.0, 10.1, 10.2, 10.1, 10.0, 10.2]
    b = [9.0, 9.1, 9.2, None, None, None]
    found = stats.compare_to_target(a, b)
    assert found.ratio.ratio is not None and found.ratio.ratio > 1
    assert found.verdict == stats.UNDECIDED
    assert (found.num_reached, found.num_first, found.share) == ((6, 3), (3, 3), 0.5)


def test_six_of_six_is_the_least_that_decides() -> None:
    # Two-sided, 2 x (1/2)^6 = 3.1 %; with five it would be 6.3 %.
    assert stats.compare_to_target([1.0] * 6, [None] * 6).verdict == stats.FASTER
    assert stats.compare_to_target([None] * 6, [1.0] * 6).verdict == stats.SLOWER
    assert stats.compare_to_target([1.0] * 5, [None] * 5).verdict == stats.TOO_FEW


def test_two_that_never_reach_it_are_a_tie() -> None:
    found = stats.compare_to_target([None] * 8, [None] * 8)
    assert (found.verdict, found.share, found.low, found.num_first) == (stats.UNDECIDED, None, None, (0, 0))


@given(st.lists(st.tuples(runs, runs), max_size=15), st.booleans())
def test_seen_from_the_other_side(
    pairs: list[tuple[float | None, float | None]], is_sequential: bool
) -> None:
    rules = Rules(is_sequential=is_sequential)
    a, b = [one for one, _ in pairs], [other for _, other in pairs]
    forth, back = stats.compare_to_target(a, b, rules), stats.compare_to_target(b, a, rules)
    opposite = {stats.FASTER: stats.SLOWER, stats.SLOWER: stats.FASTER}
    assert back.verdict == opposite.get(forth.verdict, forth.verdict)
    assert back.num_first == forth.num_first[::-1]
    if forth.low is not None and back.high is not None:
        assert forth.low == pytest.approx(1 - back.high)


@pytest.mark.parametrize(("wins", "losses"), [(0, 7), (3, 4), (9, 2), (6, 0)])
def test_the_share_has_the_interval_of_scipys_exact_test(wins: int, losses: int) -> None:
    a: list[float | None] = [1.0] * wins + [None] * losses
    b: list[float | None] = [None] * wins + [1.0] * losses
    found = stats.compare_to_target(a, b)
    expected = reference.binomtest(wins, wins + losses).proportion_ci(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("wins", "losses"), [(0, 9), (3, 6), (8, 1), (9, 0)])
def test_ends_of_the_sequential_interval_are_twenty_times_less_likely_than_the_mixture(
    wins: int, losses: int
) -> None:
    a: list[float | None] = [1.0] * wins + [None] * losses
    b: list[float | None] = [None] * wins + [1.0] * losses
    found = stats.compare_to_target(a, b, SEQUENTIAL)
    assert found.low is not None and found.high is not None
    mixture = special.beta(wins + 1, losses + 1)
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert mixture / (end**wins * (1 - end) ** losses) == pytest.approx(20)
    assert (found.low == 0) == (wins == 0) and (found.high == 1) == (losses == 0)


def test_the_sequential_share_is_right_at_every_look() -> None:
    """Contestants of which either is first by the toss of a coin, looked at after each of 60 blocks."""
    random = np.random.default_rng(9)
    num, wrong = 400, 0
    for _ in range(num):
        first = random.integers(0, 2, 60)
        a = [1.0 if one else None for one in first]
        b = [None if one else 1.0 for one in first]
        wrong += any(
            stats.compare_to_target(a[:look], b[:look], SEQUENTIAL).verdict in (stats.FASTER, stats.SLOWER)
            for look in range(6, 61, 3)
        )
    assert wrong / num <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / num)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        stats.compare_to_target([1.0], [])
    with pytest.raises(ValueError, match="one length"):
        stats.time_to_target([1.0], [0.1, 0.2], 0.1)
