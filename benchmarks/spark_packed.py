"""``make bench-spark-packed``: the share of a packed run's time that is in no phase.

An environment is packed, and one run of TensorFlow on an embedded cluster of 2 × 1 has its executors unpack
and run it. Its wall time, from the launch of its process until nothing is left of it, is held against the sum
of its phases: Spark and every executor unpack the archive, and what was unpacked is removed in the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bakeoff import environments, session, study
from bakeoff.events import messages
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

MAX_UNACCOUNTED = 0.02

STUDY = """
name = "packed"
repeats = 1
[defaults]
backend = "{backend}"
distribution = "elephas"
train_images = {images}
evaluation_images = 500
epochs = 2
distribution_options.layout = "2x1"
distribution_options.mode = "synchronous"
distribution_options.archive = "{archive}"
"""
_HOME = {"tensorflow": "tensorflow_spark", "theano": "theano_spark"}
# Phases that hold others, or lie outside of a run's wall time.
_NOT_ADDED = ("application", "outcomes")


def main() -> int:
    """Measure and judge; 0 if the phases account for the run's time."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="bench-packed-") as name:
        folder = Path(name)
        archive = environments.pack(
            _HOME[arguments.backend], folder / "packed.tar.gz", listener=messages(print)
        )
        file, store = folder / "packed.toml", folder / "store.sqlite"
        file.write_text(STUDY.format(archive=archive, backend=arguments.backend, images=arguments.images))
        tally = session.run(study.load(str(file)), store, listener=messages(print), verify=False)
        with Reader(store) as reader:
            (run,) = reader.runs("packed").iter_rows(named=True)
            phases = reader.phases("packed").select("phase", "wall_s").rows()
    if not tally.all_ok:
        raise SystemExit(f"the packed run did not end well: {run['reason']}\n{run['last_lines']}")
    for phase, seconds in phases:
        print(f"  {phase}: {seconds:.2f} s")
    left_s = run["wall_s"] - sum(seconds for phase, seconds in phases if phase not in _NOT_ADDED)
    share = left_s / run["wall_s"]
    print(f"{run['wall_s']:.1f} s in all, {left_s:.2f} s of them in no phase")
    figure = Figure(
        f"in no phase {100 * share:.2f} %", f"≤ {100 * MAX_UNACCOUNTED:g} %", abs(share) <= MAX_UNACCOUNTED
    )
    return conclude("spark-packed", [figure])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-spark-packed", description=__doc__)
    parser.add_argument("--backend", choices=_HOME, default="tensorflow", help="default: tensorflow")
    parser.add_argument("--images", type=int, default=4000, help="of an epoch (default: 4000)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
