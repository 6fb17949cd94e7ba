"""One child process on this machine, in its environment's interpreter and a session of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from pathlib import Path

import psutil

from bakeoff import cache, registry
from bakeoff.environments.variables import STEERING
from bakeoff.launchers.base import Launch, TurnAwaited
from bakeoff.launchers.scratch import GROUP, scratch
from bakeoff_worker.job import job_to_json
from bakeoff_worker.records import PhaseEnded, Record, RunEnded, from_line

# Variables that a child inherits; anything else of the caller's could change what is measured.
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    *STEERING,  # part of the environment's digest
)
_POLL_S = 1.0  # how often a silent child is looked at: for its time limit and its death
_EXIT_S = 30.0  # how long a child that has said its last word may take to leave
_LAST_LINES_BYTES = 4000
_FULL_BYTES = 16_384  # free on a disk that counts as full: less than a page or two, and one record


@dataclass
class _Stopped:
    """What a child took while it was stopped: wall, user and system seconds, over all waits for a turn."""

    wall_s: float = 0.0
    user_s: float = 0.0
    system_s: float = 0.0
    has_been: bool = False


def launch(request: Launch) -> Generator[Record | TurnAwaited, None, None]:
    """The records of one run as they come, the last one a `RunEnded`.

    Asking for the next record lets the child go on: it waits, no clock running, until then; where it awaits
    its turn, stopped with all its threads. Closing the iterator early kills the child with everything that it
    started.
    """
    worker = _stage_worker()
    stopped = _Stopped()
    spoke_at: float | None = None  # when the child said its last word
    with scratch("bakeoff-") as folder:
        job_file = folder / "job.json"
        paths = dataclasses.replace(request.job.paths, folder=str(folder))
        job_file.write_text(job_to_json(dataclasses.replace(request.job, paths=paths)))
        oom_kills = _oom_kills()
        doorbell, ring = os.pipe()
        try:
            child = _start(request, worker, job_file, ring)
        except OSError as error:
            yield RunEnded("failed", f"the interpreter could not be started: {error}")
            return
        finally:
            os.close(ring)
        try:
            (folder / GROUP).write_text(f"{child.pid}\n")
            ended, spoke_at = yield from _follow(request, child, doorbell, stopped)
            if ended.status in ("killed", "failed") and _oom_kills() > oom_kills:
                # The process itself, or one that it had started: on a cluster, an executor's.
                reason = "the system's out-of-memory killer ended a process of the run"
                ended = RunEnded("out_of_memory", f"{reason}. {ended.reason}", ended.last_lines)
            if ended.status != "ok" and not ended.last_lines:
                ended = RunEnded(ended.status, ended.reason, last_lines(request.log))
        finally:
            _kill_group(child)
            os.close(doorbell)
    if spoke_at is not None:
        yield PhaseEnded("end", time.perf_counter() - spoke_at, None, None)
    if stopped.has_been:
        yield PhaseEnded("stopped", stopped.wall_s, stopped.user_s, stopped.system_s)
    yield ended


def last_lines(log: Path) -> str:
    """The end of what the process printed, at most 4,000 bytes."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_LINES_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def _start(request: Launch, worker: Path, job_file: Path, ring: int) -> subprocess.Popen[bytes]:
    """The child, in a session of its own, with the log as its output and a pipe to be answered on."""
    with request.log.open("wb") as log:
        return subprocess.Popen(
            [str(request.environment.python), str(worker / "bakeoff_worker" / "__main__.py"), str(job_file)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(ring,),
            start_new_session=True,
            env=_variables(request, job_file.parent, ring),
            cwd=job_file.parent,
        )


def _follow(
    request: Launch, child: subprocess.Popen[bytes], doorbell: int, stopped: _Stopped
) -> Generator[Record | TurnAwaited, None, tuple[RunEnded, float | None]]:
    """Yield records until the child has said its last word or can't; returns how the run ended.

    And when the child said so, by `time.perf_counter`; None if it never did. The time limit is of its own
    time: what it was stopped for does not count.
    """
    started = time.monotonic()
    limit_s = request.job.spec.settings.time_limit_s
    with Path(request.job.paths.records).open("a+b") as records:
        records.seek(0)
        pending = b""
        while True:
            exited = child.poll() is not None  # asked before reading: what is read after it is complete
            pending += records.read()
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                try:
                    record = from_line(line.decode(errors="replace"))
                except ValueError as error:
                    return RunEnded("garbage", str(error)), None
                if isinstance(record, RunEnded):
                    spoke_at = time.perf_counter()
                    _leave(child)
                    return record, spoke_at
                yield record
                _answer(child)
            if exited:
                return _died(child.returncode, Path(request.job.paths.records)), None
            if request.stop and request.stop.is_set():
                return RunEnded("interrupted", "stopped by the user"), None
            own_s = time.monotonic() - started - stopped.wall_s
            left_s = _POLL_S if limit_s is None else min(_POLL_S, limit_s - own_s)
            if left_s <= 0:
                return RunEnded("timeout", f"still running after its time limit of {limit_s:g} s"), None
            if select.select([doorbell], [], [], left_s)[0] and b"t" in os.read(doorbell, 4096):
                yield from _stop(child, stopped)
                _answer(child)


def _stop(child: subprocess.Popen[bytes], stopped: _Stopped) -> Generator[TurnAwaited, None, None]:
    """Stop the child's whole group until the next record is asked for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGSTOP)
    since, before = time.monotonic(), _cpu_s(child.pid)
    yield TurnAwaited()
    stopped.has_been = True
    stopped.wall_s += time.monotonic() - since
    after = _cpu_s(child.pid)
    if before and after:
        stopped.user_s += after[0] - before[0]
        stopped.system_s += after[1] - before[1]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGCONT)


def _cpu_s(pid: int) -> tuple[float, float] | None:
    """User and system CPU seconds of a process with all its threads, to 10 ms; None if it is dead."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return times.user, times.system


def _leave(child: subprocess.Popen[bytes]) -> None:
    """Let the child go, and wait until its interpreter has left."""
    _answer(child)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_EXIT_S)


def _answer(child: subprocess.Popen[bytes]) -> None:
    """Tell the child that its last record is safe."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(b"k")
        child.stdin.flush()


def _died(returncode: int, records: Path) -> RunEnded:
    """The end of a child that left without a word. records: the file that it wrote to."""
    if returncode == -signal.SIGKILL:
        return RunEnded("killed", "the process was killed (SIGKILL)")
    if returncode < 0:
        return RunEnded("failed", f"the process died of {signal.Signals(-returncode).name}")
    reason = f"the process left with exit code {returncode} before its run had ended"
    if shutil.disk_usage(records.parent).free < _FULL_BYTES:
        reason += f": No space left on device ({records.parent})"
    return RunEnded("failed", reason)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started; they share a process group of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdin:
        with contextlib.suppress(OSError):
            child.stdin.close()


def _variables(request: Launch, folder: Path, ring: int) -> dict[str, str]:
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables.update(
        # Settings that a user keeps for all their programs: what is computed would hang on them unseen.
        KERAS_HOME=str(folder),
        THEANORC=os.devnull,
        PYTHONHASHSEED="0",
        PYTHONNOUSERSITE="1",
        PYTHONUNBUFFERED="1",
        BAKEOFF_DOORBELL_FD=str(ring),
    )
    variables.update(request.environment.variables)
    variables.update(request.job.spec.settings.variables or {})
    return variables


def _oom_kills() -> int:
    """How often this system has killed for memory since it started; 0 where it doesn't say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _stage_worker() -> Path:
    """A folder that holds the worker package and nothing else, named by its content.

    The package's own folder would do were it not that its neighbours (our whole site-packages) would then
    be importable inside the contestants' environments. A study that runs for days keeps the worker that it
    started with, whatever is upgraded meanwhile. Backends that the user brings lie among the others.
    """
    source = Path(str(resources.files("bakeoff_worker")))
    brought = [folder for _, folder in registry.backends().values() if not folder.is_relative_to(source)]
    places = {source: Path(), **{folder: Path("backends", folder.name) for folder in brought}}
    digest = sha256()
    for folder, place in places.items():
        for path in sorted(folder.rglob("*.py")):
            name = place / path.relative_to(folder)
            digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    staged = cache.root() / "worker" / digest.hexdigest()[:16]
    if not staged.exists():
        staged.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=staged.parent))
        ignored = shutil.ignore_patterns("__pycache__")
        for folder, place in places.items():
            shutil.copytree(folder, temporary / "bakeoff_worker" / place, ignore=ignored)
        try:
            temporary.rename(staged)
        except OSError:  # another process was faster; its copy is the same
            shutil.rmtree(temporary)
    return staged
