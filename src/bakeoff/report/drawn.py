"""A figure before it has a number: what is drawn, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bakeoff.races.marks import Mark


@dataclass(frozen=True)
class Drawn:
    """One figure.

    name: for file names. alt: what it shows, for those who can't see it. marks: of the names in it.
    """

    name: str
    chart: Any
    caption: str
    alt: str
    marks: tuple[Mark, ...] = ()

    def noted(self, note: str) -> Drawn:
        """With one more sentence in its caption; itself where that is empty."""
        return replace(self, caption=f"{self.caption} {note}") if note else self


def notes(marks: Iterable[Mark], *, warnings: bool) -> str:
    """What marks mean: of those that warn, or of the others. Which pairs are uncertified is said by name."""
    return " ".join(
        mark.note for mark in marks if mark is not Mark.UNCERTIFIED and mark.is_warning == warnings
    )
