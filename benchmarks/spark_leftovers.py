"""``make bench-spark-leftovers``: what a distributed run leaves behind, however it ends.

A small study on an embedded cluster is run to its end, stopped by Ctrl-C, and killed (kill -9 of Bakeoff or
of its driver) at moments drawn at random between its start and its end. After each are counted: processes
that live on (this process adopts what the dead leave behind), ports of theirs that are listened on still, and
files in the folder for temporary files, which is the study's own.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.goals import Figure, conclude
from benchmarks.kill import adopt_orphans, workers_of

_LOOK_S = 0.5  # how often the ports are looked at while a run goes on
GRACE_S = 30.0  # for the guardian on a busy machine; a JVM takes long to die while it dumps its heap

STUDY = """
name = "leftovers"
repeats = 1
[defaults]
backend = "tensorflow"
distribution = "elephas"
train_images = 1000
evaluation_images = 200
epochs = 3
distribution_options.mode = "synchronous"
distribution_options.layout = "2x1"
distribution_options.batch_size_per_task = 50
"""


@dataclass(frozen=True)
class Left:
    """What one round left behind: how many of each; and whether its blow found what it was meant for."""

    processes: int
    ports: int
    files: int
    struck: bool


def main() -> int:
    """Run, stop and kill as often as asked; 0 if nothing was ever left."""
    arguments = _arguments()
    adopt_orphans()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="bench-spark-leftovers-", dir=Path.cwd()) as name:
        folder = Path(name)
        (folder / "leftovers.toml").write_text(STUDY)
        found = [_round(folder, "a normal end", None, None)]  # fills caches, too
        began = time.monotonic()
        found += [_round(folder, "a normal end", None, None) for _ in range(arguments.normal - 1)]
        whole_s = (time.monotonic() - began) / max(arguments.normal - 1, 1)
        print(f"undisturbed: {whole_s:.0f} s")
        for _ in range(arguments.interrupts):
            found.append(_round(folder, "Ctrl-C", chance.uniform(1, whole_s), None))
        num_killed = 0
        while num_killed < arguments.kills:  # one that comes too late is drawn again
            victim = chance.choice(("Bakeoff", "the driver"))
            found.append(_round(folder, "kill -9", chance.uniform(1, whole_s), victim))
            num_killed += found[-1].struck
    processes = sum(one.processes for one in found)
    ports, files = sum(one.ports for one in found), sum(one.files for one in found)
    return conclude(
        "spark-leftovers",
        [
            Figure(f"endings {len(found)}, of them {arguments.kills} by kill -9"),
            Figure(f"processes {processes}", "0", processes == 0),
            Figure(f"ports {ports}", "0", ports == 0),
            Figure(f"files {files}", "0", files == 0),
        ],
    )


def _round(folder: Path, ending: str, after_s: float | None, victim: str | None) -> Left:
    """One run and its end; then what is left of it is counted and cleared away."""
    temporary = Path(tempfile.mkdtemp(dir=folder))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "bakeoff",
                    "run",
                    "leftovers.toml",
                    "--quiet",
                    "--no-report",
                    "--no-verify",
                ),
                *("--store", str(temporary.with_suffix(".sqlite"))),
            ],
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
    ports: set[int] = set()
    struck = _end(process, after_s, victim, ports)
    if after_s is None and process.returncode != 0:
        raise SystemExit((folder / "output").read_text() + "the study fails although nobody strikes")
    deadline = time.monotonic() + GRACE_S
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # the adopted dead are ours to bury
        living = psutil.Process().children(recursive=True)
        open_still, files = ports & _listening(), _under(temporary)
        if not (living or open_still or files) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for one in living:
        with suppress(psutil.NoSuchProcess):
            print(f"left over: {one.pid} {one.cmdline()}")
            one.kill()
    for what in (*sorted(open_still), *files[:10]):
        print(f"left over: {what}")
    when = "" if after_s is None else f" of {victim or 'Bakeoff'} after {after_s:.1f} s"
    late = "" if struck else " (it had ended)"
    print(
        f"{ending}{when}{late}: {len(living)} processes, {len(open_still)} ports, {len(files)} files",
        flush=True,
    )
    return Left(len(living), len(open_still), len(files), struck)


def _end(
    process: subprocess.Popen[bytes], after_s: float | None, victim: str | None, ports: set[int]
) -> bool:
    """Let the program end, or end it; whether it still ran when its moment came.

    ports: takes those that it and what it started were seen to listen on.
    """
    began = time.monotonic()
    while process.poll() is None and (after_s is None or time.monotonic() - began < after_s):
        mine = {process.pid, *(child.pid for child in psutil.Process().children(recursive=True))}
        ports |= _listening(mine)
        time.sleep(_LOOK_S)
    if process.poll() is not None:
        return after_s is None
    struck = True
    if victim is None:
        os.killpg(process.pid, signal.SIGINT)
    elif victim == "Bakeoff":
        process.kill()
    else:
        drivers = workers_of(process.pid)
        struck = bool(drivers)
        for pid in drivers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
    return struck


def _under(folder: Path) -> list[Path]:
    """Everything in a folder; what vanishes meanwhile is no matter."""
    return [Path(root, name) for root, folders, files in os.walk(folder) for name in folders + files]


def _listening(by: set[int] | None = None) -> set[int]:
    """Ports that are listened on, by these processes or by any."""
    return {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and (by is None or connection.pid in by)
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-spark-leftovers", description=__doc__)
    parser.add_argument("--normal", type=int, default=2, help="normal ends, one after the other (default: 2)")
    parser.add_argument("--interrupts", type=int, default=2, help="Ctrl-C (default: 2)")
    parser.add_argument("--kills", type=int, default=20, help="kill -9 (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of victims and moments (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
