"""What each layer gives on its way from images to probabilities."""

import functools
from typing import Any, Dict, List, Tuple

import numpy as np

from bakeoff_worker.backends.keras_model import Keras2, leaves

# Between two passes on the same images: a layer that is further apart than this still draws random numbers.
_REPEATABLE = 1e-3


class Trace:
    """Calls a model with its layers overheard, in training mode. Moving statistics move: put them back.

    Keras 3 computes as it goes, so that the calls are overheard on arrays. Keras 2 is asked for a new
    graph on a placeholder, whose tensors are computed afterwards.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._channels_first = backend.settings.data_layout == "channels_first"
        self._graph: Any = None

    def record(self, x: Any) -> Tuple[List[Dict[str, Any]], List[Any]]:
        """Calls in their order, and what each gave: arrays, channels last.

        A call has ``layer`` (its place), ``inputs`` (numbers of tensors, None for one from elsewhere),
        ``output`` (the number of its tensor), and ``random`` where it gives something else each time.
        Tensor 0 is the images.
        """
        passes = [self._pass(x) for _ in range(2)]
        calls, activations = passes[0]
        for call, array, again in zip(calls, activations, passes[1][1]):
            scale = float(np.linalg.norm(array)) or 1.0
            call["random"] = bool(np.linalg.norm(array - again) > _REPEATABLE * scale)
        return calls, [self._common(array) for array in activations]

    def _pass(self, x: Any) -> Tuple[List[Dict[str, Any]], List[Any]]:
        keras = self._backend.keras
        if not isinstance(self._backend, Keras2):
            images = keras.ops.convert_to_tensor(x)
            calls, tensors = _numbered(*_listen(self._backend.model, images, training=True), images=images)
            return calls, [np.array(keras.ops.convert_to_numpy(tensor)) for tensor in tensors]
        if self._graph is None:
            images = keras.layers.Input(shape=x.shape[1:])
            calls, tensors = _numbered(*_listen(self._backend.model, images), images=images)
            # A layer that gives its input back, such as silenced dropout, may give the placeholder itself.
            tensors = [keras.backend.identity(one) if one is images else one for one in tensors]
            phase = keras.backend.learning_phase()
            self._graph = calls, keras.backend.function([images, phase], tensors) if tensors else None
        calls, compute = self._graph
        return [dict(call) for call in calls], [np.array(array) for array in compute([x, 1])] if calls else []

    def _common(self, array: Any) -> Any:
        return array.transpose(0, 2, 3, 1) if self._channels_first and array.ndim == 4 else array


def _listen(model: Any, images: Any, **options: Any) -> Tuple[List[Tuple[int, List[Any], Any]], Any]:
    """(layer's place, tensors in, tensor out) of each call of an innermost layer; the model's output."""
    heard: List[Tuple[int, List[Any], Any]] = []

    def overheard(place: int, call: Any) -> Any:
        @functools.wraps(call)
        def listening(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            output = call(inputs, *args, **kwargs)
            if not isinstance(output, (list, tuple, dict)):
                heard.append((place, list(inputs) if isinstance(inputs, (list, tuple)) else [inputs], output))
            return output

        return listening

    layers = [layer for layer in leaves(model) if type(layer).__name__ != "InputLayer"]
    places = {id(layer): place for place, layer in enumerate(leaves(model))}
    for layer in layers:
        object.__setattr__(layer, "call", overheard(places[id(layer)], layer.call))
    try:
        output = model(images, **options)
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
    return heard, output


def _numbered(
    heard: List[Tuple[int, List[Any], Any]], end: Any, images: Any
) -> Tuple[List[Dict[str, Any]], List[Any]]:
    """The calls with tensors by number, and the tensors that they gave."""
    known: List[Any] = [images]
    calls, tensors = [], []
    for index, (layer, inputs, output) in enumerate(heard):
        numbers = [_number(tensor, known) for tensor in inputs]
        used = output is end or any(output is one for _, later, _ in heard[index + 1 :] for one in later)
        if not used and numbers == [None]:
            continue  # a layer of Keras 2 that was only tried for the shape of what it gives
        known.append(output)
        calls.append({"layer": layer, "inputs": numbers, "output": len(known) - 1})
        tensors.append(output)
    return calls, tensors


def _number(tensor: Any, known: List[Any]) -> Any:
    return next((number for number in range(len(known) - 1, -1, -1) if known[number] is tensor), None)
