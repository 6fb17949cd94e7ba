"""What happens while Bakeoff works, and who is told: one kind of listener for everything.

A listener is a function of one event. It is called between runs and while a run waits, never while anything
is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import Record, RunEnded


@dataclass(frozen=True)
class Message:
    """A line for people: what takes time, or went wrong."""

    line: str

    def __str__(self) -> str:
        return self.line


@dataclass(frozen=True)
class Step:
    """How far the preparation of one data set has come.

    step: what is being done, for people. done_bytes, total_bytes: of this step; total_bytes is None
    where nobody knows it beforehand (a package manager's download).
    """

    name: str
    step: str
    done_bytes: int = 0
    total_bytes: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.step}"


@dataclass(frozen=True)
class RunBegan:
    """Run `index` (from 0) of `total` starts."""

    spec: RunSpec
    index: int
    total: int


@dataclass(frozen=True)
class Recorded:
    """A record is safe in the store; the last one of a run is its `RunEnded`."""

    spec: RunSpec
    record: Record


Event = Message | Step | RunBegan | Recorded
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that does nothing."""


def messages(take: Callable[[str], object]) -> Listener:
    """A listener that hands the lines of messages to a function, such as ``print``, and drops all else."""

    def told(event: Event) -> None:
        if isinstance(event, Message):
            take(event.line)

    return told


class Handler:
    """A listener with a method for each kind of event; here, each of them does nothing."""

    def __call__(self, event: Event) -> None:
        """Any event, handed to its method."""
        match event:
            case Message(line):
                self.message(line)
            case Step():
                self.step(event)
            case RunBegan(spec, index, total):
                self.run_began(spec, index, total)
            case Recorded(spec, RunEnded() as ended):
                self.run_ended(spec, ended)
            case Recorded(spec, record):
                self.recorded(spec, record)

    def message(self, line: str) -> None:
        """A line for people."""

    def step(self, step: Step) -> None:
        """How far data have come."""

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """Run `index` (from 0) of `total` starts."""

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """A record is safe in the store; any but the end."""

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """A run is over, however it went."""

    def close(self) -> None:
        """Nothing more will happen."""


def tell(listener: Listener, line: str) -> None:
    """Tell a listener a line for people."""
    listener(Message(line))
