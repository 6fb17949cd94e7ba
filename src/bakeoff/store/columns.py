"""The columns of the frames that the store gives, by what is stored; in words: ``docs/store.md``."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import polars as pl

from bakeoff.metrics import METRICS, OfEpochs, OfRecord
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import (
    EnergyUsed,
    EpochRecord,
    ExecutorRecord,
    FarmJob,
    Outcomes,
    PhaseEnded,
    SamplesAccounted,
    TaskRecord,
    TurnsTaken,
)

_TYPES: Mapping[Any, Any] = {  # the keys are the annotations of records.py
    int: pl.Int64,
    float: pl.Float64,
    str: pl.String,
    bool: pl.Boolean,
    Optional[int]: pl.Int64,  # noqa: UP045
    Optional[float]: pl.Float64,  # noqa: UP045
    Optional[str]: pl.String,  # noqa: UP045
    Optional[bool]: pl.Boolean,  # noqa: UP045
}  # anything else becomes JSON text
INSTANT = pl.Datetime("us", "UTC")

EPOCH: Mapping[str, Any] = {"run_id": pl.String} | {
    f.name: _TYPES[f.type] for f in dataclasses.fields(EpochRecord)
}
PHASE: Mapping[str, Any] = {"run_id": pl.String} | {
    f.name: _TYPES[f.type] for f in dataclasses.fields(PhaseEnded)
}
LINE: Mapping[str, Any] = {"run_id": pl.String, "line": pl.String}
NEVER_NULL = [f.name for cls in (EpochRecord, PhaseEnded) for f in dataclasses.fields(cls) if f.type is float]

# Records that are kept as lines, by their kind, and the columns that their fields become.
LINES: Mapping[str, Mapping[str, Any]] = {
    kind: {f.name: _TYPES[f.type] for f in dataclasses.fields(cls)}
    for kind, cls in (
        ("outcomes", Outcomes),
        ("task", TaskRecord),
        ("executor", ExecutorRecord),
        ("samples", SamplesAccounted),
        ("energy", EnergyUsed),
        ("turns", TurnsTaken),
        ("farm_job", FarmJob),
    )
}
# A task has an attempt and a status of its own, beside its run's.
OF_TASK: Mapping[str, str] = {"attempt": "task_attempt", "status": "task_status"}
# Of a run's samples, what `runs` has.
SAMPLES: Mapping[str, str] = {
    "samples_asked": "num_asked",
    "samples_trained": "num_trained",
    "samples_skipped": "num_skipped",
}
# Likewise of the turns that it took with others.
TURNS: Mapping[str, str] = {"num_alternating": "num_contestants", "num_turns": "num_turns"}

SETTINGS: Mapping[str, Any] = {
    f.name: _TYPES.get(f.type, pl.String) for f in dataclasses.fields(TrialSettings)
}

# Columns of `runs` that are stored, with their SQL.
RUN: Mapping[str, tuple[str, Any]] = {
    "study": ("s.name", pl.String),
    "study_digest": ("s.digest", pl.String),
    "label": ("l.label", pl.String),
    "trial_id": ("r.trial_id", pl.String),
    "repeat": ("r.repeat", pl.Int64),
    "block": ("r.block", pl.Int64),
    "position": ("r.position", pl.Int64),
    "attempt": ("r.attempt", pl.Int64),
    "seed": ("r.seed", pl.Int64),
    "run_id": ("r.run_id", pl.String),
    "condition_id": ("r.condition_id", pl.String),
    "status": ("coalesce(e.status, iif(r.session = :living, 'running', 'interrupted'))", pl.String),
    "reason": ("e.reason", pl.String),
    "last_lines": ("e.last_lines", pl.String),
    "started_at": ("r.started_unix_s", INSTANT),
    "ended_at": ("e.ended_unix_s", INSTANT),
    "wall_s": ("e.wall_s", pl.Float64),
    "disturbance": ("e.disturbance", pl.String),
    "machine_id": ("c.machine_id", pl.String),
    "machine_details": ("r.machine", pl.String),
    "environment_digest": ("c.environment_digest", pl.String),
    "environment_details": ("r.environment", pl.String),
    "measurement_version": ("c.measurement_version", pl.Int64),
    "command": ("r.command", pl.String),
    "begun_for": ("r.study_digest", pl.String),
}
# Of a run's epochs, beside the quantities of `bakeoff.metrics`.
TOTAL: Mapping[str, tuple[str, Any]] = {
    "run_id": ("run_id", pl.String),
    "num_epochs": ("max(epoch)", pl.Int64),  # a cluster may report several epochs at once
    "num_images": ("sum(num_images)", pl.Int64),
    "final_validation_error": (
        "(SELECT validation_error FROM epochs l WHERE l.run_id = epochs.run_id ORDER BY epoch DESC LIMIT 1)",
        pl.Float64,
    ),
}
# What tells a run's rows apart: the first columns of every frame.
WHO = (
    *("study", "label", "trial_id", "backend", "environment", "dataset", "model"),
    *("repeat", "block", "attempt", "run_id", "condition_id", "status"),
)
RUNS = (  # then, for `runs`, before the quantities of `bakeoff.metrics`, ...
    *("reason", "last_lines", "started_at", "ended_at", "wall_s", "num_epochs", "num_images"),
    *("throughput_images_per_s", "final_validation_error"),
)
MORE = (  # ... and after them
    *SAMPLES,
    *TURNS,
    *("stopped_s", "stopped_cpu_s"),
    *("disturbed", "disturbance", "seed", "position", "study_digest", "planned_blocks", "begun_for_blocks"),
    *("machine", "machine_id", "machine_details", "environment_digest", "environment_details"),
    *("measurement_version", "command"),
)


def sums() -> dict[str, tuple[str, Any]]:
    """SQL and type of each quantity that is made from a run's epochs."""
    found = {}
    for name, metric in METRICS.items():
        if isinstance(metric.source, OfEpochs):
            of_all = f"iif(count({name}) = count(*), sum({name}), null)"
            found[name] = (of_all if metric.source.how == "sum" else f"max({name})", EPOCH[name])
    return found


def fields_of_records() -> dict[str, dict[str, str]]:
    """By kind of record, the columns of `runs` that are fields of a run's last one."""
    found = {"samples": dict(SAMPLES), "turns": dict(TURNS)}
    for name, metric in METRICS.items():
        if isinstance(metric.source, OfRecord):
            found.setdefault(metric.source.kind, {})[name] = metric.source.field
    return found


def frame(cursor: sqlite3.Cursor, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The cursor's rows with the schema's names and types, in that order."""
    chunks = [_chunk([], schema)]
    while rows := cursor.fetchmany(4096):  # as fast as it gets: the rows die young, in the CPU's cache
        chunks.append(_chunk(list(zip(*rows, strict=True)), schema))
    return pl.concat(chunks)


def _chunk(columns: Sequence[Sequence[Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            _instants(name, values) if dtype is INSTANT else pl.Series(name, values, dtype=dtype)
            for (name, dtype), values in zip(schema.items(), columns or [()] * len(schema), strict=True)
        ]
    )


def _instants(name: str, unix_s: Sequence[float | None]) -> pl.Series:
    """Points in time, to the microsecond."""
    return (pl.Series(name, unix_s, dtype=pl.Float64) * 1e6).round().cast(pl.Int64).cast(INSTANT)
