"""In which way the reference computes: as Keras 3 documents it, unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Semantics:
    """What is computed otherwise than by default; everything empty is the standard.

    layers: by a layer's place, keys of its configuration that have another value. Beside Keras's own keys:
        ``kind`` (another class), ``flip`` (the kernel turned by 180 degrees), ``pad_both_sides`` (``same``
        with a stride), ``order`` (``channels_first``: flattened in that order), ``inference`` (moving
        statistics in place of the batch's).
    ties: to which of several equal maxima max-pooling hands its gradient: ``first`` or ``all``.
    relu_at_zero: the derivative of relu at exactly zero.
    loss: ``reduction`` (``sum``), ``scale``, ``smoothing`` (of labels), ``class_weights`` (of images, by
        class), ``l2`` (a penalty on all kernels);
        ``gradient_scale`` and ``l2_gradient`` do to gradients alone what ``scale`` and ``l2`` do to both.
    tf32: how factors are first rounded to TF32's 10 bits, ``to the nearest`` or ``towards zero``, by the
        product: ``convolution``, ``matrix product``.
    moving_variance: what moving variances take of a batch's: see `layers.MOVING_VARIANCE`.
    optimizer: hyperparameters by Keras's name, and ``form``, ``step`` and others of `optimizers`.
    """

    layers: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    ties: str = "first"
    relu_at_zero: float = 0.0
    loss: Mapping[str, Any] = field(default_factory=dict)
    tf32: Mapping[str, str] = field(default_factory=dict)
    moving_variance: str = "batch"
    optimizer: Mapping[str, Any] = field(default_factory=dict)

    def with_layer(self, place: int, **changes: Any) -> Semantics:
        """The same, but for one layer."""
        return replace(self, layers={**self.layers, place: {**self.layers.get(place, {}), **changes}})

    def with_loss(self, **changes: Any) -> Semantics:
        """The same, but for the loss."""
        return replace(self, loss={**self.loss, **changes})

    def with_optimizer(self, **changes: Any) -> Semantics:
        """The same, but for the optimizer."""
        return replace(self, optimizer={**self.optimizer, **changes})
