"""The study's network in plain Keras 2.3 on Theano or TensorFlow 1: ``python keras2.py SETTINGS.json``.

Python 3.7 upwards. From 3.10 on Theano 1.0.5 cannot be imported unless what it asks for is put back first.
"""

import memory  # noqa: F401  # first of all

# isort: split
import collections
import collections.abc
import inspect

import numpy
import serve

for _name in (
    "Callable",
    "Iterable",
    "Mapping",
    "MutableMapping",
    "MutableSet",
    "Sequence",
    "Set",
    "ValuesView",
):
    if not hasattr(collections, _name):
        setattr(collections, _name, getattr(collections.abc, _name))
if not hasattr(inspect, "getargspec"):
    _ArgSpec = collections.namedtuple("_ArgSpec", ["args", "varargs", "keywords", "defaults"])
    inspect.getargspec = lambda function: _ArgSpec(*inspect.getfullargspec(function)[:4])
for _name, _type in (
    ("bool", bool),
    ("int", int),
    ("float", float),
    ("complex", complex),
    ("object", object),
):
    if _name not in numpy.__dict__:
        setattr(numpy, _name, _type)
if "str" not in numpy.__dict__:
    numpy.str = str

import keras  # noqa: E402
from keras import layers, models  # noqa: E402


def build(image_shape):
    """The network, compiled with the study's recipe."""
    model = models.Sequential(
        [
            layers.Conv2D(30, (5, 5), activation="relu", input_shape=image_shape),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(15, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(50, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["categorical_accuracy"])
    return model


serve.serve(build)
