"""``make bench-refine-calibration``: does a search among equals name a winner, and find one that is there?

Searches on simulated blocks, through the search and the verdicts that users get; then some among identical
contestants of a real backend, through the whole program. Same seed, same simulated figures.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from bakeoff import stats, study
from bakeoff.events import messages
from bakeoff.refine import refine
from bakeoff.refine.search import DEFAULT, JOINT, Candidate, GoingOn, Measured, Standing, search
from bakeoff.refine.space import Knob, Option
from benchmarks.goals import Figure, conclude, percent

CANDIDATES, MOST_BLOCKS = 30, 50
# Of a run's log time: a shared machine's 6 to 7 % between neighbouring runs, and one run in twenty that takes
# a third longer. All of a block share its drift.
NOISE, OUTLIERS, OUTLIER, DRIFT = 0.047, 0.05, 0.3, 0.2
PLANTED = math.log(0.8)
MAX_FALSE, MIN_FOUND, MAX_SHARE = 0.05, 0.90, 0.25
_RULES = stats.Rules(is_sequential=True)
_EXHAUSTIVE = 5  # exhaustive searches that are simulated, to know what one takes

IDENTICAL = 5  # candidates in a search with a real backend
REAL = """
name = "equals"
[defaults]
backend = "{backend}"
dataset = "mnist"
train_images = 1000
evaluation_images = 500
evaluation_split = "validation"
epochs = 1
keep_memory = true
"""


def main() -> int:
    """Search and judge; 0 if every goal was met."""
    parser = argparse.ArgumentParser(
        prog="bench-refine-calibration", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--searches", type=int, default=100, metavar="N", help="of each kind (default: 100)")
    parser.add_argument("--real", type=int, default=5, metavar="N", help="with a real backend (default: 5)")
    parser.add_argument("--backend", default="tensorflow", help="that backend (default: tensorflow)")
    parser.add_argument("--budget", type=float, default=1800, metavar="S", help="of each (default: 1800 s)")
    chosen = parser.parse_args()
    figures = _simulated(chosen.searches) if chosen.searches else []
    if chosen.real:
        winners = sum(_real(chosen.backend, number, chosen.budget) for number in range(chosen.real))
        text = f"{winners} false winners in {chosen.real} searches with {chosen.backend}"
        figures.append(Figure(text, "0", winners == 0))
    return conclude("refine-calibration", figures)


class Simulated:
    """Blocks of candidates with known effects on the log time; a run takes a second. num_runs: so far."""

    def __init__(self, seed: int, effects: Mapping[str, float]) -> None:
        self._random, self._effects = np.random.default_rng(seed), effects
        self.num_runs = 0

    def __call__(self, wave: int, candidates: Sequence[Candidate], going_on: GoingOn) -> Standing:
        measured = {candidate.name: Measured() for candidate in candidates}
        number = 0
        while True:
            standing = Standing(number, measured, {DEFAULT: 1.0}, float(self.num_runs))
            labels = going_on(standing)
            if not labels:
                return standing
            logs = self.block(labels)
            for name in set(labels) - {DEFAULT}:
                measured[name].logs[1000 * wave + number] = logs[name] - logs[DEFAULT]
            number += 1

    def block(self, labels: Collection[str]) -> dict[str, float]:
        """A log time for each; a combination has the sum of its changes' effects."""
        self.num_runs += len(labels)
        drift = self._random.normal(0, DRIFT)
        return {
            label: drift
            + sum(self._effects.get(part, 0.0) for part in label.split(JOINT))
            + self._random.normal(0, NOISE)
            + (OUTLIER if self._random.random() < OUTLIERS else 0.0)
            for label in sorted(labels)
        }

    def is_confirmed(self, label: str) -> bool:
        """Whether it comes out faster than the default, block after block until that is decided."""
        times: list[tuple[float, float]] = []
        while len(times) < MOST_BLOCKS:
            block = self.block((DEFAULT, label))
            times.append((math.exp(block[label]), math.exp(block[DEFAULT])))
            if len(times) >= stats.MIN_BLOCKS:
                mine, default = np.transpose(times)
                verdict = stats.judge(mine, default, rules=_RULES)
                if verdict.is_decided:
                    return verdict.kind is stats.FASTER
        return False


def _simulated(num: int) -> list[Figure]:
    """False winners among equals; how often and at what cost a planted one is found."""
    options = [
        Option(Knob(f"knob {index}", lambda settings, machine: []), {f"setting_{index}": True})
        for index in range(CANDIDATES)
    ]
    names = [option.name for option in options]
    false = sum(bool(_winner(options, Simulated(seed, {}))) for seed in range(num))
    print(f"{false} winners in {num} searches among {CANDIDATES} equals", flush=True)
    found, num_runs = 0, []
    for seed in range(num):
        planted = names[seed % CANDIDATES]
        race = Simulated(10_000 + seed, {planted: PLANTED})
        found += planted in _winner(options, race).split(JOINT)
        num_runs.append(race.num_runs)
    exhaustive = [_exhaustive(names, Simulated(seed, {names[0]: PLANTED})) for seed in range(_EXHAUSTIVE)]
    share = float(np.mean(num_runs) / np.mean(exhaustive))
    print(
        f"a planted best: {np.mean(num_runs):.0f} runs a search, {np.mean(exhaustive):.0f} if all are raced",
        flush=True,
    )
    return [
        Figure(f"{percent(false / num)} false winners in {num} searches", "≤ 5 %", false <= MAX_FALSE * num),
        Figure(f"a planted best found in {percent(found / num)}", "≥ 90 %", found >= MIN_FOUND * num),
        Figure(f"in {percent(share)} of exhaustive time", "≤ 25 %", share <= MAX_SHARE),
    ]


def _winner(options: Sequence[Option], race: Simulated) -> str:
    """What a search names and fresh blocks confirm; empty: nothing."""
    winner = search(options, race, math.inf, 0.0025).winner
    return winner.name if winner and race.is_confirmed(winner.name) else ""


def _exhaustive(names: Sequence[str], race: Simulated) -> int:
    """Runs that it takes to race each candidate against the default until that is decided."""
    for name in names:
        race.is_confirmed(name)
    return race.num_runs


def _real(backend: str, number: int, budget_s: float) -> bool:
    """Whether a search among identical contestants, in processes of their own, names a winner."""
    entries = Knob("entry", lambda settings, machine: [{"entry": f"{index}"} for index in range(IDENTICAL)])
    with tempfile.TemporaryDirectory(prefix="bench-refine-") as folder:
        file = Path(folder, "equals.toml")
        file.write_text(REAL.format(backend=backend))
        chosen = study.load(file, [f"seed={number}"])
        found = refine(
            chosen,
            chosen.trials[0].label,
            Path(folder, "store.sqlite"),
            budget_s=budget_s,
            knobs=(entries,),
            listener=messages(lambda line: None),
        )
    winner = found.search.winner.name if found.search.winner else "nobody"
    print(f"{backend}, search {number + 1}: {winner} to confirm: {found.sentence or 'nothing'}", flush=True)
    return found.is_confirmed


if __name__ == "__main__":
    sys.exit(main())
