"""Jobs to launch: the real worker on tiny arrays, or a script in its place."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.environments import Environment
from bakeoff.launchers.base import Launch
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings

MakeLaunch = Callable[..., Launch]

_WORKER = """
import json, os, sys, time
paths = json.load(open(sys.argv[2]))["paths"]
def append(line, end=b"\\n"):
    with open(paths["records"], "ab") as records:
        records.write(line + end)
    os.write(int(os.environ["BAKEOFF_DOORBELL_FD"]), b"!")
def start():
    started = {"kind": "run_started", "pid": os.getpid(), "unix_s": 0.0, "python": "3"}
    return json.dumps(dict(started, measurement_version=1)).encode()
"""


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of 40 and 20 images."""
    folder = tmp_path_factory.mktemp("arrays")
    for split, number in (("train", 40), ("test", 20)):
        np.save(folder / f"x_{split}.npy", np.zeros((number, 8, 8, 1), np.uint8))
        np.save(folder / f"y_{split}.npy", np.arange(number) % 10)
    (folder / "about.json").write_text(json.dumps({"num_classes": 10}))
    return folder


@pytest.fixture
def make_launch(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeLaunch:
    """Takes `python`, `dataset` and settings; gives what a launcher takes."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    numbers = itertools.count()

    def make(python: Path | None = None, dataset: Path = arrays, **settings: Any) -> Launch:
        number = next(numbers)
        trial = TrialSettings("fake", "fake", epochs=3, global_batch_size=10)
        spec = RunSpec(dataclasses.replace(trial, **settings), "fake", 0, 0, 0, 1)
        paths = RunPaths(str(dataset), None, str(tmp_path), str(tmp_path / f"{number}.jsonl"))
        environment = Environment("fake", python or Path(sys.executable), {}, "digest", "own", tmp_path)
        return Launch(Job(spec, paths), environment, tmp_path / f"{number}.log")

    return make


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Takes shell lines; gives an executable that stands where an interpreter should."""
    numbers = itertools.count()

    def make(lines: str) -> Path:
        path = tmp_path / f"python-{next(numbers)}"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], Path]:
    """Takes Python that runs in a worker's place; `append` writes a line as a record, `start` is one."""
    numbers = itertools.count()

    def make(code: str) -> Path:
        path = tmp_path / f"worker-{next(numbers)}"
        path.write_text(f"#!{sys.executable}\n{_WORKER}\n{code}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def alive() -> Callable[[int], list[int]]:
    """Takes a session's id; gives the processes in it that are not zombies."""

    def find(session: int) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state, _, _, sid = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(sid) == session and state != "Z" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    return find
