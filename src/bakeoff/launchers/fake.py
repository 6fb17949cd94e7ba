"""Invented records, instantly and without a process: the whole program runs on them in tests."""

from __future__ import annotations

import base64
import hashlib
import math
import random
from collections.abc import Generator

import numpy as np

from bakeoff.launchers.base import Launch, TurnAwaited
from bakeoff_worker.job import MEASUREMENT_VERSION
from bakeoff_worker.records import (
    EpochRecord,
    Facts,
    ModelRead,
    Outcomes,
    PhaseEnded,
    Record,
    RunEnded,
    RunStarted,
)


def launch(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
    """A run whose times and errors depend on its trial and seed alone; no file is written."""
    spec = request.job.spec
    if request.job.paths.looks:
        yield ModelRead([spec.settings.contestant or str(request.job.paths.model_file)], [], [])
        yield RunEnded("ok")
        return
    settings = spec.settings
    chance = random.Random(f"{spec.trial_id} {spec.seed}")
    pace_s = 1.0 + random.Random(settings.backend).random()
    num_images = settings.train_images or 60_000
    yield RunStarted(pid=1, unix_s=0.0, python="3.11.0", measurement_version=MEASUREMENT_VERSION)
    for name in ("interpreter", "import", "data", "build", "first_step"):
        yield PhaseEnded(name, pace_s, pace_s, 0.1 * pace_s)
    num_evaluated = settings.evaluation_images or 10_000
    judged_on = f"{num_evaluated} of {settings.evaluation_split}"
    if settings.evaluation_split == "validation":
        judged_on += f" {spec.seed}"
    observed = {
        "versions": {"fake": "1"},
        "num_evaluation_images": num_evaluated,
        "evaluation_sha256": hashlib.sha256(judged_on.encode()).hexdigest(),
        "num_evaluation_pool": 10_000,
        "chance_error": 0.9,
        "chance_loss": math.log(10),
    }
    yield Facts(asked={}, resolved={}, observed=observed)
    for epoch in range(1, settings.epochs + 1):
        if settings.alternates:
            yield TurnAwaited()
        train_s = pace_s * (1 + settings.handicap) * chance.lognormvariate(0.0, 0.03)
        error = 0.02 + 0.3 / epoch + 0.01 * chance.random()
        yield EpochRecord(
            epoch=epoch,
            num_images=num_images,
            train_s=train_s,
            evaluation_s=0.1 * train_s,
            train_loss=3 * error,
            train_accuracy=1 - error,
            validation_loss=3.3 * error,
            validation_error=error,
            user_s=1.9 * train_s,
            system_s=0.1 * train_s,
            peak_memory_bytes=500_000_000,
        )
    yield PhaseEnded("training", pace_s * settings.epochs, 1.9 * pace_s * settings.epochs, 0.1 * pace_s)
    yield PhaseEnded("evaluation", 0.1 * pace_s * settings.epochs, 0.2 * pace_s * settings.epochs, 0.0)
    yield Outcomes(settings.epochs, num_evaluated, _wrong(num_evaluated, error, chance))
    yield PhaseEnded("outcomes", 0.1 * pace_s, 0.1 * pace_s, 0.0)
    yield RunEnded("ok")


def _wrong(num_images: int, error: float, chance: random.Random) -> str:
    """Which images such a run gets wrong: half of those that are hard for every contestant."""
    num_wrong = round(error * num_images)
    by_difficulty = random.Random("images").sample(range(num_images), num_images)
    bits = np.zeros(num_images, dtype=bool)
    bits[chance.sample(by_difficulty[: 2 * num_wrong], num_wrong)] = True
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")
