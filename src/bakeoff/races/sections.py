"""Sections of a study: one for each data set and model, with its races and the rows behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff.races.definitions import Contestant, Race
from bakeoff.races.frames import commonest, parted
from bakeoff.races.targets import Target


@dataclass(frozen=True)
class Section:
    """One data set and model.

    title: the data set's name, with the model's where a study has several. races: the main one first:
    it gets the figures over epochs. axes: by setting that is swept, its values in order. runs, epochs:
    of all races, runs that ended well under the chosen conditions, with a column `contestant`; runs
    also with `cache`: the compile cache was ``cold`` or ``warm``, null where there is none. attempts:
    every run under these conditions, however it ended. target: the error that counts as reached; None where
    nobody said.
    """

    title: str
    races: tuple[Race, ...]
    axes: Mapping[str, tuple[Any, ...]]
    runs: pl.DataFrame
    epochs: pl.DataFrame
    attempts: pl.DataFrame
    target: Target | None = None

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """Those of all races."""
        return tuple(contestant for race in self.races for contestant in race.contestants)

    @cached_property
    def runs_by_trial(self) -> Mapping[str, pl.DataFrame]:
        """The runs of each contestant, by trial_id."""
        return parted(self.runs, (contestant.trial_id for contestant in self.contestants))

    def place_of(self, race: Race) -> str:
        """The section's title, with the race's setting where there are several: ``mnist (one machine)``."""
        return f"{self.title} ({race.setting})" if race.setting else self.title

    def runs_of(self, race: Race) -> pl.DataFrame:
        """The race's runs that ended well, `contestant` in its short form."""
        return _of(self.runs, race.contestants)

    def epochs_of(self, race: Race) -> pl.DataFrame:
        """The race's epochs, of runs that ended well, `contestant` in its short form."""
        return _of(self.epochs, race.contestants)

    def swept(self, axis: str) -> tuple[Contestant, ...]:
        """Contestants that differ from the main race in `axis` alone, the main race's included."""
        main = self.races[0].contestants
        if not main:
            return ()
        if len(self.races) == 1:  # the contestants themselves are the sweep
            common = {key: commonest([c.axes.get(key) for c in main]) for key in self.axes}
            candidates = main
        else:
            common = dict(main[0].axes)
            candidates = self.contestants
        return tuple(
            contestant
            for contestant in candidates
            if all(contestant.axes.get(key) == common[key] for key in self.axes if key != axis)
        )


def error_table(epochs: pl.DataFrame, column: str = "validation_error") -> NDArray[np.float64]:
    """Values of one contestant's runs; shape (num_repeats, num_epochs), NaN where a run has no such epoch."""
    if not len(epochs):
        return np.empty((0, 0))
    wide = epochs.pivot("epoch", index="run_id", values=column).drop("run_id")
    order = sorted(wide.columns, key=int)
    return wide.select(order).to_numpy().astype(float)


def _of(frame: pl.DataFrame, contestants: Sequence[Contestant]) -> pl.DataFrame:
    names = {str(contestant.name): str(contestant.short) for contestant in contestants}
    mine = frame.filter(pl.col("contestant").is_in(list(names)))
    return mine.with_columns(pl.col("contestant").replace(names))
