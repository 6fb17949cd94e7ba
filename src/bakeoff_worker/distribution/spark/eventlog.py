"""Spark's own account of an application, read from its event log: JSON lines, one file or a rolled folder.

Read here are the logs of Spark 3.4 and 3.5. Spark gives durations in milliseconds but for CPU time and
shuffle write time, which are nanoseconds; here all are seconds.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

# What an application must be told for a log that `read` understands and that has all of it. To follow the
# memory of an executor's processes, Spark 3 runs pgrep for each of them: with 5 executors of 4 Python workers
# some 0.3 s of CPU a time, 2 % of two cores if done every 5 s, a third of them if every 0.5 s. Hence seldom:
# a short run's executors may have no figure.
CONF: Dict[str, str] = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
    "spark.eventLog.logStageExecutorMetrics": "true",
    "spark.executor.processTreeMetrics.enabled": "true",
    "spark.executor.metrics.pollingInterval": "20000",
}


class EventLogError(Exception):
    """There is no event log, or it is no event log; says where, and what was found instead."""


@dataclass(frozen=True)
class TaskAttempt:
    """One attempt of one task that has ended.

    stage, stage_attempt, partition, attempt, task_id: Spark's; task_id is unique within the application.
    status: ``ok``, or Spark's reason (``ExecutorLostFailure``, ...).
    launched_ms, finished_ms: epoch milliseconds by the driver's clock.
    run_s, deserialize_s, serialize_s: of the task, its own deserialization before and its result's after.
    getting_result_s: fetching a result too large to come with the message of the task's end.
    scheduler_delay_s: what is left of the duration after these four, as Spark's REST API has it.
    gc_s: collections of the executor's JVM while the task ran, within run_s. jvm_cpu_s: the JVM's thread
        alone, not Python.
    result_bytes: serialized result. shuffle_read_bytes: local and remote; shuffle_wait_s: blocked on them.
    None: Spark doesn't know. An executor that was lost took its figures along; of an attempt that failed or
        was killed only run_s, gc_s and the shuffle's are kept, and its scheduler_delay_s includes the rest.
    """

    stage: int
    stage_attempt: int
    partition: int
    attempt: int
    task_id: int
    executor: str
    host: str
    status: str
    launched_ms: int
    finished_ms: int
    run_s: Optional[float] = None
    deserialize_s: Optional[float] = None
    serialize_s: Optional[float] = None
    getting_result_s: Optional[float] = None
    scheduler_delay_s: Optional[float] = None
    gc_s: Optional[float] = None
    jvm_cpu_s: Optional[float] = None
    result_bytes: Optional[int] = None
    shuffle_read_bytes: Optional[int] = None
    shuffle_wait_s: Optional[float] = None
    shuffle_write_bytes: Optional[int] = None
    shuffle_write_s: Optional[float] = None


@dataclass(frozen=True)
class Executor:
    """One executor, or the driver (``driver``, of which Spark doesn't say the cores: 0).

    added_ms, removed_ms: epoch milliseconds; removed_ms is None if it lasted to the end. removed_reason:
    Spark's words. jvm_peak_bytes, python_peak_bytes: peak resident memory of its JVM and of all its Python
    processes together, as polled; None where nothing was. The driver's Python is not below its JVM: None.
    """

    executor: str
    host: str
    num_cores: int
    added_ms: int
    removed_ms: Optional[int] = None
    removed_reason: str = ""
    jvm_peak_bytes: Optional[int] = None
    python_peak_bytes: Optional[int] = None


@dataclass(frozen=True)
class Account:
    """What one application did.

    started_ms, ended_ms: epoch milliseconds; ended_ms is None if the driver died. tasks: in the order in
        which they ended; Spark writes them when their stage has completed, so that those of a stage in which
        the driver died are missing. stages: by number, Spark's name: the call and line that made it.
    """

    started_ms: int
    ended_ms: Optional[int]
    tasks: Tuple[TaskAttempt, ...]
    stages: Mapping[int, str]
    executors: Tuple[Executor, ...]

    @property
    def num_retries(self) -> int:
        """Attempts at a partition of a stage beyond the first one, whatever the attempt of the stage."""
        return len(self.tasks) - len({(task.stage, task.partition) for task in self.tasks})

    @property
    def num_lost_executors(self) -> int:
        """Executors that were removed before the application ended."""
        return sum(executor.removed_ms is not None for executor in self.executors)


def read(path: str) -> Account:
    """The account of an application.

    path: its log, or the folder of ``spark.eventLog.dir`` if it holds this one application's alone. A last
    line cut off in the middle (the driver was killed) is left out.

    Raises:
        EventLogError: there is no log, there are several, or a line of it is no event.
    """
    reader = _Reader()
    for file in _files(path):
        for event, where in _events(file):
            handle = _HANDLERS.get(event.get("Event", ""))
            if handle is not None:
                try:
                    handle(reader, event)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise EventLogError(
                        "{}: {} is not as Spark 3.4 or 3.5 writes it: {!r}".format(
                            where, event["Event"], error
                        )
                    ) from error
    return reader.account(path)


# ---- files and lines ----------------------------------------------------------------------------


def _files(path: str) -> List[str]:
    """The files of one application's log, in order."""
    if os.path.isfile(path):
        return [path]
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise EventLogError("no event log at {}: {}".format(path, error)) from error
    rolled = [name for name in names if name.startswith("events_")]
    if rolled:
        # events_INDEX_APPLICATION; the index is not padded. Compacted files (".compact") have lost tasks.
        return [os.path.join(path, name) for name in sorted(rolled, key=lambda name: int(name.split("_")[1]))]
    logs = [name for name in names if not name.startswith((".", "appstatus_"))]
    if len(logs) != 1:
        raise EventLogError(
            "{}: expected the event log of one application, found {}".format(path, ", ".join(logs) or "none")
        )
    return _files(os.path.join(path, logs[0]))


def _events(file: str) -> Iterator[Tuple[Mapping[str, Any], str]]:
    """Each event with the place it was found at."""
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            where = "{}:{}".format(file, number)
            try:
                event = json.loads(line.decode())
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return  # the driver was killed while it wrote
                raise EventLogError("{}: not an event: {!r}".format(where, line[:200])) from error
            if not isinstance(event, dict):
                raise EventLogError("{}: not an event: {!r}".format(where, line[:200]))
            yield event, where


# ---- events -------------------------------------------------------------------------------------

_Event = Mapping[str, Any]


class _Peaks:
    """The largest resident memory seen of each executor's JVM and Python processes."""

    def __init__(self) -> None:
        self._bytes: Dict[Tuple[str, str], int] = {}

    def see(self, executor: str, metrics: Optional[_Event]) -> None:
        for whose in ("JVM", "Python"):
            seen = _polled(metrics, whose)
            if seen is not None:
                self._bytes[executor, whose] = max(seen, self._bytes.get((executor, whose), 0))

    def of(self, executor: str, whose: str) -> Optional[int]:
        return self._bytes.get((executor, whose))


class _Reader:
    """Takes events one by one; `account` says what they amount to."""

    def __init__(self) -> None:
        self._started_ms: Optional[int] = None
        self._ended_ms: Optional[int] = None
        self._tasks: Dict[int, TaskAttempt] = {}
        self._stages: Dict[int, str] = {}
        self._executors: Dict[str, Dict[str, Any]] = {}
        self._peaks = _Peaks()

    def account(self, path: str) -> Account:
        if self._started_ms is None:
            raise EventLogError("{}: no application was started in this event log".format(path))
        ended_ms = self._ended_ms
        executors = []
        for name, values in self._executors.items():
            # Those that left with the application were not lost.
            removed_ms = values.get("removed_ms")
            if removed_ms is not None and ended_ms is not None and removed_ms >= ended_ms:
                values = {**values, "removed_ms": None, "removed_reason": ""}
            executors.append(
                Executor(
                    name,
                    jvm_peak_bytes=self._peaks.of(name, "JVM"),
                    python_peak_bytes=self._peaks.of(name, "Python"),
                    **values,
                )
            )
        return Account(
            started_ms=self._started_ms,
            ended_ms=ended_ms,
            tasks=tuple(self._tasks.values()),
            stages=self._stages,
            executors=tuple(executors),
        )

    def application_start(self, event: _Event) -> None:
        self._started_ms = event["Timestamp"]

    def application_end(self, event: _Event) -> None:
        self._ended_ms = event["Timestamp"]

    def block_manager_added(self, event: _Event) -> None:
        manager = event["Block Manager ID"]
        if manager["Executor ID"] == "driver":
            self._executors["driver"] = {
                "host": manager["Host"],
                "num_cores": 0,
                "added_ms": event["Timestamp"],
            }

    def executor_added(self, event: _Event) -> None:
        info = event["Executor Info"]
        self._executors[event["Executor ID"]] = {
            "host": info["Host"],
            "num_cores": info["Total Cores"],
            "added_ms": event["Timestamp"],
        }

    def executor_removed(self, event: _Event) -> None:
        known = self._executors.get(event["Executor ID"])
        if known is not None:  # else it had never registered
            known.update(removed_ms=event["Timestamp"], removed_reason=event["Removed Reason"])

    def executor_metrics(self, event: _Event) -> None:
        self._peaks.see(event["Executor ID"], event["Executor Metrics"])

    def metrics_update(self, event: _Event) -> None:
        for update in event.get("Executor Metrics Updated") or ():
            self._peaks.see(event["Executor ID"], update["Executor Metrics"])

    def stage(self, event: _Event) -> None:
        self._stages[event["Stage Info"]["Stage ID"]] = event["Stage Info"]["Stage Name"]

    def task_end(self, event: _Event) -> None:
        task = _task(event)
        self._peaks.see(task.executor, event.get("Task Executor Metrics"))
        # A second end of the same attempt says that its output is lost, not that it ran again.
        self._tasks.setdefault(task.task_id, task)


_HANDLERS: Dict[str, Callable[[_Reader, _Event], None]] = {
    "SparkListenerApplicationStart": _Reader.application_start,
    "SparkListenerApplicationEnd": _Reader.application_end,
    "SparkListenerBlockManagerAdded": _Reader.block_manager_added,
    "SparkListenerExecutorAdded": _Reader.executor_added,
    "SparkListenerExecutorRemoved": _Reader.executor_removed,
    "SparkListenerStageExecutorMetrics": _Reader.executor_metrics,
    "SparkListenerExecutorMetricsUpdate": _Reader.metrics_update,
    "SparkListenerStageSubmitted": _Reader.stage,
    "SparkListenerTaskEnd": _Reader.task_end,
}


def _task(event: _Event) -> TaskAttempt:
    info = event["Task Info"]
    reason = event["Task End Reason"]
    return TaskAttempt(
        stage=event["Stage ID"],
        stage_attempt=event["Stage Attempt ID"],
        # The index counts within an attempt of a stage, which may run some of the partitions only.
        partition=info.get("Partition ID", info["Index"]),
        attempt=info["Attempt"],
        task_id=info["Task ID"],
        executor=info["Executor ID"],
        host=info["Host"],
        status="ok" if reason["Reason"] == "Success" else reason["Reason"],
        launched_ms=info["Launch Time"],
        finished_ms=info["Finish Time"],
        **_measured(info, event.get("Task Metrics"), reason["Reason"] == "Success"),
    )


def _measured(info: _Event, metrics: Optional[_Event], succeeded: bool) -> Dict[str, Any]:
    """What Spark measured of an attempt; nothing if it has lost it."""
    if metrics is None:
        return {}
    read, write = metrics["Shuffle Read Metrics"], metrics["Shuffle Write Metrics"]
    run, deserialize, serialize = (
        metrics["Executor Run Time"],
        metrics["Executor Deserialize Time"],
        metrics["Result Serialization Time"],
    )
    fetched_at = info["Getting Result Time"]  # an epoch time stamp; 0 if there was nothing to fetch
    getting = info["Finish Time"] - fetched_at if fetched_at > 0 else 0
    duration = info["Finish Time"] - info["Launch Time"]
    # As org.apache.spark.status.AppStatusUtils.schedulerDelay, which the REST API shows.
    delay = max(0, duration - run - deserialize - serialize - getting)
    figures = {
        "run_s": run / 1e3,
        "scheduler_delay_s": delay / 1e3,
        "gc_s": metrics["JVM GC Time"] / 1e3,
        "shuffle_read_bytes": read["Remote Bytes Read"] + read["Local Bytes Read"],
        "shuffle_wait_s": read["Fetch Wait Time"] / 1e3,
        "shuffle_write_bytes": write["Shuffle Bytes Written"],
        "shuffle_write_s": write["Shuffle Write Time"] / 1e9,
    }
    if succeeded:  # else these are the zeros that they started as
        figures.update(
            deserialize_s=deserialize / 1e3,
            serialize_s=serialize / 1e3,
            getting_result_s=getting / 1e3,
            jvm_cpu_s=metrics["Executor CPU Time"] / 1e9,
            result_bytes=metrics["Result Size"],
        )
    return figures


def _polled(metrics: Optional[_Event], whose: str) -> Optional[int]:
    """Resident bytes; Spark writes 0 where it has not polled, or where there is nothing to poll."""
    seen = (metrics or {}).get("ProcessTree{}RSSMemory".format(whose), 0)
    return int(seen) if seen > 0 else None
