"""Where text meets the terminal. Titles, labels and file names are others' words: shown as they are.

Every console of the program is made here, with rich's markup (``[bold]``) and emoji codes (``:smile:``) off;
what is coloured is a `rich.text.Text` that says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from bakeoff.errors import BakeoffError

# C0 but tab and line feed, DEL and C1: what moves a terminal's cursor, colours it, or asks it for an answer.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0)) if code not in (9, 10)}
# Characters of a column's title that stay in one line: a contestant's name may be a line long.
_LONGEST_TITLE = 24


class _Console(Console):
    """Shows control characters of what it is given as escapes; its own colours are not among them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def visible(text: str) -> str:
    """The text with its control characters, tab and line feed apart, as ``\\x1b``."""
    return text.translate(_CONTROLS)


def console(*, stderr: bool = False, width_in_files: int = 160) -> Console:
    """A console as wide as the terminal, or as `COLUMNS` says; in `NO_COLOR`, if that is set.

    stderr: for what goes on meanwhile; standard output is for results. width_in_files: of pipes and files,
    which have none of their own; by default enough for our tables.
    """
    stream = sys.stderr if stderr else sys.stdout
    known = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = None if known else width_in_files
    return _Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def say(*lines: object) -> None:
    """Print lines of results, to standard output."""
    for line in lines:
        print(visible(str(line)))


def tell(line: str) -> None:
    """Print a line about what goes on, or went wrong, to standard error."""
    print(visible(line), file=sys.stderr, flush=True)


def tell_error(error: BakeoffError) -> None:
    """Print what a person can mend, and how, to standard error."""
    for line in error.message.split("\n"):
        tell(f"error: {line}")
    for line in filter(None, error.hint.split("\n")):
        tell(f"hint: {line}")


def table(*columns: str, right: Collection[str] = (), title: str | None = None) -> Table:
    """An empty table in the one style that we have. right: the columns that are aligned to the right.

    What a narrow terminal has no room for goes on in the next line: nothing is cut.
    """
    made = Table(
        title=title,
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1),
        pad_edge=False,
        collapse_padding=True,
    )
    for name in columns:
        width = min(len(name), _LONGEST_TITLE)
        made.add_column(name, justify="right" if name in right else "left", overflow="fold", min_width=width)
    return made
