"""One folder a framework, with the same file names in each: its `record.Record`, and the class `Backend`."""

import importlib
from typing import Any, Optional

from bakeoff_worker.backends.record import Cuda, Environment, Record
from bakeoff_worker.records import RunPaths, TrialSettings

__all__ = ["Cuda", "Environment", "Record", "load", "skip_reason"]


def load(name: str) -> Any:
    """The backend class of that name. Its framework is imported when it starts, and no other."""
    return importlib.import_module("{}.{}.backend".format(__name__, name)).Backend


def skip_reason(settings: TrialSettings) -> Optional[str]:
    """Why the settings' backend declines them, asked in any Python: no framework is imported. None if not."""
    reason: Optional[str] = load(settings.backend)(settings, RunPaths("", None, "", "")).skip_reason()
    return reason
