"""What verdicts are made from: some trials' runs, and what is known beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from bakeoff.races.evaluations import Evaluations
from bakeoff.races.learning import Learning


@dataclass(frozen=True)
class Evidence:
    """What runs so far left in the store, one frame each; columns as in ``docs/store.md``.

    runs: those that may share a mean; where it says so, however they ended. outcomes: what each got wrong;
    may be empty. evaluated: by run_id, on what images errors were measured. learnings: by trial_id, whether
    it learnt anything. certified: pairs of trial_ids whose errors a certificate answers for.
    """

    runs: pl.DataFrame
    outcomes: pl.DataFrame = field(default_factory=pl.DataFrame)
    evaluated: Evaluations = field(default_factory=dict)
    learnings: Mapping[str, Learning] = field(default_factory=dict)
    certified: Collection[frozenset[str]] = ()

    @property
    def idle(self) -> dict[str, Learning]:
        """Trials that learnt nothing, by trial_id."""
        return {trial_id: learning for trial_id, learning in self.learnings.items() if learning.is_nothing}
