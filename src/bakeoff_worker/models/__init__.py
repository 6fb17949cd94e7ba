"""Built-in networks and the user's own, all as ``build(input_shape, num_classes)``.

Each built-in model is one file here, written against what Keras 2.3 and Keras 3 share.
"""

import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from typing import Any, Callable, Dict, Mapping, Optional, Tuple


class ModelError(Exception):
    """The model can't be made, or is of the wrong form; the message says what was got and what expected."""


class Builder:
    """Makes a model, as its `build(input_shape, num_classes, **options)` returns it.

    file: the user's Python file, or None for the built-in model `name`. from_logits: whether that file has
    said, once it is imported, that the model ends in logits.
    """

    def __init__(self, name: str, options: Mapping[str, Any], file: Optional[str]) -> None:
        self._name, self._options, self._file = name, options, file
        self.from_logits = False

    def __call__(self, input_shape: Tuple[int, ...], num_classes: int) -> Any:
        """The model.

        Raises:
            ModelError: no such file, no `build` in it, or an exception of the user's own.
        """
        if self._file is None:
            module = importlib.import_module("bakeoff_worker.models." + self._name)
            return module.build(input_shape, num_classes, **self._options)
        module = _of_file(self._file)
        self.from_logits = getattr(module, "from_logits", False) is True
        try:
            return module.build(input_shape, num_classes, **self._options)
        except Exception as error:
            message = "build({}, {}) of {} raised {}: {}".format(
                tuple(input_shape), num_classes, os.path.basename(self._file), type(error).__name__, error
            )
            raise ModelError(message[:1000]) from error


def recipe(file: Optional[str]) -> Dict[str, Callable[..., Any]]:
    """Of the user's file, the functions ``compile(model)``, or ``optimizer()`` and ``loss()``, that it has.

    Raises:
        ModelError: the model is no file of the user's.
    """
    if file is None:
        raise ModelError("a built-in model brings no optimizer and no loss along")
    found = {name: getattr(_of_file(file), name, None) for name in ("compile", "optimizer", "loss")}
    return {name: function for name, function in found.items() if callable(function)}


@lru_cache(None)
def _of_file(file: str) -> Any:
    """The user's file as a module that has a `build`, imported once."""
    sys.path.append(os.path.dirname(file))  # behind everything else: the user's neighbours, not shadows
    spec = importlib.util.spec_from_file_location("bakeoff_user_model", file)
    if spec is None or spec.loader is None:
        raise ModelError("{} is no Python file: expected a name that ends in .py".format(file))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        message = "{} can't be imported: {}: {}".format(os.path.basename(file), type(error).__name__, error)
        missing = (getattr(error, "name", None) or "").split(".")[0]
        if missing in ("tensorflow", "torch", "jax"):
            message += ". Only one contestant has it; write `from keras import layers, models`"
        raise ModelError(message[:1000]) from error
    if not callable(getattr(module, "build", None)):
        raise ModelError("{} has no function build(input_shape, num_classes)".format(os.path.basename(file)))
    return module
