"""Dropout and noise switched off without changing the network otherwise."""

import functools
from typing import Any, Dict

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
