import numpy as np
import pytest

from bakeoff.stats import two_valued, warm_up_epochs


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([9.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1),
        ([9.0, 3.0, 1.0, 1.0, 1.01, 0.99], 2),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0),
        ([1.0, 9.0, 1.0, 1.0, 1.0, 1.0], 0),  # a slow epoch later on is no warm-up
        ([1.04, 1.0, 1.0, 1.0], 0),  # less than 5 %
        ([9.0, 9.0, 1.0, 1.0], 2),
        ([9.0, 1.0], None),
    ],
)
def test_warm_up(times: list[float], expected: int | None) -> None:
    assert warm_up_epochs(np.array([times, times])) == expected


def test_one_slow_repeat_is_no_warm_up() -> None:
    times = np.ones((5, 8))
    times[0, 0] = 20.0
    assert warm_up_epochs(times) == 0


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


def test_too_few_epochs_to_say() -> None:
    assert two_valued(np.array([[1.0, 2.0, 1.0, 2.0]])) is None


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        warm_up_epochs(np.zeros(5))
