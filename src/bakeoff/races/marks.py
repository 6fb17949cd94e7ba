"""What a contestant's or a pair's name is marked with where it is printed; the marks are fields."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Mark(Enum):
    """A symbol behind a name, and what it means. A warning is shown in red."""

    NOTHING_LEARNT = ("✗", "Learnt nothing, so it is compared with no other contestant.")
    SHORT = ("†", "Some of its samples were silently left out of its training.")
    UNCERTIFIED = ("‡", "Not certified that both train the same thing.")

    def __init__(self, symbol: str, meaning: str) -> None:
        self.symbol: str = symbol
        self.meaning: str = meaning

    @property
    def note(self) -> str:
        """What stands below a table or figure with such a name."""
        return f"{self.symbol} {self.meaning}"

    @property
    def is_warning(self) -> bool:
        """Whether whoever has it is not to be compared."""
        return self is Mark.NOTHING_LEARNT


class Label(str):
    """A name as it is printed, with the symbols of its marks; ``marks`` says which, in their order.

    A string like others: what needs to know of a mark asks for the field.
    """

    __slots__ = ("marks",)
    marks: tuple[Mark, ...]

    def __new__(cls, name: str, marks: Iterable[Mark] = ()) -> Label:
        """`name` without any mark."""
        asked = set(marks)
        ordered = tuple(mark for mark in Mark if mark in asked)
        label = super().__new__(cls, " ".join([name, *(mark.symbol for mark in ordered)]))
        label.marks = ordered
        return label

    @property
    def is_warning(self) -> bool:
        """Whether it is to be shown in red."""
        return any(mark.is_warning for mark in self.marks)


def marks_of(labels: Iterable[object]) -> tuple[Mark, ...]:
    """The marks of those that are labels, each once, in their order."""
    found = {mark for label in labels if isinstance(label, Label) for mark in label.marks}
    return tuple(mark for mark in Mark if mark in found)
