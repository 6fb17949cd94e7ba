"""With how many epochs who wins."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff import stats
from bakeoff.stats import Costs, Rules


def costs(once: float, epoch: float, blocks: int = 6, epochs: int = 5, noise: float = 0.0) -> Costs:
    random = np.random.default_rng(round(100 * once + 10 * epoch))
    return Costs(
        once * np.exp(random.normal(0, noise, blocks)),
        epoch * np.exp(random.normal(0, noise, (blocks, 1)) + random.normal(0, noise, (blocks, epochs))),
    )


def test_a_case_worked_by_hand() -> None:
    """10 s and 1 s an epoch against 2 s and 3 s an epoch: 10 + n = 2 + 3 n at n = 4."""
    found = stats.break_even(costs(10.0, 1.0), costs(2.0, 3.0), max_epochs=50)
    assert found.at == pytest.approx(4.0)
    assert found.epochs == tuple(range(1, 51))
    assert found.ratios[:2] == pytest.approx((11 / 5, 12 / 8))
    assert found.ratios[49] == pytest.approx(60 / 152)
    assert (found.low, found.high) == (4, 4)  # without noise, only a tie is uncertain


def test_what_was_measured_is_used_as_it_is_and_then_steady_epochs_follow() -> None:
    """Warm-up of 6 s, then 1 s: 5 epochs take 10 s, each further one takes 1 s, not 2."""
    epochs = np.array([[6.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    assert Costs(np.array([3.0]), epochs).totals(8).tolist() == [[9, 10, 11, 12, 13, 14, 15, 16]]
    assert Costs(np.array([3.0]), epochs).totals(2).tolist() == [[9, 10]]


def test_with_noise_the_interval_lies_about_the_point() -> None:
    found = stats.break_even(
        costs(20.0, 1.0, 8, noise=0.02), costs(4.0, 1.4, 8, noise=0.02), max_epochs=150, rules=Rules()
    )
    assert found.at is not None and found.low is not None and found.high is not None
    assert found.low < found.at < found.high
    assert found.low < 40 < found.high
    for epochs, low, high in zip(found.epochs, found.lows, found.highs, strict=True):
        assert low is not None and high is not None
        if epochs < found.low or epochs > found.high:
            assert low > 1 or high < 1


def test_one_that_is_ahead_throughout() -> None:
    found = stats.break_even(costs(1.0, 1.0, noise=0.01), costs(2.0, 2.0, noise=0.01), max_epochs=30)
    assert (found.at, found.low, found.high) == (None, None, None)
    assert all(high is not None and high < 1 for high in found.highs)


def test_equal_epochs_never_make_up_for_the_start() -> None:
    """Half as long to start, then just as fast: ahead at first, and uncertain from some point to the end."""
    found = stats.break_even(
        costs(10.0, 1.0, 6, noise=0.03), costs(20.0, 1.0, 6, noise=0.03), max_epochs=2000
    )
    assert found.ratios[0] < 0.7
    assert found.low is not None and found.low > 20 and found.high is None


def test_one_block_has_a_curve_but_no_interval() -> None:
    found = stats.break_even(costs(10.0, 1.0, 1), costs(2.0, 3.0, 1), max_epochs=10)
    assert found.at == pytest.approx(4.0)
    assert found.lows == (None,) * 10 and (found.low, found.high) == (1, None)


def test_seen_from_the_other_side() -> None:
    a, b = costs(20.0, 1.0, 5, noise=0.02), costs(4.0, 1.4, 5, noise=0.02)
    forth, back = stats.break_even(a, b, 100), stats.break_even(b, a, 100)
    assert back.ratios == pytest.approx([1 / one for one in forth.ratios])
    assert (forth.at, forth.low, forth.high) == (pytest.approx(back.at), back.low, back.high)


def test_identical_contestants_have_no_break_even() -> None:
    a = costs(10.0, 1.0)
    assert stats.break_even(a, a, 20).at is None


@pytest.mark.parametrize("epochs", [np.ones(3), np.ones((2, 0)), np.ones((3, 4))])
def test_wrong_shapes_are_refused(epochs: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected shapes"):
        Costs(np.ones(2), epochs).totals(5)
    with pytest.raises(ValueError, match="same blocks"):
        stats.break_even(costs(1.0, 1.0, 3), costs(1.0, 1.0, 4))


def test_each_ratio_and_interval_is_that_of_the_totals() -> None:
    rng = np.random.default_rng(5)
    a, b = (stats.Costs(rng.uniform(1, 9, 7), rng.uniform(1, 2, (7, 5))) for _ in range(2))
    for rules in (stats.Rules(), stats.Rules(is_sequential=True, num_comparisons=3)):
        found = stats.break_even(a, b, 12, rules)
        for index, totals in enumerate(zip(a.totals(12).T, b.totals(12).T, strict=True)):
            expected = stats.time_ratio(*totals, rules)
            seen = (found.ratios[index], found.lows[index], found.highs[index])
            assert seen == pytest.approx((expected.ratio, expected.low, expected.high))


def test_a_block_without_a_usable_total_does_not_count() -> None:
    once, epochs = np.array([1.0, 2.0, 3.0, 4.0]), np.ones((4, 3))
    a, b = stats.Costs(once, epochs), stats.Costs(once, 1.5 * epochs)
    strange = stats.Costs(np.array([math.nan, 2.0, 3.0, 4.0]), epochs)
    few = stats.Costs(once[1:], epochs[1:]), stats.Costs(once[1:], 1.5 * epochs[1:])
    assert stats.break_even(strange, b, 5) == stats.break_even(*few, 5) != stats.break_even(a, b, 5)
