import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.stats import plateau


def decay(num_repeats: int, num_epochs: int, tau: float, noise: float = 0.001, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    epochs = np.arange(1, num_epochs + 1)
    curve = 0.02 + 0.05 * np.exp(-epochs / tau)
    offsets = random.normal(0, 0.001, (num_repeats, 1))
    return curve + offsets + random.normal(0, noise, (num_repeats, num_epochs))


def test_a_case_worked_by_hand() -> None:
    # Falls by 0.01 per epoch until epoch 10, then stays; no noise, so the margin of 0.001 decides.
    # The window of epochs 10 to 14 is the first with the final level; its middle is 12. The window
    # before it, 9 to 13, lies 0.01 / 5 higher, more than the margin.
    curve = np.maximum(0.10, 0.19 - 0.01 * np.arange(40))
    assert plateau(np.tile(curve, (3, 1))).epoch == 12


@pytest.mark.parametrize("tau", [5.0, 10.0, 20.0])
def test_a_decay_ends_where_what_is_left_drops_below_the_tolerance(tau: float) -> None:
    found = [plateau(decay(10, 200, tau, seed=seed)) for seed in range(40)]
    tolerance = np.mean([one.tolerance for one in found])
    expected = tau * np.log(0.05 / tolerance)
    epochs = [one.epoch for one in found if one.epoch]
    assert len(epochs) == 40
    assert expected <= np.median(epochs) + 3 and np.median(epochs) <= 1.3 * expected


@pytest.mark.parametrize("num_repeats", [2, 3, 10])
def test_a_flat_noisy_curve_is_a_plateau_from_its_start(num_repeats: int) -> None:
    random = np.random.default_rng(7)
    late = 0
    for _ in range(200):
        errors = 0.3 + random.normal(0, 0.01, (num_repeats, 1)) + random.normal(0, 0.004, (num_repeats, 200))
        found = plateau(errors)
        assert found.epoch is not None
        late += found.epoch > 20
    assert late <= 0.05 * 200


def test_what_still_improves_has_no_plateau() -> None:
    found = plateau(decay(5, 50, 200.0))
    assert found.epoch is None
    assert "still improving at epoch 50" in found.reason


def test_an_error_that_rises_again_stops_improving_at_its_bottom() -> None:
    epochs = np.arange(100)
    curve = 0.1 + 0.00005 * (epochs - 30) ** 2
    found = plateau(np.tile(curve, (2, 1)) + np.random.default_rng(1).normal(0, 1e-5, (2, 100)))
    assert found.epoch == pytest.approx(28, abs=4)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((3, 9), "too few epochs"), ((1, 50), "too few repeats"), ((0, 0), "too few epochs")],
)
def test_too_little_to_say(shape: tuple[int, int], reason: str) -> None:
    found = plateau(np.full(shape, 0.1))
    assert found.epoch is None
    assert found.reason.startswith(reason)


def test_runs_with_numbers_that_are_none_do_not_count() -> None:
    errors = decay(4, 100, 5.0)
    broken = np.vstack([errors, np.full((1, 100), np.nan)])
    assert plateau(broken) == plateau(errors)


@given(st.permutations(range(5)))
def test_the_order_of_repeats_changes_nothing(order: list[int]) -> None:
    errors = decay(5, 60, 6.0)
    assert plateau(errors[list(order)]) == plateau(errors)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        plateau(np.zeros(5))
