"""What a layer's shapes say that it must compute and move: nobody can do with less by the same algorithm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff_worker.records import LayerDescribed


@dataclass(frozen=True)
class Arithmetic:
    """Of one image: floating-point operations, a multiplication and an addition counting as two.

    forward: of the forward pass. training: of a training step, with the gradients of inputs and weights.
    Neither counts biases, activations, the loss and the update, which are smaller by orders of magnitude.
    values: numbers that the forward pass reads and writes at least, weights apart.
    """

    forward: int
    training: int
    values: int


def arithmetic(layer: LayerDescribed, *, is_first: bool) -> Arithmetic | None:
    """What a layer computes; None for kinds that nobody has counted here.

    is_first: nobody needs the gradient of the images themselves.
    """
    values = _size(layer.input_shape) + _size(layer.output_shape)
    if layer.layer_type in _VIEWS:
        return Arithmetic(0, 0, 0)
    if not layer.weight_shapes:
        return Arithmetic(0, 0, values) if layer.layer_type in _WITHOUT_PRODUCTS else None
    if layer.layer_type not in ("Conv1D", "Conv2D", "Conv3D", "Dense"):
        return None
    # Each output position takes every weight of the kernel once; of a Dense layer there is one position.
    kernel = layer.weight_shapes[0]
    forward = 2 * _size(kernel) * _size(layer.output_shape) // kernel[-1]
    return Arithmetic(forward, forward * (2 if is_first else 3), values)


_VIEWS = frozenset({"Flatten", "Reshape"})  # the same numbers, of another shape
_WITHOUT_PRODUCTS = frozenset(
    {"MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling2D", "GlobalAveragePooling2D"}
    | {"Dropout", "Activation", "ReLU", "ZeroPadding2D", "Rescaling"}
)


def of_network(layers: Sequence[LayerDescribed]) -> Arithmetic | None:
    """All layers of a chain together; None where one of them was not counted."""
    parts = [arithmetic(layer, is_first=not index) for index, layer in enumerate(layers)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Arithmetic(
        sum(one.forward for one in known),
        sum(one.training for one in known),
        sum(one.values for one in known),
    )


def _size(shape: Sequence[int]) -> int:
    return math.prod(shape)
