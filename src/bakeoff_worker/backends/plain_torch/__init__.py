"""PyTorch without Keras."""

from bakeoff_worker.backends.living import TORCH
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="plain_torch",
    place=12,
    colours=("#4a1a5a", "#c9a3dc"),
    symbol="stroke",
    modules=("numpy", "torch"),
    packages=("torch",),
    environments=(TORCH,),
)
