"""The real program in a folder of its own, on a study that takes a second or two."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bakeoff.cli import main
from bakeoff.store.reader import Reader

STUDY = """
name = "tiny"
title = "A tiny study"
repeats = 2
seed = 3

[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
epochs = 3

[matrix]
global_batch_size = [10, 20]
"""

# The fake backend trains nothing and never calls this; its options tell it when and how to fail.
MODEL = '''
def build(input_shape, num_classes, **options):
    """Takes any option."""
'''


def _heed_signals() -> None:
    """In the child: signals as a terminal leaves them, whatever (nohup, a job runner) started the tests."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Program:
    """`bakeoff` in `folder`, with a cache of its own: ``program("run", "tiny.toml")``."""

    folder: Path
    cache: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "bakeoff.sqlite"

    def start(self, *arguments: object, **options: object) -> subprocess.Popen[str]:
        """The program, running; leads a session of its own, as from a terminal."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BAKEOFF_")}
        process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "bakeoff", *map(str, arguments)],
            cwd=self.folder,
            env=environ | {"BAKEOFF_CACHE": str(self.cache), "PYTHONWARNINGS": "error", **self.variables},
            start_new_session=True,
            preexec_fn=_heed_signals,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,  # type: ignore[call-overload]
        )
        self.started.append(process)
        return process

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """The program, ended with that exit code and without a traceback.

        It is called in this process, which has imported all of it, unless there are variables to begin with.
        """
        words = [str(argument) for argument in arguments]
        if self.variables:
            process = self.start(*words)
            out, err = process.communicate(timeout=120)
            found = process.returncode
        else:
            found, out, err = self._called(words)
        assert found == code, f"exit code {found}, expected {code}:\n{out}\n{err}"
        assert "Traceback" not in out + err
        return subprocess.CompletedProcess(words, found, out, err)

    def _called(self, words: list[str]) -> tuple[int, str, str]:
        """Exit code, output and messages of the program's entry point, in the folder, with no terminal."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        polite_end = signal.getsignal(signal.SIGTERM)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("BAKEOFF_")]:
                patch.delenv(name)
            patch.setenv("BAKEOFF_CACHE", str(self.cache))
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["bakeoff", *words])
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                code = main(words)
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                signal.signal(signal.SIGTERM, polite_end)
        texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
        return code, texts[0], texts[1]

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def runs(self) -> pl.DataFrame:
        """The store's runs."""
        with Reader(self.store) as reader:
            return reader.runs()

    def epochs(self) -> pl.DataFrame:
        """The store's epochs."""
        with Reader(self.store) as reader:
            return reader.epochs()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return once the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    def worker_pid(self) -> int | None:
        """The process of the run that goes on, by its own word; it leads a session of its own."""
        for spool in self.folder.glob("*.spool/*.jsonl"):
            lines = spool.read_text().splitlines(keepends=True)
            if lines and lines[0].endswith("\n"):
                return int(lines[0].split('"pid":')[1].split(",")[0])
        return None

    def wait_for_epoch(self) -> int:
        """Return once a run has stored an epoch and goes on; its worker's process."""
        self.wait_for(lambda: self.store.exists() and self.worker_pid() is not None and not self._is_empty())
        pid = self.worker_pid()
        assert pid is not None
        return pid

    def _is_empty(self) -> bool:
        return not any('"kind":"epoch"' in spool.read_text() for spool in self.folder.glob("*.spool/*.jsonl"))


def in_session(session: int) -> list[int]:
    """Living processes of a session (zombies are not)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(sid) == session and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture
def sessions() -> Callable[[int], list[int]]:
    """Takes a session's id; gives its living processes."""
    return in_session


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: the worker is staged and the data prepared once."""
    return tmp_path_factory.mktemp("cache")


def _study_in(folder: Path, cache: Path) -> Program:
    """The program beside the study ``tiny.toml`` and all that it needs."""
    program = Program(folder, cache)
    program.write("tiny.toml", STUDY)
    program.write("invented.py", MODEL)
    generator = np.random.default_rng(0)
    images = {
        f"x_{split}": generator.integers(0, 256, (number, 8, 8, 1), np.uint8)
        for split, number in (("train", 40), ("test", 20))
    }
    np.savez(folder / "digits.npz", **images, y_train=np.arange(40) % 10, y_test=np.arange(20) % 10)
    return program


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which ``bakeoff run tiny.toml`` has run, for tests to read; and what it printed."""
    program = _study_in(tmp_path_factory.mktemp("finished"), cache)
    return program.folder, program("run", "tiny.toml")


@pytest.fixture
def program(tmp_path: Path, cache: Path) -> Iterator[Program]:
    """The program beside the study ``tiny.toml``: 2 trials, 2 repeats, 3 epochs, nothing to download."""
    program = _study_in(tmp_path, cache)
    yield program
    for process in program.started:
        process.kill()  # does nothing to one that has ended
        process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()


@pytest.fixture
def done(program: Program, finished: tuple[Path, subprocess.CompletedProcess[str]]) -> Program:
    """The program beside a store of its own, as ``bakeoff run tiny.toml`` leaves it."""
    for file in finished[0].glob("bakeoff.sqlite*"):
        if file.is_file():
            shutil.copy(file, program.folder)
    return program
