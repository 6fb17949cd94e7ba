"""One folder a framework; the same file names in each. `NAMES` maps a study's word to its module."""

import importlib
from typing import Any, Optional

from bakeoff_worker.records import RunPaths, TrialSettings

NAMES = {
    "tensorflow": "bakeoff_worker.backends.tensorflow",
    "jax": "bakeoff_worker.backends.jax",
    "torch": "bakeoff_worker.backends.torch",
    "theano": "bakeoff_worker.backends.theano",
    "tensorflow1": "bakeoff_worker.backends.tensorflow1",
    "fake": "bakeoff_worker.backends.fake",
}


def load(name: str) -> Any:
    """The backend class of that name. Its framework is imported when it starts, and no other."""
    return importlib.import_module(NAMES[name]).Backend


def skip_reason(settings: TrialSettings) -> Optional[str]:
    """Why the settings' backend declines them, asked in any Python: no framework is imported. None if not."""
    reason: Optional[str] = load(settings.backend)(settings, RunPaths("", None, "", "")).skip_reason()
    return reason
