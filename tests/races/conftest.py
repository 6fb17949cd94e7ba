"""Small invented studies, with the columns of `bakeoff.store.Reader`; every number is chosen, none drawn."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from bakeoff.races import Frames
from bakeoff_worker.job import TrialSettings

NUM_IMAGES = 10_000
# What each backend is seen to run where nothing is asked of it.
SEEN: Mapping[str, Mapping[str, Any]] = {
    "tensorflow": {"threads": 0, "jit": False, "execution": "graph"},
    "jax": {"threads": 2, "jit": True, "execution": "XLA"},
    "torch": {"threads": 2, "jit": False, "execution": "eager"},
    "theano": {"threads": 2, "jit": True, "execution": "C and C++ through g++"},
}
COMMON = {"cpus": [0, 1], "device": "cpu", "precision": "float32", "data_layout": "channels_last"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One trial. times: training seconds by block, None where the run failed. error: final, in every block.

    once_s: start-up and compilation. changes: settings. seen: what differs from what is usually observed.
    """

    backend: str = "tensorflow"
    times: Sequence[float | None] = (10.0, 11.0, 12.0, 10.5, 11.5, 10.2)
    error: float = 0.010
    once_s: float = 5.0
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seen: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    label: str = ""

    @property
    def settings(self) -> TrialSettings:
        return TrialSettings(self.backend, **{"environment": self.backend, "epochs": 4, **self.changes})

    @property
    def trial_id(self) -> str:
        return self.settings.trial_id


def invented(*entries: Entry, document: Mapping[str, Any] | None = None) -> Frames:
    """The frames of a study of these trials; epochs of a run take the same time each."""
    runs, epochs, phases, facts, outcomes = ([] for _ in range(5))  # type: ignore[var-annotated]
    for entry in entries:
        settings = entry.settings
        for block, train_s in enumerate(entry.times):
            who = {
                "trial_id": entry.trial_id,
                "run_id": f"{entry.trial_id[:8]}{block}",
                "backend": entry.backend,
                "environment": settings.environment,
                "dataset": settings.dataset,
                "model": settings.model,
                "label": entry.label or f"{settings.dataset} · {entry.backend}",
                "repeat": block,
                "block": block,
                "status": "ok" if train_s is not None else "failed",
            }
            asked = {
                f"settings.{name}": json.dumps(value) if isinstance(value, dict) else value
                for name, value in dataclasses.asdict(settings).items()
                if name not in who
            }
            rest = {
                "machine_id": "m",
                "measurement_version": 1,
                "environment_digest": f"d-{settings.environment}",
                "condition_id": f"c-{settings.environment}",
                "disturbed": False,
                "num_epochs": settings.epochs if train_s else 0,
                "train_s": train_s,
                "wall_s": None if train_s is None else train_s + entry.once_s + 1.0,
                "user_s": None if train_s is None else 1.5 * train_s,
                "system_s": None if train_s is None else 0.5 * train_s,
                "first_step_s": entry.once_s / 5,
                "final_validation_error": entry.error if train_s else None,
                "throughput_images_per_s": 240_000 / train_s if train_s else None,
                "command": json.dumps(["/somewhere/bin/bakeoff", "run", "invented"]),
            }
            runs.append(who | rest | asked)
            facts.append(
                {
                    "run_id": who["run_id"],
                    "observed": json.dumps(
                        {**COMMON, **SEEN[entry.backend], "num_evaluation_images": NUM_IMAGES, **entry.seen}
                    ),
                }
            )
            if train_s is None:
                continue
            for epoch in range(1, settings.epochs + 1):
                error = entry.error * (1 + settings.epochs - epoch)  # falls to the final one
                epochs.append(
                    {"run_id": who["run_id"], "epoch": epoch, "train_s": train_s / settings.epochs}
                    | {"validation_error": error}
                )
            for phase in ("interpreter", "import", "data", "build", "first_step", "training"):
                seconds = train_s if phase == "training" else entry.once_s / 5
                phases.append({"run_id": who["run_id"], "phase": phase, "wall_s": seconds})
            wrong = np.arange(NUM_IMAGES) < round(entry.error * NUM_IMAGES)
            outcomes.append(
                {
                    "run_id": who["run_id"],
                    "num_images": NUM_IMAGES,
                    "wrong": np.packbits(wrong).tobytes(),
                }
            )
    frames = [
        pl.DataFrame(rows, infer_schema_length=None) for rows in (runs, epochs, phases, facts, outcomes)
    ]
    return Frames(
        study="invented",
        runs=frames[0],
        epochs=frames[1],
        facts=frames[3],
        phases=frames[2],
        outcomes=frames[4],
        document=json.dumps(document or {}),
    )


@pytest.fixture(scope="session", name="invented")
def invented_fixture() -> Callable[..., Frames]:
    return invented


@pytest.fixture(scope="session", name="entry")
def entry_fixture() -> type[Entry]:
    return Entry
