"""One child process: how it ends, what it leaves, and what it may see."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bakeoff.launchers import local
from bakeoff.launchers.base import TurnAwaited
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded, RunStarted, kind_of, to_line

MakeLaunch = Callable[..., Any]
Script = Callable[[str], Path]
Alive = Callable[[int], list[int]]


def ended(records: list[Record]) -> RunEnded:
    """The last record, the only one that says how the run ended."""
    *before, last = records
    assert isinstance(last, RunEnded)
    assert not any(isinstance(record, RunEnded) for record in before)
    return last


def num_epochs(records: list[Record]) -> int:
    return sum(isinstance(record, EpochRecord) for record in records)


def test_a_whole_run(make_launch: MakeLaunch) -> None:
    records = list(local.launch(make_launch()))
    assert ended(records) == RunEnded("ok")
    phases = [record.name for record in records if isinstance(record, PhaseEnded)]
    assert phases == [
        *("interpreter", "import", "data", "build", "first_step"),
        *("training", "evaluation", "outcomes", "end"),
    ]
    assert num_epochs(records) == 3 and kind_of(records[0]) == "run_started"


@pytest.mark.parametrize(
    ("fault", "status", "reason", "epochs"),
    [
        ("raise", "failed", "RuntimeError: told to raise", 1),
        ("exit", "failed", "left with exit code 3", 1),
        ("segfault", "failed", "SIGSEGV", 1),
        ("hang", "timeout", "time limit of 2 s", 1),
        ("memory", "out_of_memory", "no more memory", 1),
        ("garbage", "garbage", "this is no record", 1),
        ("nan", "failed", "training loss is nan in epoch 1", 1),
        ("skip", "skipped", "told to skip", 0),
    ],
)
def test_faults_of_a_worker(
    make_launch: MakeLaunch, fault: str, status: str, reason: str, epochs: int
) -> None:
    options = {"fault": fault, "fault_epoch": 2}
    limit = {"time_limit_s": 2.0} if fault == "hang" else {}
    records = list(local.launch(make_launch(model_options=options, **limit)))
    end = ended(records)
    assert end.status == status and reason in end.reason
    assert num_epochs(records) == epochs or fault == "hang"  # a busy machine may not come so far in time


def test_a_crash_in_native_code_leaves_its_python_stack(make_launch: MakeLaunch) -> None:
    end = ended(list(local.launch(make_launch(model_options={"fault": "segfault"}))))
    assert "Segmentation fault" in end.last_lines and "train_epoch" in end.last_lines


def test_a_child_that_is_killed(make_launch: MakeLaunch) -> None:
    records = []
    for record in local.launch(make_launch(model_options={"epoch_s": 0.2})):
        records.append(record)
        if isinstance(record, EpochRecord):
            started = records[0]
            assert isinstance(started, RunStarted)
            os.kill(started.pid, signal.SIGKILL)
    assert ended(records).status == "killed" and num_epochs(records) == 1


def test_more_memory_than_there_is(make_launch: MakeLaunch, script: Script, tmp_path: Path) -> None:
    """Arrays of 0.5 GB, which become floats of 2 GB, under an address space of 1.5 GB."""
    dataset = tmp_path / "large"
    dataset.mkdir()
    for split in ("train", "test"):  # sparse files: no disk is filled
        np.lib.format.open_memmap(dataset / f"x_{split}.npy", "w+", np.uint8, (500, 1000, 1000, 1)).flush()
        np.save(dataset / f"y_{split}.npy", np.arange(500) % 10)
    (dataset / "about.json").write_text(json.dumps({"num_classes": 10}))
    python = script(f'ulimit -v 1500000; OPENBLAS_NUM_THREADS=1 exec {sys.executable} "$@"')
    end = ended(list(local.launch(make_launch(python, dataset))))
    assert end.status == "out_of_memory" and "MemoryError" in end.last_lines


def test_an_interpreter_that_is_not_there(make_launch: MakeLaunch, tmp_path: Path) -> None:
    end = ended(list(local.launch(make_launch(tmp_path / "no-python"))))
    assert end.status == "failed" and "no-python" in end.reason


def test_an_interpreter_that_cannot_be_executed(make_launch: MakeLaunch, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    end = ended(list(local.launch(make_launch(tmp_path / "text"))))
    assert end.status == "failed" and "could not be started" in end.reason


def test_an_interpreter_that_leaves_at_once(make_launch: MakeLaunch, script: Script) -> None:
    end = ended(list(local.launch(make_launch(script("echo no such library >&2; exit 7")))))
    assert end == RunEnded(
        "failed", "the process left with exit code 7 before its run had ended", "no such library"
    )


def test_a_chatterbox_keeps_only_its_last_lines(make_launch: MakeLaunch, script: Script) -> None:
    end = ended(list(local.launch(make_launch(script("yes chatter | head -c 3000000; echo last; exit 1")))))
    assert end.last_lines.endswith("chatter\nlast") and len(end.last_lines) <= 4000


def test_silence_ends_at_the_time_limit(make_launch: MakeLaunch, script: Script) -> None:
    began = time.monotonic()
    end = ended(list(local.launch(make_launch(script("exec sleep 600"), time_limit_s=1.0))))
    assert end.status == "timeout" and time.monotonic() - began < 300


@pytest.mark.parametrize(
    "line",
    [
        b"\377\376\000binary",
        b"{}",
        b"[1, 2]",
        b"null",
        b'{"kind": "epoch", "epoch": 1}',
        b'{"kind": "coffee"}',
        b'{"kind": "run_started", "pid": 1',
    ],
)
def test_lines_that_are_no_records(make_launch: MakeLaunch, worker: Script, line: bytes) -> None:
    python = worker(f"append({START!r}); append({line!r}); time.sleep(600)")
    records = list(local.launch(make_launch(python)))
    assert ended(records).status == "garbage" and "not a record" in ended(records).reason
    assert [kind_of(record) for record in records] == ["run_started", "run_ended"]


def test_a_torn_last_line_is_no_record(make_launch: MakeLaunch, worker: Script) -> None:
    python = worker(f"append({START!r}); append({START!r}, end=b'')")
    records = list(local.launch(make_launch(python)))
    assert [kind_of(record) for record in records] == ["run_started", "run_ended"]
    assert ended(records).status == "failed"


def test_a_worker_waits_until_its_record_is_safe(make_launch: MakeLaunch) -> None:
    request = make_launch()
    records = local.launch(request)
    next(records)
    time.sleep(0.5)
    assert Path(request.job.paths.records).read_text().count("\n") == 1
    records.close()


def test_nothing_outlives_its_run(make_launch: MakeLaunch, worker: Script, alive: Alive) -> None:
    """A grandchild that the worker forgot ends with the run."""
    end_line = to_line(RunEnded("ok")).encode()
    python = worker(
        f"import subprocess; append(start()); subprocess.Popen(['sleep', '600']); append({end_line!r})"
    )
    records = list(local.launch(make_launch(python)))
    assert ended(records).status == "ok"
    # The signal is sent by now; to die of it takes a moment, and the grandchild is not ours to wait for.
    wait_for(lambda: alive(pid_of(records)) == [], seconds=5)


def test_closing_the_records_early_ends_the_child(make_launch: MakeLaunch, alive: Alive) -> None:
    records = local.launch(make_launch(model_options={"fault": "hang"}))
    pid = pid_of([next(records)])
    assert alive(pid) == [pid]
    records.close()
    assert alive(pid) == []


def test_one_that_is_told_to_stop_ends_as_interrupted(make_launch: MakeLaunch, alive: Alive) -> None:
    stop = threading.Event()
    request = dataclasses.replace(make_launch(model_options={"fault": "hang"}), stop=stop)
    records = local.launch(request)
    pid = pid_of([next(records)])
    stop.set()
    assert ended(list(records)).status == "interrupted" and alive(pid) == []


def test_a_worker_whose_parent_dies_ends(make_launch: MakeLaunch, alive: Alive) -> None:
    """The parent here is a forked copy of ours, killed in mid-run."""
    request = make_launch(model_options={"fault": "hang"})
    parent = os.fork()
    if parent == 0:
        for _ in local.launch(request):
            pass
        os._exit(0)
    records = Path(request.job.paths.records)
    wait_for(lambda: records.exists() and records.read_text().count("\n") >= 6)
    pid = json.loads(records.read_text().splitlines()[0])["pid"]
    assert alive(pid) == [pid]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_for(lambda: alive(pid) == [])


def test_a_child_sees_what_it_should_and_no_more(
    make_launch: MakeLaunch, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of the caller's, PYTHONPATH first of all, could change what is measured."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "SECRET_TOKEN"):
        monkeypatch.setenv(name, "leaked")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    seen = ended(list(local.launch(make_launch(script("env; exit 1"))))).last_lines
    assert "leaked" not in seen
    assert "CUDA_VISIBLE_DEVICES=0" in seen and "PYTHONHASHSEED=0" in seen


def test_packages_of_ours_are_not_importable(make_launch: MakeLaunch, tmp_path: Path) -> None:
    """Else an environment that lacks NumPy would run with Bakeoff's."""
    venv.create(tmp_path / "bare")
    end = ended(list(local.launch(make_launch(tmp_path / "bare" / "bin" / "python"))))
    assert end.status == "failed" and "No module named 'numpy'" in end.last_lines


# ---- details ----------------------------------------------------------------------------------------

START = to_line(RunStarted(1, 0.0, "3.11", 1)).encode()


def pid_of(records: list[Record]) -> int:
    (started,) = (record for record in records if isinstance(record, RunStarted))
    return started.pid


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


# ---- a run that takes turns --------------------------------------------------------------------------


def cpu_ticks(pids: list[int]) -> int:
    """CPU time of these processes, user and system, in the kernel's ticks."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


def states(pids: list[int]) -> set[str]:
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}


def test_while_it_awaits_its_turn_not_even_a_spinning_thread_or_child_works(
    make_launch: MakeLaunch, worker: Script, alive: Callable[[int], list[int]]
) -> None:
    spin = "while True: pass"
    python = worker(
        "import subprocess, threading\n"
        f"subprocess.Popen([sys.executable, '-S', '-c', {spin!r}])\n"
        "append(start()); os.read(0, 1)\n"
        "os.write(int(os.environ['BAKEOFF_DOORBELL_FD']), b't')\n" + spin
    )
    records = local.launch(make_launch(python, order="alternating"))
    started = next(records)
    assert isinstance(started, RunStarted) and isinstance(next(records), TurnAwaited)
    group = alive(started.pid)
    deadline = time.monotonic() + 60
    while states(group) != {"T"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(group) == 2 and states(group) == {"T"}
    before = cpu_ticks(group)
    time.sleep(1.0)
    assert cpu_ticks(group) == before
    records.close()  # ends the stopped, too
    assert alive(started.pid) == []


def test_time_in_which_it_is_stopped_does_not_count(
    make_launch: MakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_s = 0.0
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + stopped_s, perf_counter=lambda: time.perf_counter() + stopped_s
    )
    monkeypatch.setattr(local, "time", clock)
    found: list[Record] = []
    for record in local.launch(make_launch(order="alternating", time_limit_s=500.0)):
        if isinstance(record, TurnAwaited):
            stopped_s += 1000.0
        else:
            found.append(record)
    assert ended(found).status == "ok" and num_epochs(found) == 3
    (stopped,) = [one for one in found if isinstance(one, PhaseEnded) and one.name == "stopped"]
    assert 3000.0 <= stopped.wall_s < 3500.0 and (stopped.user_s, stopped.system_s) == (0.0, 0.0)


@pytest.mark.slow
def test_a_run_that_hangs_in_its_turn_is_ended_at_its_limit(make_launch: MakeLaunch) -> None:
    options = {"fault": "hang", "fault_epoch": 2}
    request = make_launch(order="alternating", time_limit_s=5.0, model_options=options)
    records = [one for one in local.launch(request) if not isinstance(one, TurnAwaited)]
    assert ended(records).status == "timeout"


def test_one_that_is_killed_while_it_is_stopped(make_launch: MakeLaunch) -> None:
    records: list[Record] = []
    for record in local.launch(make_launch(order="alternating")):
        if not isinstance(record, TurnAwaited):
            records.append(record)
        elif num_epochs(records) == 1:
            os.kill(records[0].pid, signal.SIGKILL)  # type: ignore[union-attr]
            time.sleep(0.2)
    assert ended(records).status == "killed" and num_epochs(records) == 1


_OWNER = """
import pickle, sys, time
from bakeoff.launchers import local
from bakeoff.launchers.base import TurnAwaited

for record in local.launch(pickle.load(open(sys.argv[1], "rb"))):
    if hasattr(record, "pid"):
        print(record.pid, flush=True)
    if isinstance(record, TurnAwaited):
        print("stopped", flush=True)
        time.sleep(600)
"""


def test_kill_9_of_the_parent_ends_a_stopped_run_and_its_folder(
    make_launch: MakeLaunch,
    tmp_path: Path,
    alive: Callable[[int], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    (tmp_path / "launch").write_bytes(pickle.dumps(make_launch(order="alternating")))
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path / "launch")], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        session = int(owner.stdout.readline())
        assert owner.stdout.readline() == "stopped\n" and alive(session)
        owner.kill()
    deadline = time.monotonic() + 60
    while (alive(session) or list(temporary.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(session) == [] and list(temporary.iterdir()) == []
