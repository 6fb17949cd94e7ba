"""What each layer gives on its way from images to probabilities, and on inputs that all contestants share."""

import functools
import zlib
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from bakeoff_worker.backends.keras_model import Keras2
from bakeoff_worker.backends.keras_network import Twin
from bakeoff_worker.backends.keras_weights import leaves

# Between two passes on the same inputs: a layer that is further apart than this draws random numbers.
_REPEATABLE = 1e-3


class Trace:
    """Calls a model with its layers overheard, in training mode. Moving statistics move: put them back.

    Keras 3 computes as it goes, so that the calls are overheard on arrays. Keras 2 is asked for a new
    graph on a placeholder, whose tensors are computed afterwards.

    draws: see `silence.draws`.
    """

    def __init__(self, backend: Any, draws: List[str]) -> None:
        self._backend, self._draws = backend, draws
        self._channels_first = backend.settings.data_layout == "channels_first"
        self._graph: Any = None

    def record(self, x: Any) -> Tuple[List[Dict[str, Any]], List[Any], List[Any]]:
        """Calls in their order, what each gave, and what it gave on shared inputs: arrays, channels last.

        A call has ``layer`` (its place), ``inputs`` (numbers of tensors, None for one from elsewhere),
        ``output`` (the number of its tensor), ``draws`` (those that were switched off), and ``random`` where
        it gives something else each time on the same inputs. Tensor 0 is the images. Shared inputs are noise
        that depends on a tensor's shape alone: each contestant's layer is asked the same, whatever went wrong
        before it. None where a layer takes no such inputs.
        """
        first, again = (self._pass(x) for _ in range(2))
        is_random_before = False
        for call, one, other in zip(first.calls, first.answers, again.answers):
            from_elsewhere = [
                given
                for number, *given in zip(call["inputs"], one.inputs, other.inputs)
                if number is None and given[0] is not None
            ]
            repeated = all(_alike(*given) for given in zip(one.inputs, other.inputs) if given[0] is not None)
            call["random"] = bool(
                not _alike(one.shared, other.shared)
                or (repeated and not _alike(one.output, other.output))
                # What is computed between layers may draw, too: the first layer that it reaches is named.
                or (not is_random_before and any(not _alike(*given) for given in from_elsewhere))
            )
            is_random_before = is_random_before or call["random"]
        return (
            first.calls,
            [self._common(answer.output) for answer in first.answers],
            [None if answer.shared is None else self._common(answer.shared) for answer in first.answers],
        )

    def _pass(self, x: Any) -> "_Pass":
        keras = self._backend.keras
        if not isinstance(self._backend, Keras2):
            images = keras.ops.convert_to_tensor(x)
            heard, end = _listen(self._backend, images, self._shared_tensor, self._draws, training=True)
            calls, heard = _numbered(heard, end, images)
            return _Pass(calls, [one.computed(keras.ops.convert_to_numpy) for one in heard])
        if self._graph is None:
            images = keras.layers.Input(shape=x.shape[1:])
            given: List[Tuple[Any, Any]] = []  # placeholders of shared inputs and what they are fed

            def placeholder(tensor: Any, number: int) -> Any:
                shape = (len(x),) + tuple(keras.backend.int_shape(tensor))[1:]
                if None in shape:
                    raise ValueError("shape {} is not known".format(shape))
                given.append((keras.layers.Input(batch_shape=shape), self._noise(shape, number)))
                return given[-1][0]

            calls, heard = _numbered(*_listen(self._backend, images, placeholder, []), images=images)
            # A layer that gives its input back, such as silenced dropout, may give a placeholder itself.
            tensors = [
                keras.backend.identity(tensor)
                for one in heard
                for tensor in (one.output, *one.inputs, one.shared)
                if tensor is not None
            ]
            feeds = [images, *(tensor for tensor, _ in given), keras.backend.learning_phase()]
            compute = keras.backend.function(feeds, tensors) if tensors else lambda values: []
            self._graph = calls, heard, compute, [array for _, array in given]
        calls, heard, compute, arrays = self._graph
        computed = iter(compute([x, *arrays, 1]))
        return _Pass(
            [dict(call) for call in calls], [one.computed(lambda _: next(computed)) for one in heard]
        )

    def _shared_tensor(self, tensor: Any, number: int) -> Any:
        return self._backend.keras.ops.convert_to_tensor(self._noise(tuple(tensor.shape), number))

    def _noise(self, shape: Tuple[int, ...], number: int) -> Any:
        """The same for the same shape in either layout; number: which of a call's inputs."""
        first = self._channels_first and len(shape) == 4
        common = (shape[0], shape[2], shape[3], shape[1]) if first else shape
        seed = zlib.crc32("{} {}".format(number, common).encode())
        noise = np.random.RandomState(seed).normal(size=common).clip(-3, 3).astype("float32")
        noise = np.ascontiguousarray(noise.transpose(0, 3, 1, 2)) if first else noise
        return noise.astype(self._backend.keras.backend.floatx())

    def _common(self, array: Any) -> Any:
        return array.transpose(0, 2, 3, 1) if self._channels_first and array.ndim == 4 else array


class _Heard(NamedTuple):
    """One call: the layer's place, tensors in and out, what it gave on shared inputs if it takes such."""

    layer: int
    inputs: List[Any]
    output: Any
    shared: Any
    draws: List[str]

    def computed(self, compute: Callable[[Any], Any]) -> "_Heard":
        """The same in arrays."""
        output, inputs = np.array(compute(self.output)), [np.array(compute(one)) for one in self.inputs]
        shared = None if self.shared is None else np.array(compute(self.shared))
        return self._replace(output=output, inputs=inputs, shared=shared)


class _Pass(NamedTuple):
    calls: List[Dict[str, Any]]
    answers: List[_Heard]


def _listen(
    backend: Any, images: Any, share: Callable[[Any, int], Any], draws: List[str], **options: Any
) -> Tuple[List[_Heard], Any]:
    """Each call of a layer; the model's output. share: from a tensor to what is put in its place.

    What stands in a layer's place is heard as that layer: fed as its first part, giving what the last gives.
    """
    model = backend.model
    heard: List[_Heard] = []
    within: List[int] = []  # the call that is under way: what a layer asks of others is its own affair

    def overheard(place: int, call: Any) -> Any:
        @functools.wraps(call)
        def listening(*args: Any, **kwargs: Any) -> Any:
            if within:
                return call(*args, **kwargs)
            within.append(place)
            before = len(draws)
            try:
                output = call(*args, **kwargs)
                drawn = draws[before:]
                if not isinstance(output, (list, tuple, dict)):
                    shared = _on_shared_inputs(call, args, kwargs, share)
                    heard.append(_Heard(place, list(_tensors((args, kwargs))), output, shared, drawn))
            finally:
                within.pop()
            return output

        return listening

    places = {id(layer): place for place, layer in enumerate(leaves(model))}
    listening = [
        (part, call)
        for twin in backend.equivalents
        for part, call in zip(twin.parts, _overheard_twin(places[id(twin.parts[0])], twin, heard))
    ]
    parts = {id(part) for part, _ in listening}
    listening += [
        (layer, overheard(places[id(layer)], layer.call))
        for layer in leaves(model)
        if type(layer).__name__ != "InputLayer" and id(layer) not in parts
    ]
    for layer, call in listening:
        object.__setattr__(layer, "call", call)
    try:
        output = model(images, **options)
    finally:
        for layer, _ in listening:
            object.__delattr__(layer, "call")
    return heard, output


def _overheard_twin(place: int, twin: Twin, heard: List[_Heard]) -> Iterator[Callable[..., Any]]:
    """The parts' calls, in place of theirs. Of shared inputs a twin is not asked."""
    fed: List[Any] = []

    def overheard(part: Any, call: Any) -> Callable[..., Any]:
        @functools.wraps(call)
        def listening(*args: Any, **kwargs: Any) -> Any:
            if part is twin.parts[0]:
                fed[:] = _tensors((args, kwargs))
            output = call(*args, **kwargs)
            if part is twin.parts[-1]:
                heard.append(_Heard(place, list(fed), output, None, []))
            return output

        return listening

    for part in twin.parts:
        yield overheard(part, part.call)


def _on_shared_inputs(call: Any, args: Any, kwargs: Any, share: Callable[[Any, int], Any]) -> Optional[Any]:
    """What the call gives on them; None where it takes other than real numbers, or can't take these."""
    tensors = list(_tensors((args, kwargs)))
    if not tensors or any("float" not in str(tensor.dtype) for tensor in tensors):
        return None
    unlike: List[Any] = []
    for tensor in tensors:
        if not any(tensor is known for known in unlike):
            unlike.append(tensor)
    try:
        put = [share(tensor, number) for number, tensor in enumerate(unlike)]

        def replaced(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)([replaced(one) for one in value])
            if isinstance(value, dict):
                return {key: replaced(one) for key, one in value.items()}
            return next((new for old, new in zip(unlike, put) if old is value), value)

        args, kwargs = replaced(tuple(args)), replaced(dict(kwargs))
        output = call(*args, **kwargs)
    except Exception:  # the layer is the user's: what it can't take, it says in a way of its own
        return None
    return None if isinstance(output, (list, tuple, dict)) else output


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for one in value:
            for tensor in _tensors(one):
                yield tensor
    elif isinstance(value, dict):
        for one in value.values():
            for tensor in _tensors(one):
                yield tensor
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value


def _numbered(heard: List[_Heard], end: Any, images: Any) -> Tuple[List[Dict[str, Any]], List[_Heard]]:
    """The calls with tensors by number, and those calls as they were heard."""
    known: List[Any] = [images]
    calls, kept = [], []
    for index, one in enumerate(heard):
        numbers = [_number(tensor, known) for tensor in one.inputs]
        used = one.output is end or any(
            one.output is tensor for later in heard[index + 1 :] for tensor in later.inputs
        )
        if not used and numbers == [None]:
            continue  # a layer of Keras 2 that was only tried for the shape of what it gives
        known.append(one.output)
        calls.append({"layer": one.layer, "inputs": numbers, "output": len(known) - 1, "draws": one.draws})
        kept.append(one)
    return calls, kept


def _number(tensor: Any, known: List[Any]) -> Any:
    return next((number for number in range(len(known) - 1, -1, -1) if known[number] is tensor), None)


def _alike(one: Any, other: Any) -> bool:
    """Whether two passes gave the same, to within rounding; what is no number may repeat itself."""
    if one is None or other is None:
        return one is other
    one, other = np.nan_to_num(np.asarray(one, "float64")), np.nan_to_num(np.asarray(other, "float64"))
    return bool(np.linalg.norm(one - other) <= _REPEATABLE * (np.linalg.norm(one) or 1.0))
