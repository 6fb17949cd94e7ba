"""Keras 3 on PyTorch."""

from bakeoff_worker.backends.record import Environment, Record

RECORD = Record(
    name="torch",
    place=3,
    colours=("#86309f", "#a76bc4"),
    symbol="diamond",
    modules=("numpy", "keras", "torch"),
    packages=("torch", "keras"),
    environments=(
        Environment(
            name="torch",
            summary="Keras 3.15.1 on PyTorch 2.13.0 (CPU build)",
            lock="torch.txt",
            disk_bytes=1200000000,
        ),
    ),
    aliases=("pytorch",),
)
