"""Bakeoff: fair races between deep-learning backends.

From Python, as from the command line::

    bakeoff.run("smoke", store="bakeoff.sqlite")         # what is missing of a study
    bakeoff.compare("smoke", store="bakeoff.sqlite")     # who is faster, by how much, at what error
    results = bakeoff.open_results("bakeoff.sqlite")     # polars frames: runs, epochs, verdicts, ...
    results.charts("smoke")                              # figures that a notebook shows without network

Names are imported when first asked for: the command line starts without them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakeoff.api import run
    from bakeoff.errors import BakeoffError
    from bakeoff.events import Handler
    from bakeoff.execute import Tally
    from bakeoff.results import Charts, Comparisons, Results, compare, open_results
    from bakeoff.study import Study, load

__version__ = "0.1.0"
__all__ = [
    "BakeoffError",
    "Charts",
    "Comparisons",
    "Handler",
    "Results",
    "Study",
    "Tally",
    "__version__",
    "compare",
    "load",
    "open_results",
    "run",
]

_HOMES = {
    "BakeoffError": "bakeoff.errors",
    "Charts": "bakeoff.results",
    "Comparisons": "bakeoff.results",
    "Handler": "bakeoff.events",
    "Results": "bakeoff.results",
    "Study": "bakeoff.study",
    "Tally": "bakeoff.execute",
    "compare": "bakeoff.results",
    "load": "bakeoff.study",
    "open_results": "bakeoff.results",
    "run": "bakeoff.api",
}


def __getattr__(name: str) -> object:
    """A public name, from the module that defines it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return __all__
