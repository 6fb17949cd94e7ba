"""A small study, and a store with its runs."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

from bakeoff.store.writer import CertificateRow, Condition, ProfileRow, StudyRow, Writer
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import (
    EpochRecord,
    ExecutorRecord,
    Facts,
    PhaseEnded,
    RunEnded,
    RunStarted,
    RunWarning,
    SamplesAccounted,
    TaskRecord,
)

HERE = Condition("machine-here", "environment-1", {"description": "2 cores", "kernel": "6.1"})
CERTIFICATE = CertificateRow("a1", "e1", "b2", "e2", "machine-here", 1, "same", {"title": "a pair"})
PROFILE = ProfileRow("0123456789abcdef", "Alpha", "machine-here", "environment-1", 1, {"reason": "a sample"})
NOISE = {"disturbed": True, "reasons": ["others used 9 % of the CPU"]}


def specs(repeats: int = 2, backends: tuple[str, ...] = ("alpha", "beta")) -> tuple[RunSpec, ...]:
    """Repeats of one trial per backend."""
    return tuple(
        RunSpec(
            TrialSettings(backend, f"env-{backend}", epochs=3),
            backend.title(),
            repeat,
            repeat,
            place,
            100 + repeat,
        )
        for repeat in range(repeats)
        for place, backend in enumerate(backends)
    )


def study(planned: tuple[RunSpec, ...] = specs(), digest: str = "d1", name: str = "pair") -> StudyRow:
    return StudyRow(
        digest, name, "A pair", {"name": name}, planned, {planned[0].trial_id: {"backend": "alpha"}}
    )


def epoch(number: int, **changes: object) -> EpochRecord:
    """An epoch whose every field has a value of its own."""
    record = EpochRecord(number, 600, 2.0, 0.5, 1.25, 0.75, 1.5, 0.5 / number, 3.0, 0.25, 1000 + number)
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def store_run(
    writer: Writer, spec: RunSpec, digest: str = "d1", condition: Condition = HERE, epochs: int = 3
) -> str:
    """A whole run that ended well: facts, a warning, phases, epochs."""
    run_id = writer.begin_run(spec, study_digest=digest, condition=condition, environment={"python": "3.11"})
    records = [
        RunStarted(7, 1.0, "3.11", 1),
        Facts({"threads": None}, {"threads": 2}, {"versions": {"keras": "3"}}),
        RunWarning("BLAS is slow", "install OpenBLAS"),
        PhaseEnded("first_step", 1.5, 1.0, None),
        *(epoch(number) for number in range(1, epochs + 1)),
        PhaseEnded("training", 6.0, 9.0, 0.75),
    ]
    for seq, record in enumerate(records):
        writer.append(run_id, seq, record)
    writer.end_run(run_id, RunEnded("ok"), disturbance=NOISE, wall_s=20.0)
    return run_id


def write_sample(path: Path) -> None:
    """A store with the study's four runs, all of them ok, a second apart, a certificate and a profile."""
    ticks = itertools.count(1_700_000_000)
    with Writer(path, now=lambda: float(next(ticks))) as writer:
        writer.begin_study(study())
        for spec in specs():
            store_run(writer, spec)
        writer.add_certificates([CERTIFICATE])
        writer.add_profile(PROFILE)


def task(number: int, **changes: object) -> TaskRecord:
    """A training task whose every field has a value of its own."""
    values = {
        name: index + 1.5 if "float" in str(declared) else index + 1
        for index, (name, declared) in enumerate(TaskRecord.__annotations__.items())
    }
    values |= {"purpose": "training", "executor": "0", "host": "127.0.0.1", "status": "ok"}
    return TaskRecord(**{**values, "task_id": number, **changes})  # type: ignore[arg-type]


EXECUTOR = ExecutorRecord("0", "127.0.0.1", 4, 2.5, 9.5, "killed", 2**28, 2**30)
SAMPLES = SamplesAccounted(1800, 1650, 4, 1, 150, 1, 0, 600)
