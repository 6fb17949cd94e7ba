"""Keras 3 on PyTorch."""

from bakeoff_worker.backends.living import TORCH, TORCH_GPU
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="torch",
    place=3,
    colours=("#86309f", "#a76bc4"),
    symbol="diamond",
    modules=("numpy", "keras", "torch"),
    packages=("torch", "keras"),
    environments=(TORCH, TORCH_GPU),
    aliases=("pytorch",),
)
