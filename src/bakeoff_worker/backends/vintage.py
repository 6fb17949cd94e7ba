"""The environments of the 2023 paper's own stack, which its two backends share."""

from bakeoff_worker.backends.record import Environment

_INSTEAD = (
    "Or race Theano on today's Python (environment {}) against TensorFlow behind Keras 3 (environment {}): "
    "`bakeoff run {}`."
)

VINTAGE = Environment(
    name="vintage",
    summary="Keras 2.3.1 on Theano 1.0.5 and on TensorFlow 1.15.5, the study's own stack",
    python="3.7",
    lock="vintage.txt",
    needs_compiler=True,
    disk_bytes=850000000,
    instead=_INSTEAD.format("theano", "tensorflow", "paper-today"),
)
VINTAGE_SPARK = Environment(
    name="vintage_spark",
    summary="as vintage, with Elephas 0.4.5 and Spark 3.4.4",
    python="3.7",
    lock="vintage_spark.txt",
    has_spark=True,
    needs_compiler=True,
    disk_bytes=1250000000,
    instead=_INSTEAD.format("theano_spark", "tensorflow_spark", "paper-distributed-today"),
)
