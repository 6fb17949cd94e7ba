"""``make bench-spark-faults``: seconds until it is said what is wrong with a cluster.

Each fault is met by one run through the whole program: a master that does not answer; an embedded layout that
this machine can't hold; a layout that a user's own cluster can't hold; and a driver that the nodes of that
cluster can't reach, so that executors start and die. The last two count from the end of the run's own start
(interpreter, import, data, model): nothing is asked of the cluster before. Every run has to end as failed,
with its reason; a contestant on one machine, in the same study, has to end well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bakeoff import environments, session, study
from bakeoff.events import Handler, messages
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import PhaseEnded, Record, RunEnded
from benchmarks.goals import Figure, conclude
from benchmarks.spark_overhead import own_cluster

STUDY = """
name = "faults"
repeats = 1
[defaults]
backend = "tensorflow"
environment = "tensorflow_spark"
train_images = 500
evaluation_images = 100
epochs = 1
distribution_options.mode = "synchronous"
[matrix]
where = [
    {{ distribution = "elephas", distribution_options = {{ layout = "{layout}", master = "{master}" }} }},
    {{ distribution = "single" }},
]
"""
_OWN_START = {"interpreter", "import", "data", "build"}


class Clock(Handler):
    """When the run on a cluster started, was ready to ask it for anything, and ended; how runs ended."""

    def __init__(self) -> None:
        self.started = self.ready = self.ended_at = 0.0
        self.ended: dict[str, RunEnded] = {}

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """Counts from here."""
        if spec.settings.distribution != "single":
            self.started = self.ready = time.monotonic()

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Its own start is over with the last of these phases."""
        is_own = isinstance(record, PhaseEnded) and record.name in _OWN_START
        if is_own and spec.settings.distribution != "single":
            self.ready = time.monotonic()

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """To here."""
        self.ended[spec.settings.distribution] = ended
        if spec.settings.distribution != "single":
            self.ended_at = time.monotonic()


def main() -> int:
    """Meet each fault, and judge; 0 if each is said in time, as what it is, and one machine goes on."""
    argparse.ArgumentParser(prog="bench-spark-faults", description=__doc__).parse_args()
    environment = environments.ensure("tensorflow_spark", backend="tensorflow", listener=messages(print))
    java = environments.java.find("tensorflow_spark", print).home
    with tempfile.TemporaryDirectory(prefix="bench-spark-faults-") as name:
        folder = Path(name)
        figures = [
            _figure(
                folder, "unreachable master", "2x1", "spark://127.0.0.1:1", "no Spark master answers", 10
            ),
            _figure(
                folder, "embedded layout too large", "999x99", "embedded", "doesn't fit this machine", 10
            ),
        ]
        with own_cluster(environment, java, folder / "cluster") as up:
            conf = folder / "cluster" / "conf"
            os.environ.update({"SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"})
            figures.append(
                _figure(
                    folder, "layout too large", "5x4", up["master"], "doesn't fit the cluster", 10, own=True
                )
            )
            elsewhere = folder / "elsewhere"
            shutil.copytree(conf, elsewhere)
            with (elsewhere / "spark-defaults.conf").open("a") as file:
                file.write("spark.driver.host=127.0.0.9\n")  # where nobody listens
            os.environ["SPARK_CONF_DIR"] = str(elsewhere)
            figures.append(
                _figure(
                    folder, "unreachable driver", "2x1", up["master"], "executors start and die", 30, own=True
                )
            )
    return conclude("spark-faults", figures)


def _figure(
    folder: Path, fault: str, layout: str, master: str, expected: str, goal_s: float, *, own: bool = False
) -> Figure:
    """Seconds until one fault is said. own: counted from the end of the run's own start."""
    file = folder / f"{fault.replace(' ', '-')}.toml"
    file.write_text(STUDY.format(layout=layout, master=master))
    clock = Clock()
    session.run(
        study.load(str(file)),
        file.with_suffix(".sqlite"),
        listener=clock,
        verify=False,
    )
    said, alone = clock.ended["elephas"], clock.ended["single"]
    seconds = clock.ended_at - (clock.ready if own else clock.started)
    print(f"{fault}: {said.status}: {said.reason}\n  {said.last_lines}", flush=True)
    print(
        f"  {seconds:.1f} s, of {clock.ended_at - clock.started:.1f} s; one machine: {alone.status}",
        flush=True,
    )
    met = said.status == "failed" and expected in said.reason and alone.status == "ok" and seconds <= goal_s
    return Figure(f"{fault} {seconds:.1f} s", f"≤ {goal_s:g} s", met)


if __name__ == "__main__":
    sys.exit(main())
