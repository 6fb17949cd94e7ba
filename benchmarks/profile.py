"""``make bench-profile``: whether profiles add up, agree with themselves, and name planted problems.

Every backend is profiled on the study's network. Then problems are put into contestants, one by one, and a
profile of each must name it. That max-pooling is slow in JAX is nobody's doing, and must be found, too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff import profiling, study
from bakeoff.events import messages
from bakeoff.profile import words
from bakeoff.profile.budget import budget
from bakeoff.profile.findings import Kind, findings
from bakeoff.profile.layers import layers
from bakeoff.profile.profiled import Profiled
from benchmarks.goals import Figure, conclude, percent

MIN_ACCOUNTED, LARGE = 0.97, 0.10
BACKENDS = ("tensorflow", "jax", "torch", "theano", "tensorflow1")


@dataclass(frozen=True)
class Plant:
    """A problem that is put into a contestant by these lines of a study's defaults, and its right name."""

    backend: str
    lines: str
    kind: Kind


PLANTS = (
    Plant("torch", "threads = 1", Kind.ONE_THREAD),
    Plant("jax", "threads = 1", Kind.ONE_THREAD),
    Plant("tensorflow", "threads = 1", Kind.ONE_THREAD),
    Plant("theano", "threads = 1", Kind.ONE_THREAD),
    Plant("torch", 'precision = "float64"', Kind.DOUBLE_PRECISION),
    Plant("tensorflow", 'precision = "float64"', Kind.DOUBLE_PRECISION),
    Plant("torch", "global_batch_size = 2", Kind.HOST),
    Plant("tensorflow1", "global_batch_size = 2", Kind.HOST),
    Plant("jax", "", Kind.EQUIVALENT),
    Plant("torch", "", Kind.MOVING),
    Plant("torch", "global_batch_size = 1000", Kind.PAGE_FAULTS),
    Plant("theano", 'variables = { THEANO_FLAGS = "optimizer_excluding=conv_gemm" }', Kind.CONVOLUTION),
)


def main() -> int:
    """Profile and judge; 0 if every goal was met."""
    parser = argparse.ArgumentParser(prog="bench-profile", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS, metavar="NAME")
    parser.add_argument("--no-plants", action="store_true", help="leave out problems put in on purpose")
    chosen = parser.parse_args()
    figures = []
    for backend in chosen.backends:
        figures += _judge(_profile(backend, ""))
    if not chosen.no_plants:
        figures.append(_judge_plants([plant for plant in PLANTS if plant.backend in chosen.backends]))
    return conclude("profile", figures)


def _profile(backend: str, lines: str) -> Profiled:
    """One contestant's profile, in a store that nobody keeps."""
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as name:
        file = Path(name, "profile.toml")
        file.write_text(
            f'repeats = 1\n[defaults]\ndataset = "mnist"\nbackend = "{backend}"\nepochs = 3\n{lines}\n'
        )
        (one,) = profiling.profile(
            study.load(str(file)), Path(name, "store.sqlite"), listener=messages(lambda line: None)
        )
    if not one.is_whole:
        raise SystemExit(f"{backend}: {one.why_not('budget') or one.why_not('layers')}")
    return one


def _judge(profiled: Profiled) -> list[Figure]:
    """What of the wall time has a name; the layers on which the two methods disagree."""
    backend = profiled.settings.backend
    accounted = budget(profiled.answers["budget"]).accounted
    figures = [Figure(f"{backend} {percent(accounted)} accounted for", "≥ 97 %", accounted >= MIN_ACCOUNTED)]
    by_layer = layers(profiled.answers["layers"])
    if by_layer is not None and by_layer.profiler:
        large = [one for one in by_layer.layers if max(one.both.value, one.profiled or 0.0) > LARGE]
        for layer in large:
            by_profiler = f"{100 * (layer.profiled or 0.0):.0f} % by profiler"
            print(f"{backend}: {layer.layer.name} {words.percent(layer.both)}, {by_profiler}", flush=True)
        disagree = sum(layer.disagrees for layer in large)
        agree = f"methods agree on {len(large) - disagree} of {len(large)} layers"
        text = f"{agree}, a step under the profiler {by_layer.overhead:+.0%}"
        figures.append(Figure(text, "all", not disagree))
    return figures


def _judge_plants(plants: Sequence[Plant]) -> Figure:
    named = 0
    for plant in plants:
        found = [finding.kind for finding in findings(_profile(plant.backend, plant.lines))]
        named += plant.kind in found
        print(f"{plant.backend}, {plant.lines or 'as it is'}: {[kind.name for kind in found]}", flush=True)
    return Figure(f"{named} of {len(plants)} problems named", "all", named == len(plants))


if __name__ == "__main__":
    sys.exit(main())
