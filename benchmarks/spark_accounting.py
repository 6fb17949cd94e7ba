"""``make bench-spark-accounting``: what Spark says of its tasks against what was taken inside them.

Runs small studies on the embedded cluster, warm and cold, each backend through the Elephas of its time, and
compares two accounts of the same work: Spark's event log (the run times of all training tasks), and the
clocks inside the tasks' Python processes (our function, and the age of a process that was started for the
task). The two are read by different programs from different clocks. All samples must be accounted for:
trained, or said to be skipped.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bakeoff import session, study
from bakeoff.events import messages
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

MAX_DIFFERENCE = 0.02

STUDY = """
name = "accounting"
repeats = 1
[defaults]
distribution = "elephas"
train_images = {images}
evaluation_images = 500
epochs = {epochs}
distribution_options.layout = "2x1"
distribution_options.executors = "{executors}"
[matrix]
contestant = [
    {{ backend = "tensorflow", distribution_options.mode = "synchronous", distribution_options.rounds = 2 }},
    {{ backend = "theano", distribution_options.mode = "asynchronous" }},
    {{ backend = "tensorflow1", distribution_options.mode = "asynchronous" }},
]
"""


@dataclass(frozen=True)
class Accounts:
    """Totals over the training tasks of one run: seconds by Spark's log and by the tasks themselves.

    num_asked, num_known: samples that should have been trained, and those of which is known what became.
    """

    label: str
    spark_s: float
    python_s: float
    num_tasks: int
    num_asked: int
    num_known: int

    @property
    def difference(self) -> float:
        """Of the totals, relative to Spark's."""
        return (self.spark_s - self.python_s) / self.spark_s


def main() -> int:
    """Measure and judge; 0 if the totals agree and no sample is missing."""
    arguments = _arguments()
    found: list[Accounts] = []
    for executors in ("warm", "cold"):
        with tempfile.TemporaryDirectory(prefix="bench-accounting-", dir=Path.cwd()) as folder:
            found += _accounts(Path(folder), executors, arguments)
    for one in found:
        print(
            f"{one.label}: {one.num_tasks} tasks, {one.spark_s:.2f} s by Spark's log, {one.python_s:.2f} s"
            f" inside, difference {100 * one.difference:.2f} %"
            f" ({(one.spark_s - one.python_s) / one.num_tasks:.2f} s a task);"
            f" {one.num_known} of {one.num_asked} samples accounted for"
        )
    spark_s, python_s = sum(one.spark_s for one in found), sum(one.python_s for one in found)
    total = (spark_s - python_s) / spark_s
    worst = max(found, key=lambda one: abs(one.difference))
    num_asked, num_known = sum(one.num_asked for one in found), sum(one.num_known for one in found)
    return conclude(
        "spark-accounting",
        [
            Figure(f"total task time {100 * total:.2f} %", "≤ 2 %", abs(total) <= MAX_DIFFERENCE),
            Figure(f"worst run {100 * worst.difference:.2f} % ({worst.label})"),
            Figure(f"samples accounted for {num_known} of {num_asked}", "all", num_known == num_asked),
        ],
    )


def _accounts(folder: Path, executors: str, arguments: argparse.Namespace) -> list[Accounts]:
    file = folder / f"accounting-{executors}.toml"
    file.write_text(STUDY.format(images=arguments.images, epochs=arguments.epochs, executors=executors))
    store = folder / "store.sqlite"
    tally = session.run(study.load(str(file)), store, listener=messages(print), verify=False)
    if not tally.all_ok:
        raise SystemExit(f"a run did not end well: {tally.counts}")
    with Reader(store) as reader:
        tasks, samples = reader.tasks("accounting"), reader.samples("accounting")
    found = []
    for row in samples.iter_rows(named=True):
        mine = tasks.filter(pl.col("run_id") == row["run_id"], pl.col("purpose") == "training")
        found.append(
            Accounts(
                label=f"{row['label']}, {executors}",
                spark_s=float(mine["run_s"].sum()),
                python_s=float(mine["python_s"].sum()) + float(mine["process_s"].sum()),
                num_tasks=len(mine),
                num_asked=row["num_asked"],
                num_known=row["num_trained"] + row["num_skipped"],
            )
        )
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-spark-accounting", description=__doc__)
    parser.add_argument("--images", type=int, default=60_000, help="training images (default: all 60,000)")
    parser.add_argument("--epochs", type=int, default=4, help="of each run (default: 4)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
