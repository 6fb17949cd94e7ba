"""How one run's work is spread: one module or folder a way. `NAMES` maps a study's word to its module.

Each has ``run(job, channel, importing)``, which trains the job and emits records as it goes.
"""

import importlib
from typing import Any

NAMES = {
    "single": "bakeoff_worker.loop",
    "elephas": "bakeoff_worker.distribution.elephas.driver",
}


def load(name: str) -> Any:
    """The module of that name."""
    return importlib.import_module(NAMES[name])
