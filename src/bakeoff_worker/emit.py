"""The worker's only way out: one JSON line per record, appended to the run's private file.

The parent is rung through a pipe (``BAKEOFF_DOORBELL_FD``) and answers on our standard input with one
byte once the record is safe in its store. `emit` waits for that answer, so that the parent's writing
and drawing never overlap with anything that is timed. `await_turn` rings with nothing to store. When
standard input closes, the parent is gone, and the whole process group ends, its folder removed: nothing of a
run outlives the one who asked for it.

Without a doorbell (a driver started by somebody else) records are only appended.
"""

import os
import shutil
import signal
import threading
from typing import Optional

from bakeoff_worker.records import Record, to_line

_RECORD, _TURN, _SAFE = b"!", b"t", b"k"


class Channel:
    """Appends records to a file; with a parent at the other end, waits until each one is safe."""

    def __init__(
        self,
        records_path: str,
        doorbell_fd: Optional[int],
        control_fd: Optional[int],
        folder: Optional[str] = None,
    ) -> None:
        self._file = os.open(records_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._doorbell = doorbell_fd
        self._safe = threading.Semaphore(0)
        self._lock = threading.Lock()  # a cluster's progress comes from a thread of its own
        self._folder = folder
        if control_fd is not None:
            watcher = threading.Thread(
                target=self._watch, args=(control_fd,), name="bakeoff-parent", daemon=True
            )
            watcher.start()

    def emit(self, record: Record) -> None:
        """Append one record and wait until the parent has it. Call it only while no clock runs."""
        with self._lock:
            line = (to_line(record) + "\n").encode()
            while line:  # a disk that fills up takes a part and fails at the next attempt
                line = line[os.write(self._file, line) :]
            self._ring(_RECORD)

    def await_turn(self) -> None:
        """Wait until the parent lets this run train on: others train meanwhile, and it is stopped."""
        with self._lock:
            self._ring(_TURN)

    def _ring(self, why: bytes) -> None:
        if self._doorbell is not None:
            os.write(self._doorbell, why)
            self._safe.acquire()

    def _watch(self, control_fd: int) -> None:
        """Blocked in read, costing nothing, until the parent answers or dies."""
        while True:
            answer = os.read(control_fd, 1)
            if answer == _SAFE:
                self._safe.release()
            elif not answer:
                if self._folder:
                    shutil.rmtree(self._folder, ignore_errors=True)
                os.killpg(os.getpgrp(), signal.SIGKILL)


def from_environment(records_path: str, folder: Optional[str] = None) -> Channel:
    """The channel that the parent prepared: takes standard input over, so that no framework reads it.

    folder: private to the run; removed if the parent dies.
    """
    doorbell = os.environ.pop("BAKEOFF_DOORBELL_FD", None)
    if doorbell is None:
        return Channel(records_path, None, None)
    control = os.dup(0)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)
    return Channel(records_path, int(doorbell), control, folder)
