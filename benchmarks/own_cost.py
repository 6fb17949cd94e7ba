"""``make bench-own-cost``: what Bakeoff itself takes, beside what it measures.

Start-up of ``bakeoff --help``, CPU time of the parent while a real TensorFlow run trains (in a terminal
and without one), time to append an epoch's record, time and size of a report on 1,000 runs, and time of
``show`` and ``report`` on 24 runs as `quick` has them.
"""

from __future__ import annotations

import argparse
import os
import pty
import random
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bakeoff import plan, study
from bakeoff.session import study_row
from bakeoff.store.writer import Condition, Writer
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded, RunStarted, to_line
from benchmarks.goals import Figure, conclude

MAX_HELP_S = 0.15
MAX_PARENT_SHARE = 0.005
MAX_RENDER_S = 3.0
MAX_QUICK_S = {"show": 0.5, "report": 1.5}
MAX_REPORT_BYTES = 10e6
MIN_TRAINING_S = 30.0

_SEED = 1
_CONDITION = Condition("invented-machine", "invented-packages", {"description": "an invented machine"})


def main() -> int:
    """All figures; 0 if every goal was met."""
    arguments = _arguments()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users keep what was compiled
    parts = {
        "start-up": lambda folder: _start_up(arguments.starts),
        "parent": lambda folder: _parent(folder, arguments.epochs),
        "append": _append,
        "report": _report,
    }
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-own-cost-", dir=Path.cwd()) as name:
        for part, measure in parts.items():
            if part in arguments.parts:
                figures += measure(Path(name))
    return conclude("own-cost", figures)


# ---- start-up ---------------------------------------------------------------------------------------


def _start_up(number: int) -> list[Figure]:
    """Wall time of ``bakeoff --help`` and of an interpreter that does nothing, in turn."""
    program = Path(sys.executable).with_name("bakeoff")
    commands = {"help": [str(program), "--help"], "pass": [sys.executable, "-c", "pass"]}
    times: dict[str, list[float]] = {"help": [], "pass": []}
    for _ in range(number + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - began)
    help_s, pass_s = (
        statistics.median(times[name][1:]) for name in ("help", "pass")
    )  # the first fills caches
    print(f"bakeoff --help: median {help_s:.3f} s of {number}, python -c pass: {pass_s:.3f} s", flush=True)
    return [
        Figure(f"start-up of --help {help_s:.3f} s", f"≤ {MAX_HELP_S} s", help_s <= MAX_HELP_S),
        Figure(f"of python -c pass {pass_s:.3f} s"),
    ]


# ---- the parent while a run trains ------------------------------------------------------------------


@dataclass(frozen=True)
class Attendance:
    """What the parent used from the first epoch's record to the last one's."""

    cpu_s: float
    wall_s: float
    num_epochs: int

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s


def _parent(folder: Path, epochs: int) -> list[Figure]:
    """CPU time of the parent in a TensorFlow run on full MNIST, with a live table and with plain lines."""
    figures = []
    for mode in ("terminal", "plain"):
        found = _attend(folder / f"{mode}.sqlite", epochs, terminal=mode == "terminal")
        print(
            f"parent, {mode}: {found.cpu_s:.3f} CPU s in {found.wall_s:.1f} s, {found.num_epochs} epochs,"
            f" {1000 * found.cpu_s / found.num_epochs:.1f} ms an epoch",
            flush=True,
        )
        long_enough = found.wall_s >= MIN_TRAINING_S
        figures.append(
            Figure(
                f"parent's CPU ({mode}) {100 * found.share:.2f} % of a core"
                + ("" if long_enough else f" in only {found.wall_s:.0f} s"),
                f"≤ {100 * MAX_PARENT_SHARE} %",
                found.share <= MAX_PARENT_SHARE and long_enough,
            )
        )
    return figures


def _attend(store: Path, epochs: int, *, terminal: bool) -> Attendance:
    """Watch one run from outside, by its file of records and the kernel's clock of the parent."""
    overrides = {
        "matrix.backend": '["tensorflow"]',
        "matrix.dataset": '["mnist"]',
        "train_images": '"all"',
        "repeats": "1",
        "epochs": str(epochs),
    }
    command = [
        sys.executable,
        "-m",
        "bakeoff",
        "run",
        "quick",
        "--no-report",
        "--no-verify",
        "--store",
        str(store),
    ]
    for key, value in overrides.items():
        command += ["--set", f"{key}={value}"]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    output = theirs if terminal else subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=theirs, stdout=output, stderr=output, start_new_session=True)
    os.close(theirs)
    drain = threading.Thread(target=_drain, args=(ours,))
    drain.start()
    seen: list[tuple[float, float]] = []  # wall and CPU seconds when each epoch's record was written
    try:
        while process.poll() is None:
            written = _num_written(store)
            if written > len(seen):
                seen += [(time.monotonic(), _cpu_s(process.pid))] * (written - len(seen))
            time.sleep(0.01)
    finally:
        process.kill()  # it lives only if we were stopped
        process.wait()
    drain.join()
    if process.returncode not in (0, 1) or len(seen) != epochs:
        raise SystemExit(f"the run failed (exit code {process.returncode}, {len(seen)} of {epochs} epochs)")
    (began, cpu_began), (ended, cpu_ended) = seen[0], seen[-1]
    return Attendance(cpu_ended - cpu_began, ended - began, epochs - 1)


def _num_written(store: Path) -> int:
    """Epochs in the worker's file of records; 0 when it is not there yet, or no more."""
    for file in store.with_name(store.name + ".spool").glob("*.jsonl"):
        with suppress(FileNotFoundError):
            return file.read_bytes().count(b'"kind":"epoch"')
    return 0


def _cpu_s(pid: int) -> float:
    """CPU seconds of another process, all of its threads, to the nanosecond.

    Source: Linux, include/linux/posix-timers_types.h, MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED), which is
    what clock_getcpuclockid(3) gives.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _drain(terminal: int) -> None:
    """Read a terminal, as a screen would, until everybody has left it."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # Linux's word for its end
        pass
    finally:
        os.close(terminal)


# ---- one record -------------------------------------------------------------------------------------


def _append(folder: Path) -> list[Figure]:
    """Wall time to store an epoch's record on the disk of the current folder, durable on return."""
    chosen = study.load("smoke")
    specs = plan.expand(chosen)
    times = []
    with Writer(folder / "append.sqlite") as writer:
        writer.begin_study(study_row(chosen, specs))
        run_id = writer.begin_run(specs[0], study_digest=chosen.digest, condition=_CONDITION, environment={})
        for epoch in range(1, 2001):
            record = _epoch(epoch, 1.0, 0.5)
            began = time.perf_counter()
            writer.append(run_id, epoch, record)
            times.append(1000 * (time.perf_counter() - began))
    median, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"appending an epoch: median {median:.2f} ms, 99th percentile {p99:.2f} ms", flush=True)
    return [Figure(f"append of an epoch {median:.2f} ms (p99 {p99:.2f} ms)")]


# ---- the report -------------------------------------------------------------------------------------


def _report(folder: Path) -> list[Figure]:
    """Wall time of ``bakeoff report`` and size of its file: few trials with many repeats, and the reverse.

    Then of ``show`` and ``report`` on what `quick` leaves.
    """
    shapes = {
        "8 trials × 125": ["matrix.dataset=['mnist','fashion_mnist']", "repeats=125"],
        "100 trials × 10": [
            "matrix.dataset=['mnist']",
            f"matrix.global_batch_size={[50 * step for step in range(1, 26)]}",
            "repeats=10",
        ],
    }
    figures = []
    store, file = folder / "report.sqlite", folder / "report.html"
    for shape, overrides in shapes.items():
        num_runs = _invent(store, [*overrides, "epochs=200"])
        render_s = _took_s("report", store, "--output", str(file))
        size = file.stat().st_size
        print(f"report on {shape}: {render_s:.2f} s, {size / 1e6:.2f} MB, {num_runs} runs", flush=True)
        figures += [
            Figure(f"report ({shape}) {render_s:.2f} s", f"≤ {MAX_RENDER_S:g} s", render_s <= MAX_RENDER_S),
            Figure(f"{size / 1e6:.1f} MB", f"≤ {MAX_REPORT_BYTES / 1e6:g} MB", size <= MAX_REPORT_BYTES),
        ]
        store.unlink()
    num_runs = _invent(store, ())
    for command, options in {"show": (), "report": ("--output", str(file))}.items():
        took_s, goal_s = _took_s(command, store, *options), MAX_QUICK_S[command]
        print(f"{command} on {num_runs} runs: {took_s:.2f} s", flush=True)
        figures.append(
            Figure(f"{command} ({num_runs} runs) {took_s:.2f} s", f"≤ {goal_s} s", took_s <= goal_s)
        )
    return figures


def _took_s(command: str, store: Path, *options: str) -> float:
    """Median wall time of a command on the study `quick`, of three after one that fills caches."""
    words = [sys.executable, "-m", "bakeoff", command, "quick", "--store", str(store), *options]
    times = []
    for _ in range(4):
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _invent(store: Path, overrides: Sequence[str]) -> int:
    """A store of runs with invented epochs, each taken in as the file that a worker left; how many runs."""
    chosen = study.load("quick", overrides)
    specs = plan.expand(chosen)
    chance = random.Random(_SEED)
    pace = {backend: chance.uniform(0.5, 5) for backend in ("tensorflow", "jax", "torch", "theano")}
    with Writer(store) as writer:
        writer.begin_study(study_row(chosen, specs))
        for spec in specs:
            run_id = writer.begin_run(
                spec, study_digest=chosen.digest, condition=_CONDITION, environment={"name": "invented"}
            )
            lines = [to_line(record) for record in _invented(spec, pace[spec.settings.backend], chance)]
            writer.spool_path(run_id).write_text("".join(f"{line}\n" for line in lines))
            writer.ingest(run_id)
            writer.end_run(run_id, RunEnded("ok"), disturbance={"disturbed": False}, wall_s=1000.0)
    return len(specs)


def _invented(spec: RunSpec, pace_s: float, chance: random.Random) -> list[Record]:
    """The records of one run: errors that fall and settle, times with a little noise."""
    records: list[Record] = [RunStarted(1, 0.0, "3.11.0", 1), PhaseEnded("first_step", pace_s, pace_s, 0.1)]
    floor = 0.01 + 0.002 * chance.random()
    for epoch in range(1, spec.settings.epochs + 1):
        train_s = pace_s * chance.lognormvariate(0.0, 0.03)
        records.append(_epoch(epoch, train_s, floor + 0.2 / epoch + 0.001 * chance.random()))
    return records


def _epoch(number: int, train_s: float, error: float) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        num_images=4000,
        train_s=train_s,
        evaluation_s=0.1 * train_s,
        train_loss=3 * error,
        train_accuracy=1 - error,
        validation_loss=3.3 * error,
        validation_error=error,
        user_s=1.9 * train_s,
        system_s=0.1 * train_s,
        peak_memory_bytes=500_000_000,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-own-cost", description=(__doc__ or "").partition("\n\n")[0])
    parts = ("start-up", "parent", "append", "report")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="measure only these")
    parser.add_argument("--starts", type=int, default=30, help="how often --help is timed (default: 30)")
    parser.add_argument("--epochs", type=int, default=12, help="of the TensorFlow runs (default: 12)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
