"""What a study would take to see a difference: from its own runs, or a calibration's, or refused."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from bakeoff import design, stats, study
from bakeoff.errors import ReportError
from bakeoff.store.reader import PastRun
from bakeoff_worker.job import TrialSettings

START_S, EVALUATION_S = 6.0, 1.0
Frames = tuple[list[PastRun], pl.DataFrame, pl.DataFrame]


def chosen(*overrides: str) -> study.Study:
    return study.load("quick", ["matrix.dataset=['mnist']", *overrides])


def ran(
    trials: list[TrialSettings], num_blocks: int, *, process: float, epoch: float, name: str = "quick"
) -> Frames:
    """Runs in blocks whose seconds have these standard deviations, on the scale of logarithms."""
    random = np.random.default_rng(3)
    history, runs, epochs = [], [], []
    for block in range(num_blocks):
        for place, settings in enumerate(trials):
            logs = math.log(2) + random.normal(0, process) + random.normal(0, epoch, settings.epochs)
            seconds, run_id = np.exp(logs), f"{name}-{block}-{place}"
            train_s, evaluation_s = float(seconds.sum()), EVALUATION_S * settings.epochs
            history.append(
                PastRun(
                    settings,
                    "here",
                    START_S + train_s + evaluation_s,
                    settings.epochs,
                    (settings.train_images or 1) * settings.epochs,
                    train_s,
                    evaluation_s,
                    None,
                )
            )
            runs.append(
                {
                    "study": name,
                    "study_digest": name,
                    "trial_id": settings.trial_id,
                    "run_id": run_id,
                    "block": block,
                    "condition_id": "c",
                    "status": "ok",
                    "started_at": datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=len(runs)),
                    "num_epochs": settings.epochs,
                    "train_s": train_s,
                    "evaluation_s": evaluation_s,
                    "settings.handicap": settings.handicap,
                }
            )
            epochs += [
                {"run_id": run_id, "epoch": one, "train_s": float(spent)}
                for one, spent in enumerate(seconds, 1)
            ]
    return history, pl.DataFrame(runs), pl.DataFrame(epochs)


def seen(of: study.Study, frames: Frames, **rules: bool) -> design.Outlook:
    history, runs, epochs = frames
    return design.outlook(of, [0.03], rules=stats.Rules(**rules), history=history, runs=runs, epochs=epochs)


def test_repeats_and_epochs_are_planned_from_what_the_contestants_did() -> None:
    """Also from runs with other numbers of epochs: they are the same contestants."""
    of = chosen()
    trials = [replace(one.settings, epochs=5) for one in of.trials]
    found = seen(of, ran(trials, 40, process=0.04, epoch=0.1))
    assert not found.is_calibrated and found.noise.num_epochs == 5
    assert math.sqrt(found.noise.process) == pytest.approx(0.04, rel=0.25)
    assert math.sqrt(found.noise.epoch or 0) == pytest.approx(0.1, rel=0.1)
    assert found.cost.start_s == pytest.approx(4 * START_S, rel=0.02)
    assert found.cost.epoch_s == pytest.approx(4 * (2 + EVALUATION_S), rel=0.1)
    assert [one.difference for one in found.projections] == [0.01, 0.03, 0.05, 0.1]
    small, asked, _, large = found.projections
    assert abs((small.num_epochs or 0) - stats.optimal_epochs(found.noise, found.cost)) <= 1.5
    assert asked.num_runs == 4 * (asked.num_blocks or 0)
    assert asked.time_s == pytest.approx(asked.num_blocks * found.cost.of(asked.num_epochs))  # type: ignore[arg-type,operator]
    assert asked.low_s <= asked.time_s <= asked.high_s  # type: ignore[operator]
    assert large.time_s < asked.time_s < small.time_s  # type: ignore[operator]
    assert found.resolution is None, "two repeats have no interval"


def test_a_study_as_it_is_written_tells_its_least_difference() -> None:
    of = chosen("repeats=12")
    found = seen(of, ran([one.settings for one in of.trials], 12, process=0.05, epoch=0.1))
    assert found.resolution is not None and found.num_epochs == 2
    sd = found.noise.log_sd(2)
    assert math.log1p(found.resolution.difference) == pytest.approx(
        stats.least_signal(12, stats.Rules()) * sd
    )


def test_runs_of_one_epoch_leave_the_epochs_as_they_are() -> None:
    of = chosen("epochs=1")
    found = seen(of, ran([one.settings for one in of.trials], 12, process=0.05, epoch=0.1))
    assert {one.num_epochs for one in found.projections} == {None}
    assert found.noise.epoch is None


def test_a_run_ends_within_its_time_limit() -> None:
    of = chosen("time_limit_s=13")
    found = seen(of, ran([one.settings for one in of.trials], 40, process=0.01, epoch=0.3))
    assert stats.optimal_epochs(found.noise, found.cost) > 3
    assert max(one.num_epochs or 0 for one in found.projections) == 2


def test_a_calibration_stands_in_for_its_epochs_length() -> None:
    """Costs are the study's own; the noise of an epoch shrinks with its length."""
    of = chosen()
    calibration = study.load("calibration")
    once = ran([one.settings for one in of.trials], 1, process=0.05, epoch=0.1)
    entries = [replace(one.settings, epochs=4) for one in calibration.trials]
    other = ran(entries, 30, process=0.05, epoch=0.1, name="calibration")
    both = once[0] + other[0], pl.concat([once[1], other[1]]), pl.concat([once[2], other[2]])
    found = seen(of, both)
    assert found.is_calibrated
    assert found.noise.run_freedom == 9 * 29, "handicapped entries are none of it"
    epoch_s = other[1].select((pl.col("train_s") + pl.col("evaluation_s")) / 4).median().item()
    longer = found.cost.epoch_s / 4 / epoch_s
    assert (found.noise.epoch or 0) * longer == pytest.approx(0.1**2, rel=0.1)


def test_too_little_is_refused() -> None:
    of = chosen()
    trials = [one.settings for one in of.trials]
    with pytest.raises(ReportError, match="how long tensorflow takes"):
        seen(of, ran(trials[1:], 12, process=0.05, epoch=0.1))
    with pytest.raises(ReportError, match="too few runs to plan from") as refused:
        seen(of, ran(trials, 2, process=0.05, epoch=0.1))
    assert "bakeoff calibrate" in refused.value.hint
    with pytest.raises(ReportError, match="compares nothing"):
        seen(chosen("matrix.backend=['torch']"), ran(trials, 12, process=0.05, epoch=0.1))
