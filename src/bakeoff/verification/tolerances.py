"""How close is the same: in units of a precision's rounding, so that one rule serves all precisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

EPSILON = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}


@dataclass(frozen=True)
class Tolerances:
    """Largest relative differences, by norm and per tensor, that count as rounding.

    forward, loss: 84 roundings, 1e-5 in float32. Sums of some hundred to thousand products in another order
        are off by a few; twenty layers one after another by some thirty.
    gradients: 840 roundings, 1e-4 in float32: two passes through the network, and more cancels.
    weights: likewise, after all steps.
    optimizer: likewise, of each single change. Keras keeps 1 - beta_2 and beta_2 ** step in the network's
        precision, which alone costs 60 roundings.
    amplified: added to all but those of weights and optimizer where a layer was seen to add up many numbers
        one by one, as TensorFlow's batch normalization does: see `reference.layers.Result.amplification`.
    kink: margin, relative to a layer's root mean square, below which rounding may tip a decision: on which
        side of zero an activation is, which pixel of a window is the largest. 300 roundings.
    """

    epsilon: float
    amplified: float = 0.0

    @property
    def forward(self) -> float:
        """Of activations."""
        return 84 * self.epsilon + self.amplified

    @property
    def loss(self) -> float:
        """Of the loss."""
        return 84 * self.epsilon + self.amplified

    @property
    def gradients(self) -> float:
        """Of gradients."""
        return 840 * self.epsilon + 10 * self.amplified

    @property
    def weights(self) -> float:
        """Of weights after all steps."""
        return 840 * self.epsilon

    @property
    def optimizer(self) -> float:
        """Of one step's change."""
        return 840 * self.epsilon

    @property
    def kink(self) -> float:
        """Of decisions."""
        return 300 * self.epsilon


def of(precision: str) -> Tolerances:
    """The tolerances of a precision; KeyError for one that isn't verified."""
    return Tolerances(EPSILON[precision])


def difference(found: Array, expected: Array, floor: float = 0.0) -> float:
    """Norm of the difference relative to the expected norm, or to `floor` if that is larger.

    Infinite where shapes differ or a value is no number.
    """
    if found.shape != expected.shape:
        return float("inf")
    gap = float(np.linalg.norm((np.asarray(found, "float64") - expected).ravel()))
    scale = max(float(np.linalg.norm(np.asarray(expected, "float64").ravel())), floor)
    if not np.isfinite(gap):
        return float("inf")
    return gap / scale if scale else (0.0 if gap == 0 else float("inf"))


def floors(
    expected: Sequence[Array | None],
    layers: Sequence[int],
    sizes: Mapping[int, Array] | None = None,
) -> list[float]:
    """For each gradient, the norm below which it is little but rounding.

    A hundredth of its layer's gradients; or a fiftieth of what it adds up, signs left out: a bias before
    batch normalization has no gradient at all, and what is computed for it is the rest of many that cancel.

    layers: the place of each weight's layer. sizes: by place, see `reference.network.Backward.sizes`.
    """
    of_layer = layer_rms(expected, layers)
    found = []
    for place, (array, layer) in enumerate(zip(expected, layers, strict=True)):
        if array is None:
            found.append(0.0)
            continue
        size = (sizes or {}).get(place)
        added = 0.0 if size is None else float(np.linalg.norm(size.ravel()))
        found.append(max(0.01 * of_layer[layer] * float(np.sqrt(array.size)), 0.02 * added))
    return found


def layer_rms(expected: Sequence[Array | None], layers: Sequence[int]) -> dict[int, float]:
    """By layer, the largest root mean square of its gradients."""
    found: dict[int, float] = {}
    for array, layer in zip(expected, layers, strict=True):
        if array is not None and array.size:
            rms = float(np.linalg.norm(array.ravel())) / float(np.sqrt(array.size))
            found[layer] = max(found.get(layer, 0.0), rms)
    return found
