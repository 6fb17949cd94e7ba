"""One folder a framework, with the same file names in each: its `record.Record`, and the class `Backend`."""

import importlib
from typing import Any, Optional

from bakeoff_worker.backends.record import Cuda, Environment, Record
from bakeoff_worker.job import RunPaths, TrialSettings

__all__ = ["Cuda", "Environment", "Record", "load", "skip_reason"]


def load(settings: TrialSettings) -> Any:
    """The class of the settings' backend. Its framework is imported when it starts, and no other.

    Raises:
        ContestantError: the user's file can't be imported, or its class lacks something.
    """
    if settings.contestant:
        return importlib.import_module(__name__ + ".own").load(settings.contestant)
    return importlib.import_module("{}.{}.backend".format(__name__, settings.backend)).Backend


def skip_reason(settings: TrialSettings) -> Optional[str]:
    """Why the settings' backend declines them, asked in any Python: no framework is imported. None if not.

    A contestant of the user's own is asked where it runs, since its file may import its framework.
    """
    if settings.contestant:
        return None
    reason: Optional[str] = load(settings)(settings, RunPaths("", None, "", "")).skip_reason()
    return reason
