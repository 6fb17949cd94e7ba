"""Optimizers by hand, step for step, from the formulas of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff.verification.reference.optimizers import Optimizer

RATE = 0.1


def run(name: str, gradients: list[float], **options: object) -> list[float]:
    """Changes of one weight that starts at 1."""
    optimizer = Optimizer(name, {"learning_rate": RATE, **options})
    weight, changes = np.array([1.0]), []
    for gradient in gradients:
        (change,) = optimizer.changes([weight], [np.array([gradient])])
        weight = weight + change
        changes.append(float(change[0]))
    return changes


def test_gradient_descent():
    assert run("sgd", [2.0, -3.0]) == pytest.approx([-0.2, 0.3])
    # velocity: -0.2, then 0.5 · -0.2 + 0.3
    assert run("sgd", [2.0, -3.0], momentum=0.5) == pytest.approx([-0.2, 0.2])
    assert run("sgd", [2.0, -3.0], momentum=0.5, nesterov=True) == pytest.approx([-0.3, 0.4])


def test_adam():
    first, second = run("adam", [2.0, -1.0], epsilon=0.0)
    assert first == pytest.approx(-RATE)  # both moments are corrected to the gradient itself
    mean = (0.9 * 0.2 - 0.1) / (1 - 0.9**2)
    square = (0.999 * 0.004 + 0.001) / (1 - 0.999**2)
    assert second == pytest.approx(-RATE * mean / math.sqrt(square))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("beside_root", 1 / (math.sqrt(0.001) + 0.5) * math.sqrt(0.001)),
        ("under_root", 1 / math.sqrt(0.001 + 0.5) * math.sqrt(0.001)),
        ("corrected", 1 / (1 + 0.5)),
        ("under_corrected_root", 1 / math.sqrt(1 + 0.5)),
    ],
)
def test_where_adam_adds_epsilon(place, expected):
    (change,) = run("adam", [1.0], epsilon=0.5, epsilon_at=place)
    assert change == pytest.approx(-RATE * expected)


def test_amsgrad_never_forgets_a_large_gradient():
    plain, kept = (
        run("adam", [10.0] + [0.1] * 50, beta_2=0.5, amsgrad=amsgrad)[-1] for amsgrad in (False, True)
    )
    assert abs(kept) < abs(plain)


def test_adamax():
    first, second = run("adamax", [2.0, -1.0], epsilon=0.0)
    assert first == pytest.approx(-RATE)
    assert second == pytest.approx(-RATE / (1 - 0.81) * (0.9 * 0.2 - 0.1) / (0.999 * 2))


def test_rmsprop():
    assert run("rmsprop", [2.0], epsilon=0.1) == pytest.approx([-RATE * 2 / math.sqrt(0.4 + 0.1)])
    beside = run("rmsprop", [2.0], epsilon=0.1, epsilon_at="beside_root")
    assert beside == pytest.approx([-RATE * 2 / (math.sqrt(0.4) + 0.1)])


def test_decay_clipping_and_frozen_weights():
    assert run("sgd", [2.0], weight_decay=0.01) == pytest.approx([-0.2 - RATE * 0.01])
    assert run("sgd", [2.0], clipvalue=0.5) == pytest.approx([-0.05])
    assert run("sgd", [2.0], clipnorm=1.0) == pytest.approx([-0.1])
    assert run("sgd", [2.0], frozen=(0,)) == [0.0]
    optimizer = Optimizer("sgd", {"learning_rate": RATE, "global_clipnorm": 1.0})
    changes = optimizer.changes([np.zeros(1), np.zeros(1)], [np.array([3.0]), np.array([4.0])])
    assert [float(one[0]) for one in changes] == pytest.approx([-0.06, -0.08])


def test_a_step_counter_that_runs_ahead():
    gradients = [np.array([1.0])]
    late = Optimizer("adam", {"learning_rate": RATE, "epsilon": 0.0, "late": 1})
    (change,) = late.changes([np.zeros(1)], gradients)
    ahead = -RATE * (0.1 / (1 - 0.81)) / math.sqrt(0.001 / (1 - 0.999**2))
    assert float(change[0]) == pytest.approx(ahead)
    for seen in (-RATE, ahead):
        any_step = Optimizer("adam", {"learning_rate": RATE, "epsilon": 0.0, "late": "any"})
        (change,) = any_step.changes([np.zeros(1)], gradients, [np.array([seen])])
        assert float(change[0]) == pytest.approx(seen)
