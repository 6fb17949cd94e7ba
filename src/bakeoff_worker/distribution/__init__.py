"""How one run's work is spread: one module or folder a way. `NAMES` maps a study's word to its module.

Each has ``run(job, channel, importing)``, which trains the job and emits records as it goes.
"""

import importlib
from typing import Any

NAMES = {
    "single": "bakeoff_worker.loop",
    "elephas": "bakeoff_worker.distribution.elephas.driver",
    "verification": "bakeoff_worker.verification",  # asked for by a job's paths, by no study
}


class RunFailed(Exception):
    """The run can't go on, or makes no sense any more; the message says why.

    status: one of `bakeoff_worker.records.STATUSES`. last_lines: of what said so.
    """

    def __init__(self, message: str, status: str = "failed", last_lines: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.last_lines = last_lines


def load(name: str) -> Any:
    """The module of that name."""
    return importlib.import_module(NAMES[name])
