import numpy as np
import pytest

from bakeoff.stats import two_valued


def test_epochs_that_jump_between_two_times() -> None:
    random = np.random.default_rng(3)
    times = random.choice([0.78, 1.30], (4, 12)) + random.normal(0, 0.01, (4, 12))
    found = two_valued(times)
    assert found is not None
    assert found == pytest.approx((0.78, 1.30), abs=0.02)


def test_epochs_of_one_time_with_noise_are_not_two_valued() -> None:
    random = np.random.default_rng(3)
    for _ in range(100):
        assert two_valued(random.normal(1.0, 0.08, (4, 12))) is None


def test_a_slow_repeat_or_a_rare_slow_epoch_is_not_two_valued() -> None:
    times = np.ones((5, 10))
    times[:, 7] = 2.0
    assert two_valued(times) is None


def test_a_warm_up_is_no_second_value() -> None:
    random = np.random.default_rng(4)
    times = random.normal(1.0, 0.01, (6, 10))
    times[:, :4] += 1.0  # two fifths of all epochs: at the beginning, and in every run
    assert two_valued(times) is None


def test_too_few_epochs_to_say() -> None:
    assert two_valued(np.array([[1.0, 2.0, 1.0, 2.0]])) is None


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        two_valued(np.zeros(5))
