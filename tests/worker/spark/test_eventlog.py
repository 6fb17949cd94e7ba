"""Spark's event log: two real ones on file, and live ones against Spark's own REST API."""

import json
import shutil
from pathlib import Path

import pytest

from bakeoff_worker.distribution.spark import eventlog
from bakeoff_worker.distribution.spark.eventlog import EventLogError

# Of the scenario `account` (application.py) on 2 x 2, by Spark 3.4.4 and 3.5.9: an attempt that fails, two
# results too large to come inline, an executor killed with the output of a shuffle on it. Trimmed of what
# isn't read: accumulators, stack traces, properties, folders.
LOGS = Path(__file__).with_name("logs")
VERSIONS = ["3.4", "3.5"]


@pytest.fixture(params=VERSIONS)
def log(request):
    return LOGS / f"{request.param}.jsonl"


@pytest.fixture
def account(log):
    return eventlog.read(str(log))


def events(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def rewritten(log, tmp_path, change):
    """A copy of the log with each event as `change` leaves it."""
    copy = tmp_path / "app-1"
    lines = []
    for event in events(log):
        change(event)
        lines.append(json.dumps(event) + "\n")
    copy.write_text("".join(lines))
    return str(copy)


# ---- what is read -------------------------------------------------------------------------------


def test_the_application(account):
    assert 60_000 < account.ended_ms - account.started_ms < 120_000


def test_every_task_attempt_that_ended_is_there_once(account, log):
    ends = [event for event in events(log) if event["Event"] == "SparkListenerTaskEnd"]
    assert [task.task_id for task in account.tasks] == [end["Task Info"]["Task ID"] for end in ends]
    assert len({task.task_id for task in account.tasks}) == len(account.tasks) >= 32
    assert all(account.started_ms < task.launched_ms < task.finished_ms for task in account.tasks)


# By hand from the first end of the log of 3.4: launched at ...948382, finished at ...959745, so 11.363 s, of
# which 8.284 ran, 2.736 deserialized, 0.002 serialized and nothing fetched: 0.341 are left.
def test_a_task_by_hand():
    (task,) = [task for task in eventlog.read(str(LOGS / "3.4.jsonl")).tasks if task.task_id == 3]
    assert task == eventlog.TaskAttempt(
        stage=0,
        stage_attempt=0,
        partition=3,
        attempt=0,
        task_id=3,
        executor="0",
        host="127.0.0.1",
        status="ok",
        launched_ms=1795558948382,
        finished_ms=1795558959745,
        run_s=8.284,
        deserialize_s=2.736,
        serialize_s=0.002,
        getting_result_s=0.0,
        scheduler_delay_s=0.341,
        gc_s=0.089,
        jvm_cpu_s=0.028276658,
        result_bytes=1409,
        shuffle_read_bytes=0,
        shuffle_wait_s=0.0,
        shuffle_write_bytes=0,
        shuffle_write_s=0.0,
    )


def test_the_parts_of_a_task_add_up_to_its_duration(account):
    measured = [task for task in account.tasks if task.status == "ok"]
    assert len(measured) > 20
    for task in measured:
        parts = task.run_s + task.deserialize_s + task.serialize_s + task.getting_result_s
        duration = (task.finished_ms - task.launched_ms) / 1000
        assert parts + task.scheduler_delay_s == pytest.approx(duration, abs=1e-9)
        assert task.gc_s <= task.run_s
        assert task.jvm_cpu_s <= task.run_s


def test_results_too_large_to_come_inline_are_fetched(account):
    fetched = [task for task in account.tasks if task.getting_result_s]
    assert [task.result_bytes > 3_000_000 for task in fetched] == [True, True]
    assert all(0.1 < task.getting_result_s < 1 for task in fetched)


def test_what_is_written_to_a_shuffle_is_read_from_it(account):
    written = sum(task.shuffle_write_bytes for task in account.tasks if task.stage == 1)
    assert written == sum(task.shuffle_read_bytes for task in account.tasks if task.stage == 2) > 100_000
    assert all(0.01 < task.shuffle_write_s < 1 for task in account.tasks if task.stage == 1)


def test_a_failed_attempt_and_its_retry(account):
    failed = [task for task in account.tasks if task.status == "ExceptionFailure"]
    assert [(task.partition, task.attempt) for task in failed] == [(0, 0)]
    assert failed[0].run_s > 0
    assert failed[0].jvm_cpu_s is failed[0].deserialize_s is failed[0].result_bytes is None
    again = [task for task in account.tasks if task.stage == failed[0].stage and task.attempt == 1]
    assert [(task.partition, task.status) for task in again] == [(0, "ok")]


def test_a_lost_executor_and_what_was_lost_with_it(account):
    lost = [task for task in account.tasks if task.status == "ExecutorLostFailure"]
    assert len(lost) == 2
    assert {task.run_s for task in lost} == {task.scheduler_delay_s for task in lost} == {None}
    (gone,) = {task.executor for task in lost}
    removed = {one.executor: one.removed_reason for one in account.executors if one.removed_ms is not None}
    assert removed == {gone: "Command exited with code 137"}
    assert account.num_lost_executors == 1


def test_a_shuffle_lost_with_its_executor_is_made_again(account):
    failed = [task for task in account.tasks if task.status == "FetchFailed"]
    assert failed
    assert {task.stage for task in account.tasks if task.stage_attempt == 1} == {5, 6}
    # The second attempt of the writing stage makes the lost partitions alone, under their old numbers.
    first = {task.partition for task in account.tasks if (task.stage, task.stage_attempt) == (5, 0)}
    second = {task.partition for task in account.tasks if (task.stage, task.stage_attempt) == (5, 1)}
    assert first == {0, 1, 2, 3} > second
    assert len(second) == 2


def test_retries_are_attempts_beyond_the_first_at_a_partition_of_a_stage(account):
    seen = set()
    again = 0
    for task in account.tasks:
        again += (task.stage, task.partition) in seen
        seen.add((task.stage, task.partition))
    assert account.num_retries == again >= 5


def test_stages_have_the_call_that_made_them(account):
    assert set(account.stages) == set(range(7))
    assert account.stages[0] == "collect at /study/application.py:117"


def test_executors_and_the_driver(account):
    by_name = {one.executor: one for one in account.executors}
    assert set(by_name) >= {"driver", "0", "1"}
    assert [one.num_cores for name, one in by_name.items() if name != "driver"] == [2] * (len(by_name) - 1)
    for name in "01":
        tasks = [task for task in account.tasks if task.executor == name]
        assert 200e6 < by_name[name].jvm_peak_bytes < 600e6
        assert 100e6 < by_name[name].python_peak_bytes < 200e6
        assert by_name[name].added_ms < min(task.launched_ms for task in tasks)
    assert by_name["driver"].num_cores == 0
    assert by_name["driver"].jvm_peak_bytes > 200e6
    assert by_name["driver"].python_peak_bytes is None  # it is not below its JVM


# ---- logs that are not whole, and none ----------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_last_line_cut_off_is_left_out(log, tmp_path, cut):
    text = log.read_bytes()
    lines = text.splitlines(keepends=True)
    torn = tmp_path / "app-1.inprogress"
    torn.write_bytes(b"".join(lines[:-1]) + lines[-1][:-cut])
    account = eventlog.read(str(torn))
    # Without its newline alone, the last event, the application's end, is still whole.
    assert (account.ended_ms is None) == (cut > 1)
    assert account.tasks == eventlog.read(str(log)).tasks


def test_a_driver_that_died_leaves_tasks_without_an_end(log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if '"SparkListenerTaskStart"' in line]
    torn = tmp_path / "app-1.inprogress"
    torn.write_text("".join(lines[: starts[3] + 1]))
    account = eventlog.read(str(torn))
    assert account.ended_ms is None
    assert account.tasks == ()
    assert set(account.stages) == {0}


def test_garbage_is_said_with_file_and_line(log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    broken = tmp_path / "app-1"
    for garbage in ("what is this\n", "[1, 2]\n", "\n", '{"Event":"SparkListenerTask\n'):
        broken.write_text("".join([*lines[:6], garbage, *lines[6:]]))
        with pytest.raises(EventLogError, match=r"app-1:7: not an event: "):
            eventlog.read(str(broken))


def test_an_event_of_another_form_is_said_with_file_and_line(log, tmp_path):
    def change(event):
        if event["Event"] == "SparkListenerTaskEnd":
            del event["Task Info"]["Launch Time"]

    with pytest.raises(EventLogError, match=r"app-1:\d+: SparkListenerTaskEnd is not as .*'Launch Time'"):
        eventlog.read(rewritten(log, tmp_path, change))


def test_events_that_nobody_knows_are_passed_over(log, tmp_path, account):
    def change(event):
        if event["Event"] == "SparkListenerResourceProfileAdded":
            event.clear()
            event["Event"] = "org.apache.spark.SparkListenerOfTomorrow"

    assert eventlog.read(rewritten(log, tmp_path, change)) == account


def test_a_second_end_of_a_task_says_that_its_output_is_lost(log, tmp_path, account):
    text = log.read_text()
    line = next(line for line in text.splitlines() if '"SparkListenerTaskEnd"' in line)
    event = json.loads(line)
    event["Task End Reason"] = {"Reason": "Resubmitted"}
    event["Task Info"]["Finish Time"] += 5000
    copy = tmp_path / "app-1"
    copy.write_text(text + json.dumps(event) + "\n")
    assert eventlog.read(str(copy)).tasks == account.tasks


def test_executors_that_leave_with_the_application_are_not_lost(log, tmp_path, account):
    (last,) = [event for event in events(log) if event["Event"] == "SparkListenerApplicationEnd"]
    staying = next(one for one in account.executors if one.removed_ms is None and one.num_cores)
    event = {
        "Event": "SparkListenerExecutorRemoved",
        "Timestamp": last["Timestamp"] + 3,
        "Executor ID": staying.executor,
        "Removed Reason": "Worker shutting down",
    }
    copy = tmp_path / "app-1"
    copy.write_text(log.read_text() + json.dumps(event) + "\n")
    assert eventlog.read(str(copy)).executors == account.executors


def test_memory_that_was_not_polled_is_not_zero(log, tmp_path):
    def change(event):
        for metrics in ("Executor Metrics", "Task Executor Metrics"):
            event.pop(metrics, None)
        if event["Event"] == "SparkListenerStageExecutorMetrics":
            event["Executor Metrics"] = {"ProcessTreeJVMRSSMemory": 0, "ProcessTreePythonRSSMemory": 0}
        if event["Event"] == "SparkListenerExecutorMetricsUpdate":
            event["Executor Metrics Updated"] = []

    account = eventlog.read(rewritten(log, tmp_path, change))
    assert {one.jvm_peak_bytes for one in account.executors} == {None}
    assert {one.python_peak_bytes for one in account.executors} == {None}


def test_a_rolled_log_is_read_in_the_order_of_its_numbers(log, tmp_path, account):
    folder = tmp_path / "events" / "eventlog_v2_app-1"
    folder.mkdir(parents=True)
    (folder / "appstatus_app-1").touch()
    lines = log.read_text().splitlines(keepends=True)
    for number in range(1, 12):  # 10 comes after 9
        part = lines[(number - 1) * 10 : number * 10 if number < 11 else None]
        (folder / f"events_{number}_app-1").write_text("".join(part))
    assert eventlog.read(str(folder)) == account
    assert eventlog.read(str(folder.parent)) == account


def test_a_folder_of_logs_holds_one(log, tmp_path, account):
    folder = tmp_path / "events"
    folder.mkdir()
    with pytest.raises(EventLogError, match="expected the event log of one application, found none"):
        eventlog.read(str(folder))
    shutil.copy(log, folder / "app-1")
    (folder / ".app-1.crc").touch()
    assert eventlog.read(str(folder)) == account
    shutil.copy(log, folder / "app-2")
    with pytest.raises(EventLogError, match="found app-1, app-2"):
        eventlog.read(str(folder))


def test_no_log_at_all_is_said(tmp_path):
    with pytest.raises(EventLogError, match=r"no event log at .*nowhere"):
        eventlog.read(str(tmp_path / "nowhere"))
    (tmp_path / "empty").touch()
    with pytest.raises(EventLogError, match="no application was started"):
        eventlog.read(str(tmp_path / "empty"))


# ---- against Spark itself -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "home", ["theano_spark", pytest.param("vintage_spark", marks=pytest.mark.exhaustive)]
)
def test_what_the_log_says_is_what_the_rest_api_says(driver, home):
    one = driver("account", layout=(2, 2), home=home)
    assert one.reach("trained")["total"] == 1000
    rest = one.reach("rest")["tasks"]
    one.reach("stopped")
    assert one.process.wait(60) == 0
    account = eventlog.read(str(one.folder / "events"))
    tasks = {str(task.task_id): task for task in account.tasks}
    assert set(tasks) == set(rest)
    assert len(tasks) >= 21
    measured = 0
    for name, task in tasks.items():
        theirs = rest[name]
        assert (task.attempt, task.partition) == (theirs["attempt"], theirs["partitionId"])
        assert task.executor == theirs["executorId"]
        assert (task.status == "ok") == (theirs["status"] == "SUCCESS")
        assert task.finished_ms - task.launched_ms == theirs["duration"]
        if task.run_s is None:  # lost with its executor; the API has what a heartbeat told, if any did
            assert task.status != "ok"
            assert task.scheduler_delay_s is None
            continue
        metrics = theirs["taskMetrics"]
        measured += 1
        assert round(task.scheduler_delay_s * 1000) == theirs["schedulerDelay"]
        assert round(task.run_s * 1000) == metrics["executorRunTime"]
        assert round(task.gc_s * 1000) == metrics["jvmGcTime"]
        if task.status == "ok":
            assert round(task.getting_result_s * 1000) == theirs["gettingResultTime"]
            assert round(task.deserialize_s * 1000) == metrics["executorDeserializeTime"]
            assert round(task.jvm_cpu_s * 1e9) == metrics["executorCpuTime"]
            assert round(task.shuffle_write_s * 1e9) == metrics["shuffleWriteMetrics"]["writeTime"]
    assert measured >= 17
    assert account.num_lost_executors == 1
    assert any(task.getting_result_s for task in account.tasks)
