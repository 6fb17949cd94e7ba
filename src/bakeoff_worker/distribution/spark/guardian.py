"""Nothing of a run outlives it: a tiny process that waits for ours to die, and clears up after it.

It waits, costing nothing, at a pipe whose other end only the watched process has. When the pipe closes, that
process is gone, however it went: then everything in its session is killed, and its folders are removed. A
session holds what a process group does not: Spark's Python workers move into a group of their own, but a
JVM's children, and theirs, stay in the session that they were born in.

Run as a program of its own, it imports the standard library alone. It reads /proc, so it needs Linux.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Dict, List, Optional, Sequence

_DONE = b"d"
_PAUSE_S = 0.02
_KILL_S = 60.0  # a process in uninterruptible sleep, which no signal reaches, is waited for no longer
_REMOVE_S = 10.0


class Watch:
    """The watched process's end of the pipe."""

    def __init__(self, guardian: "subprocess.Popen[bytes]", pipe: int) -> None:
        self._guardian = guardian
        self._pipe: Optional[int] = pipe
        # A forked child that runs on without exec (Elephas's parameter server) must not hold the pipe open.
        os.register_at_fork(after_in_child=self._forget)

    @property
    def pid(self) -> int:
        """Of the guardian."""
        return self._guardian.pid

    def done(self) -> None:
        """All has ended as it should: the guardian leaves without harm. A second call does nothing."""
        if self._pipe is None:
            return
        with contextlib.suppress(OSError):  # it was killed: nobody is left to do harm
            os.write(self._pipe, _DONE)
        self._forget()
        self._guardian.wait()

    def _forget(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def watch(*folders: str) -> Watch:
    """From now on this process's whole session ends when it does, and the folders are removed.

    The guardian is detached: a session of its own, no descriptor of ours but the pipe.

    Raises:
        RuntimeError: this process doesn't lead its session, so that others live in it.
    """
    if os.getsid(0) != os.getpid():
        raise RuntimeError(
            "process {} can't be guarded: it shares session {} with others; expected the leader of a session "
            "of its own, as subprocess.Popen(..., start_new_session=True) starts it".format(
                os.getpid(), os.getsid(0)
            )
        )
    since = _processes(os.getpid())[os.getpid()][_START]
    named = ["{}:{}:{}".format(*_identity(folder), os.path.abspath(folder)) for folder in folders]
    read, write = os.pipe()  # neither is inherited by what is executed from here on
    try:
        guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", "-E", os.path.abspath(__file__), str(os.getpid()), since, *named],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            start_new_session=True,
        )
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    return Watch(guardian, write)


# ---- the guardian itself ------------------------------------------------------------------------

# Fields of /proc/PID/stat, counted from the third.
_STATE, _SESSION, _THREADS, _START = 0, 3, 17, 19


def _guard(session: int, since: str, folders: Sequence[str]) -> None:
    """Wait for the end of the watched process; unless it said that all is done, clear up."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1) == _DONE:
        return
    deadline = time.monotonic() + _KILL_S
    num_empty = 0
    while num_empty < 2 and time.monotonic() < deadline:
        members = _members(session, since)
        num_empty = 0 if members else num_empty + 1
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    for named in folders:
        device, inode, path = named.split(":", 2)
        _remove(path, [int(device), int(inode)])


def _members(session: int, since: str) -> List[int]:
    """Living processes of the session whose leader was started at ``since`` (clock ticks since boot).

    The kernel gives a session's number to no new process while one is left in it. So if a process of that
    number was started at another time, the session is over and the number has been given away.
    """
    processes = _processes()
    leader = processes.get(session)
    if leader is not None and leader[_START] != since:
        return []
    return [
        pid
        for pid, stat in processes.items()
        if int(stat[_SESSION]) == session
        and _lives(stat)
        and int(stat[_START]) >= int(since)
        and pid != os.getpid()
    ]


def _lives(stat: List[str]) -> bool:
    """A JVM whose first thread is dead already has ports and files open until the others are."""
    return stat[_STATE] not in "ZX" or int(stat[_THREADS]) > 1


def _processes(*pids: int) -> Dict[int, List[str]]:
    """Fields of /proc/PID/stat of these processes; of all if none is named."""
    found = {}
    for pid in pids or [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        with contextlib.suppress(OSError), open("/proc/{}/stat".format(pid), errors="replace") as file:
            # The name, in parentheses, may itself hold parentheses and blanks.
            found[pid] = file.read().rpartition(")")[2].split()
    return {pid: stat for pid, stat in found.items() if len(stat) > _START}


def _identity(path: str) -> List[int]:
    """Device and inode: a folder that was removed and made again under the same name is somebody else's."""
    stat = os.lstat(path)
    return [stat.st_dev, stat.st_ino]


def _remove(folder: str, identity: List[int]) -> None:
    """Remove the folder if it is still the one; what a dying process adds meanwhile is removed as well."""
    deadline = time.monotonic() + _REMOVE_S
    while time.monotonic() < deadline:
        try:
            if _identity(folder) != identity:
                return
        except OSError:
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _guard(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
