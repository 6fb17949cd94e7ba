"""Keras 2.3 on Theano."""

from bakeoff_worker.backends.record import Environment, Record
from bakeoff_worker.backends.vintage import VINTAGE, VINTAGE_SPARK

RECORD = Record(
    name="theano",
    place=0,
    colours=("#9c3008", "#e2523a"),
    symbol="circle",
    modules=("numpy", "keras", "theano"),
    packages=("theano", "keras"),
    environments=(
        Environment(
            name="theano",
            summary="Keras 2.3.1 on Theano 1.0.5, on today's Python",
            lock="theano.txt",
            needs_compiler=True,
            disk_bytes=350000000,
        ),
        VINTAGE,
        Environment(
            name="theano_spark",
            summary="Keras 2.3.1 on Theano 1.0.5, on today's Python; Elephas 0.4.5, Spark 3.5.9",
            lock="theano_spark.txt",
            has_spark=True,
            needs_compiler=True,
            disk_bytes=800000000,
        ),
        VINTAGE_SPARK,
    ),
    has_jit=False,
    needs_compiler=True,
    elephas="0.4.5",
)
