"""``bakeoff studies``: what can be run by name, and what the store has."""

from __future__ import annotations

import argparse

from rich.table import Table

from bakeoff import plan, study
from bakeoff.cli.console import console
from bakeoff.cli.stores import store_path
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Print both lists; 0."""
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for title in ("built-in study", "runs", "what"):
        table.add_column(title, justify="right" if title == "runs" else "left")
    for name in study.builtin_names():
        loaded = study.load(name)
        table.add_row(name, str(plan.num_runs(loaded)), loaded.title)
    screen = console()
    screen.print(table)
    store = store_path(arguments)
    if store.exists():
        stored = Table(box=None, header_style="dim", padding=(0, 2))
        for title in ("study in the store", "digest", "ok", "planned", "begun"):
            stored.add_column(title)
        with Reader(store) as reader:
            for row in reader.studies().iter_rows(named=True):
                begun = f"{row['begun_at']:%Y-%m-%d %H:%M}" if row["begun_at"] else ""
                cells = (row["study"], row["digest"][:8], row["num_ok"], row["num_planned"], begun)
                stored.add_row(*map(str, cells))
        screen.print(stored)
    return 0
