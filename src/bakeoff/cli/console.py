"""Where text meets the terminal. Titles, labels and file names are others' words: shown as they are.

Every console of the program is made here, with rich's markup (``[bold]``) and emoji codes (``:smile:``) off;
what is coloured is a `rich.text.Text` that says so.
"""

from __future__ import annotations

import sys
from collections.abc import Collection

from rich.console import Console
from rich.table import Table

_WIDTH_IN_FILES = 160  # a pipe or file has no width of its own; rich would wrap tables at 80


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for our tables where there is none.

    stderr: for what goes on meanwhile; standard output is for results.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_IN_FILES
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def tell(line: str) -> None:
    """Print a line about what goes on, to standard error."""
    print(line, file=sys.stderr, flush=True)


def table(*columns: str, right: Collection[str] = (), title: str | None = None, header: bool = True) -> Table:
    """An empty table in the one style that we have. right: the columns that are aligned to the right."""
    made = Table(
        title=title,
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 2),
        show_header=header,
    )
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left")
    return made
