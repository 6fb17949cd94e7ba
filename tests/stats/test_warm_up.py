"""Where one run becomes steady."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.stats import warm_up
from bakeoff.stats.warm_up import _quantile


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([9.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1),
        ([9.0, 3.0, 1.0, 1.0, 1.01, 0.99], 2),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0),
        ([1.0, 9.0, 1.0, 1.0, 1.0, 1.0], 0),  # a slow epoch later on is no warm-up
        ([1.04, 1.0, 1.0, 1.0], 0),  # less than 5 %
        ([1.06, 1.0, 1.0, 1.0], 1),
        ([0.5, 1.0, 1.0, 1.0], 0),  # a fast one is none either
        ([1.3, 0.8, 1.3, 0.8, 1.3, 0.8, 0.8, 1.3, 0.8, 1.3], 0),  # two lengths
        ([5.0, 1.3, 0.8, 1.3, 0.8, 1.3, 0.8, 0.8, 1.3, 0.8, 1.3, 0.8], 1),
    ],
)
def test_warm_up(times: list[float], expected: int) -> None:
    found = warm_up(times)
    assert found is not None
    assert (found.num_epochs, found.is_steady) == (expected, True)


def test_what_it_cost_worked_by_hand() -> None:
    found = warm_up([9.0, 3.0, 1.0, 1.0, 1.01, 0.99])
    assert found is not None
    assert found.steady_s == 1.0
    assert found.excess_s == pytest.approx(10.0)  # 9 + 3 - 2 x 1


@pytest.mark.parametrize(
    "times",
    [
        np.linspace(10, 1, 20),  # ever faster
        np.linspace(1, 10, 20),  # ever slower
        [5.0, 5.0, 5.0, 1.0, 1.0, 1.0],  # the first half is all warm-up: it may go on
        [1.0] * 15 + [1.2] * 5,  # a step late in the run
    ],
)
def test_a_run_that_still_changes_is_not_steady(times: list[float]) -> None:
    found = warm_up(times)
    assert found is not None and not found.is_steady


@pytest.mark.parametrize("times", [[9.0, 1.0, 1.0], [], [1.0, math.nan, 1.0, 1.0, 1.0]])
def test_too_little_to_say(times: list[float]) -> None:
    assert warm_up(times) is None


@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=40), st.sampled_from([0.25, 4.0, 1024.0]))
def test_the_unit_of_time_does_not_matter(times: list[float], unit: float) -> None:
    found, scaled = warm_up(times), warm_up([unit * one for one in times])
    assert found is not None and scaled is not None
    assert (scaled.num_epochs, scaled.is_steady) == (found.num_epochs, found.is_steady)
    assert scaled.excess_s == pytest.approx(unit * found.excess_s, abs=1e-9)
    assert 0 <= found.num_epochs <= len(times) // 2 and found.excess_s >= -1e-9


@pytest.mark.parametrize("num", [10, 20, 50, 200])
def test_it_is_rarely_seen_where_there_is_none_and_found_where_there_is(num: int) -> None:
    random = np.random.default_rng(num)
    runs = [np.exp(random.normal(0, 0.03, num)) for _ in range(400)]
    plain = [found for run in runs if (found := warm_up(run))]
    assert np.mean([found.num_epochs > 0 for found in plain]) <= 0.05
    assert np.mean([not found.is_steady for found in plain]) <= 0.02
    slow = [warm_up(run * np.concatenate([[2.0, 1.5], np.ones(num - 2)])) for run in runs]
    assert np.mean([found is not None and found.num_epochs == 2 for found in slow]) >= 0.95


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        warm_up(np.ones((2, 5)))


def test_the_quantile_is_numpys() -> None:
    random = np.random.default_rng(3)
    for num in range(1, 25):
        values = random.exponential(size=num)
        for share in (0.0, 0.5, 0.9, 1.0):
            assert _quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-12)
