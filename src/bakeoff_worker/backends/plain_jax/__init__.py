"""JAX without Keras."""

from bakeoff_worker.backends.living import JAX
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="plain_jax",
    place=11,
    colours=("#1e4fa3", "#bcd4ff"),
    symbol="triangle-down",
    modules=("numpy", "jax"),
    packages=("jax",),
    environments=(JAX,),
    has_jit=False,
)
