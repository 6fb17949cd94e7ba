"""A decision that rounding tipped is found and taken as the contestant took it; anything else is not."""

from __future__ import annotations

import numpy as np
import pytest
from invented import CONV, DENSE, POOL

from bakeoff.verification import tolerances
from bakeoff.verification.evidence import Call, LayerInfo, WeightInfo
from bakeoff.verification.kinks import agree
from bakeoff.verification.reference.network import Network
from bakeoff.verification.reference.semantics import Semantics

LAYERS = (("Conv2D", CONV), ("MaxPooling2D", POOL), ("Flatten", {}), ("Dense", DENSE))
SHAPES = {(0, "kernel"): (3, 3, 1, 4), (0, "bias"): (4,), (3, "kernel"): (64, 10), (3, "bias"): (10,)}
TOLERANCE = tolerances.of("float32")


@pytest.fixture
def run():
    """One batch through a network, with an activation a hair above zero and two pixels a hair apart."""
    network = Network(
        tuple(LayerInfo(f"layer{place}", kind, True, config) for place, (kind, config) in enumerate(LAYERS)),
        tuple(WeightInfo(place, name, True, False) for place, name in SHAPES),
        tuple(Call(place, (place,), place + 1) for place in range(len(LAYERS))),
        "categorical_crossentropy",
    )
    generator = np.random.default_rng(0)
    weights = [0.3 * generator.normal(size=shape) for shape in SHAPES.values()]
    images = generator.uniform(size=(8, 10, 10, 1))
    found = network.forward(images, weights, Semantics())
    # The bias moves one channel's activations together, until one that is its window's largest lies at zero.
    before = np.tensordot(
        np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 3), axis=(1, 2)),
        weights[0][:, :, 0],
        axes=([3, 4], [0, 1]),
    )[..., 0]
    windows = before.reshape(8, 4, 2, 4, 2).max(axis=(2, 4))
    weights[1][0] = 1e-9 - np.sort(windows.ravel())[100]
    found = network.forward(images, weights, Semantics())
    labels = np.eye(10)[generator.integers(0, 10, 8)]
    return found, labels


def nearest(run, call):
    return int(run.results[call].margins().argmin())


def test_relu_within_rounding_of_zero(run):
    found, labels = run
    decision = nearest(found, 0)
    assert found.results[0].margins()[decision] < 1e-8
    theirs = found.tipped(0, (decision,)).gradients(labels)
    gap = tolerances.difference(theirs[0], found.gradients(labels)[0])
    assert gap > 10 * TOLERANCE.gradients  # it would pass for a difference
    back, num_tipped = agree(found, labels, theirs, TOLERANCE)
    assert num_tipped == 1
    for one, other in zip(back.gradients, theirs, strict=True):
        np.testing.assert_allclose(one, other)


def test_equal_gradients_tip_nothing(run):
    found, labels = run
    back, num_tipped = agree(found, labels, found.gradients(labels), TOLERANCE)
    assert num_tipped == 0
    np.testing.assert_array_equal(back.gradients[0], found.gradients(labels)[0])


def test_a_decision_that_is_far_from_its_kink_is_no_rounding(run):
    found, labels = run
    far = int(found.results[0].output.ravel().argmax())  # surely the largest of its window
    theirs = found.tipped(0, (far,)).gradients(labels)
    back, num_tipped = agree(found, labels, theirs, TOLERANCE)
    assert tolerances.difference(theirs[0], back.gradients[0]) > TOLERANCE.gradients
    assert num_tipped == 0


def test_another_gradient_altogether_stays_another(run):
    found, labels = run
    theirs = [1.01 * one for one in found.gradients(labels)]
    back, _ = agree(found, labels, theirs, TOLERANCE)
    assert tolerances.difference(theirs[0], back.gradients[0]) > TOLERANCE.gradients
