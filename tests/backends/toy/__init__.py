"""A backend that Bakeoff knows nothing of: this folder is all that there is of it."""

from bakeoff_worker.backends import Environment, Record

RECORD = Record(
    name="toy",
    place=9,
    colours=("#be185d", "#f9a8d4"),
    symbol="triangle-left",
    modules=("numpy",),
    packages=("numpy",),
    environments=(Environment(name="toy", summary="softmax regression in NumPy: Bakeoff's interpreter"),),
    aliases=("plaything",),
    has_jit=False,
    has_network=False,
)
