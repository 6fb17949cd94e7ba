"""The end of a run: one screen that says what came of it, and the report's address."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from bakeoff import report
from bakeoff.cli.console import console, say
from bakeoff.report.formats.terminal import lines, wrapped
from bakeoff.report.items.summary import Words
from bakeoff.store.reader import Reader

_WIDTH_IN_FILES = 80


def conclude(store: Path, study: str, arguments: argparse.Namespace) -> None:
    """Print the screen unless quiet, write the report unless told not to."""
    path = arguments.report or report_path(study)
    with Reader(store) as reader:
        if not arguments.no_report:
            path = report.render(reader, path, study=study)
    if not arguments.quiet:
        print_screen(store, study, arguments)
    elif not arguments.no_report:
        say(f"report: {path}")


def report_path(study: str) -> Path:
    """Where a study's report goes unless told otherwise."""
    return Path(f"{study}-report.html")


def print_screen(store: Path, study: str | None, arguments: argparse.Namespace) -> None:
    """Who took how long, what may be said of it, and where to go on."""
    with Reader(store) as reader:
        found = report.screen(reader, study)
    output = console(width_in_files=_WIDTH_IN_FILES)
    where = f" --store {arguments.store}" if arguments.store else ""
    written = getattr(arguments, "report", None) or report_path(found.study)
    for line in [*lines(found, output.width), *_onwards(found.study, where, written, output.width)]:
        output.print(line, soft_wrap=True)  # a line that is too long is one long name: not cut


def _onwards(study: str, where: str, written: Path, width: int) -> Iterator[Text]:
    """What tells more."""
    show = f"bakeoff show {study}{where} --runs"
    commands = {
        "Pair by pair": f"bakeoff compare {study}{where}",
        "One by one": show,
        "Why, and what to tune": f"bakeoff profile {study}{where}",
    }
    for what, command in commands.items():
        yield from wrapped([Words(f"{what}: {command}")], width)
    address = written.resolve().as_uri() if written.exists() else f"bakeoff report {study}{where}"
    yield Text(f"Report: {address}")
