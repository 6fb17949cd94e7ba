"""``make bench-spark-overhead``: seconds of `fit` through Bakeoff ÷ those of a bare Elephas script.

One standalone cluster, started here, serves both: a run of Bakeoff's, told of it as a user's own cluster
(``--master``), and a bare script that calls Elephas as its documentation does. Each has an application with
executors of its own on every node. Both are warmed up, then fit one epoch at a time in turn: Bakeoff's worker
waits for an answer after every epoch, and until it is given, the bare script trains. So each epoch has a
neighbour in time. The turns go A BB AA BB A or B AA BB AA B, by lot.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bakeoff_worker
from bakeoff import datasets, environments, session, stats, study
from bakeoff.environments import Environment
from bakeoff.events import Handler, messages
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, Facts, Record
from benchmarks.goals import Figure, conclude
from benchmarks.overhead import due

MAX_RATIO, MIN_PAIRS = 1.02, 5
_BARE = Path(__file__).parent / "bare"
_NODES, _BATCH = 2, 100

STUDY = """
name = "overhead"
repeats = 1
seed = {seed}
[defaults]
backend = "tensorflow"
distribution = "elephas"
train_images = {images}
evaluation_images = 500
epochs = {epochs}
distribution_options.mode = "synchronous"
distribution_options.executors = "warm"
distribution_options.layout = "{nodes}x1"
distribution_options.batch_size_per_task = {batch}
distribution_options.master = "{master}"
"""


class Bare:
    """The bare script at work; fits an epoch when told to. A context manager."""

    def __init__(self, environment: Environment, variables: Mapping[str, str], settings: Path) -> None:
        self._log = settings.with_suffix(".log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [str(environment.python), str(_BARE / "elephas7.py"), str(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                text=True,
            )
        self.epochs: list[float] = []

    def __enter__(self) -> Bare:
        self._answer()  # it is ready
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()  # standard input ends, and so does the script

    def train_until(self, num_epochs: int) -> None:
        """Fit until so many epochs are done in all."""
        while len(self.epochs) < num_epochs:
            assert self._process.stdin is not None
            self._process.stdin.write("epoch\n")
            self._process.stdin.flush()
            self.epochs.append(self._answer()["train_s"])

    def _answer(self) -> Mapping[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the bare script died:\n{self._log.read_text()[-3000:]}")
        answer: Mapping[str, float] = json.loads(line)
        return answer


class Turns(Handler):
    """Lets the bare script train while Bakeoff's run waits for its record to be stored."""

    def __init__(self, bare: Bare, num_epochs: int, *, bare_first: bool) -> None:
        self._bare, self._num_epochs, self._bare_first = bare, num_epochs, bare_first
        self.epochs: list[float] = []

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """After the facts Bakeoff's run is warm, as the bare script is."""
        if isinstance(record, EpochRecord):
            self.epochs.append(record.train_s)
        if isinstance(record, Facts | EpochRecord):
            self._bare.train_until(due(len(self.epochs), self._num_epochs, bare_first=self._bare_first))


def main() -> int:
    """Measure and judge; 0 if the median ratio is within the goal."""
    arguments = _arguments()
    chance = random.Random(arguments.seed)
    environment = environments.ensure("tensorflow_spark", backend="tensorflow", listener=messages(print))
    java = environments.java.find("tensorflow_spark", print).home
    ratios = []
    for number in range(arguments.pairs):
        bare_first = chance.random() < 0.5
        with tempfile.TemporaryDirectory(prefix="bench-spark-overhead-") as folder:
            ours_s, bare_s = _pair(number, arguments, environment, java, Path(folder), bare_first=bare_first)
        ratios.append(ours_s / bare_s)
        print(
            f"{number + 1}/{arguments.pairs}: Bakeoff {ours_s:.2f} s, bare {bare_s:.2f} s,"
            f" ratio {ratios[-1]:.4f}",
            flush=True,
        )
    median = statistics.median(ratios)
    low, high, coverage = stats.median_interval(ratios)
    print(f"{100 * coverage:.0f} % interval of the median {low:.4f} to {high:.4f}")
    text = f"median {median:.3f} [{min(ratios):.3f}, {max(ratios):.3f}] in {len(ratios)} pairs"
    met = median <= MAX_RATIO and len(ratios) >= MIN_PAIRS
    return conclude("spark-overhead", [Figure(text, f"≤ {MAX_RATIO} in {MIN_PAIRS}", met)])


def _pair(
    number: int,
    arguments: argparse.Namespace,
    environment: Environment,
    java: Path,
    folder: Path,
    *,
    bare_first: bool,
) -> tuple[float, float]:
    """Seconds of all fits through Bakeoff and of the bare script's."""
    with own_cluster(environment, java, folder / "cluster") as up:
        settings = folder / "bare.json"
        conf = folder / "cluster" / "conf"
        properties = {
            **up["properties"],
            "spark.master": up["master"],
            "spark.executor.cores": "1",
            "spark.cores.max": str(_NODES),
            "spark.executor.memory": "1024m",
            "spark.default.parallelism": str(_NODES),
            "spark.rpc.message.maxSize": "1024",
            # One core a task, as Bakeoff gives it.
            "spark.executorEnv.TF_NUM_INTRAOP_THREADS": "1",
            "spark.executorEnv.TF_NUM_INTEROP_THREADS": "1",
            "spark.executorEnv.CUDA_VISIBLE_DEVICES": "-1",
            "spark.executorEnv.TF_CPP_MIN_LOG_LEVEL": "2",
        }
        images = {"train_images": arguments.images, "batch_size_per_task": _BATCH}
        data = datasets.ensure("mnist")
        settings.write_text(json.dumps({"properties": properties, "dataset": str(data.path), **images}))
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "TMPDIR": str(folder),
            "JAVA_HOME": str(java),
            "SPARK_CONF_DIR": str(conf),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": str(environment.python),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        file = folder / "overhead.toml"
        file.write_text(
            STUDY.format(
                seed=number,
                images=arguments.images,
                epochs=arguments.epochs,
                nodes=_NODES,
                batch=_BATCH,
                master=up["master"],
            )
        )
        os.environ.update({"SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"})
        with Bare(environment, variables, settings) as bare:
            turns = Turns(bare, arguments.epochs, bare_first=bare_first)
            tally = session.run(study.load(str(file)), folder / "store.sqlite", listener=turns)
            if not tally.all_ok or len(turns.epochs) != len(bare.epochs):
                raise SystemExit(f"the run did not end well: {tally.counts}")
        return sum(turns.epochs), sum(bare.epochs)


@contextmanager
def own_cluster(environment: Environment, java: Path, folder: Path) -> Iterator[Mapping[str, Any]]:
    """A standalone cluster of two nodes with two cores each, as a user's own; its properties and master."""
    root = Path(bakeoff_worker.__file__).parents[1]
    process = subprocess.Popen(
        [str(environment.python), str(_BARE / "standalone.py"), str(_NODES), "2", str(folder), str(java)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(root)},
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the cluster did not start")
        yield json.loads(line)
    finally:
        process.communicate()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-spark-overhead", description=__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="default: 6")
    parser.add_argument("--epochs", type=int, default=4, help="of each, an even number (default: 4)")
    parser.add_argument("--images", type=int, default=12_000, help="of an epoch (default: 12000)")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: 1)")
    arguments = parser.parse_args()
    if arguments.epochs % 2:
        parser.error("an odd number of epochs can't be taken in turns of two")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
