"""Nothing outlives its run: small processes here, and real clusters killed at all moments."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bakeoff_worker
from bakeoff_worker.distribution.spark import guardian

WORKER_ROOT = str(Path(bakeoff_worker.__file__).parents[1])

GUARDED = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from bakeoff_worker.distribution.spark import guardian
watching = guardian.watch(sys.argv[2])
# As Spark's Python workers do: a group of its own, in the same session, deaf to a friendly word.
strayed = subprocess.Popen([sys.executable, "-S", "-c", '''
import os, signal, time
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
'''], stdout=subprocess.PIPE)
strayed.stdout.readline()
print(os.getpid(), strayed.pid, watching.pid, flush=True)
"""


class Guarded:
    """A process that is guarded, with a child in a group of its own."""

    def __init__(self, place: Path, then: str, **variables: str) -> None:
        self.folder = place / "folder"
        (self.folder / "deep").mkdir(parents=True)
        (self.folder / "deep" / "file").write_text("something")
        self.process = subprocess.Popen(
            [sys.executable, "-c", GUARDED + then, WORKER_ROOT, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **variables},
        )
        assert self.process.stdout is not None
        self.pid, self.strayed, self.guardian = (int(pid) for pid in self.process.stdout.readline().split())

    def end(self) -> None:
        for pid in (self.pid, self.strayed):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def guarded(tmp_path):
    started = []

    def start(then="time.sleep(600)"):
        started.append(Guarded(tmp_path, then))
        return started[-1]

    yield start
    for one in started:
        one.end()


def gone(look, *pids):
    return look.wait_until(lambda: all((look.stat(pid) or "Z")[0] in "ZX" for pid in pids), 10)


def test_a_killed_process_takes_its_session_and_its_folder_along(guarded, look):
    one = guarded()
    os.kill(one.pid, signal.SIGKILL)
    assert gone(look, one.strayed)
    assert look.wait_until(lambda: not one.folder.exists(), 10)
    assert gone(look, one.guardian)
    assert look.members(one.pid) == []


def test_a_killed_group_takes_the_rest_of_its_session_along(guarded, look):
    one = guarded()
    os.killpg(one.pid, signal.SIGKILL)
    assert gone(look, one.strayed, one.guardian)
    assert not one.folder.exists()


def test_a_process_that_ends_without_a_word_is_cleared_up_after(guarded, look):
    one = guarded("sys.exit(3)")
    assert one.process.wait(10) == 3
    assert gone(look, one.strayed, one.guardian)
    assert not one.folder.exists()


def test_after_a_normal_end_nothing_is_harmed(guarded, look):
    one = guarded("watching.done(); watching.done(); print('done', flush=True)")
    assert one.process.stdout.readline() == b"done\n"
    assert one.process.wait(10) == 0
    assert gone(look, one.guardian)
    assert look.stat(one.strayed)[0] != "Z"
    assert (one.folder / "deep" / "file").exists()


def test_a_forked_child_that_stays_does_not_hide_the_death_of_its_parent(guarded, look):
    one = guarded(
        "child = os.fork()\nif child == 0: os.setpgid(0, 0)\nelse: print(child, flush=True)\ntime.sleep(600)"
    )
    child = int(one.process.stdout.readline())
    os.kill(one.pid, signal.SIGKILL)
    assert gone(look, child, one.strayed, one.guardian)
    assert not one.folder.exists()


def test_the_guardian_holds_nothing_and_is_alone(guarded, look):
    one = guarded()
    folder = Path(f"/proc/{one.guardian}/fd")
    assert os.getsid(one.guardian) == one.guardian
    # Python has a file or two open while it starts.
    assert look.wait_until(lambda: sorted(entry.name for entry in folder.iterdir()) == ["0", "1", "2"], 10)
    held = [str((folder / name).readlink()) for name in "012"]
    assert held[0].startswith("pipe:")
    assert held[1:] == ["/dev/null", "/dev/null"]
    assert Path(f"/proc/{one.guardian}/cwd").readlink() == Path("/")


def test_the_guardian_survives_ctrl_c_and_a_lost_terminal(guarded, look):
    one = guarded()
    time.sleep(0.3)  # it has started Python
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(one.guardian, number)
    os.kill(one.pid, signal.SIGKILL)
    assert gone(look, one.strayed, one.guardian)
    assert not one.folder.exists()


def test_a_death_of_the_guardian_is_not_held_against_the_run(guarded):
    one = guarded("sys.stdin.read(); watching.done(); print('done', flush=True)")
    os.kill(one.guardian, signal.SIGKILL)
    one.process.stdin.close()
    assert one.process.stdout.readline() == b"done\n"
    assert one.process.wait(10) == 0
    assert one.folder.exists()


def test_a_session_number_given_to_somebody_else_is_let_alone(guarded):
    one = guarded()
    since = guardian._processes(one.pid)[one.pid][guardian._START]
    assert set(guardian._members(one.pid, since)) == {one.pid, one.strayed}
    assert guardian._members(one.pid, str(int(since) - 1)) == []
    assert guardian._members(one.pid, str(int(since) + 1)) == []


def test_a_folder_made_anew_by_somebody_else_is_let_alone(guarded, look):
    one = guarded()
    one.folder.rename(one.folder.with_name("moved"))
    one.folder.mkdir()
    (one.folder / "theirs").touch()
    os.kill(one.pid, signal.SIGKILL)
    assert gone(look, one.strayed, one.guardian)
    assert (one.folder / "theirs").exists()


def test_a_process_among_others_in_its_session_is_not_guarded(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", GUARDED, WORKER_ROOT, str(tmp_path)], capture_output=True, text=True
    )
    assert "RuntimeError" in child.stderr
    assert f"shares session {os.getsid(0)} with others" in child.stderr
    assert "start_new_session=True" in child.stderr


# As the worker does it: its parent dies, its standard input closes, and it kills its own group.
def test_when_bakeoff_dies_the_guardian_ends_what_left_the_group(tmp_path, look):
    heard, ring = os.pipe()
    os.set_inheritable(ring, True)
    folder = tmp_path / "folder"
    folder.mkdir()
    emitting = (
        "from bakeoff_worker import emit\n"
        "channel = emit.from_environment(sys.argv[2] + '.records')\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", GUARDED + emitting, WORKER_ROOT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(ring,),
        start_new_session=True,
        env={**os.environ, "BAKEOFF_DOORBELL_FD": str(ring)},
    )
    os.close(ring)
    try:
        pid, strayed, guarding = (int(pid) for pid in child.stdout.readline().split())
        child.stdin.close()  # what the kernel does when the parent dies
        assert child.wait(10) == -signal.SIGKILL
        assert gone(look, pid, strayed, guarding)
        assert not folder.exists()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.close(heard)


# ---- Spark --------------------------------------------------------------------------------------


def kill_driver(pid):
    os.kill(pid, signal.SIGKILL)


def kill_group(pid):
    os.killpg(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "kill"),
    [
        ("guarded", kill_driver),
        ("cluster", kill_group),
        ("tasks", kill_driver),
        pytest.param("guarded", kill_group, marks=pytest.mark.exhaustive),
        pytest.param("cluster", kill_driver, marks=pytest.mark.exhaustive),
        pytest.param("tasks", kill_group, marks=pytest.mark.exhaustive),
    ],
)
def test_no_process_port_or_file_outlives_a_killed_driver(driver, look, moment, kill):
    one = driver("endless")
    guarding = one.reach("guarded")["guardian"]
    if moment != "guarded":
        one.reach(moment)
    # Driver and master; the workers and the driver's JVM; two executors, their daemons, workers and children.
    expected = {"guarded": 2, "cluster": 5, "tasks": 13}[moment]
    assert look.wait_until(lambda: len(look.members(one.session)) >= expected, 120)
    pids = look.members(one.session)
    held = look.sockets(pids)
    kill(one.session)
    assert look.wait_until(lambda: look.members(one.session) == [], 30)
    assert look.wait_until(lambda: not one.folder.exists(), 10)
    assert gone(look, guarding)
    assert not held & set(look.listening())
    assert list(one.home.iterdir()) == []
