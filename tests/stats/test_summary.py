import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from bakeoff.stats import POSITIVE, REAL, SHARE, mean_interval, median_interval, summarize

finite = st.floats(-1e6, 1e6)


def test_a_case_worked_by_hand() -> None:
    # mean 5, squares 4 + 1 + 0 + 1 + 4 = 10, variance 10 / 4, t(0.975, 4) = 2.7764
    found = summarize([3.0, 4.0, 5.0, 6.0, 7.0])
    assert (found.num, found.mean, found.variance, found.median) == (5, 5.0, 2.5, 5.0)
    assert (found.minimum, found.maximum) == (3.0, 7.0)
    assert found.low == pytest.approx(5 - 2.776445 * math.sqrt(2.5 / 5), abs=1e-5)
    assert found.high == pytest.approx(5 + 2.776445 * math.sqrt(2.5 / 5), abs=1e-5)


@given(st.lists(finite, min_size=3, max_size=30), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_is_that_of_scipy(values: list[float], confidence: float) -> None:
    if np.ptp(values) < 1e-3:
        values = [*values, values[0] + 1.0]
    expected = reference.t.interval(
        confidence, len(values) - 1, loc=np.mean(values), scale=reference.sem(values)
    )
    assert mean_interval(values, confidence) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(finite, max_size=30), st.randoms())
def test_the_order_of_rows_changes_nothing(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert summarize(values) == summarize(shuffled)


@given(st.lists(finite, min_size=1, max_size=30))
def test_the_mean_lies_in_the_range(values: list[float]) -> None:
    found = summarize(values)
    assert found.minimum is not None and found.mean is not None and found.maximum is not None
    assert found.minimum <= found.mean <= found.maximum


def test_one_value_has_a_mean_but_no_spread() -> None:
    found = summarize([4.0])
    assert (found.mean, found.variance, found.sd, found.low, found.high) == (4.0, None, None, None, None)


def test_no_value_has_nothing() -> None:
    assert summarize([]).num == 0
    assert summarize([]).mean is None


def test_what_is_no_number_is_counted_and_left_out() -> None:
    found = summarize([1.0, float("nan"), 3.0, float("inf")])
    assert (found.num, found.mean, found.num_left_out) == (2, 2.0, 2)


@pytest.mark.parametrize("num", [3, 5, 10])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(num: int) -> None:
    random = np.random.default_rng(20261123)
    draws = random.normal(3.0, 2.0, (4000, num))
    intervals = [mean_interval(draw) for draw in draws]
    hits = sum(low <= 3.0 <= high for low, high in intervals) / len(draws)
    assert hits == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_two_values_have_a_spread_but_no_interval() -> None:
    found = summarize([1.0, 3.0])
    assert (found.sd, found.low, found.high) == (math.sqrt(2), None, None)


def test_intervals_of_times_and_shares_worked_by_hand() -> None:
    """Standard error 1 of a mean of 2: t is 4.303 of three values; of a share of 0.5, 0.1 is 0.4 logits."""
    times, factor = mean_interval([2.0 - math.sqrt(3), 2.0, 2.0 + math.sqrt(3)], bounds=POSITIVE), 4.302653
    assert times == pytest.approx((2 / math.exp(factor / 2), 2 * math.exp(factor / 2)), rel=1e-5)
    shares = mean_interval([0.5 - math.sqrt(0.03), 0.5, 0.5 + math.sqrt(0.03)], bounds=SHARE)
    high = 1 / (1 + math.exp(-0.4 * factor))
    assert shares == pytest.approx((1 - high, high), rel=1e-5)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=20), st.sampled_from([POSITIVE, SHARE]))
def test_no_interval_contains_what_cannot_be(values: list[float], bounds: tuple[float, float]) -> None:
    found = summarize(values, bounds=bounds)
    assert found.low is not None and found.mean is not None and found.high is not None
    assert (
        bounds[0] <= found.low <= found.mean * (1 + 1e-9)
        and found.mean * (1 - 1e-9) <= found.high <= bounds[1]
    )
    assert math.isfinite(found.high)


def test_where_the_bounds_are_far_away_they_change_little() -> None:
    values = [100.0, 101.0, 99.0, 100.5, 99.5]
    plain, positive = mean_interval(values, bounds=REAL), mean_interval(values, bounds=POSITIVE)
    assert positive == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("num", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_the_interval_of_times_covers_as_often_as_it_says(num: int, spread: float) -> None:
    """Log-normal times: their mean is exp(sd²/2). From 0.5 on few values cover a skew mean less often."""
    draws = np.random.default_rng(20261126).lognormal(0.0, spread, (4000, num))
    true = math.exp(spread**2 / 2)
    intervals = [mean_interval(draw, bounds=POSITIVE) for draw in draws]
    hits = sum(low <= true <= high for low, high in filter(None, intervals)) / len(draws)
    assert hits >= (0.935 if spread == 0.1 else 0.90)


def test_the_sign_tests_interval_of_a_median_by_hand() -> None:
    # Of 12 values the third and the tenth: 1 - 2 (1 + 12 + 66) / 4096. Of five, all cover with 15/16.
    assert median_interval(range(12, 0, -1)) == (3, 10, 1 - 158 / 4096)
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == (1.0, 5.0, 0.9375)
