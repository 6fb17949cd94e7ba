"""``bakeoff studies``: what can be run by name, and what the store has."""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from bakeoff import plan, study
from bakeoff.cli.console import console, say, table
from bakeoff.cli.stores import store_path
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Print both lists, or all names only; 0."""
    store = store_path(arguments)
    if arguments.names:
        stored = _stored(store)["study"].unique(maintain_order=True) if store.exists() else ()
        say(*dict.fromkeys([*study.builtin_names(), *stored]))
        return 0
    builtin = table("built-in study", "runs", "what", right=("runs",))
    for name in study.builtin_names():
        loaded = study.load(name)
        builtin.add_row(name, str(plan.num_runs(loaded)), loaded.title)
    screen = console()
    screen.print(builtin)
    if store.exists():
        listed = table("study in the store", "digest", "ok", "planned", "begun")
        for row in _stored(store).iter_rows(named=True):
            begun = f"{row['begun_at']:%Y-%m-%d %H:%M}" if row["begun_at"] else ""
            cells = (row["study"], row["digest"][:8], row["num_ok"], row["num_planned"], begun)
            listed.add_row(*map(str, cells))
        screen.print(listed)
    return 0


def _stored(store: Path) -> pl.DataFrame:
    with Reader(store) as reader:
        return reader.studies()
