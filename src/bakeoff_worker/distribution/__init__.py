"""How one run's work is spread: one module or folder a way. `NAMES` maps a study's word to its module.

Each has ``run(job, channel, importing)``, which trains the job and emits records as it goes.
"""

import importlib
from typing import Any

NAMES = {
    "single": "bakeoff_worker.loop",
    "elephas": "bakeoff_worker.distribution.elephas.driver",
}
# Asked for by a job that has a file for evidence: the distribution's word to what shows what it does.
VERIFICATIONS = {
    "single": "bakeoff_worker.verification",
    "elephas": "bakeoff_worker.distribution.elephas.verification",
}


class RunFailed(Exception):
    """The run can't go on, or makes no sense any more; the message says why.

    status: one of `bakeoff_worker.records.STATUSES`. last_lines: of what said so.
    """

    def __init__(self, message: str, status: str = "failed", last_lines: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.last_lines = last_lines


def load(name: str, verifies: bool = False, looks: bool = False, profiles: bool = False) -> Any:
    """The module of that name; or the one that shows what it computes or reads, or where its time goes."""
    if looks:
        return importlib.import_module("bakeoff_worker.looking")
    if profiles:
        return importlib.import_module("bakeoff_worker.profile")
    return importlib.import_module((VERIFICATIONS if verifies else NAMES)[name])
