"""Activation functions and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# From x to the value and a function from its gradient to that of x.
Activation = Callable[[Array, float], tuple[Array, Callable[[Array], Array]]]

# Klambauer et al. 2017, appendix A1; the digits that Keras has.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _linear(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    return x, lambda g: g


def _relu(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    slope = np.where(x > 0, 1.0, np.where(x == 0, at_zero, 0.0))
    return np.maximum(x, 0), lambda g: g * slope


def _elu(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    below = np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, below - 1), lambda g: g * np.where(x > 0, 1.0, below)


def _selu(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    below = _SELU_ALPHA * np.exp(np.minimum(x, 0))
    value = _SELU_SCALE * np.where(x > 0, x, below - _SELU_ALPHA)
    return value, lambda g: g * _SELU_SCALE * np.where(x > 0, 1.0, below)


def _sigmoid(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    value = 0.5 * (1 + np.tanh(0.5 * x))
    return value, lambda g: g * value * (1 - value)


def _tanh(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    value = np.tanh(x)
    return value, lambda g: g * (1 - value**2)


def _softplus(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    slope = 0.5 * (1 + np.tanh(0.5 * x))
    return np.logaddexp(0, x), lambda g: g * slope


def _softsign(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    return x / (1 + np.abs(x)), lambda g: g / (1 + np.abs(x)) ** 2


def _exponential(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    value = np.exp(x)
    return value, lambda g: g * value


def _softmax(x: Array, at_zero: float) -> tuple[Array, Callable[[Array], Array]]:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    value = raised / raised.sum(axis=-1, keepdims=True)
    return value, lambda g: value * (g - (g * value).sum(axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Activation] = {
    "linear": _linear,
    "relu": _relu,
    "elu": _elu,
    "selu": _selu,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "softplus": _softplus,
    "softsign": _softsign,
    "exponential": _exponential,
    "softmax": _softmax,
}
