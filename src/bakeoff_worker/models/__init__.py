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


def build(
    name: str, options: Mapping[str, Any], file: Optional[str], input_shape: Tuple[int, ...], num_classes: int
) -> Any:
    """The model, as its `build(input_shape, num_classes, **options)` returns it.

    file: the user's Python file, or None for the built-in model `name`.

    Raises:
        ModelError: no such file, no `build` in it, or an exception of the user's own.
    """
    if file is None:
        return importlib.import_module("bakeoff_worker.models." + name).build(
            input_shape, num_classes, **options
        )
    function = getattr(_module(file), "build", None)
    if not callable(function):
        raise ModelError("{} has no function build(input_shape, num_classes)".format(os.path.basename(file)))
    try:
        return function(input_shape, num_classes, **options)
    except Exception as error:
        message = "build({}, {}) of {} raised {}: {}".format(
            tuple(input_shape), num_classes, os.path.basename(file), type(error).__name__, error
        )
        raise ModelError(message[:1000]) from error


def recipe(file: Optional[str]) -> Dict[str, Callable[..., Any]]:
    """Of the user's file, the functions ``compile(model)``, or ``optimizer()`` and ``loss()``, that it has.

    Raises:
        ModelError: the model is no file of the user's.
    """
    if file is None:
        raise ModelError("a built-in model brings no optimizer and no loss along")
    found = {name: getattr(_module(file), name, None) for name in ("compile", "optimizer", "loss")}
    return {name: function for name, function in found.items() if callable(function)}


def declares_logits(file: Optional[str]) -> bool:
    """Whether the user's file says that its model ends in logits: ``from_logits = True``."""
    return file is not None and getattr(_module(file), "from_logits", False) is True


@lru_cache(None)
def _module(file: str) -> Any:
    """The user's file, imported once."""
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
    return module
