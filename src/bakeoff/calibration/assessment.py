"""What a calibration's runs say of their machine, and whether it passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import polars as pl

from bakeoff import stats
from bakeoff.calibration import handicaps
from bakeoff.calibration.entries import entries
from bakeoff.calibration.false_positives import FalsePositives, differ_by_chance, false_positives
from bakeoff.calibration.handicaps import SlowedEntry
from bakeoff.calibration.layouts import components
from bakeoff.calibration.noise import Noise, NoiseSource, noise, sources
from bakeoff.calibration.words import percent
from bakeoff.stats import MIN_BLOCKS, Rules
from bakeoff.study import racing
from bakeoff.study.words import text

# Name of the built-in study whose runs are a calibration.
STUDY = "calibration"
# Fewer plain entries than this say nothing.
MIN_ENTRIES = 3
# The rules by which a machine passes; docs/calibration.md has the reasons.
MIN_CHANCE = 0.01  # of identical entries differing as much as they do, all together
MUST_FIND = 0.1  # a handicap of this fraction is to be found ...
MUST_FIND_SHARE = 0.9  # ... in this share of comparisons ...
MUST_FIND_BLOCKS = 6  # ... given this many blocks

# What is said of: how long a race of two would run, in words and in seconds; and the epochs of its runs.
REACH_S = {"ten minutes": 600.0, "an hour": 3600.0}
_EPOCHS = range(1, 61)


class Source(Protocol):
    """What `bakeoff.store.reader.Reader` offers here."""

    def studies(self) -> pl.DataFrame: ...
    def runs(self, study: str | None = None) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Calibration:
    """One calibration of one machine, with one contestant.

    machine_id, machine: which machine; condition_id: with its environment and way of measuring. contestant:
    backend, data set, and what was asked of how to run, in words. began_at, ended_at: UTC. num_entries: plain
    ones; num_blocks: in which all of these ended well; num_runs, num_failed: all runs, and those that did not
    end well. run_s: median training seconds. fixed, sequential: identical entries told apart by either rule;
    None with too few blocks. chance: probability that identical entries differ, all together, as much as
    these. found: what became of each handicap. noise, sources: what varied, and why. reach: of two
    contestants like this one, what can be told apart in each of `REACH_S` seconds, with the best number of
    epochs; None where nothing can, or epochs were not looked at.
    """

    machine_id: str
    machine: str
    condition_id: str
    contestant: str
    began_at: datetime
    ended_at: datetime
    num_entries: int
    num_blocks: int
    num_runs: int
    num_failed: int
    run_s: float
    fixed: FalsePositives | None
    sequential: FalsePositives | None
    chance: float
    found: tuple[SlowedEntry, ...]
    noise: Noise
    sources: tuple[NoiseSource, ...]
    reach: tuple[stats.Resolution | None, ...] = (None, None)

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the machine does not pass, a sentence each; empty if it does."""
        failed = []
        for one in (self.fixed, self.sequential):
            if one is not None and not one.is_allowed:
                rule = "until decided" if one.is_sequential else "for a fixed number of blocks"
                failed.append(
                    f"identical entries were told apart in {one.num_false} of {one.num_comparisons} "
                    f"comparisons {rule}, where chance allows {one.allowed}"
                )
        if self.chance < MIN_CHANCE:
            failed.append(f"identical entries differ more than noise explains (p = {self.chance:.2g})")
        for each in self.found:
            share = each.num_slower / each.num_comparisons if each.num_comparisons else 1.0
            asked = abs(each.handicap - MUST_FIND) < 1e-9 and each.num_blocks >= MUST_FIND_BLOCKS
            if asked and share < MUST_FIND_SHARE:
                failed.append(
                    f"an entry that is {percent(each.handicap)} slower was found so in {each.num_slower} of "
                    f"{each.num_comparisons} comparisons after {each.num_blocks} blocks: too noisy "
                    f"({percent(self.noise.log_sd, 1)} per block)"
                )
        return tuple(failed)

    @property
    def passed(self) -> bool:
        """Whether the machine can be trusted, by the rules in docs/calibration.md."""
        return not self.failures

    def sentence(self) -> str:
        """One line for people: passed or failed, when, on what evidence."""
        head = f"calibrated on {self.ended_at:%Y-%m-%d} with {self.contestant}"
        if not self.passed:
            return f"this machine failed its calibration ({head}): {'; '.join(self.failures)}"
        words = [f"this machine passed its calibration ({head})"]
        if self.fixed is not None:
            times = f"{self.fixed.num_false} of {self.fixed.num_comparisons}"
            words.append(f"identical entries told apart in {times} comparisons")
        words += [
            f"{percent(each.handicap)} slower found in {each.num_slower} of {each.num_comparisons}"
            for each in self.found
            if each.num_comparisons
        ]
        return f"{words[0]}: " + ", ".join([*words[1:], f"noise {percent(self.noise.log_sd, 1)} per block"])

    def reach_sentence(self) -> str:
        """One line for people: what this machine can tell apart in how long; empty if that is not known."""
        told = [
            f"in {name} differences of {percent(reach.difference, 1)} or more ({percent(reach.low, 1)} to "
            f"{percent(reach.high, 1)}; {reach.num_blocks} blocks × {reach.num_epochs:g} epochs)"
            for name, reach in zip(REACH_S, self.reach, strict=True)
            if reach is not None
        ]
        return f"of two contestants like this one it can tell apart {', '.join(told)}" if told else ""

    def document(self) -> dict[str, Any]:
        """All of it in JSON's own types."""
        plain = asdict(self)
        plain.update(began_at=self.began_at.isoformat(), ended_at=self.ended_at.isoformat())
        return {**plain, "passed": self.passed, "failures": list(self.failures)}


def latest(source: Source, machine_id: str) -> Calibration | None:
    """The last calibration of that machine that has enough runs to say something; None without one."""
    studies = source.studies()
    for digest in studies.filter(study=STUDY)["digest"]:
        found = assess(source.runs(digest), machine_id)
        if found is not None:
            return found
    return None


def assess(runs: pl.DataFrame, machine_id: str, epochs: pl.DataFrame | None = None) -> Calibration | None:
    """What these runs of one calibration say of that machine; None if they are too few.

    runs: columns as in ``docs/store.md``. Of several conditions, the one measured last counts. epochs: of
    these runs, for what can be told apart in how long.
    """
    mine = runs.filter(machine_id=machine_id)
    good = mine.filter(status="ok")
    if good.is_empty():
        return None
    condition = good.sort("started_at")["condition_id"][-1]
    mine, good = (frame.filter(condition_id=condition) for frame in (mine, good))
    table = entries(good)
    if table.num_entries < MIN_ENTRIES or table.num_blocks < MIN_BLOCKS:
        return None
    seen = noise(table)
    last = good.sort("ended_at").row(-1, named=True)
    return Calibration(
        machine_id=machine_id,
        machine=last["machine"],
        condition_id=condition,
        contestant=_contestant(last),
        began_at=mine.sort("started_at")["started_at"][0],
        ended_at=last["ended_at"],
        num_entries=table.num_entries,
        num_blocks=table.num_blocks,
        num_runs=len(mine),
        num_failed=len(mine) - len(good),
        run_s=float(np.median(good["train_s"])),
        fixed=false_positives(table.plain, Rules()),
        sequential=false_positives(table.plain, Rules(is_sequential=True)),
        chance=differ_by_chance(table.plain),
        found=tuple(
            handicaps.found(handicap, slowed, table.plain, seen.log_sd)
            for handicap, slowed in table.handicapped.items()
        ),
        noise=seen,
        sources=sources(seen, mine),
        reach=(None, None) if epochs is None else _reach(good, epochs),
    )


def _reach(good: pl.DataFrame, epochs: pl.DataFrame) -> tuple[stats.Resolution | None, ...]:
    """Of a race of two, each block of which is two runs as long as these."""
    seen = components(good, epochs)
    if seen is None:
        return tuple(None for _ in REACH_S)
    frame = good.with_columns(trained_s=pl.col("train_s") + pl.col("evaluation_s"))
    start_s, epoch_s = frame.select(
        (pl.col("wall_s") - pl.col("trained_s")).median(),
        epoch_s=(pl.col("trained_s") / pl.col("num_epochs")).median(),
    ).row(0)
    choice = _EPOCHS if seen.epoch is not None else (seen.num_epochs,)
    cost = stats.Cost(2 * start_s, 2 * epoch_s)
    return tuple(stats.finest(seconds, seen, cost, Rules(), choice) for seconds in REACH_S.values())


def _contestant(run: Mapping[str, Any]) -> str:
    """Who raced itself, on what, and how where that is not as its users get it."""
    how = [
        f"{racing.how(key)} {text(key, run[f'settings.{key}'])}"
        for key, usual in racing.USUAL.items()
        if run.get(f"settings.{key}", usual) != usual
    ]
    if run.get("settings.order") == "alternating":
        how.append("in turns")
    return ", ".join([f"{run['backend']} on {run['dataset'].rsplit('/', 1)[-1]}", *how])
