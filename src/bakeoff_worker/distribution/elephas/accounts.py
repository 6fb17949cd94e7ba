"""Spark's event log and the figures that the tasks took themselves, joined by the attempt's id."""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from bakeoff_worker.distribution.elephas.task import Figures
from bakeoff_worker.distribution.spark import eventlog
from bakeoff_worker.records import ExecutorRecord, SamplesAccounted, TaskRecord

_FROM_SPARK = (
    *("stage", "stage_attempt", "partition", "attempt", "task_id", "executor", "host", "status"),
    *("run_s", "deserialize_s", "serialize_s", "getting_result_s", "scheduler_delay_s", "gc_s", "jvm_cpu_s"),
    *("result_bytes", "shuffle_read_bytes", "shuffle_wait_s", "shuffle_write_bytes", "shuffle_write_s"),
)
_FROM_PYTHON = (
    *("python_s", "import_s", "data_s", "build_s", "train_s", "exchange_s", "lock_s"),
    *(
        "python_user_s",
        "python_system_s",
        "num_samples",
        "num_trained",
        "num_epochs",
        "python_peak_bytes",
        "pid",
    ),
)


def tasks(account: eventlog.Account, figures: Sequence[Figures], warm_up: Set[int]) -> List[TaskRecord]:
    """One record for each attempt of each task.

    warm_up: ids of the stages that ran before anything counted.
    """
    taken = {figure["task_id"]: figure for figure in figures}
    training = {figure["stage"] for figure in figures} | {
        stage for stage, name in account.stages.items() if "spark_model.py" in name
    }
    found = []
    for attempt in account.tasks:
        values: Dict[str, Any] = {name: getattr(attempt, name) for name in _FROM_SPARK}
        own = taken.get(attempt.task_id)
        if own is not None:
            values.update((name, own[name]) for name in _FROM_PYTHON)
            values["process_s"] = _process_s(attempt, own)
            if attempt.run_s is not None:
                # The two clocks are of different processes and tick in milliseconds: never below nothing.
                values["worker_start_s"] = max(attempt.run_s - own["python_s"], 0.0)
        purpose = "other"
        if attempt.stage in training:
            purpose = "warm_up" if attempt.stage in warm_up else "training"
        found.append(
            TaskRecord(
                purpose=purpose,
                launched_s=(attempt.launched_ms - account.started_ms) / 1000.0,
                finished_s=(attempt.finished_ms - account.started_ms) / 1000.0,
                **values,
            )
        )
    return found


def _process_s(attempt: eventlog.TaskAttempt, own: Figures) -> Optional[float]:
    """Seconds that Python took to start for this attempt, by the kernel's clock of its processes.

    Spark's daemon starts once for each executor, and all tasks that wait for it wait as long; a process that
    it forks later takes its own time alone. Which is the case, the driver's clock and the executor's tell
    together; Spark's log supposes that they agree.
    """
    if own["daemon_s"] is not None and own["began_unix_s"] - own["daemon_s"] >= attempt.launched_ms / 1000.0:
        return float(own["daemon_s"])
    return None if own["process_s"] is None else float(own["process_s"])


def executors(account: eventlog.Account) -> List[ExecutorRecord]:
    """One record for each executor, and one for the driver where Spark polled it."""
    return [
        ExecutorRecord(
            executor=executor.executor,
            host=executor.host,
            num_cores=executor.num_cores,
            added_s=(executor.added_ms - account.started_ms) / 1000.0,
            removed_s=None
            if executor.removed_ms is None
            else (executor.removed_ms - account.started_ms) / 1000.0,
            removed_reason=executor.removed_reason,
            jvm_peak_bytes=executor.jvm_peak_bytes,
            python_peak_bytes=executor.python_peak_bytes,
        )
        for executor in account.executors
    ]


def samples(
    account: eventlog.Account,
    figures: Iterable[Figures],
    warm_up: Set[int],
    num_asked: int,
    epochs_per_job: int,
) -> SamplesAccounted:
    """What became of the samples: of each partition of each job, the attempt that Spark kept.

    epochs_per_job: epochs that one training job trains.
    """
    kept: Dict[Tuple[int, int], Figures] = {}
    failed = {task.task_id for task in account.tasks if task.status != "ok"}
    for figure in figures:
        if figure["stage"] not in warm_up and figure["task_id"] not in failed:
            kept[figure["stage"], figure["partition"]] = figure
    sizes = [one["num_samples"] for one in kept.values()]
    skipped = [one for one in kept.values() if one["num_trained"] == 0 and one["num_samples"] > 0]
    return SamplesAccounted(
        num_asked=num_asked,
        num_trained=sum(one["num_trained"] for one in kept.values()),
        num_partitions=len({partition for _, partition in kept}),
        num_skipped_partitions=len({one["partition"] for one in skipped}),
        num_skipped=sum(one["num_samples"] * epochs_per_job for one in skipped),
        num_empty_partitions=len({part for (_, part), one in kept.items() if not one["num_samples"]}),
        smallest_partition=min(sizes, default=0),
        largest_partition=max(sizes, default=0),
    )
