"""Invented results: frames with the columns of `bakeoff.store.Reader`, seeded, no run behind them."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from bakeoff.report import Frames
from bakeoff_worker.job import TrialSettings

# Seconds per epoch, first error, last error, epochs per factor e, seconds of the first step.
LOOKS: Mapping[str, tuple[float, float, float, float, float]] = {
    "tensorflow": (1.0, 0.060, 0.0080, 4.0, 1.2),
    "torch": (4.0, 0.062, 0.0081, 4.0, 0.3),
    "jax": (7.0, 0.061, 0.0079, 4.1, 2.1),
    "theano": (9.5, 0.060, 0.0082, 4.2, 55.0),
    "tensorflow1": (3.1, 0.063, 0.0083, 4.3, 0.9),
    "fake": (1.0, 0.05, 0.01, 3.0, 0.1),
}
MACHINE = {"description": "2 × AMD EPYC 9R14, 24 GB, no GPU", "cpu": "AMD EPYC 9R14", "num_cpus": 2}
VERSIONS = {
    "tensorflow": {"keras": "3.15.1", "tensorflow-cpu": "2.21.0", "numpy": "2.4.6"},
    "torch": {"keras": "3.15.1", "torch": "2.13.0", "numpy": "2.4.6"},
    "jax": {"keras": "3.15.1", "jax": "0.10.2", "jaxlib": "0.10.2", "numpy": "2.4.6"},
    "theano": {"Keras": "2.3.1", "Theano": "1.0.5", "numpy": "1.26.4"},
    "vintage": {"Keras": "2.3.1", "Theano": "1.0.5", "tensorflow": "1.15.5", "numpy": "1.18.5"},
}
NUM_IMAGES = 10_000  # for evaluation
DATASETS = {"mnist": 1.0, "fashion_mnist": 9.0, "cifar10": 32.0}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One invented configuration; `changes` are settings that differ from the defaults."""

    backend: str = "tensorflow"
    environment: str = ""
    dataset: str = "mnist"
    label: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    slower: float = 1.0

    @property
    def settings(self) -> TrialSettings:
        return TrialSettings(
            backend=self.backend,
            environment=self.environment or self.backend,
            dataset=self.dataset,
            **{"epochs": 1, **self.changes},
        )


def invented(
    trials: Sequence[Trial], *, repeats: int = 6, epochs: int = 12, seed: int = 1, device: bool = False
) -> Frames:
    """Frames of a study in which every run ended well."""
    random = np.random.default_rng(seed)
    runs: list[dict[str, Any]] = []
    epoch_frames: list[pl.DataFrame] = []
    facts: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    hard_first = np.argsort(np.random.default_rng(0).permutation(NUM_IMAGES))  # the same ones for everybody
    started = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    for repeat in range(repeats):
        drift = np.exp(random.normal(0, 0.1))  # the machine's mood hits a whole block
        for position, trial in enumerate(trials):
            settings = trial.settings
            per_epoch, first, last, tau, first_step = LOOKS[trial.backend]
            number = np.arange(epochs)
            scale = DATASETS[trial.dataset]
            curve = scale * last + (first - last) * scale**0.5 * np.exp(-number / tau)
            errors = curve + random.normal(0, 0.0003 * scale) + random.normal(0, 0.0006 * scale, epochs)
            times = (
                per_epoch
                * trial.slower
                * drift
                * np.exp(random.normal(0, 0.05) + random.normal(0, 0.01, epochs))
            )
            environment = settings.environment
            who = {
                "study": "invented",
                "label": trial.label or f"{trial.dataset} · {trial.backend}",
                "trial_id": settings.trial_id,
                "backend": trial.backend,
                "environment": environment,
                "dataset": trial.dataset,
                "model": settings.model,
                "repeat": repeat,
                "block": repeat,
                "attempt": 1,
                "run_id": f"{len(runs):016x}",
                "condition_id": f"c-{environment}",
                "status": "ok",
            }
            started += timedelta(minutes=1)
            asked = {
                f"settings.{name}": json.dumps(value) if isinstance(value, dict) else value
                for name, value in dataclasses.asdict(settings).items()
                if name not in who
            }
            step = (
                first_step
                * np.exp(random.normal(0, 0.05))
                * (0.1 if trial.backend == "theano" and repeat else 1)
            )
            train_s = float(times.sum())
            runs.append(
                who
                | {
                    "reason": "",
                    "last_lines": "",
                    "started_at": started,
                    "wall_s": train_s * 1.1 + step + 3,
                    "first_step_s": float(step),
                    "num_epochs": epochs,
                    "num_images": 12000 * epochs,
                    "train_s": train_s,
                    "evaluation_s": train_s * 0.1,
                    "throughput_images_per_s": 12000 * epochs / train_s,
                    "user_s": train_s * 1.8,
                    "system_s": train_s * 0.07,
                    "final_validation_error": float(errors[-1]) if epochs else None,
                    "peak_memory_bytes": 900 * 2**20 + int(random.integers(0, 2**26)),
                    "device_s": train_s * 0.6 if device else None,
                    "device_peak_memory_bytes": 2**31 if device else None,
                    "disturbed": bool(repeat == 1 and position == 0),
                    "disturbance": json.dumps({"disturbed": repeat == 1 and position == 0, "load": 1.7}),
                    "seed": 100 + repeat,
                    "machine": MACHINE["description"],
                    "machine_id": "m1",
                    "machine_details": json.dumps(MACHINE),
                    "environment_digest": f"d-{environment}",
                    "measurement_version": 1,
                    "command": json.dumps(["/usr/bin/bakeoff", "run", "invented"]),
                }
                | asked
            )
            epoch_frames.append(
                pl.DataFrame(
                    {
                        "epoch": number + 1,
                        "num_images": 12000,
                        "train_s": times,
                        "evaluation_s": times * 0.1,
                        "train_loss": errors * 3,
                        "train_accuracy": 1 - errors,
                        "validation_loss": errors * 4,
                        "validation_error": errors,
                        "user_s": times * 1.8,
                        "system_s": times * 0.07,
                        "device_s": times * 0.6 if device else None,
                    },
                    schema_overrides={"epoch": pl.Int64, "device_s": pl.Float64},
                ).select(*(pl.lit(value).alias(key) for key, value in who.items()), pl.all())
            )
            observed = {
                "versions": VERSIONS.get(environment, {}),
                "num_evaluation_images": NUM_IMAGES,
                "initial_weights_sha256": f"seed-{repeat}-{trial.dataset}",
                "compile_cache": ("warm" if repeat else "cold") if trial.backend == "theano" else None,
                "intra_op_threads": 2,
                "input_shape": [28, 28, 1],
            }
            wrong = hard_first < (round(errors[-1] * NUM_IMAGES) if epochs else NUM_IMAGES)
            outcomes.append(
                who | {"epoch": epochs, "num_images": NUM_IMAGES, "wrong": np.packbits(wrong).tobytes()}
            )
            facts.append(
                who
                | {
                    "asked": json.dumps({"threads": None, "jit": None}),
                    "resolved": json.dumps({"optimizer": {"name": "adam", "learning_rate": 0.001}}),
                    "observed": json.dumps(observed),
                }
            )
    return Frames(
        study="invented",
        title="Four backends on three data sets",
        runs=pl.DataFrame(runs, infer_schema_length=None),
        epochs=pl.concat(epoch_frames) if epoch_frames else pl.DataFrame(),
        facts=pl.DataFrame(facts, infer_schema_length=None),
        outcomes=pl.DataFrame(outcomes, infer_schema_length=None),
        num_planned=len(runs),
    )


def race(
    backends: Sequence[str] = ("tensorflow", "torch", "jax", "theano"),
    datasets: Sequence[str] = ("mnist",),
    **options: Any,
) -> Frames:
    """Backends against each other on data sets."""
    return invented(
        [Trial(backend, dataset=dataset) for dataset in datasets for backend in backends], **options
    )


def spoil(frames: Frames, run: int, status: str, reason: str, last_lines: str = "") -> Frames:
    """The same with one run ended otherwise."""
    run_id = frames.runs["run_id"][run]
    hit = pl.col("run_id") == run_id

    def put(column: str, value: Any) -> pl.Expr:
        return pl.when(hit).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)

    return dataclasses.replace(
        frames,
        runs=frames.runs.with_columns(
            put("status", status), put("reason", reason), put("last_lines", last_lines)
        ),
        epochs=frames.epochs.with_columns(put("status", status)),
    )


@pytest.fixture(scope="session", name="invented")
def invented_fixture() -> Callable[..., Frames]:
    return invented


@pytest.fixture(scope="session", name="race")
def race_fixture() -> Callable[..., Frames]:
    return race


@pytest.fixture(scope="session", name="spoil")
def spoil_fixture() -> Callable[..., Frames]:
    return spoil


@pytest.fixture(scope="session", name="trial")
def trial_fixture() -> type[Trial]:
    return Trial
