"""The worker's channel: what the parent sees, and what happens when it is gone."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import bakeoff_worker
from bakeoff_worker.emit import Channel
from bakeoff_worker.records import RunEnded, RunWarning, from_line

WORKER_ROOT = str(Path(bakeoff_worker.__file__).parents[1])


def test_without_a_parent_records_are_appended(tmp_path):
    channel = Channel(str(tmp_path / "records"), None, None)
    channel.emit(RunWarning("one"))
    channel.emit(RunEnded("ok"))
    lines = (tmp_path / "records").read_text().splitlines()
    assert [from_line(line) for line in lines] == [RunWarning("one"), RunEnded("ok")]


def test_a_record_that_the_disk_takes_a_part_of_is_an_error(tmp_path):
    """A file may grow to 100 bytes: the system writes so many, and refuses the rest."""
    program = """if True:
        import resource
        from bakeoff_worker.emit import Channel
        from bakeoff_worker.records import RunWarning
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        Channel("records", None, None).emit(RunWarning("x" * 200))"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": WORKER_ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "File too large" in done.stderr
    assert (tmp_path / "records").stat().st_size == 100


@pytest.fixture
def pipes():
    """(doorbell read, doorbell write, control read, control write); the control pipe outlives the watcher."""
    ends = [*os.pipe(), *os.pipe()]
    yield ends
    for end in ends[:2]:
        os.close(end)


def test_emit_rings_once_the_record_is_written_and_waits_for_the_answer(tmp_path, pipes):
    heard, ring, control, answer = pipes
    channel = Channel(str(tmp_path / "records"), ring, control)
    done = threading.Event()
    emitting = threading.Thread(target=lambda: (channel.emit(RunWarning("one")), done.set()))
    emitting.start()
    assert os.read(heard, 10) == b"!"
    assert from_line((tmp_path / "records").read_text()) == RunWarning("one")
    assert not done.wait(0.2), "emit came back before the record was safe"
    os.write(answer, b"k")
    assert done.wait(5)
    emitting.join()


def test_answers_that_came_early_are_not_lost(tmp_path, pipes):
    _, ring, control, answer = pipes
    channel = Channel(str(tmp_path / "records"), ring, control)
    os.write(answer, b"kk")
    channel.emit(RunWarning("one"))
    channel.emit(RunWarning("two"))
    assert len((tmp_path / "records").read_text().splitlines()) == 2


CHILD = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from bakeoff_worker import emit
channel = emit.from_environment(sys.argv[2])
grandchild = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print(os.getpid(), grandchild.pid, flush=True)
time.sleep(600)
"""


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_when_the_parent_is_gone_the_whole_group_goes(tmp_path):
    heard, ring = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, WORKER_ROOT, str(tmp_path / "records")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(ring,),
        start_new_session=True,
        env={**os.environ, "BAKEOFF_DOORBELL_FD": str(ring)},
    )
    os.close(ring)
    try:
        pids = [int(pid) for pid in child.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        child.stdin.close()  # what the kernel does when the parent dies
        assert child.wait(10) == -signal.SIGKILL
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(alive(pid) for pid in pids)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        os.close(heard)


def test_frameworks_find_an_empty_standard_input(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from bakeoff_worker import emit\n"
        "channel = emit.from_environment(sys.argv[2])\n"
        "print(repr(sys.stdin.read()))"
    )
    heard, ring = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", program, WORKER_ROOT, str(tmp_path / "records")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(ring,),
        env={**os.environ, "BAKEOFF_DOORBELL_FD": str(ring)},
    )
    os.close(ring)
    assert child.stdout.readline() == "''\n"
    child.wait(10)
    child.stdin.close()
    child.stdout.close()
    os.close(heard)
