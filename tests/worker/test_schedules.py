"""Learning rates by hand, step for step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff_worker.data import class_weights
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.schedules import in_short, rates


def settings(schedule, epochs=4, **options):
    asked = {"learning_rate": 0.1, "epochs": epochs, "schedule": schedule, "schedule_options": options}
    return TrialSettings("jax", "jax", **asked)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (settings("warm_up", warm_up_epochs=2), [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.1]),
        (
            settings("step", at_epochs=[1, 3], factor=0.5),
            [0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025],
        ),
        (
            settings("cosine", final_share=0.2, warm_up_epochs=1),
            [0.05, 0.1, *(0.1 * (0.2 + 0.4 * (1 + math.cos(math.pi * step / 6))) for step in range(6))],
        ),
        (settings("exponential", factor=0.25), [0.1 * 0.5**step for step in range(8)]),
    ],
    ids=lambda value: getattr(value, "schedule", ""),
)
def test_each_step_has_the_formulas_rate(asked, expected):
    assert rates(asked, 2) == pytest.approx(expected)


def test_a_constant_rate_has_no_schedule():
    assert rates(settings("constant"), 2) is None
    assert in_short(settings("constant"), 10) is None


def test_ten_rates_stand_for_the_whole():
    found = in_short(settings("cosine", epochs=90), 10)
    assert len(found) == 10
    assert found[0] == 0.1
    assert 0 < found[-1] < 1e-6
    assert (np.diff(found) < 0).all()


def test_balanced_classes_weigh_the_same_in_all():
    labels = np.array([0] * 6 + [1] * 3 + [3])
    found = class_weights(TrialSettings("jax", "jax", class_weights="balanced"), labels, 4)
    assert found == [10 / (4 * 6), 10 / (4 * 3), 1.0, 10 / 4]
    with pytest.raises(ValueError, match="class_weights has 2 numbers, the data 4 classes"):
        class_weights(TrialSettings("jax", "jax", class_weights=[1.0, 2.0]), labels, 4)
