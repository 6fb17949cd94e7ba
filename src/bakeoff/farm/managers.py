"""What a resource manager is asked, and what it answers."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, cast

from bakeoff.errors import MachineError
from bakeoff.study import FarmRequest

# By name, the module that speaks to a manager: it has a class `Manager`.
MANAGERS: Mapping[str, str] = {"slurm": "bakeoff.farm.slurm"}


class State(StrEnum):
    """What a manager says of a job. GONE: it knows nothing of it any more."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    OUT_OF_MEMORY = "out of memory"
    TIMEOUT = "time limit"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    NODE_FAILED = "node failed"
    GONE = "gone"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of the job."""
        return self not in (State.QUEUED, State.RUNNING)

    @property
    def is_nobodys_fault(self) -> bool:
        """Whether the same job may well end otherwise: it is submitted again."""
        return self in (State.PREEMPTED, State.NODE_FAILED)


@dataclass(frozen=True)
class JobState:
    """A job as the manager sees it now.

    node: where it runs or ran; empty before. reason: the manager's own word, such as why it waits.
    is_exclusive: whether nobody else may use its node; None if unknown. submitted_unix_s, started_unix_s,
    ended_unix_s: by the manager's clock; None if unknown or not yet. is_stuck: whether it waits for something
    that waiting does not bring, such as a node with more processors than any has.
    """

    state: State
    node: str = ""
    reason: str = ""
    is_exclusive: bool | None = None
    submitted_unix_s: float | None = None
    started_unix_s: float | None = None
    ended_unix_s: float | None = None
    num_restarts: int = 0
    is_stuck: bool = False


@dataclass(frozen=True)
class Usage:
    """What the manager counted of a job: user and system CPU seconds, peak resident memory; and which of its
    programs said so."""

    cpu_s: float | None
    peak_bytes: int | None
    source: str


@dataclass(frozen=True)
class Here:
    """Where this process runs, if a job's: job_id and number of restarts by the manager; the node's name."""

    job_id: str
    node: str
    num_restarts: int


class ManagerSilent(MachineError):
    """The manager does not answer now; it may later."""


class Manager(Protocol):
    """Everything that is asked of one; `ManagerSilent` from any of it."""

    name: str

    def cluster(self) -> str:
        """The cluster's name."""

    def check(self, request: FarmRequest) -> None:
        """Pass if jobs may ask for that, as far as shows beforehand; else `MachineError`."""

    def longest_min(self, request: FarmRequest) -> int | None:
        """Minutes that a job may take at most where it would run; None without a limit."""

    def submit(
        self, folder: Path, name: str, request: FarmRequest, time_min: int | None, *, after: str, node: str
    ) -> str:
        """The job's id. It runs `bakeoff.farm.job.main(folder)`, after the job `after` has ended, on `node`;
        either may be empty."""

    def find(self, name: str) -> str | None:
        """The id of a job of that name, if there is one."""

    def state(self, job_id: str) -> JobState: ...

    def usage(self, job_id: str) -> Usage | None:
        """What was counted of a job that runs or has ended; None where nobody counts."""

    def cancel(self, job_ids: Iterable[str]) -> None: ...

    def is_up(self, node: str) -> bool:
        """Whether jobs can run there, now or when others have ended."""

    def here(self) -> Here: ...


def manager(name: str) -> Manager:
    """The manager of that name."""
    return cast(Manager, importlib.import_module(MANAGERS[name]).Manager())
