"""The file of a verification: arrays by name in one ``.npz``, written one by one.

    about                        JSON: see `describe`
    SCENE/x/STEP, SCENE/y/STEP   images (N, H, W, C) and labels of each step, from 0
    SCENE/calls                  JSON: the layers' calls in order: layer, tensors in, tensor out
    SCENE/activations/CALL       what each call gave on the first batch, in training mode, channels last
    general/shared/CALL          what it gave on inputs that all contestants share, where it takes such
    SCENE/losses                 (steps,) the loss before each step
    SCENE/weights/STEP/WEIGHT    all weights before the first step (0) and after each
    SCENE/gradients/STEP/WEIGHT  of the loss before each step by each trainable weight, from 0
    SCENE/start_gradients/STEP/WEIGHT   on the second and third batch, at the weights before the first step
    SCENE/epoch/WEIGHT           all weights after the same batches as one epoch
    optimizer/...                see `bakeoff_worker.verification.optimizer`

WEIGHT is a place in ``about``'s list; weights, gradients and activations are in the form that means the
same in every framework.
"""

import json
import zipfile
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Type

import numpy as np

from bakeoff_worker.backends.keras_weights import inner_layers
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.verification import silence
from bakeoff_worker.verification.batches import NUM_STEPS
from bakeoff_worker.verification.weights import Weights

# What is computed, and from what. Certificates of different versions say different things.
#   2  layers within layers; every layer on shared inputs; three batches' gradients at the start
VERSION = 2


class Evidence:
    """The file at `path`, open for writing; a context manager."""

    def __init__(self, path: Optional[str]) -> None:
        assert path is not None, "only a job with paths.evidence is verified"
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True)

    def __enter__(self) -> "Evidence":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._file.close()

    def put(self, name: str, value: Any) -> None:
        """One array, or anything that JSON holds."""
        array = value if isinstance(value, np.ndarray) else np.array(json.dumps(value))
        with self._file.open(name + ".npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)

    def put_all(self, name: str, arrays: List[Any]) -> None:
        """Arrays by their place; None leaves a place out."""
        for place, array in enumerate(arrays):
            if array is not None:
                self.put("{}/{}".format(name, place), array)

    def put_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Arrays by name."""
        for key, array in arrays.items():
            self.put("{}/{}".format(name, key), array)


def describe(backend: Any, weights: Weights) -> Dict[str, Any]:
    """What the arrays belong to: layers with their configurations, weights, loss, optimizer, versions."""
    seen = backend.observed()
    # What stands in a layer's place at the same mathematics is described as that layer, where it begins.
    instead_of = {id(twin.parts[0]): twin.original for twin in backend.equivalents}
    layers = [instead_of.get(id(layer), layer) for layer in weights.layers]
    return {
        **common(backend.settings),
        "keras": backend.keras.__version__,
        "tf32": sorted(name for name, is_rounded in (seen.get("tf32") or {}).items() if is_rounded),
        "layers": [
            dict(
                _described(layer),
                name=layer.name,
                inner=[dict(_described(inner), path=path) for path, inner in inner_layers(layer) if path],
            )
            for layer in layers
        ],
        "weights": [
            {
                "layer": weight.layer,
                "name": weight.name,
                "trainable": trainable,
                "own_draw": own_draw,
                "initializer": _declared(weight.initializer),
                "regularizer": _declared(weight.regularizer),
            }
            for weight, trainable, own_draw in zip(weights.all, weights.trainable, weights.own_draws)
        ],
        "from_logits": backend.from_logits,
        **backend.recipe(NUM_STEPS),
    }


def common(settings: TrialSettings) -> Dict[str, Any]:
    """Of `describe`, what every contestant has."""
    return {
        "version": VERSION,
        "backend": settings.backend,
        "precision": settings.precision,
        "num_steps": NUM_STEPS,
        "batch_size": settings.global_batch_size,
    }


def _described(layer: Any) -> Dict[str, Any]:
    return {
        "class": type(layer).__name__,
        "is_keras": type(layer).__module__.split(".")[0] == "keras",
        "config": _config(layer),
    }


def _declared(value: Any) -> Optional[Dict[str, Any]]:
    """An initializer or regularizer by its class and configuration; None where there is none."""
    if value is None:
        return None
    name = getattr(value, "__name__", type(value).__name__)
    return {"class_name": name, "config": _config(value) if hasattr(value, "get_config") else {}}


def _config(layer: Any) -> Dict[str, Any]:
    """As far as JSON holds it; empty where a layer of the user's doesn't say."""
    try:
        config = dict(layer.get_config(), **silence.asked(layer))
    except Exception:
        return {}
    return {str(key): value for key, value in ((k, _plain(v)) for k, v in config.items()) if value != ""}


def _plain(value: Any) -> Any:
    """The value in JSON's types; empty text for what has no such form."""
    try:
        return json.loads(json.dumps(value, default=_number))
    except (TypeError, ValueError):
        return ""


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 else None
