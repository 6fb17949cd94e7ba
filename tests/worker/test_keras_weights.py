"""Weights by their paths, with what was declared of them: on layers made up as either Keras keeps them."""

from __future__ import annotations

import types

import numpy as np
import pytest

from bakeoff_worker.backends.keras_weights import Declarations, inner_layers, leaves, weights_of


class Variable:
    def __init__(self, name, value):
        self.name, self.value, self.dtype = name, np.asarray(value, "float32"), "float32"


class Layer:
    """As Keras 3 keeps it: variables by kind, layers in the order in which they were set."""

    def __init__(self, name="layer"):
        self.name = name
        self._trainable_variables, self._non_trainable_variables, self._layers = [], [], []

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        held = value if isinstance(value, list) else [value]
        if name != "_layers":
            self.__dict__.setdefault("_layers", []).extend(one for one in held if isinstance(one, Layer))

    def add_weight(self, *args, shape=None, initializer=None, regularizer=None, trainable=True, name=None):
        variable = Variable(name, np.ones(shape))
        (self._trainable_variables if trainable else self._non_trainable_variables).append(variable)
        return variable

    def get_config(self):
        return {}

    @property
    def weights(self):
        own = self._trainable_variables + self._non_trainable_variables
        return own + [one for layer in self._layers for one in layer.weights]


class Model(Layer):
    def __init__(self, *layers):
        super().__init__("model")
        self.layers = list(layers)
        self._layers = list(layers)

    def get_layer(self):
        raise NotImplementedError


class RandomNormal:
    """Of Keras, as far as anyone can tell by its module."""

    __module__ = "keras.src.initializers"

    def get_config(self):
        return {"mean": 1.0, "stddev": 0.5}


class GlorotUniform(RandomNormal):
    __module__ = "keras.src.initializers"


class Mine:
    pass


@pytest.fixture
def keras():
    known = {"glorot_uniform": GlorotUniform(), "normal": RandomNormal()}
    return types.SimpleNamespace(
        layers=types.SimpleNamespace(Layer=Layer),
        initializers=types.SimpleNamespace(get=lambda given: known.get(given, given)),
        regularizers=types.SimpleNamespace(get=lambda given: given),
    )


def dense(name, **declared):
    layer = Layer(name)
    layer.add_weight(shape=(2, 3), name="kernel", **declared)
    layer.add_weight(shape=(3,), name="bias", trainable=False, initializer="normal")
    return layer


def test_paths_are_attributes_and_indices(keras):
    with Declarations(keras) as declarations:
        block = Layer("block")
        block.second = dense("dense_8", initializer="normal")
        block.parts = [dense("dense_9"), dense("dense_10", regularizer="l2")]
        block.again = block.second
        block.w = [block.add_weight(shape=(2,), name="w_1"), block.add_weight(shape=(2,), name="w_2")]
        model = Model(dense("first"), Model(block))
    found = weights_of(model, declarations)
    assert [(one.layer, one.name) for one in found] == [
        (0, "kernel"),
        (0, "bias"),
        (1, "w"),
        (1, "w.2"),
        (1, "again/kernel"),  # of two names the first in the alphabet
        (1, "again/bias"),
        (1, "parts/0/kernel"),
        (1, "parts/0/bias"),
        (1, "parts/1/kernel"),
        (1, "parts/1/bias"),
    ]
    by_name = {one.name: one for one in found if one.layer == 1}
    assert type(by_name["parts/0/kernel"].initializer) is GlorotUniform, "Keras 3's own choice"
    assert by_name["parts/1/kernel"].regularizer == "l2"
    assert type(by_name["parts/0/bias"].initializer) is RandomNormal
    assert [layer.name for layer in leaves(model)] == ["first", "block"]
    assert len(inner_layers(block)) == 4


def test_frameworks_books_are_no_names():
    """PyTorch keeps layers that are attributes elsewhere, TensorFlow keeps them twice."""
    inner = dense("inner")
    torch, tensorflow = Layer(), Layer()
    torch.__dict__["_modules"] = {"first": inner}
    torch._layers.append(inner)
    tensorflow.__dict__["_self_unconditional_dependency_names"] = {"first": inner}
    tensorflow.first = inner
    assert [path for path, _ in inner_layers(torch)] == [path for path, _ in inner_layers(tensorflow)]
    assert [path for path, _ in inner_layers(torch)] == ["", "first"]


def test_what_is_drawn_what_is_constant_and_what_is_left(keras):
    with Declarations(keras) as declarations:
        layer = Layer("own")
        for name, initializer in (("drawn", "normal"), ("ones", Mine()), ("mine", Mine())):
            layer.add_weight(shape=(4,), name=name, initializer=initializer)
    drawn, ones, mine = weights_of(Model(layer), declarations)
    value = np.ones(4, "float32")
    assert drawn.initial(value, 1, 0).mean() != 1.0
    assert ones.initial(value, 1, 1) is value, "equal everywhere: nobody drew it"
    assert mine.initial(np.array([0.1, 0.2, 0.3, 0.4], "float32"), 1, 2) is None
    scalar = np.array(0.07, "float32")
    assert mine.initial(scalar, 1, 2) is scalar
    assert mine.initial(np.array(0.0712345, "float32"), 1, 2) is None


def test_nothing_is_overheard_afterwards(keras):
    own = Layer.add_weight
    with Declarations(keras):
        assert Layer.add_weight is not own
    assert Layer.add_weight is own
