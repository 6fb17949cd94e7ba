"""Results in a notebook.

    >>> import bakeoff.results
    >>> results = bakeoff.results.open_results("bakeoff.sqlite")     # doctest: +SKIP
    >>> results.epochs("quick").group_by("backend").agg(pl.col("train_s").mean())   # doctest: +SKIP

Frames are polars'; ``.to_pandas()`` gives pandas' where pandas and pyarrow are installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bakeoff.store.reader import Reader


@dataclass(frozen=True)
class Results:
    """The results in one store. Each call reads what is there then, also while a study runs.

    `study` is a study's name or digest; None gives all runs. Columns: ``docs/store.md``.
    """

    path: Path

    def studies(self) -> pl.DataFrame:
        """One row per study, the one begun last first."""
        with Reader(self.path) as reader:
            return reader.studies()

    def runs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run, with its settings, how it ended, and totals over its epochs."""
        with Reader(self.path) as reader:
            return reader.runs(study)

    def epochs(self, study: str | None = None) -> pl.DataFrame:
        """One row per epoch of a run."""
        with Reader(self.path) as reader:
            return reader.epochs(study)

    def phases(self, study: str | None = None) -> pl.DataFrame:
        """One row per phase of a run: import, data, build, first step, training, evaluation, ..."""
        with Reader(self.path) as reader:
            return reader.phases(study)

    def inputs(self, study: str | None = None) -> pl.DataFrame:
        """One row per run with a model of the user's own: what the model read, by SHA-256."""
        with Reader(self.path) as reader:
            return reader.inputs(study)

    def outcomes(self, study: str | None = None) -> pl.DataFrame:
        """One row per run: which evaluation images it got wrong, a bit per image."""
        with Reader(self.path) as reader:
            return reader.outcomes(study)

    def certificates(self, study: str | None = None) -> pl.DataFrame:
        """One row per pair of trials that was verified: ``verdict`` (``same``, ``different`` or
        ``not compared``), and ``words``.

        Of kind ``round``: what a synchronous round on a cluster does, against its stated arithmetic. Where
        `study` is None: every certificate ever made, without trials.
        """
        with Reader(self.path) as reader:
            return reader.certificates(study)

    def warnings(self, study: str | None = None) -> pl.DataFrame:
        """One row per warning that a run gave: ``message``, and ``remedy``, what helps."""
        with Reader(self.path) as reader:
            return reader.warnings(study)

    def tasks(self, study: str | None = None) -> pl.DataFrame:
        """One row per attempt of a cluster's task: where its time went, what it trained."""
        with Reader(self.path) as reader:
            return reader.tasks(study)

    def executors(self, study: str | None = None) -> pl.DataFrame:
        """One row per executor of a run on a cluster, and one for its driver."""
        with Reader(self.path) as reader:
            return reader.executors(study)

    def samples(self, study: str | None = None) -> pl.DataFrame:
        """One row per run on a cluster: samples asked for, trained, skipped."""
        with Reader(self.path) as reader:
            return reader.samples(study)


def open_results(path: str | Path) -> Results:
    """The results in the store at `path`.

    Raises:
        StoreError: there is no store that this version can read.
    """
    results = Results(Path(path).expanduser())
    Reader(results.path).close()
    return results
