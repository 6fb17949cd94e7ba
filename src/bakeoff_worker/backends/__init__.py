"""One folder a framework; the same file names in each. `NAMES` maps a study's word to its module."""

import importlib
from typing import Any

NAMES = {
    "tensorflow": "bakeoff_worker.backends.tensorflow",
    "jax": "bakeoff_worker.backends.jax",
    "torch": "bakeoff_worker.backends.torch",
    "theano": "bakeoff_worker.backends.theano",
    "tensorflow1": "bakeoff_worker.backends.tensorflow1",
    "fake": "bakeoff_worker.backends.fake",
}


def load(name: str) -> Any:
    """The backend class of that name; imports that one framework and no other."""
    return importlib.import_module(NAMES[name]).Backend
