"""``make bench-table-1``: the study's Table 1, the study's pair and today's, on both layouts.

Runs the studies in `results/cluster` into a store of their own, which goes on where it was stopped, writes
their reports, and prints the totals. About two hours on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import polars as pl

from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

_STUDIES = ("table-1", "table-1-today")
_FOLDER = Path("results", "cluster")  # make runs in the repository's root


def main() -> int:
    """Run what is missing and report; 0 if every run ended well."""
    arguments = _arguments()
    figures = []
    for name in arguments.studies:
        file = _FOLDER / f"{name}.toml"
        command = [sys.executable, "-m", "bakeoff", "run", str(file), "--store", str(arguments.store)]
        subprocess.run([*command, "--report", f"{name}-report.html"], check=False)
        with Reader(arguments.store) as reader:
            runs = reader.runs(name)
            totals = reader.phases(name).filter(pl.col("phase") == "application", pl.col("status") == "ok")
            (planned,) = reader.studies().filter(study=name).head(1)["num_planned"]
        for label, wall_s in totals.group_by("label", maintain_order=True).agg("wall_s").iter_rows():
            figures.append(Figure(f"{label} {statistics.fmean(wall_s):.0f} s in {len(wall_s)} runs"))
        num_ok = len(runs.filter(status="ok").unique(["trial_id", "repeat"]))
        figures.append(Figure(f"{name}: {num_ok} of {planned} runs ok", "all", num_ok == planned))
    return conclude("table-1", figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-table-1", description=__doc__)
    parser.add_argument("studies", nargs="*", default=_STUDIES, help=f"default: {' and '.join(_STUDIES)}")
    parser.add_argument("--store", type=Path, default=Path("table-1.sqlite"), help="default: table-1.sqlite")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
