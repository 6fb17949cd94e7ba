"""The runs of a calibration as arrays: a row for each block, a column for each entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Entries:
    """What the plain entries, which are identical, and the handicapped ones took, block by block.

    plain: log seconds of training, shape (num_blocks, num_entries), of blocks in which all plain entries
    ended well; cpu: log CPU seconds, likewise, NaN where unknown; system: the system's share of the CPU
    seconds, in units of the mean training time, likewise; positions: place within the block, likewise.
    handicapped: by handicap (a fraction), log seconds in these blocks, shape (num_blocks,), NaN
    where its run did not end well.
    """

    plain: Array
    cpu: Array
    system: Array
    positions: Array
    handicapped: dict[float, Array]

    @property
    def num_blocks(self) -> int:
        """Blocks that count."""
        return int(self.plain.shape[0])

    @property
    def num_entries(self) -> int:
        """Plain entries."""
        return int(self.plain.shape[1])


def entries(runs: pl.DataFrame) -> Entries:
    """The entries of runs that ended well under one condition; columns as in ``docs/store.md``.

    Where a block's run was made again, the last one counts.
    """
    good = runs.filter(pl.col("train_s") > 0).with_columns(
        log_s=pl.col("train_s").log(),
        log_cpu_s=(pl.col("user_s") + pl.col("system_s")).log(),
        system_share=pl.col("system_s") / pl.col("train_s").mean(),
    )
    handicaps = dict(good.select("trial_id", "settings.handicap").unique().iter_rows())
    plain = sorted(trial for trial, handicap in handicaps.items() if not handicap)
    blocks = sorted(good["block"].unique())
    logs, cpu, system, positions = (
        np.column_stack([_by_block(good.filter(trial_id=trial), column, blocks) for trial in plain])
        if plain
        else np.empty((len(blocks), 0))
        for column in ("log_s", "log_cpu_s", "system_share", "position")
    )
    whole = np.isfinite(logs).all(axis=1)
    handicapped = {
        handicap: _by_block(good.filter(trial_id=trial), "log_s", blocks)[whole]
        for trial, handicap in sorted(handicaps.items(), key=lambda item: item[1])
        if handicap
    }
    return Entries(logs[whole], cpu[whole], system[whole], positions[whole], handicapped)


def _by_block(runs: pl.DataFrame, column: str, blocks: list[Any]) -> Array:
    """A column's values in the order of the blocks; NaN where there is none."""
    last = {
        block: np.nan if value is None else float(value)
        for block, value in runs.select("block", column).iter_rows()
    }
    return np.array([last.get(block, np.nan) for block in blocks], dtype=float)
