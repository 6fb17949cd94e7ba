"""Keras 3 on JAX."""

from bakeoff_worker.backends.living import JAX, JAX_0_4, JAX_GPU
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="jax",
    place=2,
    colours=("#3b82f6", "#8ab4ff"),
    symbol="triangle-up",
    modules=("numpy", "keras", "jax"),
    packages=("jax", "keras"),
    environments=(JAX, JAX_0_4, JAX_GPU),
)
