"""How marks look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bakeoff.races.marks import Label, Mark

SYMBOLS: Mapping[Mark, str] = {Mark.NOTHING_LEARNT: "✗", Mark.SHORT: "†", Mark.UNCERTIFIED: "‡"}


def marked(name: str) -> str:
    """The name with the symbols of its marks."""
    return " ".join([name, *(SYMBOLS[mark] for mark in name.marks)]) if isinstance(name, Label) else name


def note(mark: Mark) -> str:
    """What the mark means, behind its symbol."""
    return f"{SYMBOLS[mark]} {mark.value}"


def notes(marks: Iterable[Mark], *, warnings: bool) -> str:
    """What marks mean: of those that warn, or of the others."""
    return " ".join(note(mark) for mark in marks if mark.is_warning == warnings)
