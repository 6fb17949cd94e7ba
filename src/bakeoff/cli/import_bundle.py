"""``bakeoff import``: a bundle's results into a store."""

from __future__ import annotations

import argparse

from bakeoff.cli.console import say
from bakeoff.cli.stores import store_path
from bakeoff.store.bundle import import_bundle


def main(arguments: argparse.Namespace) -> int:
    """Merge and say how much was new; 0."""
    path = store_path(arguments)
    say(f"{path}: {import_bundle(path, arguments.bundle)} new runs from {arguments.bundle}")
    return 0
