"""``bakeoff export``: tidy tables, or a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from bakeoff.cli.console import say
from bakeoff.cli.stores import chosen_study, store_path
from bakeoff.store.bundle import export_bundle
from bakeoff.store.export import export
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Write and print what was written; 0."""
    path = store_path(arguments)
    if arguments.bundle:
        bundled = export_bundle(path, arguments.bundle)
        left_out = f"; {bundled.num_left_out} unfinished left out" if bundled.num_left_out else ""
        say(f"{arguments.bundle}: {bundled.num_runs} runs, {bundled.num_epochs} epochs{left_out}")
        return 0
    with Reader(path) as reader:
        study = chosen_study(arguments, reader)
    for written in export(path, arguments.output or Path(f"{study}-export"), arguments.format, study):
        say(written)
    return 0
