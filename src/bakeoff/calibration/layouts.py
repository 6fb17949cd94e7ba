"""Runs as arrays, contestants by blocks by epochs: what variance components are estimated from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats

Array = NDArray[np.float64]


def layouts(runs: pl.DataFrame, epochs: pl.DataFrame, races: Sequence[Sequence[str]]) -> list[Array]:
    """Training seconds of the runs of each race, each shape (num_contestants, num_blocks, num_epochs).

    runs, epochs: frames as in ``docs/store.md``, of runs that ended well on one machine. races: trial_ids,
    each race's own. Of each study, number of epochs and measuring only the trials under their last
    condition, and the blocks in which all of these ended well; of a run that was made again, the last one.
    All layouts have one number of epochs: the one of which there are most runs.
    """
    found: list[Array] = []
    seconds = {
        str(run_id): mine.sort("epoch")["train_s"].to_numpy()
        for (run_id,), mine in epochs.filter(pl.col("train_s") > 0).group_by("run_id")
    }
    last = runs.sort("started_at").unique(["trial_id", "study_digest", "block"], keep="last")
    now = last.sort("started_at").unique("trial_id", keep="last").select("trial_id", "condition_id")
    current = last.join(now, on=["trial_id", "condition_id"], how="semi")
    for race in races:
        mine = current.filter(pl.col("trial_id").is_in(race))
        for _, part in mine.group_by("study_digest", "num_epochs", maintain_order=True):
            array = _complete(part, seconds)
            if array is not None:
                found.append(array)
    sizes = [one.shape[2] for one in found]
    longest = max(set(sizes), key=lambda size: (_num_runs(found, size), size), default=0)
    return [one for one in found if one.shape[2] == longest]


def components(runs: pl.DataFrame, epochs: pl.DataFrame) -> stats.Components | None:
    """Variance components of a calibration's plain entries, from runs that ended well; None if too few."""
    plain = runs.filter(pl.col("settings.handicap") == 0)
    return stats.components(layouts(plain, epochs, [plain["trial_id"].unique().to_list()]))


def _num_runs(found: list[Array], num_epochs: int) -> int:
    return sum(one.shape[0] * one.shape[1] for one in found if one.shape[2] == num_epochs)


def _complete(runs: pl.DataFrame, seconds: dict[str, Array]) -> Array | None:
    """Of runs of one study: contestants with two runs at least, in the blocks that have all of them."""
    rows = runs.sort("trial_id", "block").select("trial_id", "block", "run_id", "num_epochs").rows()
    known = {(trial, block): seconds[run] for trial, block, run, _ in rows if run in seconds}
    trials = sorted({trial for trial, _ in known})
    trials = [one for one in trials if sum(trial == one for trial, _ in known) > 1]
    blocks = sorted({block for _, block in known})
    blocks = [block for block in blocks if all((one, block) in known for one in trials)]
    if len(trials) < 2 or len(blocks) < 2:
        return None
    cells = [[known[one, block] for block in blocks] for one in trials]
    lengths = {len(cell) for row in cells for cell in row}
    if lengths != {rows[0][3]}:  # a cluster may report several epochs at once
        cells = [[cell.sum(keepdims=True) for cell in row] for row in cells]
    return np.array(cells)
