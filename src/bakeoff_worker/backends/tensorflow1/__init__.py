"""Keras 2.3 on TensorFlow 1."""

from bakeoff_worker.backends.record import Record
from bakeoff_worker.backends.vintage import VINTAGE, VINTAGE_SPARK

RECORD = Record(
    name="tensorflow1",
    place=4,
    colours=("#1f6f54", "#a7f7e4"),
    symbol="cross",
    modules=("numpy", "keras", "tensorflow"),
    packages=("tensorflow", "keras"),
    environments=(VINTAGE, VINTAGE_SPARK),
    aliases=("tf1", "tensorflow-1"),
    has_jit=False,
    elephas="0.4.5",
)
