"""A Keras model's weights by name, each with what its layer declares of it; Keras 2.3 and Keras 3 alike.

A layer may hold other layers: a residual block, `MultiHeadAttention`, `Bidirectional`. Its weights are named
by the attributes that lead to them (``first/kernel``, ``forward_layer/cell/bias``), which are the same in
every framework; numbers that Keras counts up are not.
"""

import functools
import inspect
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from bakeoff_worker import weights


class Weight(NamedTuple):
    """One weight.

    layer: place of its layer in `leaves`, -1 for the model's own. name: its path within that layer. owner:
    the innermost layer that has it. variable: the framework's. initializer, regularizer: as they were
    declared; None where they were not.
    """

    layer: int
    name: str
    owner: Any
    variable: Any
    initializer: Any
    regularizer: Any

    def initial(self, value: Any, seed: int, index: int) -> Any:
        """The initial value, drawn by us; `value` itself for a constant; None for one that we can't draw.

        value: what the framework gave it. index: its place in the model; gives it a stream of its own.
        """
        kind = type(self.initializer)
        if _is_keras(kind):
            if kind.__name__ in weights.CONSTANT:
                return value
            drawn = weights.draw(kind.__name__, self.initializer.get_config(), value.shape, seed, index)
            if drawn is not None:
                return drawn
        return value if _is_constant(value) else None


class Declarations:
    """What layers say of the weights that they add while this is open; a context manager."""

    def __init__(self, keras: Any) -> None:
        self._keras = keras
        self._kept: Dict[
            int, Tuple[Any, Any, Any]
        ] = {}  # with the variable itself, so that no id comes again

    def __enter__(self) -> "Declarations":
        add = self._add = self._keras.layers.Layer.add_weight
        signature = inspect.signature(add)

        @functools.wraps(add)
        def overheard(layer: Any, *args: Any, **kwargs: Any) -> Any:
            variable = add(layer, *args, **kwargs)
            given = signature.bind(layer, *args, **kwargs).arguments
            unnamed = given.get("args", ())  # Keras 3: shape, initializer, dtype
            initializer = given.get("initializer", unnamed[1] if len(unnamed) > 1 else None)
            self._kept[id(variable)] = (variable, initializer, given.get("regularizer"))
            return variable

        self._keras.layers.Layer.add_weight = overheard
        return self

    def __exit__(self, *error: Any) -> None:
        self._keras.layers.Layer.add_weight = self._add

    def of(self, owner: Any, name: str, variable: Any) -> Tuple[Any, Any]:
        """Initializer and regularizer of a weight; None where nothing was said."""
        if id(variable) not in self._kept:
            return None, None
        _, initializer, regularizer = self._kept[id(variable)]
        if initializer is None:  # Keras 3's own choice
            initializer = "glorot_uniform" if "float" in str(variable.dtype) else "zeros"
        initializer = self._keras.initializers.get(initializer)
        if not _is_keras(type(initializer)) and _is_keras(type(owner)):
            # An LSTM hands over a function that puts ones into what its initializer gives.
            initializer = getattr(owner, name + "_initializer", initializer)
        return initializer, self._keras.regularizers.get(regularizer)


def weights_of(model: Any, declarations: Declarations) -> List[Weight]:
    """All weights of a built model, moving statistics included, in an order that every framework shares."""
    asked_for = {id(variable) for variable in model.weights}
    found: List[Weight] = []
    for place, layer in enumerate(leaves(model)):
        _collect(place, layer, asked_for, declarations, found)
    _collect(-1, model, asked_for, declarations, found)
    for variable in model.weights:  # what no attribute leads to
        if id(variable) in asked_for:
            found.append(Weight(-1, base_name(variable), None, variable, None, None))
    return found


def _collect(place: int, layer: Any, left: Set[int], declarations: Declarations, found: List[Weight]) -> None:
    for path, owner in inner_layers(layer):
        taken: List[str] = []
        for variable in _own_variables(owner):
            if id(variable) not in left:
                continue  # another layer has it too, or it is no weight
            left.remove(id(variable))
            name = base_name(variable)
            taken.append(name)
            again = taken.count(name)
            initializer, regularizer = declarations.of(owner, name, variable)
            full = "/".join(filter(None, (path, name if again == 1 else "{}.{}".format(name, again))))
            found.append(Weight(place, full, owner, variable, initializer, regularizer))


def leaves(model: Any) -> List[Any]:
    """Layers of the model in its order, each once, nested models opened."""
    found: List[Any] = []
    for layer in model.layers:
        inner = leaves(layer) if _is_model(layer) else [layer]
        found.extend(each for each in inner if not any(each is known for known in found))
    return found


def inner_layers(layer: Any) -> List[Tuple[str, Any]]:
    """(path, layer) of the layer itself (an empty path) and of all that it holds, each once."""
    found: List[Tuple[str, Any]] = []

    def walk(path: str, one: Any) -> None:
        if any(one is known for _, known in found):
            return
        found.append((path, one))
        for name, inner in _children(one):
            walk("{}/{}".format(path, name) if path else name, inner)

    walk("", layer)
    return found


def base_name(variable: Any) -> str:
    """``kernel`` of ``conv2d/kernel:0`` and of ``conv2d/kernel_1:0``."""
    name = str(variable.name).split("/")[-1].split(":")[0]
    stem, _, number = name.rpartition("_")
    return stem if number.isdigit() else name


def _own_variables(layer: Any) -> List[Any]:
    """Those that the layer itself has, trained ones first."""
    kept = vars(layer)
    return [
        variable
        for kind in ("_trainable", "_non_trainable")
        for variable in kept.get(kind + "_variables", kept.get(kind + "_weights", ()))  # Keras 3, Keras 2
    ]


def _children(layer: Any) -> Iterator[Tuple[str, Any]]:
    """Layers that this one holds, by the attribute that holds them."""
    if _is_model(layer):
        for place, inner in enumerate(layer.layers):
            yield str(place), inner
        return
    kept = dict(vars(layer))
    kept.update(kept.pop("_modules", {}))  # where PyTorch keeps layers that are attributes
    named = sorted(
        (
            ("/".join(filter(None, (name.lstrip("_"), key))), inner)
            for name, value in kept.items()
            if name not in _BOOKS
            for key, inner in _layers_in(value)
        ),
        key=lambda each: each[0],
    )
    # By name: Keras 2 doesn't track all of them, so that no order but this is everybody's.
    nameless = [
        ("{}.{}".format(type(inner).__name__, place), inner)
        for place, inner in enumerate(kept.get("_layers", ()))
        if _is_layer(inner) and not any(inner is known for _, known in named)
    ]
    yield from named + nameless


# Attributes that hold a layer because its framework or Keras keeps books.
_BOOKS = ("_layers", "_inbound_nodes", "_outbound_nodes", "_self_unconditional_dependency_names")


def _layers_in(value: Any) -> Iterator[Tuple[str, Any]]:
    if _is_layer(value):
        yield "", value
    elif isinstance(value, (list, tuple)):
        for place, each in enumerate(value):
            for key, inner in _layers_in(each):
                yield "/".join(filter(None, (str(place), key))), inner
    elif isinstance(value, dict):
        for name, each in value.items():
            for key, inner in _layers_in(each):
                yield "/".join(filter(None, (str(name), key))), inner


def _is_layer(value: Any) -> bool:
    return hasattr(value, "add_weight") and hasattr(value, "get_config") and not isinstance(value, type)


def _is_model(value: Any) -> bool:
    return _is_layer(value) and hasattr(value, "get_layer")


def _is_keras(kind: type) -> bool:
    return kind.__module__.split(".")[0] == "keras"


def _is_constant(value: Any) -> bool:
    """Whether a value can't have been drawn: one number throughout; of a single one, as people write it."""
    if not value.size:
        return True
    first = float(value.flat[0])
    is_short = abs(first - float("%.4g" % first)) <= 1e-7 * abs(first)
    return bool((value == first).all()) and (value.size > 1 or is_short)
