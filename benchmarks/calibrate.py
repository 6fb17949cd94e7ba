"""``make bench-calibrate``: on this machine, are identical entries told apart, and slowed ones found?

Runs ``bakeoff calibrate`` into a store of its own, which goes on where it was stopped, and prints its tables
and figures. Memory is kept (``--set keep_memory=false`` has it given back, as users get it). About a quarter
of an hour on two quiet cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bakeoff import calibration, machine
from bakeoff.calibration import Calibration, FalsePositives, Found, percent
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

KEPT = ("keep_memory=true",)  # or what is calibrated is how glibc gets its pages; --set has the last word
MIN_COMPARISONS = 40
ALWAYS_FOUND = 0.1  # the handicap that is to be found in every comparison


def main() -> int:
    """Calibrate; 0 if every goal was met."""
    arguments = _arguments()
    command = [sys.executable, "-m", "bakeoff", "calibrate", "--store", str(arguments.store)]
    command += ["--backend", arguments.backend, "--blocks", str(arguments.blocks)]
    for override in (*KEPT, *arguments.overrides):
        command += ["--set", override]
    subprocess.run(command, check=False)  # what came of it is in the store
    with Reader(arguments.store) as reader:
        found = calibration.latest(reader, machine.identity()["machine_id"])
    if found is None:
        return conclude("calibrate", [Figure("no calibration", "one", False)])
    return conclude("calibrate", figures(found))


def figures(found: Calibration) -> list[Figure]:
    """What was found, beside what is wanted."""
    made = [Figure(f"runs that did not end well {found.num_failed}", "0", found.num_failed == 0)]
    made += [_apart(one) for one in (found.fixed, found.sequential) if one is not None]
    num = found.fixed.num_comparisons if found.fixed is not None else 0
    made.append(
        Figure(f"{num} comparisons of identical entries", f"≥ {MIN_COMPARISONS}", num >= MIN_COMPARISONS)
    )
    made += [_found(one) for one in found.found]
    made.append(Figure(f"noise {percent(found.noise.log_sd, 1)} per block"))
    made.append(Figure("calibration passed" if found.passed else "calibration failed"))
    return made


def _apart(one: FalsePositives) -> Figure:
    rule = "until decided" if one.is_sequential else f"after {one.num_blocks} blocks"
    text = (
        f"identical entries told apart {rule} in {one.num_false} of {one.num_comparisons} comparisons "
        f"({percent(one.low, 1)} to {percent(one.high, 1)})"
    )
    return Figure(text, f"≤ {one.allowed}, what chance allows", one.is_allowed)


def _found(one: Found) -> Figure:
    in_time = [block for block in one.blocks if block is not None]
    text = f"{percent(one.handicap)} slower found in {one.num_slower} of {one.num_comparisons}"
    text += f" after {one.num_blocks} blocks, until decided in {len(in_time)}"
    text += f" by block {min(in_time)} to {max(in_time)}" if in_time else ""
    if abs(one.handicap - ALWAYS_FOUND) > 1e-9:
        return Figure(text)
    return Figure(text, "all", one.num_slower == one.num_comparisons)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench-calibrate", description=(__doc__ or "").partition("\n\n")[2].strip()
    )
    parser.add_argument(
        "--store", type=Path, default=Path("calibrate.sqlite"), help="default: calibrate.sqlite"
    )
    parser.add_argument("--backend", default="torch", help="default: torch")
    parser.add_argument("--blocks", type=int, default=12, help="default: 12")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="as bakeoff calibrate",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
