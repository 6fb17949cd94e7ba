"""PyTorch without Keras."""

from bakeoff_worker.backends.living import TORCH
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="plain_torch",
    place=12,
    colours=("#06002b", "#719d8f"),
    symbol="arrow",
    modules=("numpy", "torch"),
    packages=("torch",),
    environments=(TORCH,),
)
