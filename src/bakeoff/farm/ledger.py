"""Jobs that are not collected yet. Each is a folder that all nodes see; it goes when its runs are stored."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pickle
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff import cache
from bakeoff.errors import BakeoffError, MachineError
from bakeoff.execute import Provision
from bakeoff.launchers.base import Launcher
from bakeoff.study import FarmRequest
from bakeoff_worker.job import RunSpec


@dataclass(frozen=True)
class Work:
    """What one job has to do: a block of a study, or what is left of one.

    machine_id: the farm's. archives: by environment's name, what is unpacked on the node (staging "packed").
    command: how the submitting program was called.
    """

    study: str
    study_digest: str
    block: int
    specs: tuple[RunSpec, ...]
    provisions: Mapping[str, Provision | BakeoffError]
    machine_id: str
    launcher: Launcher
    archives: Mapping[str, Path] | None = None
    command: tuple[str, ...] = ()

    @property
    def trials(self) -> frozenset[str]:
        """trial_ids of its runs."""
        return frozenset(spec.trial_id for spec in self.specs)

    @property
    def is_runnable(self) -> bool:
        """Whether any of it needs a node."""
        return any(isinstance(self.provisions[trial], Provision) for trial in self.trials)


@dataclass(frozen=True)
class Job:
    """One job: its folder, and what is known of it.

    job_id: empty until the manager has it. submitted_unix_s: by the submitter's clock; submission_s: how long
    it took. time_min: asked for.
    """

    folder: Path
    work: Work
    job_id: str = ""
    submitted_unix_s: float | None = None
    submission_s: float | None = None
    time_min: int | None = None

    @property
    def name(self) -> str:
        """Its name in the manager's lists; no other job has it."""
        return f"bakeoff-{self.work.study}-{self.folder.name}"

    def noted(self, **changes: Any) -> Job:
        """The job with what is known by now, kept in its folder."""
        job = dataclasses.replace(self, **changes)
        plain = {
            name: getattr(job, name) for name in ("job_id", "submitted_unix_s", "submission_s", "time_min")
        }
        part = self.folder / "job.part"
        part.write_text(json.dumps(plain))
        part.replace(self.folder / "job.json")
        return job

    def remove(self) -> None:
        """Forget it; with its study's folder, if it was the last."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def folder_of(request: FarmRequest) -> Path:
    """Where all jobs of a user lie."""
    return request.folder or cache.root() / "farm"


def study_folder(request: FarmRequest, study: str, digest: str, store: Path) -> Path:
    """Where the jobs of one study lie that are collected into one store."""
    key = hashlib.sha256(f"{digest}\n{store}".encode()).hexdigest()[:12]
    return folder_of(request) / f"{study}-{key}"


def add(home: Path, work: Work) -> Job:
    """A job that is to be submitted.

    Raises:
        MachineError: its folder can't be made.
    """
    folder = home / f"{work.block + 1}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        (folder / "work.part").write_bytes(pickle.dumps(work))
        (folder / "work.part").replace(folder / "work.pkl")
    except OSError as error:
        raise MachineError(
            f"{folder}: a job's folder can't be made: {error.strerror}",
            "Name another that all nodes see: --set farm.folder=PATH, or in the table [farm].",
        ) from error
    return Job(folder, work)


def jobs(home: Path) -> Iterator[Job]:
    """The jobs in a study's folder, by block. What was never written in full is removed."""
    found = []
    for folder in home.glob("*-*"):
        try:
            work = pickle.loads((folder / "work.pkl").read_bytes())
        except (OSError, pickle.UnpicklingError, AttributeError, ImportError, EOFError):
            # Begun and never submitted, or by another version of Bakeoff.
            if not (folder / "job.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
            continue
        job = Job(folder, work)
        with contextlib.suppress(OSError, ValueError):
            job = dataclasses.replace(job, **json.loads((folder / "job.json").read_text()))
        found.append(job)
    yield from sorted(found, key=lambda one: (one.work.block, one.submitted_unix_s or 0.0))
