"""Study files: what is compared, checked in full before anything runs.

`load` reads a built-in study or a TOML file, applies overrides, and gives a frozen `Study`, or one
`StudyError` with all mistakes. The format is described in ``docs/studies.md``.

    definitions.py  what a study is, once it is right
    document.py     TOML and overrides; where in the file a value stands
    schema.py       each key's type and range, and how a mistake is worded
    rows.py         tables of the file as partial configurations
    expansion.py    defaults, axes and exclusions to complete configurations
    checks.py       what must hold between keys
    follow_up.py    what runs on the better value of an axis
    racing.py       who races whom, and who may be compared
    comparisons.py  which pairs of trials are compared
    content.py      the user's own model and data files
    words.py        keys and values, as labels and messages call them
    naming.py       labels: what tells trials apart
    loading.py      all of it, in order
    draft.py        the text of a first study file
    identification.py   a study whose own models and data are known by what they are

What reads study files is imported when first asked for: results are shown without it.
"""

from typing import TYPE_CHECKING

from bakeoff.study.definitions import (
    DATASETS,
    FEWEST_BLOCKS,
    Agreement,
    Branch,
    Budget,
    EnvironmentRequest,
    Errors,
    FarmRequest,
    FollowUp,
    Rules,
    Study,
    Trial,
    contestant,
)
from bakeoff_worker.models.catalogue import MODELS

if TYPE_CHECKING:
    from bakeoff.study.loading import builtin_names, load, stored, user_farm

__all__ = [
    "DATASETS",
    "FEWEST_BLOCKS",
    "MODELS",
    "Agreement",
    "Branch",
    "Budget",
    "EnvironmentRequest",
    "Errors",
    "FarmRequest",
    "FollowUp",
    "Rules",
    "Study",
    "Trial",
    "builtin_names",
    "contestant",
    "load",
    "stored",
    "user_farm",
]


def __getattr__(name: str) -> object:
    """What reads study files (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bakeoff.study import loading

    return getattr(loading, name)
