"""``make bench-cost``: what a decision costs, against the study's ten repeats of 200 epochs.

Runs the studies in `results/verdicts` until they are decided, into a store of their own, which goes on where
it was stopped, and writes their reports. What they took (whole runs, start-up and evaluation included, failed
ones too) is divided by what the study's protocol would take for the same contestants: ten runs of 200 epochs
of each, every epoch and everything else as long as measured here. About an hour on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import polars as pl

from bakeoff import races
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

MAX_SHARE = 1 / 20
_STUDIES = ("study-question", "closest-today")
_FOLDER = Path("results", "verdicts")  # make runs in the repository's root
_REPEATS, _EPOCHS = 10, 200


def main() -> int:
    """Run what is missing, report and judge; 0 if all is decided at no more than a twentieth of the cost."""
    arguments = _arguments()
    figures = []
    for name in arguments.studies:
        file = _FOLDER / f"{name}.toml"
        command = [sys.executable, "-m", "bakeoff", "run", str(file), "--store", str(arguments.store)]
        subprocess.run([*command, "--report", f"{name}-report.html"], check=False)
        with Reader(arguments.store) as reader:
            frames = races.read(reader, name)
        spent_s = float(frames.runs["wall_s"].sum())
        protocol_s = _protocol_s(frames.runs, frames.epochs)
        comparisons = [
            comparison
            for section in races.compose(frames)
            for race in section.races
            for comparison in race.comparisons
        ]
        for comparison in comparisons:
            print(races.sentence(comparison))
        num_blocks = frames.runs.filter(status="ok")["block"].n_unique()
        is_decided = bool(comparisons) and all(comparison.verdict.is_decided for comparison in comparisons)
        words = f"{name}: {'decided' if is_decided else 'undecided'} after {num_blocks} blocks,"
        share = spent_s / protocol_s
        figures.append(
            Figure(
                f"{words} {spent_s / 60:.0f} min of {protocol_s / 3600:.1f} h, 1/{1 / share:.0f}",
                "decided at ≤ 1/20",
                is_decided and share <= MAX_SHARE,
            )
        )
    return conclude("cost", figures)


def _protocol_s(runs: pl.DataFrame, epochs: pl.DataFrame) -> float:
    """Wall seconds that ten runs of 200 epochs of each contestant would take, as measured here."""
    good = runs.filter(status="ok")
    per_run = (
        epochs.join(good.select("run_id"), on="run_id", how="semi")
        .group_by("run_id")
        .agg(epochs_s=(pl.col("train_s") + pl.col("evaluation_s")).sum(), num=pl.len())
    )
    per_trial = (
        good.join(per_run, on="run_id")
        .group_by("trial_id")
        .agg(
            rest_s=(pl.col("wall_s") - pl.col("epochs_s")).mean(),
            epoch_s=pl.col("epochs_s").sum() / pl.col("num").sum(),
        )
    )
    of_one = per_trial["rest_s"] + _EPOCHS * per_trial["epoch_s"]
    return float(_REPEATS * of_one.sum())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-cost", description=__doc__)
    parser.add_argument("studies", nargs="*", default=_STUDIES, help=f"default: {' and '.join(_STUDIES)}")
    parser.add_argument("--store", type=Path, default=Path("cost.sqlite"), help="default: cost.sqlite")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
