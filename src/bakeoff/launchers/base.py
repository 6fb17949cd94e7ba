"""What every launcher takes and gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from bakeoff.environments import Environment
from bakeoff_worker.job import Job
from bakeoff_worker.records import Record


@dataclass(frozen=True)
class Launch:
    """One job, the environment that it runs in, and the file that takes what the process prints.

    stop: where several are launched side by side, ends this one as interrupted once it is set.
    """

    job: Job
    environment: Environment
    log: Path
    stop: threading.Event | None = None


@dataclass(frozen=True)
class TurnAwaited:
    """The run is stopped at the border of a slice; asking for what comes next lets it train on."""


Launcher = Callable[[Launch], Generator[Record | TurnAwaited, None, None]]
