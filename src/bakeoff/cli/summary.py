"""The end of a run: summary tables in the terminal, and the report's path."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.text import Text

from bakeoff import report
from bakeoff.cli.console import console, table
from bakeoff.races.marks import Label
from bakeoff.store.reader import Reader


def conclude(store: Path, study: str, arguments: argparse.Namespace) -> None:
    """Print the summary unless quiet, write the report unless told not to."""
    if not arguments.quiet:
        print_summary(store, study)
    if not arguments.no_report:
        with Reader(store) as reader:
            path = report.render(reader, arguments.report or Path(f"{study}-report.html"), study=study)
        print(f"report: {path}")


def print_summary(store: Path, study: str) -> None:
    """The study's tables, as in its report."""
    screen = console()
    with Reader(store) as reader:
        tables = report.terminal_summary(reader, study=study)
    for title, header, rows in tables:
        filled = table(title=title, header=any(header))
        for index, name in enumerate(header):
            filled.add_column(name, justify="right" if index else "left")
        for row in rows:
            filled.add_row(*(_shown(cell) for cell in row))
        screen.print(filled)


def _shown(cell: str) -> str | Text:
    """A cell; in red where it names whom nobody may be compared with."""
    return Text(cell, style="bold red") if isinstance(cell, Label) and cell.is_warning else cell
