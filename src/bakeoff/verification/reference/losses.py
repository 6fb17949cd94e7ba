"""Losses on probabilities or logits, as Keras defines them, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bakeoff.verification.reference.layers import Unknown

Array = np.ndarray[Any, np.dtype[Any]]
_FUZZ = 1e-7  # Keras's epsilon: probabilities are kept that far from 0 and 1


def loss(
    name: str, labels: Array, found: Array, options: Mapping[str, Any], *, from_logits: bool = False
) -> tuple[float, Array]:
    """Mean over the batch, and its gradient by `found` (N, num_outputs).

    labels: (N, num_outputs), or (N,) class numbers for a sparse loss. options: see `Semantics.loss`.
    from_logits: whether a crossentropy is given logits in place of probabilities; none of those is clipped.

    Raises:
        Unknown: there is no such loss here.
    """
    kind = name.removeprefix("sparse_")
    if kind not in _LOSSES:
        raise Unknown(f"loss {name}")
    if labels.ndim == 1 or labels.shape != found.shape:
        labels = np.eye(found.shape[1])[np.asarray(labels, "int64").reshape(-1)]
    weights = np.ones(len(found))
    if options.get("class_weights"):
        classes = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0].astype("int64")
        weights = np.asarray(options["class_weights"])[classes]
    smoothing = float(options.get("smoothing", 0.0))
    labels = labels.astype("float64") * (1 - smoothing) + smoothing / found.shape[1]
    each, gradient = (_LOGIT_LOSSES if from_logits else _LOSSES)[kind](labels, found)
    share = 1.0 if options.get("reduction") == "sum" else 1.0 / len(found)
    share *= float(options.get("scale", 1.0))
    return float((each * weights).sum() * share), gradient * weights[:, np.newaxis] * share


def _categorical_crossentropy(labels: Array, found: Array) -> tuple[Array, Array]:
    total = found.sum(axis=1, keepdims=True)
    share = found / total
    kept = np.clip(share, _FUZZ, 1 - _FUZZ)
    g = np.where(kept == share, -labels / kept, 0.0)
    return -(labels * np.log(kept)).sum(axis=1), (g - (g * share).sum(axis=1, keepdims=True)) / total


def _binary_crossentropy(labels: Array, found: Array) -> tuple[Array, Array]:
    kept = np.clip(found, _FUZZ, 1 - _FUZZ)
    each = -(labels * np.log(kept) + (1 - labels) * np.log(1 - kept))
    g = np.where(kept == found, (1 - labels) / (1 - kept) - labels / kept, 0.0)
    return each.mean(axis=1), g / found.shape[1]


def _categorical_crossentropy_of_logits(labels: Array, found: Array) -> tuple[Array, Array]:
    logs = found - np.logaddexp.reduce(found, axis=1, keepdims=True)
    return -(labels * logs).sum(axis=1), labels.sum(axis=1, keepdims=True) * np.exp(logs) - labels


def _binary_crossentropy_of_logits(labels: Array, found: Array) -> tuple[Array, Array]:
    each = np.logaddexp(0, found) - labels * found
    return each.mean(axis=1), (0.5 * (1 + np.tanh(0.5 * found)) - labels) / found.shape[1]


def _categorical_hinge(labels: Array, found: Array) -> tuple[Array, Array]:
    others = (1 - labels) * found
    margin = others.max(axis=1) - (labels * found).sum(axis=1) + 1
    nearest = np.eye(found.shape[1])[others.argmax(axis=1)] * (1 - labels)
    return np.maximum(margin, 0), np.where(margin[:, np.newaxis] > 0, nearest - labels, 0.0)


def _mean_squared_error(labels: Array, found: Array) -> tuple[Array, Array]:
    return ((found - labels) ** 2).mean(axis=1), 2 * (found - labels) / found.shape[1]


_Losses = dict[str, Callable[[Array, Array], tuple[Array, Array]]]
_LOSSES: _Losses = {
    "categorical_crossentropy": _categorical_crossentropy,
    "binary_crossentropy": _binary_crossentropy,
    "categorical_hinge": _categorical_hinge,
    "mean_squared_error": _mean_squared_error,
}
_LOGIT_LOSSES: _Losses = {
    "categorical_crossentropy": _categorical_crossentropy_of_logits,
    "binary_crossentropy": _binary_crossentropy_of_logits,
}
