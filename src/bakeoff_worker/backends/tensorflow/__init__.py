"""Keras 3 on TensorFlow 2."""

from bakeoff_worker.backends.living import TENSORFLOW, TENSORFLOW_GPU
from bakeoff_worker.backends.record import Environment, Record

RECORD = Record(
    name="tensorflow",
    place=1,
    colours=("#c78500", "#fbbf4d"),
    symbol="square",
    modules=("numpy", "keras", "tensorflow"),
    packages=("tensorflow-cpu", "tensorflow", "keras"),
    environments=(
        TENSORFLOW,
        TENSORFLOW_GPU,
        Environment(
            name="tensorflow_spark",
            summary="Keras 3.15.1 on TensorFlow 2.19.1 (CPU); Elephas 7.3.0, Spark 3.5.9",
            lock="tensorflow_spark.txt",
            has_spark=True,
            disk_bytes=2150000000,
        ),
    ),
    aliases=("tf", "keras"),
    elephas="7",
)
