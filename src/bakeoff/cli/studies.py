"""``bakeoff studies``: what can be run by name, and what the store has."""

from __future__ import annotations

import argparse

from bakeoff import plan, study
from bakeoff.cli.console import console, table
from bakeoff.cli.stores import store_path
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Print both lists; 0."""
    builtin = table("built-in study", "runs", "what", right=("runs",))
    for name in study.builtin_names():
        loaded = study.load(name)
        builtin.add_row(name, str(plan.num_runs(loaded)), loaded.title)
    screen = console()
    screen.print(builtin)
    store = store_path(arguments)
    if store.exists():
        stored = table("study in the store", "digest", "ok", "planned", "begun")
        with Reader(store) as reader:
            for row in reader.studies().iter_rows(named=True):
                begun = f"{row['begun_at']:%Y-%m-%d %H:%M}" if row["begun_at"] else ""
                cells = (row["study"], row["digest"][:8], row["num_ok"], row["num_planned"], begun)
                stored.add_row(*map(str, cells))
        screen.print(stored)
    return 0
