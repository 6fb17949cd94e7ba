"""``make bench-turns``: what turns cost: a slice after another contestant's, and an epoch cut into slices.

Two identical contestants alternate. *After another*: an epoch is a turn of a few steps, and every second
round goes the other way round, so that about half of the turns follow one's own and half the other's; what
tells them apart is caches, and threads that have to wake. *Cut*: epochs of twenty steps in one piece and in
slices, in blocks one after the other; the difference is what each further call of the framework's training
function costs.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from bakeoff import session, study
from bakeoff.events import Handler
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, Record
from benchmarks.goals import Figure, conclude

BATCH, CUT_STEPS = 200, 20


class Epochs(Handler):
    """Who trained an epoch and in how many seconds, in the order in which it happened."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Keeps the epochs."""
        if isinstance(record, EpochRecord):
            self.heard.append((spec.label, record.train_s))


def main() -> int:
    """Measure and print; nothing is judged."""
    arguments = _arguments()
    figures = []
    for backend in arguments.backends:
        for steps in arguments.steps:
            after = [_after_another(backend, steps, block, arguments) for block in range(arguments.blocks)]
            length = statistics.median(seconds for _, seconds in after)
            words = _interval([ratio for ratio, _ in after])
            figures.append(
                Figure(f"{backend}: turns of {steps} steps ({length:.2f} s) after another {words}")
            )
        cuts = [_cut(backend, min(arguments.steps), block, arguments) for block in range(arguments.blocks)]
        cost = 1000 * statistics.median(seconds for _, seconds in cuts)
        words = _interval([ratio for ratio, _ in cuts])
        figures.append(
            Figure(f"{backend}: epochs cut into {min(arguments.steps)} steps {words}, {cost:.0f} ms a call")
        )
        print(*(figure.text for figure in figures[-len(arguments.steps) - 1 :]), sep="\n", flush=True)
    return conclude("turns", figures)


def _after_another(
    backend: str, steps: int, block: int, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Log ratio of turns that follow the other's to those that follow one's own; and their median seconds."""
    heard = _run(backend, block, arguments, steps * BATCH, arguments.turns)
    own: dict[bool, list[float]] = {True: [], False: []}
    for (before, _), (now, seconds) in itertools.islice(itertools.pairwise(heard), 2, None):
        own[before == now].append(seconds)
    medians = {is_own: statistics.median(times) for is_own, times in own.items()}
    return math.log(medians[False] / medians[True]), statistics.median(own[False] + own[True])


def _cut(backend: str, steps: int, block: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Log ratio of epochs in slices to epochs in one piece; and seconds of each further call."""
    seconds = {}
    for turn_steps in ("epoch", str(steps)) if block % 2 else (str(steps), "epoch"):
        heard = _run(backend, block, arguments, CUT_STEPS * BATCH, 8, f"turn_steps={turn_steps}")
        seconds[turn_steps == "epoch"] = statistics.median(one for _, one in heard[2:])
    further = (seconds[False] - seconds[True]) / (math.ceil(CUT_STEPS / steps) - 1)
    return math.log(seconds[False] / seconds[True]), further


def _run(
    backend: str, block: int, arguments: argparse.Namespace, num_images: int, epochs: int, *overrides: str
) -> list[tuple[str, float]]:
    """One block of two entries of that backend; the epochs as they came."""
    with tempfile.TemporaryDirectory(prefix="bench-turns-") as folder:
        file = Path(folder, "turns.toml")
        file.write_text(
            f'order = "alternating"\nrepeats = 1\nseed = {block}\n[defaults]\ndataset = "mnist"\n'
            f"train_images = {num_images}\nevaluation_images = 200\nepochs = {epochs}\n"
            f'backend = "{backend}"\n[matrix]\nentrant = [{{ entry = "A" }}, {{ entry = "B" }}]\n'
        )
        epochs_heard = Epochs()
        tally = session.run(
            study.load(file, [*overrides, *arguments.overrides]),
            Path(folder, "store.sqlite"),
            listener=epochs_heard,
            verify=False,
        )
    if not tally.all_ok:
        raise SystemExit(f"{backend}: a run did not end well: {tally.counts}")
    return epochs_heard.heard


def _interval(logs: Sequence[float]) -> str:
    """``1.012 (0.998 to 1.027)``: geometric mean and 95 % interval by t."""
    mean = statistics.fmean(logs)
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(mean):.3f} ({math.exp(mean - half):.3f} to {math.exp(mean + half):.3f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench-turns", description=(__doc__ or "").partition("\n\n")[2].strip()
    )
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "torch", "jax"])
    parser.add_argument("--steps", nargs="+", type=int, default=[5, 20], help="of a turn (default: 5 20)")
    parser.add_argument("--turns", type=int, default=40, help="of each contestant (default: 40)")
    parser.add_argument("--blocks", type=int, default=4, help="default: 4")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
