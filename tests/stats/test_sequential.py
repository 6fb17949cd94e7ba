"""The stopping rule: its arithmetic against other ways to the same numbers, and its promise by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from bakeoff.stats import sequential
from bakeoff.stats.sequential import MIN_BLOCKS, critical_value, spent


def looks(values: np.ndarray) -> np.ndarray:
    """t statistics of the mean after each block from the first look on; rows are studies."""
    count = np.arange(1, values.shape[1] + 1)
    mean = np.cumsum(values, axis=1) / count
    variance = (np.cumsum(values**2, axis=1) - count * mean**2)[:, 1:] / (count[1:] - 1)
    t = mean[:, 1:] / np.sqrt(variance / count[1:])
    return np.asarray(t[:, MIN_BLOCKS - 2 :])


def test_the_first_look_is_a_t_test_at_what_is_spent_by_then() -> None:
    # 0.8 x 5 % x (6/20)^2 / (1 + (6/20)^2) = 0.04 x 0.09 / 1.09
    assert spent(6, 0.05) == pytest.approx(0.04 * 0.09 / 1.09)
    assert critical_value(6, 0.05) == pytest.approx(reference.t.isf(0.04 * 0.09 / 1.09 / 2, 5), rel=2e-3)


def test_half_of_the_share_is_spent_by_block_20_and_never_more_than_all() -> None:
    assert spent(20, 0.05) == pytest.approx(0.02)
    assert spent(10**6, 0.05) == pytest.approx(0.04)
    assert [spent(num, 0.05) for num in range(MIN_BLOCKS)] == [0.0] * MIN_BLOCKS


def test_the_second_look_against_integration_in_two_dimensions() -> None:
    """P(|t6| within, |t7| beyond its critical value), by the joint density of the mean and spread of six.

    With six values of standard deviation s and t statistic t, and a seventh value x, the seventh look's
    statistic is explicit. Integrated here over t, s (chi) and x (normal) by quasi-random points, with no
    use of the recursion.
    """
    points = reference.qmc.Sobol(3, seed=3).random(2**19)
    mean = reference.norm.ppf(points[:, 0]) / math.sqrt(6)
    square = reference.chi2.ppf(points[:, 1], 5)
    last = reference.norm.ppf(points[:, 2])
    before = mean * math.sqrt(6) / np.sqrt(square / 5)
    total = (6 * mean + last) / 7
    squares = square + 6 * mean**2 + last**2 - 7 * total**2
    after = total * math.sqrt(7) / np.sqrt(squares / 6)
    crosses = (np.abs(before) <= critical_value(6, 0.95)) & (np.abs(after) > critical_value(7, 0.95))
    assert crosses.mean() == pytest.approx(spent(7, 0.95) - spent(6, 0.95), rel=0.01)


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_under_normal_noise_exactly_what_is_to_be_spent_is_spent(alpha: float) -> None:
    random = np.random.default_rng(1)
    most, num = 40, 60_000
    limits = np.array([critical_value(count, alpha) for count in range(MIN_BLOCKS, most + 1)])
    crossed = np.maximum.accumulate(np.abs(looks(random.normal(0, 3, (num, most)))) > limits, axis=1)
    for count in (6, 10, 20, 40):
        expected = spent(count, alpha)
        slack = 4 * math.sqrt(expected / num)
        assert crossed[:, count - MIN_BLOCKS].mean() == pytest.approx(expected, abs=slack)


def test_a_finer_grid_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = (6, 7, 8, 10, 20, 40)
    coarse = [critical_value(count, 0.05) for count in counts]
    nodes, weights = np.polynomial.legendre.leggauss(96)
    monkeypatch.setattr(sequential, "_NODES", nodes)
    monkeypatch.setattr(sequential, "_WEIGHTS", weights)
    grid = np.concatenate([np.linspace(0, 0.9, 240), 1 - np.geomspace(0.1, 1e-12, 800)[1:]])
    monkeypatch.setattr(sequential, "_GRID", grid)
    sequential._boundary.cache_clear()
    try:
        fine = [critical_value(count, 0.05) for count in counts]
    finally:
        sequential._boundary.cache_clear()
    assert coarse == pytest.approx(fine, rel=2e-3)
    assert all(one >= other - 1e-4 for one, other in zip(coarse, fine, strict=True))  # on the safe side


@given(st.sampled_from([0.3, 0.05, 0.05 / 3, 0.05 / 10, 0.05 / 28]), st.integers(MIN_BLOCKS, 80))
def test_a_smaller_error_rate_asks_for_more_and_more_blocks_give_narrower_intervals(
    alpha: float, count: int
) -> None:
    here = critical_value(count, alpha)
    assert critical_value(count, alpha / 2) > here  # what Holm's steps rely on
    assert critical_value(count + 1, alpha) / math.sqrt(count + 1) < here / math.sqrt(count)
    assert here > reference.t.isf(alpha / 2, count - 1)  # looking once would ask for less


def test_nothing_is_known_before_the_first_look() -> None:
    assert math.isinf(critical_value(MIN_BLOCKS - 1, 0.05))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_an_error_rate_is_a_probability(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        critical_value(10, alpha)
