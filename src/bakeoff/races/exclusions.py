"""Runs that a comparison leaves out, by rules fixed before any run, and whether its verdict hinges on that.

A run counts if it ended well, under the conditions chosen, and as the last of its repeat; disturbed runs
count. A block counts for a pair if a run of both counts in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from bakeoff import stats
from bakeoff.races.definitions import Contestant, Exclusion
from bakeoff.races.sentences import answer

# The verdict of the pair on other runs than those that count.
Judge = Callable[[pl.DataFrame], stats.Verdict]


def excluded(
    pair: tuple[Contestant, Contestant], runs: pl.DataFrame, attempts: pl.DataFrame, left_out: pl.DataFrame
) -> tuple[Exclusion, ...]:
    """The pair's runs that do not count, block by block.

    runs: good ones that may share a mean. attempts: all under these conditions. left_out: anybody's runs
    under others.
    """
    names = {contestant.trial_id: contestant.short for contestant in pair}
    counted = {trial: runs.filter(trial_id=trial) for trial in names}
    blocks = {trial: set(mine["block"]) for trial, mine in counted.items()}
    partners = dict(zip(names, reversed(list(names)), strict=True))
    ok = {run_id for mine in counted.values() for run_id in mine["run_id"]}
    good = set(runs.select("trial_id", "repeat").iter_rows())
    found = []
    for row in attempts.iter_rows(named=True):
        trial = row["trial_id"]
        why = ""
        if row["run_id"] in ok:
            if row["block"] not in blocks[partners[trial]]:
                why = f"{names[partners[trial]]} has no good run in its block"
        elif row["status"] == "ok":
            why = "run again later"
        elif row["status"] != "running":
            later = ", later ok" if (trial, row["repeat"]) in good else ""
            why = row["status"].replace("_", " ") + later
        if why:
            found.append(Exclusion(row["run_id"], names[trial], row["block"], why))
    found += [
        Exclusion(run_id, names[trial], block, "under other conditions")
        for run_id, trial, block in left_out.select("run_id", "trial_id", "block").iter_rows()
        if trial in names
    ]
    return tuple(
        sorted(found, key=lambda exclusion: (exclusion.block, exclusion.contestant, exclusion.run_id))
    )


def hinge(
    pair: tuple[Contestant, Contestant],
    runs: pl.DataFrame,
    attempts: pl.DataFrame,
    verdict: stats.Verdict,
    judge: Judge,
) -> str:
    """How the verdict would change if other runs counted; empty if it stays the same.

    Tried are: the first good attempt of a repeat instead of the last; runs that failed, but had trained all
    their epochs; and the disturbed runs left out, as far as enough blocks are left.
    """
    said = []
    for words, others in _alternatives(runs, attempts):
        found = judge(others)
        # With too few blocks for the error, as with too few for the time, nothing was found out about it.
        is_told = found.on_time is not stats.TOO_FEW and found.on_time != verdict.on_time
        if is_told or (found.kind != verdict.kind and found.time.num_blocks >= stats.MIN_BLOCKS):
            said.append(f"{words}: {in_short(found, pair)}")
    return "; ".join(said)


def in_short(verdict: stats.Verdict, pair: tuple[Contestant, Contestant]) -> str:
    """A verdict on a pair in a few words."""
    for who, seen in zip(pair, (verdict, verdict.inverse), strict=True):
        if seen.on_time is stats.FASTER:
            return f"{who.short} is {answer(seen)}"
    return verdict.kind


def _alternatives(runs: pl.DataFrame, attempts: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    good = attempts.filter(pl.col("status") == "ok")
    first = good.unique(["trial_id", "repeat"], keep="first", maintain_order=True)
    if set(first["run_id"]) != set(runs["run_id"]):
        yield "with the first good attempts instead of the last", first
    trained = attempts.filter(
        pl.col("status").is_in(["ok", "running"]).not_()
        & pl.col("train_s").is_not_null()
        & (pl.col("num_epochs") == pl.col("settings.epochs"))
    ).join(runs, on=["trial_id", "repeat"], how="anti")
    if len(trained):
        yield (
            f"with {_runs(len(trained))} that failed after the last epoch",
            pl.concat([runs, trained], how="diagonal_relaxed"),
        )
    num_disturbed = int(runs["disturbed"].sum()) if "disturbed" in runs.columns else 0
    if num_disturbed:
        quiet = runs.filter(pl.col("disturbed").fill_null(value=False).not_())
        yield f"without {_runs(num_disturbed)} disturbed by other work", quiet


def _runs(number: int) -> str:
    return "the one run" if number == 1 else f"the {number} runs"
