"""``bakeoff report``: one HTML file, and the same figures and tables as files of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

from bakeoff import report
from bakeoff.cli.console import say
from bakeoff.cli.stores import chosen_study, store_path
from bakeoff.errors import ReportError
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Write and print what was written, or print the checklist; 0."""
    wanted = _listed(arguments.tables)
    if unknown := sorted(set(wanted) - set(report.TABLES)):
        raise ReportError(
            f"--tables: expected {', '.join(report.TABLES)}; got {', '.join(unknown)}",
            "Leave the others out.",
        )
    with Reader(store_path(arguments)) as reader:
        frames = report.read(reader, chosen_study(arguments, reader))
    if arguments.checklist:
        say(*report.to_checklist(report.checklist(frames)).splitlines())
        return 0
    out = arguments.output or Path(f"{frames.study}-report.html")
    path = report.render(frames, out, figures=_listed(arguments.figures))
    say(path)
    for suffix in wanted:
        target = path.with_name(f"{path.stem}-tables.{suffix}")
        target.write_text("\n".join(map(report.TABLES[suffix], report.tables(frames))))
        say(target)
    return 0


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())
