"""Where tables are drawn."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_IN_FILES = 160  # a pipe or file has no width of its own; rich would wrap tables at 80


def console() -> Console:
    """A console as wide as the terminal, or wide enough for our tables where there is none."""
    return (
        Console(highlight=False) if sys.stdout.isatty() else Console(width=_WIDTH_IN_FILES, highlight=False)
    )
