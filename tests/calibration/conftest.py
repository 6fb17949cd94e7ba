"""Invented runs of a calibration, as the store would give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

MACHINE = "f" * 16
BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
QUIET = {
    "others_cpu_share": 0.01,
    "steal_share": 0.0,
    "frequency_ratio": 1.0,
    "num_throttled": 0,
    "reasons": [],
}

Invent = Callable[..., pl.DataFrame]


@pytest.fixture
def invent() -> Invent:
    """Makes the runs of a calibration from log seconds, shape (num_blocks, num_entries)."""

    def runs(
        plain: NDArray[np.float64],
        handicapped: Mapping[float, NDArray[np.float64]] | None = None,
        *,
        cpu: NDArray[np.float64] | None = None,
        system: NDArray[np.float64] | None = None,
        keep_memory: bool = False,
        disturbance: Mapping[str, Any] = QUIET,
        details: Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        random = np.random.default_rng(7)
        columns = [(f"plain{index}", 0.0, plain[:, index]) for index in range(plain.shape[1])]
        columns += [(f"slow{share}", share, logs) for share, logs in (handicapped or {}).items()]
        rows = []
        for block in range(len(plain)):
            places = random.permutation(len(columns))
            for index, (trial, handicap, logs) in enumerate(columns):
                seconds = float(np.exp(logs[block]))
                worked = 2 * seconds if cpu is None or handicap else float(np.exp(cpu[block, index]))
                of_system = 0.0 if system is None or handicap else float(system[block, index])
                rows.append(
                    {
                        "trial_id": trial,
                        "settings.handicap": handicap,
                        "block": block,
                        "position": int(places[index]),
                        "status": "ok",
                        "condition_id": "c1",
                        "machine_id": MACHINE,
                        "machine": "a machine",
                        "machine_details": json.dumps(details or {}),
                        "backend": "torch",
                        "dataset": "mnist",
                        "train_s": seconds,
                        "user_s": worked - of_system,
                        "system_s": of_system,
                        "settings.keep_memory": keep_memory,
                        "disturbance": json.dumps(disturbance),
                        "started_at": BEGAN + timedelta(minutes=block, seconds=int(places[index])),
                        "ended_at": BEGAN + timedelta(minutes=block, seconds=int(places[index]) + 1),
                    }
                )
        return pl.DataFrame(rows).sort("started_at")

    return runs
