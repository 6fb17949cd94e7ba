"""Bakeoff: fair races between deep-learning backends.

From Python, as from the command line::

    study = bakeoff.load("smoke")                        # or a TOML file, with overrides
    bakeoff.run(study, store="bakeoff.sqlite")           # what is missing of it
    results = bakeoff.open_results("bakeoff.sqlite")     # polars frames: runs, epochs, phases, studies
    figures.error_per_epoch(results.epochs("smoke"))     # from bakeoff.report import figures

Names are imported when first asked for: the command line starts without them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakeoff.errors import BakeoffError as BakeoffError
    from bakeoff.results import Results as Results
    from bakeoff.results import open_results as open_results
    from bakeoff.session import run as run
    from bakeoff.study import Study as Study
    from bakeoff.study import load as load

__version__ = "0.1.0"

_HOMES = {
    "BakeoffError": "bakeoff.errors",
    "Results": "bakeoff.results",
    "Study": "bakeoff.study",
    "load": "bakeoff.study",
    "open_results": "bakeoff.results",
    "run": "bakeoff.session",
}


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *_HOMES})
