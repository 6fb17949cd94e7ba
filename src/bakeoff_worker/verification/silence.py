"""Dropout, noise and augmentation switched off without changing the network otherwise."""

import functools
import inspect
from typing import Any, Callable, Dict, List

import numpy as np

# Layers that draw random numbers while they train, here and in every subclass; what RNN stands for lies in
# their cells.
_RANDOM = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "RNN",
)
_RATES = ("rate", "stddev", "dropout", "recurrent_dropout")
_ASKED = "_bakeoff_asked"  # where a silenced layer remembers what it was made with


def random_layers(keras: Any) -> None:
    """From now on every layer of these kinds has a rate of zero when it is called, in this whole process.

    To be asked for before the model is built: Keras 2 writes the rate into its graph.
    """
    kinds = tuple(kind for kind in (getattr(keras.layers, name, None) for name in _RANDOM) if kind)
    call = keras.layers.Layer.__call__

    @functools.wraps(call)
    def silenced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, kinds):
            _silence(self)
        return call(self, *args, **kwargs)

    keras.layers.Layer.__call__ = silenced


def draws(keras: Any) -> List[str]:
    """From now on whatever Keras 3 draws is the middle of its distribution, in this whole process.

    Augmentation then turns by no angle and zooms by nothing; a layer of the user's that draws through
    `keras.random` does the same in every framework. To be asked for once the model is built: initializers
    draw, too. Keras 2 has written its draws into the graph by then: a layer that draws there is found out by
    drawing.

    Gives the list that each draw adds itself to: what contestants draw from is compared by that.
    """
    made: List[str] = []
    if int(keras.__version__.split(".")[0]) < 3:
        return made
    random = keras.src.backend.random
    for name, middle in _middles(keras).items():
        if hasattr(random, name):
            setattr(random, name, _noted(getattr(random, name), middle, made))
    return made


def _noted(draw: Any, middle: Any, made: List[str]) -> Any:
    """The middle in place of a draw, which is written down with what numbers it was asked for."""
    signature = inspect.signature(middle)

    @functools.wraps(draw)
    def noted(*args: Any, **kwargs: Any) -> Any:
        asked = signature.bind(*args, **kwargs)
        asked.apply_defaults()
        numbers = [
            "{}={:.6g}".format(key, float(value))
            for key, value in asked.arguments.items()
            if key != "seed" and isinstance(value, (int, float, np.number))
        ]
        made.append("{}({})".format(draw.__name__, ", ".join(numbers)))
        return middle(*args, **kwargs)

    return noted


def _middles(keras: Any) -> Dict[str, Callable[..., Any]]:
    """By the name of a draw, what it gives; each takes what the draw takes."""
    ops = keras.ops

    def full(shape: Any, value: Any, dtype: Any) -> Any:
        kind = keras.backend.standardize_dtype(dtype or keras.backend.floatx())
        return ops.zeros(shape, kind) + ops.cast(value, kind)

    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        return full(shape, mean, dtype)

    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        return full(shape, (minval + maxval) / 2, dtype)

    def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
        return full(shape, (minval + maxval) // 2, dtype)

    def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
        likeliest = ops.argmax(logits, axis=-1, keepdims=True)
        return ops.cast(ops.repeat(likeliest, num_samples, axis=-1), dtype)

    def dropout(inputs: Any, rate: Any, noise_shape: Any = None, seed: Any = None) -> Any:
        return inputs

    def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
        return x

    def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
        return full(shape, ops.round(ops.multiply(counts, probabilities)), dtype)

    def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
        return full(shape, alpha, dtype)

    def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
        return full(shape, ops.divide(alpha, ops.add(alpha, beta)), dtype)

    found = (normal, uniform, randint, categorical, dropout, shuffle, binomial, gamma, beta)
    return dict({draw.__name__: draw for draw in found}, truncated_normal=normal)


def asked(layer: Any) -> Dict[str, Any]:
    """The rates that a layer was made with, where they were set to zero since."""
    return dict(vars(layer).get(_ASKED, {}))


def _silence(layer: Any) -> None:
    if _ASKED in vars(layer):
        return
    rates = {rate: vars(layer)[rate] for rate in _RATES if rate in vars(layer)}
    for cell in [getattr(layer, "cell", None)] + list(getattr(layer, "cells", None) or ()):
        if cell is not None:
            _silence(cell)
            rates.update(asked(cell))
    object.__setattr__(layer, _ASKED, rates)
    for rate in rates:
        if rate in vars(layer):  # of a recurrent layer it is only what its cell says
            setattr(layer, rate, 0.0)
