"""Progress of data that are fetched: a bar on a terminal, else a line per step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bakeoff.datasets import Progress


@contextmanager
def shown(tell: Callable[[str], None]) -> Iterator[Callable[[Progress], None]]:
    """Takes `Progress` and shows it on standard error; `tell` takes the lines where there is no terminal."""
    if not sys.stderr.isatty():
        yield _Lines(tell)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    from bakeoff.cli.console import console

    words = TextColumn("{task.description}", markup=False)
    columns = (words, BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console(stderr=True), transient=True) as bars:
        tasks: dict[tuple[str, str], int] = {}

        def show(progress: Progress) -> None:
            key = (progress.name, progress.step)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{progress.name}: {progress.step}", total=None)
            bars.update(tasks[key], completed=progress.done_bytes, total=progress.total_bytes)  # type: ignore[arg-type]

        yield show


class _Lines:
    """One line when a step begins."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last: tuple[str, str] | None = None

    def __call__(self, progress: Progress) -> None:
        if (progress.name, progress.step) != self._last:
            self._last = (progress.name, progress.step)
            self._tell(f"{progress.name}: {progress.step}")
