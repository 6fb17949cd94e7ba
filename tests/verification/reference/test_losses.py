"""Losses by hand, and their gradients against differences of their values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff.verification.reference.losses import loss

LABELS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
FOUND = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
NAMES = ("categorical_crossentropy", "binary_crossentropy", "categorical_hinge", "mean_squared_error")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("categorical_crossentropy", -(math.log(0.5) + math.log(0.6)) / 2),
        (
            "binary_crossentropy",
            -(math.log(0.8 * 0.5 * 0.7) + math.log(0.6 * 0.9 * 0.7)) / 6,
        ),
        ("categorical_hinge", ((0.3 - 0.5 + 1) + (0.3 - 0.6 + 1)) / 2),
        ("mean_squared_error", ((0.04 + 0.25 + 0.09) + (0.16 + 0.01 + 0.09)) / 6),
    ],
)
def test_values_by_hand(name, expected):
    assert loss(name, LABELS, FOUND, {})[0] == pytest.approx(expected)


def test_class_numbers_mean_the_same_as_vectors():
    plain = loss("categorical_crossentropy", LABELS, FOUND, {})
    sparse = loss("sparse_categorical_crossentropy", np.array([1, 0]), FOUND, {})
    assert sparse[0] == plain[0]
    np.testing.assert_array_equal(sparse[1], plain[1])


CROSSENTROPIES = {
    "categorical_crossentropy": np.log(FOUND),
    "binary_crossentropy": np.log(FOUND / (1 - FOUND)),
}


@pytest.mark.parametrize("name", CROSSENTROPIES)
def test_of_logits_they_are_those_of_the_probabilities(name):
    logits = CROSSENTROPIES[name] + (2.5 if name.startswith("categorical") else 0)
    found, gradient = loss(name, LABELS, logits, {}, from_logits=True)
    assert found == pytest.approx(loss(name, LABELS, FOUND, {})[0])
    if name == "categorical_crossentropy":
        np.testing.assert_allclose(gradient, (FOUND - LABELS) / 2)
    direction, step = np.random.default_rng(0).normal(size=FOUND.shape), 1e-6
    ahead, behind = (
        loss(name, LABELS, logits + way * step * direction, {}, from_logits=True)[0] for way in (1, -1)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_logits_are_not_clipped():
    one = np.array([[-40.0]])
    assert loss("binary_crossentropy", np.array([[1.0]]), one, {}, from_logits=True)[0] == pytest.approx(40)


def test_other_ways_to_add_up():
    plain, _ = loss("categorical_crossentropy", LABELS, FOUND, {})
    assert loss("categorical_crossentropy", LABELS, FOUND, {"reduction": "sum"})[0] == pytest.approx(
        2 * plain
    )
    smoothed, _ = loss("categorical_crossentropy", LABELS, FOUND, {"smoothing": 0.3})
    evenly = -np.log(FOUND).mean()
    assert smoothed == pytest.approx(0.7 * plain + 0.3 * evenly)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"smoothing": 0.1, "scale": 3.0}])
def test_gradients_are_the_slopes_of_the_values(name, options):
    direction = np.random.default_rng(0).normal(size=FOUND.shape)
    step = 1e-7
    ahead, behind = (loss(name, LABELS, FOUND + way * step * direction, options)[0] for way in (1, -1))
    _, gradient = loss(name, LABELS, FOUND, options)
    assert (ahead - behind) / (2 * step) == pytest.approx(float((gradient * direction).sum()), rel=1e-5)
