"""Which store and which of its studies a command means."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bakeoff.errors import StoreError
from bakeoff.store.reader import Reader


def store_path(arguments: argparse.Namespace) -> Path:
    """``--store``, else ``$BAKEOFF_STORE``, else ``bakeoff.sqlite`` in the current folder."""
    return arguments.store or Path(os.environ.get("BAKEOFF_STORE") or "bakeoff.sqlite")


def chosen_study(arguments: argparse.Namespace, reader: Reader) -> str:
    """The study named, else the one begun last; calibrations of the machine stand back.

    Raises:
        StoreError: the store holds no study yet.
    """
    from bakeoff.calibration import STUDY  # numpy and polars: not for commands that have no use for them

    if arguments.study:
        return str(arguments.study)
    names = reader.studies()["study"].to_list()
    if not names:
        raise StoreError(f"{reader.path}: holds no study yet", "Run one: bakeoff run quick")
    return next((str(name) for name in names if name != STUDY), STUDY)
