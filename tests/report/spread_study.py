"""Invented studies of distributed runs, written and read by the real store: no Spark behind them.

Every number follows from a few: a run of a backend on a layout has one stage that moves data (1 s a task)
and one stage of training a round, in which task `i` of a round takes `task_s + i * step_s`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.report import Frames, read
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Condition, StudyRow, Writer
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import (
    EpochRecord,
    ExecutorRecord,
    Facts,
    Outcomes,
    PhaseEnded,
    Record,
    RunEnded,
    SamplesAccounted,
    TaskRecord,
    to_line,
)

DIGEST = "5" * 64
OPTIONS: Mapping[str, Any] = {
    "layout": "2x1",
    "master": "embedded",
    "mode": "asynchronous",
    "frequency": "epoch",
    "merge": "as_released",
    "rounds": 1,
    "batch_size_per_task": 200,
    "data_source": "driver",
    "executors": "cold",
    "task_cpus": 1,
}
GC_S, IMPORT_S, BUILD_S, START_S = 0.080, 2.0, 0.5, 1.0
NUM_IMAGES = 10_000
# As of ten classes with as many images each.
EVALUATED = {
    "num_evaluation_images": NUM_IMAGES,
    "evaluation_sha256": "all test images",
    "chance_error": 0.9,
    "chance_loss": 2.303,
}
LAUNCHED_S, CONTEXT_S, EVALUATION_S = 4.0, 6.0, 3.0  # executors come at 4, tasks from 6 on


@dataclasses.dataclass(frozen=True)
class Trial:
    """One invented contestant. task_s: a training task of the first shard; step_s: how much longer each next
    one takes. train_s: of one machine. error: final. changes: settings, options: of the distribution."""

    backend: str = "theano"
    layout: str = "2x1"
    task_s: float = 10.0
    step_s: float = 1.0
    train_s: float = 8.0
    error: float = 0.010
    label: str = ""
    environment: str = ""
    version: str = "0.4.5"
    skipped: int = 0
    num_failed: int = 0
    cpus: int | None = 2
    gc_s: float = GC_S
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_single(self) -> bool:
        return self.layout == ""

    @property
    def asked(self) -> dict[str, Any]:
        return {} if self.is_single else {**OPTIONS, "layout": self.layout, **self.options}

    @property
    def settings(self) -> TrialSettings:
        return TrialSettings(
            **{
                "backend": self.backend,
                "environment": self.environment or f"{self.backend}_spark",
                "epochs": 2,
                "train_images": 1000,
                "distribution": "single" if self.is_single else "elephas",
                "distribution_options": self.asked,
                **self.changes,
            }
        )

    @property
    def name(self) -> str:
        settings = self.settings
        return self.label or f"{settings.dataset} · {self.backend} · {self.layout or 'one machine'}"


def records(trial: Trial, slower: float) -> Iterator[Record]:
    """What a worker would say of one run; `slower` scales every task and the training of one machine."""
    settings = trial.settings
    num = settings.epochs * (settings.train_images or 60_000) * settings.data_scale
    yield Facts(
        {"threads": settings.threads},
        {"optimizer": "adam"},
        {"versions": {"keras": "2.3.1"}, **EVALUATED, **_observed(trial)},
    )
    if trial.is_single:
        train_s = trial.train_s * slower
        yield EpochRecord(
            settings.epochs, num, train_s, 0.5, 0.1, 0.9, 0.2, trial.error, 2 * train_s, 0.0, 2**29
        )
        yield _outcomes(trial)
        return
    asked = trial.asked
    nodes, cores = (int(number) for number in trial.layout.split("x"))
    slots = nodes * cores // asked["task_cpus"]
    yield PhaseEnded("cluster", 15.0, None, None)
    yield PhaseEnded("context", CONTEXT_S, None, None)
    now, task_id = CONTEXT_S, 0
    tasks: list[TaskRecord] = []
    for index in range(slots):
        tasks.append(
            TaskRecord(
                0, 0, index, 0, task_id, "other", str(index % nodes), "127.0.0.1", "ok", now, now + 1.0,
                run_s=0.9, deserialize_s=0.0, serialize_s=0.0, getting_result_s=0.0, scheduler_delay_s=0.1,
                gc_s=0.0, jvm_cpu_s=0.5, result_bytes=1000, shuffle_read_bytes=0, shuffle_wait_s=0.0,
                shuffle_write_bytes=2**20, shuffle_write_s=0.2,
            )
        )  # fmt: skip
        task_id += 1
    now += 1.0
    train_s = 0.0
    epochs = settings.epochs // asked["rounds"]
    per_epoch = num // settings.epochs // slots
    for number in range(1, asked["rounds"] + 1):
        for index in range(slots):
            for failed in range(trial.num_failed if index == 0 and number == 1 else 0):
                tasks.append(
                    TaskRecord(
                        number, 0, index, failed, task_id, "training", "0", "127.0.0.1",
                        "ExecutorLostFailure", now + failed, now + failed + 1.0,
                    )
                )  # fmt: skip
                task_id += 1
            launched = now + (trial.num_failed if index == 0 and number == 1 else 0)  # a second for each
            length = (trial.task_s + index * trial.step_s) * slower
            cold = number == 1 and asked["executors"] == "cold"
            start_s, import_s = (START_S, IMPORT_S) if cold else (0.0, 0.0)
            python_s = length - 0.3 - start_s
            inside = python_s - import_s - BUILD_S - 0.25 - 0.25
            tasks.append(
                TaskRecord(
                    number, 0, index, trial.num_failed if index == 0 and number == 1 else 0, task_id,
                    "training", str(index % nodes), "127.0.0.1", "ok", launched, launched + length,
                    run_s=length - 0.3, deserialize_s=0.1, serialize_s=0.05, getting_result_s=0.05,
                    scheduler_delay_s=0.1, gc_s=trial.gc_s, jvm_cpu_s=0.05, result_bytes=2**20,
                    shuffle_read_bytes=2**20, shuffle_wait_s=0.01, worker_start_s=start_s,
                    process_s=start_s, python_s=python_s,
                    import_s=import_s, data_s=0.25, build_s=BUILD_S, train_s=inside, exchange_s=0.25,
                    python_user_s=length / 4, python_system_s=0.0, num_samples=per_epoch,
                    num_trained=per_epoch * epochs, num_epochs=epochs, python_peak_bytes=2**29,
                    pid=100 + index,
                )
            )  # fmt: skip
            task_id += 1
        round_s = (trial.task_s + (slots - 1) * trial.step_s) * slower
        train_s += round_s
        now += round_s + EVALUATION_S
        yield EpochRecord(
            number * epochs, num // asked["rounds"], round_s, EVALUATION_S, 0.1, 0.9, 0.2, trial.error,
            None, None, 2**29,
        )  # fmt: skip
    yield _outcomes(trial)
    if asked["executors"] == "warm":
        yield PhaseEnded("warm_up", START_S + IMPORT_S + 2.0, None, None)
    yield PhaseEnded("parallelize", 0.5, None, None)
    yield PhaseEnded("training", train_s, None, None)
    yield PhaseEnded("evaluation", EVALUATION_S * asked["rounds"], None, None)
    yield PhaseEnded("application", now + 1.0, None, None)
    yield PhaseEnded("cluster_end", 2.0, None, None)
    yield from tasks
    yield ExecutorRecord("driver", "127.0.0.1", 0, 0.0, jvm_peak_bytes=2**29, python_peak_bytes=2**28)
    for node in range(nodes):
        yield ExecutorRecord(
            str(node),
            "127.0.0.1",
            cores,
            LAUNCHED_S,
            jvm_peak_bytes=(node + 1) * 2**28,
            python_peak_bytes=2**30,
        )
    yield SamplesAccounted(
        num, num - trial.skipped, slots, 1 if trial.skipped else 0, trial.skipped, 0, per_epoch, per_epoch
    )


def _outcomes(trial: Trial) -> Outcomes:
    """The same images are the hard ones for all."""
    wrong = np.arange(NUM_IMAGES) < round(trial.error * NUM_IMAGES)
    return Outcomes(trial.settings.epochs, NUM_IMAGES, base64.b64encode(np.packbits(wrong)).decode())


def _observed(trial: Trial) -> dict[str, Any]:
    if trial.is_single:
        return {}
    nodes, cores = (int(number) for number in trial.layout.split("x"))
    asked = trial.asked
    return {
        "spark": {
            "version": "3.5.9",
            "num_executors": nodes,
            "cores_per_executor": cores,
            "physical_cpus": trial.cpus,
        },
        "elephas": {
            "version": trial.version,
            "mode": asked["mode"],
            "frequency": asked["frequency"],
            "merge": asked["merge"],
            "rounds": asked["rounds"],
            "corrected": asked["merge"] == "averaged",
            "arithmetic": [
                "the changes of all shards are summed",
                "a shard no larger than a batch is skipped",
            ],
        },
    }


def write(
    path: Path, trials: Sequence[Trial], repeats: int = 6, document: Mapping[str, Any] | None = None
) -> Path:
    """A store with a study of these trials. Repeat r is slower by r percent for all alike."""
    specs = tuple(
        RunSpec(trial.settings, trial.name, repeat, repeat, place, 7 + repeat)
        for repeat in range(repeats)
        for place, trial in enumerate(trials)
    )
    by_id = {trial.settings.trial_id: trial for trial in trials}
    assert len(by_id) == len(trials)
    with Writer(path) as writer:
        writer.begin_study(StudyRow(DIGEST, "spread", "A spread study", document or {}, specs))
        for spec in specs:
            trial = by_id[spec.trial_id]
            run = writer.begin_run(
                spec,
                study_digest=DIGEST,
                condition=Condition("m", spec.settings.environment, {"description": "a machine"}),
                environment={"name": spec.settings.environment},
                command=("bakeoff", "run", "spread"),
            )
            lines = map(to_line, records(trial, 1 + 0.01 * spec.repeat))
            writer.spool_path(run).write_text("".join(f"{line}\n" for line in lines))
            writer.ingest(run)  # all at once, as after a crash
            wall_s = trial.train_s * (1 + 0.01 * spec.repeat) + 4.0 if trial.is_single else 100.0
            writer.end_run(run, RunEnded("ok"), disturbance={"disturbed": False}, wall_s=wall_s)
    return path


def frames(path: Path, trials: Sequence[Trial], **options: Any) -> Frames:
    """The frames of such a study, through the store."""
    with Reader(write(path, trials, **options)) as reader:
        return read(reader)


def follow_up(first: Sequence[Trial], then: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    """A document with a follow-up: `then` by layout."""
    branches = [
        {
            "value": layout,
            "compared": {one.settings.trial_id: one.backend for one in first if one.layout == layout},
            "trials": [{"label": one.name} for one in trials],
        }
        for layout, trials in then.items()
    ]
    changes = {"dataset": "fashion_mnist"}
    document = {
        "follow_up": {"choose": "distribution_options.layout", "changes": changes, "branches": branches}
    }
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return plain
