"""``make bench-calibrate``: what this machine can tell apart, one run after the other and in turns.

One contestant races itself (the study ``calibration``), four times side by side: as users get it and with
memory kept, in either order. The four share the hours: they get a block each in turn, so that what the
machine does meanwhile meets all of them. The store goes on where it was stopped; delete it to begin anew.
About a minute and a quarter for each block of each on two cores, an hour for twelve; ``--minutes`` ends it
after the round in which they are over.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bakeoff import calibration, machine, session, stats, study
from bakeoff.calibration import Calibration, FalsePositives, SlowedEntry, percent
from bakeoff.events import Handler
from bakeoff.identity import known
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

MIN_COMPARISONS = 90
MAX_STOPPED_SHARE = 0.001  # of a core, while others train


@dataclass(frozen=True)
class Cell:
    """One way to calibrate. blocks: goals, by handicap, for the blocks within which it is found."""

    order: str
    keeps_memory: bool
    blocks: dict[float, int]

    @property
    def name(self) -> str:
        """``alternating, memory kept``"""
        return f"{self.order}, {'memory kept' if self.keeps_memory else 'as users get it'}"

    def study(self, num_blocks: int, arguments: argparse.Namespace) -> study.Study:
        """The calibration in so many blocks."""
        turns = [f"turn_steps={arguments.turn_steps}"] if self.order == "alternating" else []
        return study.load(
            calibration.STUDY,
            [
                *(f"backend={arguments.backend}", f"repeats={num_blocks}", f"order={self.order}"),
                *(f"keep_memory={str(self.keeps_memory).lower()}", *turns, *arguments.overrides),
            ],
        )


CELLS = (
    Cell("sequential", False, {}),
    Cell("alternating", False, {0.03: 30, 0.1: 4}),
    Cell("sequential", True, {}),
    Cell("alternating", True, {0.03: 8, 0.1: 4}),
)


def main() -> int:
    """Run block by block, then judge; 0 if every goal was met."""
    arguments = _arguments()
    ends_at = time.monotonic() + 60 * arguments.minutes
    num_blocks = 0
    while num_blocks < arguments.blocks and time.monotonic() < ends_at:
        num_blocks += 1
        for cell in _rotated(CELLS, num_blocks):
            chosen = cell.study(num_blocks, arguments)
            session.run(chosen, arguments.store, listener=Handler(), verify=False)
        print(f"block {num_blocks} of {arguments.blocks} is there", flush=True)
    found: list[Figure] = []
    with Reader(arguments.store) as reader:
        for cell in CELLS:
            runs = reader.runs(known(cell.study(num_blocks, arguments)).digest)
            found += figures(cell, runs, calibration.assess(runs, machine.identity()["machine_id"]))
    return conclude("calibrate", found)


def figures(cell: Cell, runs: pl.DataFrame, said: Calibration | None) -> list[Figure]:
    """What one cell found, beside what is wanted of it."""
    if said is None:
        return [Figure(f"{cell.name}: too few blocks", f"≥ {calibration.MIN_BLOCKS}", False)]
    made = [
        Figure(f"{cell.name}: noise {percent(said.noise.log_sd, 1)} per block in {said.num_blocks} blocks"),
        Figure(f"runs that did not end well {said.num_failed}", "0", said.num_failed == 0),
    ]
    made += [_apart(one) for one in (said.fixed, said.sequential) if one is not None]
    made += [_found(one, cell.blocks) for one in said.found if one.handicap > 0.02]  # beyond the margin
    if cell.order == "alternating":
        share = float(runs["stopped_cpu_s"].sum()) / max(float(runs["stopped_s"].sum()), 1e-9)
        text = f"CPU of stopped contestants {share:.4%} of a core"
        made.append(Figure(text, f"≤ {percent(MAX_STOPPED_SHARE, 1)}", share <= MAX_STOPPED_SHARE))
    return made


def _rotated(cells: Sequence[Cell], by: int) -> list[Cell]:
    """The cells, beginning with another one each time."""
    first = by % len(cells)
    return [*cells[first:], *cells[:first]]


def _apart(rate: FalsePositives) -> Figure:
    rule = "until decided" if rate.is_sequential else f"after {rate.num_blocks} blocks"
    text = (
        f"identical entries told apart {rule} in {rate.num_false} of {rate.num_comparisons} comparisons "
        f"({percent(rate.low, 1)} to {percent(rate.high, 1)})"
    )
    if rate.is_sequential:
        return Figure(text, f"≤ {rate.allowed}, what chance allows", rate.is_allowed)
    goal = f"≤ {rate.allowed}, what chance allows, in {MIN_COMPARISONS}"
    return Figure(text, goal, rate.is_allowed and rate.num_comparisons >= MIN_COMPARISONS)


def _found(entry: SlowedEntry, goals: dict[float, int]) -> Figure:
    within = f"{entry.projected} blocks" if entry.projected else f"more than {stats.MAX_PROJECTED} blocks"
    text = f"{percent(entry.handicap)} slower found in {entry.num_slower} of {entry.num_comparisons}, "
    text += f"in nine of ten studies within {within}"
    goal = goals.get(entry.handicap)
    if goal is None:
        return Figure(text)
    return Figure(text, f"≤ {goal}", entry.projected is not None and entry.projected <= goal)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench-calibrate", description=(__doc__ or "").partition("\n\n")[2].strip()
    )
    parser.add_argument(
        "--store", type=Path, default=Path("calibrate.sqlite"), help="default: calibrate.sqlite"
    )
    parser.add_argument("--backend", default="torch", help="default: torch")
    parser.add_argument("--blocks", type=int, default=12, help="of each of the four (default: 12)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no block after so many")
    parser.add_argument(
        "--turn-steps", type=int, default=5, help="steps of a turn, where they alternate (default: 5)"
    )
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
