"""``bakeoff data``: the data sets in the cache."""

from __future__ import annotations

import argparse
from contextlib import closing

from bakeoff import datasets
from bakeoff.cli.console import console, say, table
from bakeoff.cli.progress import Lines
from bakeoff.errors import DatasetError


def main(arguments: argparse.Namespace) -> int:
    """List, fetch or verify; 5 if an array is damaged."""
    return {"list": _list, "fetch": _fetch, "verify": _verify}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    listed = table("name", "state", "size", "what", "from", right=("size",))
    for one in datasets.status():
        state, size = ("cached", f"{one.size_bytes / 1e6:,.0f} MB") if one.path else ("absent", "")
        listed.add_row(one.key, state, size, one.title, one.source)
    console().print(listed)
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    with closing(Lines()) as listener:
        for name in arguments.names or datasets.catalogue():
            made = datasets.fetch(
                name, source=arguments.source, directory=arguments.data_dir, listener=listener
            )
            say(f"{name}: {made.num_train:,} training and {made.num_test:,} test images in {made.path}")
            for note in made.notes:
                say(f"{name}: {note}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    cached = [one.key for one in datasets.status() if one.path and "@" not in one.key]
    damaged = 0
    for name in arguments.names or cached:
        for verification in datasets.verify(name):
            damaged += bool(verification.damaged)
            say(f"{verification.key}: {'; '.join(verification.damaged) or 'as it should be'}")
    return DatasetError.exit_code if damaged else 0
