"""Whether a contestant learnt anything: who did not is compared with nobody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import polars as pl

from bakeoff.races.evaluations import Evaluated, Evaluations

# Standard errors of chance within which an error shows no learning, and the share of its first value by which
# a loss must fall: our choices. An epoch's loss under dropout varies by some tenths of a percent.
CHANCE_ERRORS = 2.0
FALL = 0.01
# Losses whose value for knowing only how often each class comes is the entropy of the classes.
_CROSS_ENTROPIES = ("categorical_crossentropy", "sparse_categorical_crossentropy")


class Outcome(Enum):
    """What a contestant's training came to."""

    UNKNOWN = "unknown"
    LEARNT = "learnt"
    AT_CHANCE = "at chance"
    LOSS_NOT_FALLING = "loss not falling"
    LOSS_NO_NUMBER = "loss is no number"

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was learnt."""
        return self in (Outcome.AT_CHANCE, Outcome.LOSS_NOT_FALLING, Outcome.LOSS_NO_NUMBER)


@dataclass(frozen=True)
class Learning:
    """What became of a contestant's runs.

    outcome: of most of its runs that ended well. num_runs: these; num_nothing: of them, those that learnt
    nothing. error, chance_error: final error, and that of always naming the most frequent class, fractions.
    first_loss, last_loss: of the first and the last epoch's training; all of the run with the median error.
    """

    outcome: Outcome = Outcome.UNKNOWN
    num_runs: int = 0
    num_nothing: int = 0
    error: float | None = None
    chance_error: float | None = None
    first_loss: float | None = None
    last_loss: float | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether it learnt nothing in most of its runs."""
        return self.outcome.is_nothing

    @property
    def is_partial(self) -> bool:
        """Whether it learnt nothing in some of its runs, but not in most."""
        return self.num_nothing > 0 and not self.is_nothing


@dataclass(frozen=True)
class _Run:
    """One good run. losses: (num_epochs,) of training."""

    error: float | None
    losses: Sequence[float]
    validation_loss: float | None
    evaluated: Evaluated
    loss: str

    @property
    def outcome(self) -> Outcome:
        chance = self._is_at_chance()
        if self._is_stuck(chance):
            return Outcome.LOSS_NOT_FALLING
        is_number = self.validation_loss is None or math.isfinite(self.validation_loss)
        if chance is not False and not is_number:
            return Outcome.LOSS_NO_NUMBER
        if chance:
            return Outcome.AT_CHANCE
        return Outcome.UNKNOWN if chance is None and len(self.losses) < 2 else Outcome.LEARNT

    def _is_at_chance(self) -> bool | None:
        """Whether the error is within noise of what knows nothing, or worse; None where that is unknown."""
        chance, num = self.evaluated.chance_error, self.evaluated.num_images
        if self.error is None or not math.isfinite(self.error) or chance is None or not num:
            return None
        return self.error >= chance - CHANCE_ERRORS * math.sqrt(chance * (1 - chance) / num)

    def _is_stuck(self, is_at_chance: bool | None) -> bool:
        """Whether the loss didn't fall; but not where it was low from the first epoch on."""
        if len(self.losses) < 2 or not np.isfinite([self.losses[0], self.losses[-1]]).all():
            return False
        first, last = self.losses[0], self.losses[-1]
        if last <= first - FALL * abs(first):
            return False
        uninformed = self.evaluated.chance_loss
        if self.loss in _CROSS_ENTROPIES and uninformed is not None:
            return last >= (1 - FALL) * uninformed
        return is_at_chance is not False


def learnings(runs: pl.DataFrame, epochs: pl.DataFrame, evaluated: Evaluations) -> dict[str, Learning]:
    """By trial_id, what became of its runs. runs: good ones. epochs: theirs, losses included if known."""
    by_run = _epochs(epochs)
    found: dict[str, list[_Run]] = {}
    columns = [name for name in ("final_validation_error", "settings.loss") if name in runs.columns]
    for row in runs.select("trial_id", "run_id", *columns).iter_rows(named=True):
        losses, validation_loss = by_run.get(row["run_id"], ((), None))
        found.setdefault(row["trial_id"], []).append(
            _Run(
                error=row.get("final_validation_error"),
                losses=losses,
                validation_loss=validation_loss,
                evaluated=evaluated.get(row["run_id"], Evaluated()),
                loss=row.get("settings.loss") or _CROSS_ENTROPIES[0],
            )
        )
    return {trial_id: _of_runs(every) for trial_id, every in found.items()}


def _of_runs(runs: Sequence[_Run]) -> Learning:
    outcomes = [run.outcome for run in runs]
    nothing = [run for run, outcome in zip(runs, outcomes, strict=True) if outcome.is_nothing]
    is_nothing = 2 * len(nothing) > len(runs)
    typical = _median(nothing if is_nothing else runs)
    most = [outcome for outcome in outcomes if outcome.is_nothing == is_nothing]
    return Learning(
        outcome=typical.outcome if is_nothing else max(most, key=most.count),
        num_runs=len(runs),
        num_nothing=len(nothing),
        error=typical.error,
        chance_error=typical.evaluated.chance_error,
        first_loss=typical.losses[0] if typical.losses else None,
        last_loss=typical.losses[-1] if typical.losses else None,
    )


def _median(runs: Sequence[_Run]) -> _Run:
    ordered = sorted(runs, key=lambda run: math.inf if run.error is None else run.error)
    return ordered[(len(ordered) - 1) // 2]


def _epochs(epochs: pl.DataFrame) -> dict[str, tuple[tuple[float, ...], float | None]]:
    """By run, its training losses in the order of its epochs, and its last validation loss."""
    if not len(epochs) or not {"train_loss", "validation_loss"} <= set(epochs.columns):
        return {}
    losses = pl.col("train_loss").fill_null(math.nan)
    by_run = epochs.sort("epoch").group_by("run_id").agg(losses, pl.col("validation_loss").last())
    return {run_id: (tuple(of_run), last) for run_id, of_run, last in by_run.iter_rows()}


def nothing_learnt(learning: Learning) -> str:
    """How one sees that nothing was learnt, in words."""
    runs = f" (in {learning.num_nothing} of {learning.num_runs} runs)" if learning.num_runs > 1 else ""
    if learning.outcome is Outcome.LOSS_NOT_FALLING:
        return f"its training loss went from {learning.first_loss:.4g} to {learning.last_loss:.4g}{runs}"
    if learning.outcome is Outcome.LOSS_NO_NUMBER:
        return f"its loss is no number{runs}"
    error, chance = (100 * (value or 0.0) for value in (learning.error, learning.chance_error))
    return f"its final error is {error:.2f} %, and naming one class always has {chance:.2f} %{runs}"
