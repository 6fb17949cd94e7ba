"""``make bench-kill``: kill -9 of Bakeoff or of its worker, fifty times, at moments drawn at random.

Each round is a study of its own: it is started, struck once, checked, and started again until it is
complete. The truth about which epochs had ended is the worker's own file of records. It is hard-linked
elsewhere when it appears, so that it outlives what Bakeoff does to it, and read by code that shares
nothing with the store's. Leftover processes are looked for among our descendants: this process adopts
what the dead leave behind.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.goals import Figure, conclude

GRACE_S = 10.0  # for a worker to notice that its parent is gone, on a machine that may be busy
_LOOK_S = 0.001  # how often we look for new files and records
_PR_SET_CHILD_SUBREAPER = 36  # Linux, include/uapi/linux/prctl.h

# Four runs of six epochs of about 50 ms, so that many a blow falls while a record is written.
FAKE_STUDY = """
name = "kill"
repeats = 2
[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
model_options.epoch_s = 0.05
epochs = 6
[matrix]
global_batch_size = [10, 20]
"""
REAL_STUDY = """
name = "kill-real"
repeats = 2
[defaults]
backend = "tensorflow"
dataset = "mnist"
train_images = 6000
evaluation_images = 500
epochs = 6
"""
MODEL = '''def build(input_shape, num_classes, **options):
    """Never called: the fake backend trains nothing."""
'''


@dataclass(frozen=True)
class Study:
    """A study file, the epochs of each of its runs, and variables that its runs need."""

    file: Path
    num_epochs: int
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Blow:
    """Who is killed, and when: so many seconds after the start, or as soon as so many records are written."""

    victim: str
    after_s: float | None = None
    after_records: int | None = None

    def __str__(self) -> str:
        when = (
            f"after {self.after_s:.3f} s" if self.after_s is not None else f"at record {self.after_records}"
        )
        return f"kill -9 of the {self.victim} {when}"


@dataclass(frozen=True)
class Outcome:
    """What one round found: epochs that had ended and how many of them the store lacks, and so on."""

    num_ended: int
    num_lost: int
    num_leftover: int
    damaged: bool
    completed: bool


@dataclass(frozen=True)
class Undisturbed:
    """A whole study without any blow: how long it takes and how many records its workers write."""

    wall_s: float
    num_records: int


class Witness:
    """Keeps every file of records that appears beside a store, whatever becomes of it there."""

    def __init__(self, store: Path, folder: Path) -> None:
        self._spool = store.with_name(store.name + ".spool")
        self._folder = folder
        folder.mkdir()

    def look(self) -> None:
        """Link what is new."""
        for file in self._spool.glob("*.jsonl"):
            with suppress(FileExistsError, FileNotFoundError):
                os.link(file, self._folder / file.name)

    def num_records(self) -> int:
        """Complete lines in all files."""
        return sum(file.read_bytes().count(b"\n") for file in self._folder.iterdir())

    def ended_epochs(self) -> set[tuple[str, int, float]]:
        """(run_id, epoch, train_s) of each epoch whose record is complete."""
        found = set()
        for file in self._folder.iterdir():
            for line in file.read_bytes().split(b"\n")[:-1]:  # what follows the last newline is torn
                record = json.loads(line)
                if record["kind"] == "epoch":
                    found.add((file.stem, record["epoch"], record["train_s"]))
        return found


def main() -> int:
    """Strike as often as asked; 0 if nothing was lost, left, damaged or left undone."""
    arguments = _arguments()
    adopt_orphans()
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}: {arguments.kills} blows, {arguments.real} of them to TensorFlow runs")
    with tempfile.TemporaryDirectory(prefix="bench-kill-", dir=Path.cwd()) as name:
        folder = Path(name)
        outcomes = []
        num_fake = arguments.kills - arguments.real
        for study, num_blows in (
            (_fake_study(folder, "sequential"), num_fake - num_fake // 2),
            (_fake_study(folder, "alternating"), num_fake // 2),
            (_real_study(folder), arguments.real),
        ):
            if num_blows > 0:
                outcomes += _rounds(study, num_blows, chance)
    return _conclude(outcomes)


def _rounds(study: Study, num_blows: int, chance: random.Random) -> list[Outcome]:
    """As many rounds as it takes to strike so often; a blow that comes too late is drawn again."""
    home = study.file.with_suffix(".round")
    _undisturbed(study, home)  # fills caches, so that all rounds start alike
    whole = _undisturbed(study, home)
    print(f"{study.file.stem}: undisturbed {whole.wall_s:.1f} s, {whole.num_records} records", flush=True)
    outcomes: list[Outcome] = []
    while len(outcomes) < num_blows:
        blow = _draw(chance, whole)
        outcome = _round(study, blow, home)
        if outcome is None:
            continue
        outcomes.append(outcome)
        print(
            f"{len(outcomes)}: {blow}: lost {outcome.num_lost} of {outcome.num_ended} epochs,"
            f" {outcome.num_leftover} leftover, {'DAMAGED' if outcome.damaged else 'whole'},"
            f" {'completed' if outcome.completed else 'NOT COMPLETED'}",
            flush=True,
        )
    return outcomes


def _draw(chance: random.Random, whole: Undisturbed) -> Blow:
    """Half of the blows fall at any time, half just when a record is written, which is when it hurts."""
    victim = chance.choice(("parent", "worker"))
    if chance.random() < 0.5:
        return Blow(victim, after_s=chance.uniform(0, whole.wall_s))
    return Blow(victim, after_records=chance.randint(1, whole.num_records))


def _undisturbed(study: Study, home: Path) -> Undisturbed:
    """A whole run of the study that nobody strikes."""
    _clear(home)
    witness = Witness(home / "store.sqlite", home / "witness")
    process = _start(study, home)
    began = time.monotonic()
    _watch(process, witness, lambda: None)
    if process.returncode != 0:
        raise SystemExit((home / "output").read_text() + "the study fails although nobody strikes")
    return Undisturbed(time.monotonic() - began, witness.num_records())


def _round(study: Study, blow: Blow, home: Path) -> Outcome | None:
    """One blow, and what came of it; None if the study was over before the moment came."""
    _clear(home)
    store = home / "store.sqlite"
    witness = Witness(store, home / "witness")
    process = _start(study, home)
    struck = _strike(process, witness, blow)
    num_leftover = _end_leftovers()
    if not struck:
        return None
    damaged = _is_damaged(store)
    process = _start(study, home)
    _watch(process, witness, lambda: None)
    num_leftover += _end_leftovers()
    ended = witness.ended_epochs()
    return Outcome(
        num_ended=len(ended),
        num_lost=len(ended - _stored_epochs(store)),
        num_leftover=num_leftover,
        damaged=damaged or _is_damaged(store),
        completed=process.returncode == 0 and _is_complete(store, study.num_epochs),
    )


def _clear(home: Path) -> None:
    """An empty folder."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()


def _start(study: Study, home: Path) -> subprocess.Popen[bytes]:
    """The program itself, on that study."""
    command = [
        sys.executable,
        "-m",
        "bakeoff",
        "run",
        str(study.file),
        "--quiet",
        "--no-report",
        "--no-verify",
    ]
    with (home / "output").open("ab") as output:
        return subprocess.Popen(
            [*command, "--store", str(home / "store.sqlite")],
            stdout=output,
            stderr=output,
            env=os.environ | study.variables,
            start_new_session=True,
        )


def _watch(process: subprocess.Popen[bytes], witness: Witness, look_in: Callable[[], None]) -> None:
    """Return when the process has ended; the witness has then seen every file of records."""
    try:
        while process.poll() is None:
            witness.look()
            look_in()
            time.sleep(_LOOK_S)
    finally:
        process.kill()  # it lives only if we were stopped
        process.wait()
    witness.look()


def _strike(process: subprocess.Popen[bytes], witness: Witness, blow: Blow) -> bool:
    """Watch, and strike when the moment has come; whether it came and the victim was there."""
    began = time.monotonic()
    struck = False

    def look_in() -> None:
        nonlocal struck
        if struck:
            return
        if blow.after_s is not None and time.monotonic() - began < blow.after_s:
            return
        if blow.after_records is not None and witness.num_records() < blow.after_records:
            return
        victims = [process.pid] if blow.victim == "parent" else workers_of(process.pid)
        for pid in victims:  # between two runs there is no worker: the next one is struck
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                struck = True

    _watch(process, witness, look_in)
    return struck


def workers_of(parent: int) -> list[int]:
    """The parent's children that lead a session, which only workers do."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        return [child.pid for child in psutil.Process(parent).children() if os.getsid(child.pid) == child.pid]
    return []


def adopt_orphans() -> None:
    """From now on, whatever our descendants leave behind becomes our child."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _end_leftovers() -> int:
    """How many descendants live on after the time of grace; they are ended here."""
    deadline = time.monotonic() + GRACE_S
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass  # the adopted dead are ours to bury
        living = psutil.Process().children(recursive=True)
        if not living or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for process in living:
        with suppress(psutil.NoSuchProcess):
            print(f"left over: {process.pid} {process.cmdline()}")
            process.kill()
    return len(living)


def _is_damaged(store: Path) -> bool:
    """Whether SQLite finds anything wrong in a copy of the store and its log, both as the blow left them."""
    if not store.exists():  # struck before it was made
        return False
    with tempfile.TemporaryDirectory(dir=store.parent) as folder:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(store.with_name(store.name + suffix), folder)
        with closing(sqlite3.connect(Path(folder, store.name))) as connection:
            try:
                found = connection.execute("PRAGMA integrity_check").fetchall()
                return found != [("ok",)] or bool(connection.execute("PRAGMA foreign_key_check").fetchall())
            except sqlite3.DatabaseError as error:
                print(f"damaged: {error}")
                return True


def _stored_epochs(store: Path) -> set[tuple[str, int, float]]:
    """(run_id, epoch, train_s) of all epochs in the store."""
    with closing(sqlite3.connect(store)) as connection:
        return set(connection.execute("SELECT run_id, epoch, train_s FROM epochs"))


def _is_complete(store: Path, num_epochs: int) -> bool:
    """Whether every planned run is there exactly once with status ok, and has all of its epochs."""
    with closing(sqlite3.connect(store)) as connection:
        planned = connection.execute("SELECT trial_id, repeat FROM planned").fetchall()
        ok = connection.execute(
            "SELECT trial_id, repeat, (SELECT group_concat(epoch) FROM"
            " (SELECT epoch FROM epochs WHERE epochs.run_id = runs.run_id ORDER BY seq))"
            " FROM runs JOIN run_ends USING (run_id) WHERE status = 'ok'"
        ).fetchall()
    epochs = ",".join(str(number) for number in range(1, num_epochs + 1))
    return sorted(ok) == sorted((trial_id, repeat, epochs) for trial_id, repeat in planned)


def _fake_study(folder: Path, order: str) -> Study:
    """The study of the fake backend in that order, with data and a cache of its own."""
    (folder / "invented.py").write_text(MODEL)
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 10
    np.savez(folder / "digits.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    file = folder / f"{order}.toml"
    file.write_text(f'order = "{order}"\n{FAKE_STUDY}')
    return Study(file, 6, {"BAKEOFF_CACHE": str(folder / "cache")})


def _real_study(folder: Path) -> Study:
    """The study that trains, in the user's own cache."""
    (folder / "tensorflow.toml").write_text(REAL_STUDY)
    return Study(folder / "tensorflow.toml", 6)


def _conclude(outcomes: list[Outcome]) -> int:
    num_lost, num_left, num_damaged, num_completed = (
        sum(values)
        for values in (
            [outcome.num_lost for outcome in outcomes],
            [outcome.num_leftover for outcome in outcomes],
            [outcome.damaged for outcome in outcomes],
            [outcome.completed for outcome in outcomes],
        )
    )
    num_ended = sum(outcome.num_ended for outcome in outcomes)
    return conclude(
        "kill",
        [
            Figure(f"epochs lost {num_lost} of {num_ended}", "0", num_lost == 0),
            Figure(f"leftover processes {num_left}", "0", num_left == 0),
            Figure(f"stores damaged {num_damaged}", "0", num_damaged == 0),
            Figure(
                f"studies completed {num_completed} of {len(outcomes)}", "all", num_completed == len(outcomes)
            ),
        ],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-kill", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="how many blows (default: 50)")
    parser.add_argument(
        "--real", type=int, default=5, help="how many of them to TensorFlow runs (default: 5)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of victims and moments (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
