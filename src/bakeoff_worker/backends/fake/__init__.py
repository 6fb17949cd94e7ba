"""Invented results, for tests and demonstrations."""

from bakeoff_worker.backends.record import Environment, Record

RECORD = Record(
    name="fake",
    place=5,
    colours=("#6b7280", "#9ca3af"),
    symbol="triangle-down",
    modules=("numpy",),
    environments=(
        Environment(name="fake", summary="invented results, for trying Bakeoff itself: its own interpreter"),
    ),
    has_jit=False,
    has_network=False,
)
