"""Layers of the user's own on their way to executors, where Elephas rebuilds the model."""

import os
import sys
from typing import Any, Dict, Optional

import numpy as np

from bakeoff_worker.backends.keras_weights import inner_layers, leaves
from bakeoff_worker.models import ModelError

# Rounding of one model that is computed twice.
_ALIKE = 1e-4


def own_layers(keras: Any, model: Any, model_file: Optional[str]) -> Dict[str, Any]:
    """Classes of layers that are not Keras's, by the names that Keras looks them up by: its custom_objects.

    What the model's file and its neighbours define travels by value: no executor can import it.
    """
    kinds = {type(layer) for outer in leaves(model) for _, layer in inner_layers(outer)} | {type(model)}
    own = {kind for kind in kinds if kind.__module__.split(".")[0] not in ("keras", "tensorflow")}
    if own and model_file is not None:
        _travel_by_value(os.path.dirname(os.path.abspath(model_file)))
    # Keras 3 knows a registered class by its package, too; Keras 2.3 registers none.
    registered = getattr(keras, "saving", None)
    names = [(kind.__name__, kind) for kind in own]
    names += [(registered.get_registered_name(kind), kind) for kind in own if registered]
    return dict(names)


def check(keras: Any, model: Any, custom_objects: Dict[str, Any], x: Any) -> None:
    """Pass if the model that executors will rebuild is this one: the same outputs for images `x`.

    Raises:
        ModelError: it can't be rebuilt, or becomes another; before anything of a cluster is started.
    """
    names = sorted(kind.__name__ for kind in set(custom_objects.values()))
    of = " with its own {}".format(", ".join(names)) if names else ""
    mends = (
        "Elephas rebuilds it from its configuration: give a layer of your own a get_config() with every "
        "argument of its __init__, and write the model as functional or Sequential"
    )
    try:
        if hasattr(model, "to_yaml"):
            rebuilt = keras.models.model_from_yaml(model.to_yaml(), custom_objects)
        else:
            rebuilt = keras.models.model_from_json(model.to_json(), custom_objects)
        rebuilt.set_weights(model.get_weights())
        apart = np.abs(rebuilt.predict(x, verbose=0) - model.predict(x, verbose=0)).max() if names else 0.0
    except Exception as error:
        message = "the model{} can't travel to executors ({}: {}). {}".format(
            of, type(error).__name__, error, mends
        )
        raise ModelError(message[:1000]) from error
    if apart > _ALIKE:
        raise ModelError(
            "the model{} becomes another on its way to executors: outputs differ by {:.2g}. {}".format(
                of, apart, mends
            )
        )


def _travel_by_value(folder: str) -> None:
    from pyspark import cloudpickle

    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and os.path.dirname(os.path.abspath(file)).startswith(folder):
            cloudpickle.register_pickle_by_value(module)
