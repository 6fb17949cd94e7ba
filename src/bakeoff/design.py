"""What it takes to see a difference of times: repeats, epochs and images of a study, planned from past runs.

Pure: a study, the store's frames and its history in, designs out. The statistics are in `stats.planning`;
sources are Kalibera and Jones (2013), Rigorous benchmarking in reasonable time, ISMM, and Georges, Buytaert
and Eeckhout (2007), Statistically rigorous Java performance evaluation, OOPSLA.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from bakeoff import calibration, plan, stats
from bakeoff.errors import ReportError
from bakeoff.study import Study, Trial
from bakeoff_worker.job import TrialSettings

# Differences that a plan always tells of.
USUAL = (0.01, 0.03, 0.05, 0.1)
# Numbers of epochs that are tried, and the fewest images of an epoch: of fewer, the first steps are too large
# a part to speak for the others. Our choice.
_MAX_EPOCHS = 60
_FEWEST_IMAGES = 2000


@dataclass(frozen=True)
class Projection:
    """What shows a difference (0.03: times 3 % longer) in the least time.

    num_blocks, num_epochs, train_images: what to set; the latter two None where they stay as the study has
    them. num_runs, time_s, low_s, high_s: of all blocks, as the noise may be, by what was seen of it; high_s
    is None where that may take more blocks than are planned for. All but `difference` None where it does.
    """

    difference: float
    num_blocks: int | None = None
    num_epochs: int | None = None
    train_images: int | None = None
    num_runs: int | None = None
    time_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None


@dataclass(frozen=True)
class Outlook:
    """What a study can tell apart, and what it would take to tell more.

    noise: what was seen of it; is_calibrated: with a calibration's contestant, not the study's own. cost: of
    a block. num_blocks, num_epochs: as the study is written, the most where blocks are added until all is
    decided; epochs are None where trials differ in them. resolution: what these show; None where they are
    too few for an interval. projections: by difference, ascending.
    """

    noise: stats.Components
    is_calibrated: bool
    cost: stats.Cost
    num_blocks: int
    num_epochs: int | None
    resolution: stats.Resolution | None
    projections: tuple[Projection, ...]


def outlook(
    study: Study,
    differences: Collection[float],
    *,
    rules: stats.Rules,
    history: Sequence[plan.PastRun],
    runs: pl.DataFrame,
    epochs: pl.DataFrame,
) -> Outlook:
    """What the study can tell apart here, and the cheapest designs that see these differences.

    rules: the study's. history, runs, epochs: of this machine, all studies.

    Raises:
        ReportError: too little is known of the noise or of the cost; nothing is compared.
    """
    races = _races(study)
    trials = [trial for trial in study.trials if any(trial.trial_id in race for race in races)]
    if not trials:
        raise ReportError(f"{study.name} compares nothing, so that there is no difference to see")
    costs = _costs(study, trials, history)
    noise = _noise(races, trials, history, runs, epochs)
    is_calibrated = noise is None
    if noise is None:
        noise = _calibrated(sum(one.epoch_s for one in costs) / len(costs), runs, epochs)
    if noise is None:
        raise ReportError(
            f"too few runs to plan from: of the noise of {study.name}'s contestants on this machine too "
            "little is known, and no calibration tells",
            f"`bakeoff run {study.name}` once, with 3 repeats or more, or `bakeoff calibrate`.",
        )
    lengths = {trial.settings.epochs for trial in trials}
    may_vary = len(lengths) == 1 and noise.epoch is not None
    cost = stats.Cost(sum(one.start_s for one in costs), sum(one.epoch_s for one in costs))
    choice: list[float] = [num for num in range(1, _MAX_EPOCHS + 1) if _in_time(trials, costs, num)]
    if may_vary:
        choice = [*_parts(trials), *choice]
    else:  # what a run costs is known, not what another number of epochs would change
        each = zip(trials, costs, strict=True)
        cost = stats.Cost(sum(one.of(trial.settings.epochs) for trial, one in each), 0.0)
        choice = [noise.num_epochs]
    field = _field(races, trials)
    num_blocks = study.budget.max_blocks if rules.is_sequential else study.repeats
    num_epochs = lengths.pop() if len(lengths) == 1 else None
    images = trials[0].settings.train_images
    conditions = _Conditions(noise, cost, rules, field, choice, may_vary, len(trials), images)
    return Outlook(
        noise=noise,
        is_calibrated=is_calibrated,
        cost=cost,
        num_blocks=num_blocks,
        num_epochs=num_epochs,
        resolution=stats.resolution(num_blocks, num_epochs or noise.num_epochs, noise, rules, field),
        projections=tuple(conditions.projection(one) for one in sorted({*USUAL, *differences})),
    )


@dataclass(frozen=True)
class _Conditions:
    """What designs are chosen from. num_epochs: of a run, to choose from; they may vary, or there is one.

    num_trials: of a block. images: of an epoch, where they may be fewer.
    """

    noise: stats.Components
    cost: stats.Cost
    rules: stats.Rules
    field: stats.Field
    num_epochs: Sequence[float]
    may_vary: bool
    num_trials: int
    images: int | None

    def projection(self, difference: float) -> Projection:
        """What shows a difference in the least time."""
        found = stats.cheapest(difference, self.noise, self.cost, self.rules, self.num_epochs, self.field)
        if found is None:
            return Projection(difference)
        block_s = self.cost.of(found.num_epochs)
        is_part = found.num_epochs < 1
        return Projection(
            difference,
            found.num_blocks,
            max(1, int(found.num_epochs)) if self.may_vary else None,
            round(found.num_epochs * self.images) if is_part and self.images else None,
            found.num_blocks * self.num_trials,
            found.time_s,
            found.low * block_s,
            None if found.high is None else found.high * block_s,
        )


def _races(study: Study) -> list[list[str]]:
    """The study's own trials that are compared with each other, directly or by way of others."""
    own = {trial.trial_id for trial in study.trials}
    races: list[set[str]] = []
    for pair in study.rules.comparisons:
        if own >= set(pair):
            met = [race for race in races if race & set(pair)]
            races = [race for race in races if race not in met] + [set(pair).union(*met)]
    return [sorted(race) for race in races]


def _field(races: Sequence[Sequence[str]], trials: Sequence[Trial]) -> stats.Field:
    """Who lends noise to whom: all races, where they have the same contestants."""
    of = {trial.trial_id: (trial.settings.backend, trial.settings.environment) for trial in trials}
    fields = {tuple(sorted(of[one] for one in race)) for race in races}
    return stats.Field(len(races) if len(fields) == 1 else 1, min(map(len, races)))


def _costs(study: Study, trials: Sequence[Trial], history: Sequence[plan.PastRun]) -> list[stats.Cost]:
    """Of one run of each trial: what it would take with no epoch, and what each epoch adds."""

    def run_s(num_epochs: int) -> dict[str, float | None]:
        then = [
            dataclasses.replace(
                trial, settings=dataclasses.replace(trial.settings, epochs=num_epochs, time_limit_s=None)
            )
            for trial in trials
        ]
        return {
            trial_estimate.label: trial_estimate.run_s
            for trial_estimate in plan.estimate(plan.block(study, then, 0), history).trials
        }

    start, many = run_s(0), run_s(1000)
    found = []
    for trial in trials:
        first, last = start[trial.label], many[trial.label]
        if first is None or last is None:
            raise ReportError(
                f"too few runs to plan from: how long {trial.label} takes on this machine is not known",
                f"`bakeoff run {study.name}` once.",
            )
        found.append(stats.Cost(first, (last - first) / 1000))
    return found


def _noise(
    races: Sequence[Sequence[str]],
    trials: Sequence[Trial],
    history: Sequence[plan.PastRun],
    runs: pl.DataFrame,
    epochs: pl.DataFrame,
) -> stats.Components | None:
    """From earlier runs of the same contestants, whatever their number of epochs."""
    wanted = {trial.trial_id: _alike(trial.settings) for trial in trials}
    past = {past_run.settings.trial_id: _alike(past_run.settings) for past_run in history}
    same = [
        [trial_id for trial_id, settings in past.items() if settings in [wanted[one] for one in race]]
        for race in races
    ]
    return stats.components(calibration.layouts(runs.filter(status="ok"), epochs, same))


def _alike(settings: TrialSettings) -> TrialSettings:
    """Settings without those that leave an epoch's time as it is."""
    return dataclasses.replace(
        settings, epochs=1, evaluation_images=None, learning_rate=0.0, time_limit_s=None
    )


def _calibrated(epoch_s: float, runs: pl.DataFrame, epochs: pl.DataFrame) -> stats.Components | None:
    """From the last calibration that tells, for epochs of so many seconds."""
    of_calibrations = runs.filter(pl.col("study") == calibration.STUDY, pl.col("status") == "ok")
    for digest in reversed(of_calibrations["study_digest"].unique(maintain_order=True)):
        mine = of_calibrations.filter(study_digest=digest)
        found = calibration.components(mine, epochs)
        if found is not None:
            own_s = (mine["train_s"] + mine["evaluation_s"]) / mine["num_epochs"]
            return found.scaled(epoch_s / float(np.median(own_s)))
    return None


def _in_time(trials: Sequence[Trial], costs: Sequence[stats.Cost], num_epochs: int) -> bool:
    """Whether runs of so many epochs end before their time limit."""
    return all(
        trial.settings.time_limit_s is None or cost.of(num_epochs) < trial.settings.time_limit_s
        for trial, cost in zip(trials, costs, strict=True)
    )


def _parts(trials: Sequence[Trial]) -> list[float]:
    """Halves of an epoch's images, where all trials have so many that a part of them is enough."""
    images = {trial.settings.train_images for trial in trials}
    num = images.pop() if len(images) == 1 else None
    parts, part = [], 0.5
    while num is not None and num * part >= _FEWEST_IMAGES:
        parts.append(part)
        part /= 2
    return parts
