"""Contestants of the user's own: one Python file each, held to the contract before anything is timed."""

import importlib.util
import inspect
import itertools
import os
import sys
from functools import lru_cache
from typing import Any, Callable, Dict, Tuple

import numpy as np

from bakeoff_worker.backends import base, plain

_REQUIRED = ("start", "build", "train_epoch", "evaluate", "wrong", "silence", "weights", "restart")
_NUM_IMAGES = 8


@lru_cache(None)
def load(file: str) -> Any:
    """The class `Backend` of the file; its neighbours can be imported, but shadow nobody's modules.

    Raises:
        ContestantError: the file can't be imported, or its class lacks something.
    """
    name = os.path.basename(file)
    sys.path.append(os.path.dirname(file))
    spec: Any = importlib.util.spec_from_file_location("bakeoff_user_contestant", file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        message = "{} can't be imported: {}: {}".format(name, type(error).__name__, error)
        raise base.ContestantError(message[:1000]) from error
    found = getattr(module, "Backend", None)
    if not (inspect.isclass(found) and issubclass(found, base.Inspectable)):
        raise base.ContestantError(
            "{} has no `class Backend(Inspectable)`; write one, and "
            "`from bakeoff_worker.backends.base import Inspectable`".format(name)
        )
    lacking = [one for one in _REQUIRED if getattr(found, one) is getattr(base.Inspectable, one)]
    if lacking:
        parameters = {one: inspect.signature(getattr(found, one)).parameters for one in lacking}
        lines = ["    def {}({}): ...".format(one, ", ".join(names)) for one, names in parameters.items()]
        raise base.ContestantError(
            "class Backend of {} lacks {}; add\n{}".format(name, ", ".join(lacking), "\n".join(lines))
        )
    return found


def examine(backend: base.Inspectable, input_shape: Tuple[int, ...], num_classes: int) -> None:
    """Pass if a built contestant keeps the contract on a few random images: nothing is timed.

    Raises:
        ContestantError: it does not.
    """
    settings, file = backend.settings, os.path.basename(backend.settings.contestant)
    dtype = "float64" if settings.precision == "float64" else "float32"
    x = np.random.RandomState(0).random_sample((_NUM_IMAGES,) + tuple(input_shape)).astype(dtype)
    numbers = np.arange(_NUM_IMAGES, dtype="int32") % num_classes
    y = numbers if settings.loss.startswith("sparse") else np.eye(num_classes, dtype=dtype)[numbers]

    def call(method: str, *arguments: Any) -> Any:
        try:
            return getattr(backend, method)(*arguments)
        except Exception as error:
            message = "{} of {} raised {}: {}".format(method, file, type(error).__name__, error)
            raise base.ContestantError(message[:1000]) from error

    def expect(is_right: bool, method: str, got: Any, expected: str) -> None:
        if not is_right:
            raise base.ContestantError("{} of {}: got {}; expected {}".format(method, file, got, expected))

    def weights() -> Dict[str, Any]:
        return {name: np.array(one) for name, one in call("weights").items()}

    _check_weights(call("weights"), settings, input_shape, num_classes, expect)
    before = weights()
    call("first_step", x, y)
    undone = "weights as they were: undo the step, and let `weights` give copies"
    _check_equal(before, weights(), "first_step", undone, expect)
    for method in ("train_epoch", "evaluate"):
        kept = weights()
        got = call(method, x, y)
        is_pair = isinstance(got, tuple) and len(got) == 2 and all(isinstance(one, float) for one in got)
        expect(is_pair, method, _described(got), "two floats: `return float(loss), float(accuracy)`")
        expect(0 <= got[1] <= 1, method, "accuracy {}".format(got[1]), "a fraction in [0, 1]")
        if method == "evaluate":
            _check_equal(kept, weights(), method, "weights as they were: train nothing", expect)
    after = weights()
    is_trained = any(not np.array_equal(before[name], after[name]) for name in before)
    expect(is_trained, "weights", "the same before and after training", "what `train_epoch` has changed")
    wrong = call("wrong", x, y)
    is_right = getattr(wrong, "shape", None) == (len(x),) and wrong.dtype == bool
    expect(is_right, "wrong", _described(wrong), "a NumPy array of bool, shape ({},)".format(len(x)))
    call("restart", before)
    _check_equal(before, weights(), "restart", "`weights` to give what was loaded", expect)


def _check_weights(
    weights: Any,
    settings: Any,
    input_shape: Tuple[int, ...],
    num_classes: int,
    expect: Callable[..., None],
) -> None:
    """Pass if they are arrays by name; of the study's network, in Keras's forms and order."""
    expect(isinstance(weights, dict) and weights, "weights", _described(weights), "a dict of arrays by name")
    for name, one in weights.items():
        is_array = isinstance(one, np.ndarray) and one.dtype.kind == "f"
        expect(is_array, "weights", "{} as {}".format(name, _described(one)), "a NumPy array of floats")
    if settings.model != "study_cnn" or settings.data_layout != "channels_last":
        return
    shapes = plain.study_cnn(plain.options(settings), input_shape, num_classes)
    for (name, one), (usual, shape) in zip(weights.items(), shapes.items()):
        if one.shape != tuple(shape):
            got = "{} as {}".format(name, one.shape)
            orders = itertools.permutations(range(one.ndim)) if one.ndim == len(shape) else ()
            turned = next((each for each in orders if _turned(one.shape, each) == tuple(shape)), None)
            how = "; `.transpose{}` mends it".format(turned) if turned else ""
            expect(False, "weights", got, "{} as {}{}".format(usual, tuple(shape), how))
    got = "{} arrays".format(len(weights))
    expect(len(weights) == len(shapes), "weights", got, "{}: {}".format(len(shapes), ", ".join(shapes)))


def _turned(shape: Tuple[int, ...], order: Tuple[int, ...]) -> Tuple[int, ...]:
    return tuple(shape[axis] for axis in order)


def _check_equal(
    before: Dict[str, Any], now: Dict[str, Any], method: str, expected: str, expect: Callable[..., None]
) -> None:
    other = [name for name in before if name not in now or not np.array_equal(before[name], now[name])]
    expect(not other, method, "{} changed".format(", ".join(other)), expected)


def _described(one: Any) -> str:
    shape, dtype = getattr(one, "shape", None), getattr(one, "dtype", None)
    if shape is not None:
        return "{} of shape {} and type {}".format(type(one).__name__, tuple(shape), dtype)
    return "{} {!r}".format(type(one).__name__, one)[:200]
