"""``make bench-refine``: how much faster settings alone make each living backend, at an error no worse.

On the study's network and one other, behind plain Keras. Each figure is confirmed on blocks that its search
never saw. The store stays: stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bakeoff import study
from bakeoff.events import messages
from bakeoff.profiling import profile
from bakeoff.refine import Refinement, outside, refine
from bakeoff.store.reader import Reader
from bakeoff.study import Study
from bakeoff_worker.records import Ceilings
from benchmarks.goals import Figure, conclude, percent

BACKENDS = ("tensorflow", "jax", "torch")
STUDY_NETWORK = "study_cnn"
NETWORKS = (STUDY_NETWORK, "keras_mnist_convnet")
IMAGES, EPOCHS = 12_000, 3
# Tuned ÷ default, of every backend and of JAX; seconds for so many images, or the share of the measured peak.
MAX_RATIO, MAX_RATIO_OF_JAX, MAX_SECONDS, MIN_OF_PEAK = 0.5, 0.55, 0.5, 0.5
FLOP_PER_IMAGE = 4.49e6  # of the study's network, trained; benchmarks/flops.py counts it

_STUDY = """
name = "refined"
order = "alternating"
[defaults]
backend = "{backend}"
model = "{network}"
dataset = "mnist"
train_images = {images}
evaluation_split = "validation"
epochs = {epochs}
"""


@dataclass(frozen=True)
class Tuned:
    """One contestant, refined. seconds: of an epoch, as the network was and tuned; None where nothing is."""

    backend: str
    network: str
    found: Refinement
    seconds: tuple[float, float] | None


def main() -> int:
    """Refine and judge; 0 if every goal was met."""
    parser = argparse.ArgumentParser(prog="bench-refine", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS, metavar="NAME")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--budget", type=float, default=3600, metavar="S", help="of each (default: 3600 s)")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N", help=f"default: {IMAGES}")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help=f"default: {EPOCHS}")
    parser.add_argument("--store", type=Path, default=Path("bench-refine.sqlite"), metavar="FILE")
    chosen = parser.parse_args()
    tuned = []
    for network in chosen.networks:
        for backend in chosen.backends:
            text = _STUDY.format(backend=backend, network=network, images=chosen.images, epochs=chosen.epochs)
            one = _refined(_loaded(text), backend, network, chosen.store, chosen.budget)
            tuned.append(one)
            _tell(one)
    figures = [_gain(one) for one in tuned]
    of_study = [one for one in tuned if one.network == STUDY_NETWORK and one.seconds]
    if of_study:
        best = min(of_study, key=lambda one: one.seconds[1] if one.seconds else 0.0)
        text = _STUDY.format(backend=best.backend, network=STUDY_NETWORK, images=2000, epochs=1)
        figures.append(_speed(best, _peak(_loaded(text), chosen.store), chosen.images))
    return conclude("refine", figures)


def _loaded(text: str) -> Study:
    with tempfile.TemporaryDirectory(prefix="bench-refine-") as folder:
        file = Path(folder, "refined.toml")
        file.write_text(text)
        return study.load(file)


def _refined(chosen: Study, backend: str, network: str, store: Path, budget_s: float) -> Tuned:
    label = chosen.trials[0].label
    found = refine(chosen, label, store, budget_s=budget_s, listener=messages(_progress))
    if not found.is_confirmed or found.search.winner is None:
        return Tuned(backend, network, found, None)
    with Reader(store) as reader:
        runs = reader.runs(found.study).filter(pl.col("status") == "ok")
    mean = dict(runs.group_by("label").agg((pl.col("train_s") / pl.col("num_epochs")).mean()).iter_rows())
    return Tuned(backend, network, found, (mean["default"], mean[found.search.winner.name]))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell(tuned: Tuned) -> None:
    found = tuned.found
    for name, fate in found.search.fates.items():
        print(f"{tuned.backend}, {tuned.network}: {name}: {fate.value}", flush=True)
    print(
        f"{tuned.backend}, {tuned.network}: {found.sentence or found.failure or 'nothing helps'}", flush=True
    )
    if tuned.seconds and found.search.winner:
        print(outside.toml(found.settings, found.search.winner.options), flush=True)
        print(f"seconds an epoch: {tuned.seconds[0]:.2f}, tuned {tuned.seconds[1]:.2f}", flush=True)
    if found.outside:
        seconds = " and ".join(f"{each:.2f}" for each in found.outside.seconds or ())
        print(f"as plain Keras, run once each: {seconds or found.outside.failure}", flush=True)


def _gain(tuned: Tuned) -> Figure:
    """Tuned ÷ default, with its interval."""
    name = f"{tuned.backend} on {tuned.network}"
    goal = MAX_RATIO_OF_JAX if tuned.backend == "jax" else MAX_RATIO
    time = tuned.found.verdict.time if tuned.found.verdict else None
    if not tuned.found.is_confirmed or time is None or time.ratio is None:
        return Figure(f"{name} 1 (nothing confirmed)", f"≤ {goal:g}", False)
    interval = "" if time.low is None else f" ({time.low:.2f} to {time.high:.2f})"
    return Figure(f"{name} {time.ratio:.2f}{interval}", f"≤ {goal:g}", time.ratio <= goal)


def _peak(chosen: Study, store: Path) -> float | None:
    """Operations a second of a large matrix product in that library; None where it could not be measured."""
    profiles = profile(chosen, store)
    found = [one for each in profiles if each.has("layers") for one in each.answers["layers"].of(Ceilings)]
    return found[0].product_flops if found else None


def _speed(best: Tuned, peak: float | None, num_images: int) -> Figure:
    """The fastest tuned contestant: seconds for 12,000 images, and what that is of the peak."""
    assert best.seconds is not None
    seconds = best.seconds[1] * IMAGES / num_images
    share = FLOP_PER_IMAGE * IMAGES / seconds / peak if peak else 0.0
    of_peak = f", {percent(share)} of the measured peak" if peak else ""
    return Figure(
        f"best ({best.backend}) {seconds:.2f} s per {IMAGES:,} images{of_peak}",
        f"≤ {MAX_SECONDS:g} s or ≥ {percent(MIN_OF_PEAK)}",
        seconds <= MAX_SECONDS or share >= MIN_OF_PEAK,
    )


if __name__ == "__main__":
    sys.exit(main())
