"""Spark drivers run as they are in a study: a session of their own, an environment's interpreter."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import BRIEF

import bakeoff_worker
from bakeoff import environments
from bakeoff.environments import Environment

WORKER_ROOT = Path(bakeoff_worker.__file__).parents[1]
APPLICATION = Path(__file__).with_name("application.py")
LIMIT_S = 240.0
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


class Driver:
    """A running ``application.py``, and the session that it leads."""

    def __init__(self, python: Path, request: dict[str, Any], place: Path) -> None:
        self.folder = Path(request["folder"])
        self.home = place / "home"
        self.home.mkdir()
        self.log = place / "log"
        (place / "request.json").write_text(json.dumps(request))
        self._pending = b""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, APPLICATION, WORKER_ROOT, place / "request.json"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "JAVA_TOOL_OPTIONS": BRIEF, "HOME": str(self.home)},
                cwd=place,
            )

    @property
    def session(self) -> int:
        return self.process.pid

    def reach(self, name: str) -> dict[str, Any]:
        """What it said when it reached this, having waited for it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + LIMIT_S
        while True:
            while b"\n" in self._pending:
                line, self._pending = self._pending.split(b"\n", 1)
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if said["reached"] == name:
                        return said  # type: ignore[no-any-return]
            ready = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            heard = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not heard:
                pytest.fail(f"{name} was not reached; the end of the log:\n{self.log.read_text()[-4000:]}")
            self._pending += heard

    def go_on(self) -> None:
        """Close its standard input, for which a scenario may wait."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self) -> None:
        """Nothing of it is left after a test, whatever became of the test."""
        for pid in members(self.session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: state, parent, group, session, ...; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def members(session: int) -> list[int]:
    """Processes of a session of which a thread still lives."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = [(pid, fields) for pid in pids if (fields := stat(pid))]
    return [
        pid
        for pid, fields in found
        if int(fields[3]) == session and (fields[0] not in "ZX" or int(fields[17]) > 1)
    ]


def sockets(pids: list[int]) -> set[str]:
    """Inodes of all sockets of these processes."""
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                match = re.match(r"socket:\[(\d+)\]", str(descriptor.readlink()))
                if match:
                    found.add(match[1])
    return found


def listening() -> dict[str, tuple[str, int]]:
    """Inode to address (as /proc/net has it) and port of every listening TCP socket."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, port = fields[1].split(":")
                found[fields[9]] = (address, int(port, 16))
    return found


def written(pids: list[int]) -> set[Path]:
    """Files that these processes have open for writing."""
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fdinfo").glob("*"):
            with contextlib.suppress(OSError, AttributeError):
                flags = int(re.search(r"flags:\s+(\d+)", descriptor.read_text())[1], 8)  # type: ignore[index]
                target = str(Path(f"/proc/{pid}/fd/{descriptor.name}").readlink())
                if flags & os.O_ACCMODE and target.startswith("/") and not target.startswith("/dev/"):
                    found.add(Path(target))
    return found


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


class Look:
    """The functions above, for tests, which can't import this file."""

    members = staticmethod(members)
    sockets = staticmethod(sockets)
    listening = staticmethod(listening)
    written = staticmethod(written)
    wait_until = staticmethod(wait_until)
    stat = staticmethod(stat)
    loopback = LOOPBACK


@pytest.fixture(scope="session")
def look() -> type[Look]:
    return Look


@pytest.fixture
def driver(tmp_path: Path, environment: Callable[[str], Environment]) -> Iterator[Callable[..., Driver]]:
    """Starts a driver: ``driver("look", layout=(2, 1))``; what is left of it after the test is killed."""
    started = []

    def start(
        scenario: str,
        layout: tuple[int, int] = (2, 1),
        *,
        home: str = "theano_spark",
        java: Path | None = None,
        **more: Any,
    ) -> Driver:
        found = environment(home)
        place = tmp_path / f"run-{len(started)}"
        folder = place / "folder"
        folder.mkdir(parents=True)
        request = {
            "scenario": scenario,
            "layout": layout,
            "folder": str(folder),
            "java": str(java or environments.java.find(home).home),
            "guarded": True,
            "secret": "0123456789abcdef",
            **more,
        }
        one = Driver(found.python, request, place)
        started.append(one)
        return one

    yield start
    for one in started:
        one.end()
