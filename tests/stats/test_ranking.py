"""Ranking with ties: by hand, against closed testing, and the promise that no tie is broken by chance."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from bakeoff import stats
from bakeoff.stats import Rules


def times(speeds: list[float], sd: float, num: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    machine = random.normal(0, 0.3, num)
    return np.asarray(np.exp(np.log(speeds)[:, None] + machine + random.normal(0, sd, (len(speeds), num))))


def test_two_equal_one_slower() -> None:
    table = times([2.0, 1.0, 1.001], 0.02, 8)
    found = stats.rank(table)
    assert found.order[-1] == 0
    assert found.faster == {(1, 0), (2, 0)}
    assert found.ranks == ((3, 3), (1, 2), (1, 2))
    assert sorted(map(sorted, found.groups)) == [[0], [1, 2]]
    assert found.groups[-1] == (0,)
    assert set(found.ratios) == {(0, 1), (0, 2), (1, 2)}
    # Intervals hold all at once: each at 1 - 0.05 / 3.
    alone = stats.time_ratio(table[0], table[1], Rules(num_comparisons=3))
    assert found.ratios[0, 1] == alone


def test_a_chain_whose_ends_differ_has_overlapping_groups() -> None:
    """Log ratios of neighbours -0.1 ± 0.1, of the ends -0.2 ± 0.1: only the ends are told apart."""
    wave = np.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0])
    logs = np.array([0.0 * wave, 0.1 + 0.12 * wave, 0.2 + 0.0 * wave + 0.05 * np.roll(wave, 1)])
    found = stats.rank(np.exp(logs))
    assert found.faster == {(0, 2)}
    assert found.order == (0, 1, 2)
    assert found.groups == ((0, 1), (1, 2))
    assert found.ranks == ((1, 2), (1, 3), (2, 3))


def closed_testing(table: np.ndarray, alpha: float) -> set[frozenset[int]]:
    """Pairs of which Bonferroni rejects every set of hypotheses they are in: what Holm is short for."""
    pairs = list(combinations(range(len(table)), 2))
    values = {pair: reference.ttest_rel(*np.log(table[list(pair)])).pvalue for pair in pairs}
    rejected = set()
    for pair in pairs:
        others = [one for one in pairs if one != pair]
        sets = [(pair, *some) for size in range(len(pairs)) for some in combinations(others, size)]
        if all(min(values[one] for one in some) < alpha / len(some) for some in sets):
            rejected.add(frozenset(pair))
    return rejected


@given(st.integers(0, 10_000), st.integers(2, 4), st.floats(0.005, 0.2))
def test_who_may_be_called_faster_is_what_closed_testing_says(seed: int, count: int, sd: float) -> None:
    table = times([1.0, 1.05, 1.1, 1.3][:count], sd, 6, seed)
    found = stats.rank(table)
    assume(all(one.widening == 1.0 for one in found.ratios.values()))
    assert {frozenset(pair) for pair in found.faster} == closed_testing(table, 0.05)
    means = np.log(table).mean(axis=1)
    assert all(means[a] < means[b] for a, b in found.faster)
    assert list(found.order) == sorted(range(count), key=lambda one: means[one])


@given(st.integers(0, 10_000), st.booleans())
def test_the_order_of_contestants_and_blocks_does_not_matter(seed: int, is_sequential: bool) -> None:
    rules = Rules(is_sequential=is_sequential)
    table = times([1.0, 1.02, 1.2, 1.21], 0.05, 9, seed)
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(4), random.permutation(9)
    plain, shuffled = stats.rank(table, rules), stats.rank(table[rows][:, columns], rules)
    # Whether blocks depend on the ones before is a question of their order.
    assume(all(one.widening == 1.0 for found in (plain, shuffled) for one in found.ratios.values()))
    assert {(int(rows[a]), int(rows[b])) for a, b in shuffled.faster} == plain.faster
    assert [int(rows[one]) for one in shuffled.order] == list(plain.order)
    named = {frozenset(int(rows[one]) for one in group) for group in shuffled.groups}
    assert named == {frozenset(group) for group in plain.groups}


@given(st.integers(0, 10_000))
def test_groups_and_places_say_what_the_pairs_say(seed: int) -> None:
    found = stats.rank(times([1.0, 1.03, 1.1, 1.12, 1.3], 0.05, 7, seed))
    told_apart = {frozenset(pair) for pair in found.faster}
    together = {frozenset(pair) for group in found.groups for pair in combinations(group, 2)}
    every = {frozenset(pair) for pair in combinations(range(5), 2)}
    assert together == every - told_apart
    assert not any(set(one) < set(other) for one, other in permutations(found.groups, 2))
    for one, (best, worst) in enumerate(found.ranks):
        assert 1 <= best <= worst <= 5
        assert best <= found.order.index(one) + 1 <= worst


def test_blocks_that_one_lacks_count_for_the_others() -> None:
    table = times([1.0, 2.0, 3.0], 0.02, 8)
    table[2, 3:] = math.nan
    found = stats.rank(table)
    assert [found.ratios[pair].num_blocks for pair in ((0, 1), (0, 2), (1, 2))] == [8, 3, 3]
    assert found.order == (0, 1, 2)


def test_one_without_a_time_comes_last_and_may_have_any_place() -> None:
    table = times([1.0, 2.0, 3.0], 0.02, 8)
    table[0] = math.nan
    found = stats.rank(table)
    assert found.order == (1, 2, 0)
    assert found.faster == {(1, 2)} and found.ranks[0] == (1, 3)


def test_too_few_blocks_tell_nobody_apart() -> None:
    assert stats.rank(times([1.0, 9.0], 0.001, 2)).faster == set()
    assert stats.rank(times([1.0, 9.0], 0.001, 5), Rules(is_sequential=True)).faster == set()
    assert stats.rank(times([1.0, 9.0], 0.001, 6), Rules(is_sequential=True)).faster == {(0, 1)}


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_to_compare(count: int) -> None:
    found = stats.rank(np.ones((count, 4)))
    assert found.order == tuple(range(count))
    assert found.groups == ((0,),) * count


@pytest.mark.slow
@pytest.mark.parametrize("is_sequential", [False, True])
def test_equal_contestants_are_rarely_told_apart(is_sequential: bool) -> None:
    """Any pair of four, in fixed plans of 6 blocks, or at any of the looks 6 to 12: 5 % at most."""
    rules, num, wrong = Rules(is_sequential=is_sequential), 500, 0
    random = np.random.default_rng(7)
    for _ in range(num):
        table = np.exp(random.normal(0, 0.05, (4, 12)) + random.normal(0, 0.3, 12))
        looks = range(6, 13) if is_sequential else (6,)
        wrong += any(stats.rank(table[:, :look], rules).faster for look in looks)
    assert wrong / num <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / num)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        stats.rank([1.0, 2.0])
