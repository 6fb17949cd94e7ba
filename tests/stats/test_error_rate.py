import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from bakeoff import stats


def test_a_case_worked_by_hand() -> None:
    found = stats.error_rate([0.08, 0.10, 0.12], 1000)
    half = t.ppf(0.975, 2) * 0.02 / math.sqrt(3) / (0.1 * 0.9)  # of the logit
    seeds = [1 / (1 + 9 * math.exp(-side * half)) for side in (-1, 1)]
    wilson = binomtest(100, 1000).proportion_ci(method="wilson")
    assert found.rate == pytest.approx(0.10) and found.num_repeats == 3
    assert (found.seed_low, found.seed_high) == pytest.approx(tuple(seeds))
    assert found.low == pytest.approx(max(0.10 - math.hypot(0.10 - seeds[0], 0.10 - wilson.low), 0.0))
    assert found.high == pytest.approx(0.10 + math.hypot(seeds[1] - 0.10, wilson.high - 0.10))


def test_little_known_is_little_said() -> None:
    assert stats.error_rate([], 1000) == stats.ErrorRate(None, 0)
    assert stats.error_rate([0.1], 1000) == stats.ErrorRate(0.1, 1)
    assert stats.error_rate([0.1, 0.2], 1000).low is None, "two say nothing of their spread"
    without = stats.error_rate([0.1, 0.2, 0.2])
    assert without.seed_low is not None and without.low is None


def test_values_that_are_none_are_left_out() -> None:
    assert stats.error_rate([0.1, math.nan, 0.2], 100) == stats.error_rate([0.1, 0.2], 100)


def test_rates_stay_between_0_and_1() -> None:
    for errors in ([0.0, 0.0, 0.0], [0.0, 0.3, 0.0], [1.0, 1.0, 0.9]):
        found = stats.error_rate(errors, 50)
        assert found.low is not None and found.high is not None
        assert 0 <= found.low <= (found.rate or 0) <= found.high <= 1


@pytest.mark.parametrize(("rate", "seed_sd"), [(0.01, 0.001), (0.1, 0.02), (0.3, 0.0)])
def test_the_interval_covers_the_rate_of_other_seeds_and_other_images(rate: float, seed_sd: float) -> None:
    """Images have difficulties that all runs share; a run adds its own luck."""
    random = np.random.default_rng(3)
    num_studies, num_images, num_repeats = 800, 2000, 5
    covered = 0
    for _ in range(num_studies):
        of_test_set = random.binomial(num_images, rate) / num_images
        found = stats.error_rate(of_test_set + random.normal(0, seed_sd, num_repeats), num_images)
        assert found.low is not None and found.high is not None
        covered += found.low <= rate <= found.high
    assert 0.92 <= covered / num_studies <= 0.985
