"""Keras 3 on JAX."""

from bakeoff_worker.backends.record import Environment, Record

RECORD = Record(
    name="jax",
    place=2,
    colours=("#3b82f6", "#8ab4ff"),
    symbol="triangle-up",
    modules=("numpy", "keras", "jax"),
    packages=("jax", "keras"),
    environments=(
        Environment(
            name="jax",
            summary="Keras 3.15.1 on JAX 0.10.2 (CPU)",
            lock="jax.txt",
            disk_bytes=800000000,
        ),
    ),
)
