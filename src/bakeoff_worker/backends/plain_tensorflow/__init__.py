"""TensorFlow without Keras."""

from bakeoff_worker.backends.living import TENSORFLOW
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="plain_tensorflow",
    place=10,
    colours=("#60080c", "#efff1b"),
    symbol="triangle-right",
    modules=("numpy", "tensorflow"),
    packages=("tensorflow-cpu", "tensorflow"),
    environments=(TENSORFLOW,),
    has_jit=False,
)
