"""JAX without Keras."""

from bakeoff_worker.backends.living import JAX
from bakeoff_worker.backends.record import Record

RECORD = Record(
    name="plain_jax",
    place=11,
    colours=("#1c146a", "#4755fd"),
    symbol="wedge",
    modules=("numpy", "jax"),
    packages=("jax",),
    environments=(JAX,),
    has_jit=False,
)
