"""What a contestant's or a pair's name is marked with; how that looks, the formats of a report know."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Mark(Enum):
    """What a reader has to know of a name; its value says it."""

    NOTHING_LEARNT = "Learnt nothing, so it is compared with no other contestant."
    SHORT = "Some of its samples were silently left out of its training."
    UNCERTIFIED = "Not certified that both train the same thing."

    @property
    def is_warning(self) -> bool:
        """Whether whoever has it is not to be compared."""
        return self is Mark.NOTHING_LEARNT


class Label(str):
    """A name with its marks, in their order. A string like others: the name alone."""

    __slots__ = ("marks",)
    marks: tuple[Mark, ...]

    def __new__(cls, name: str, marks: Iterable[Mark] = ()) -> Label:
        """`name` with these marks."""
        asked = set(marks)
        label = super().__new__(cls, name)
        label.marks = tuple(mark for mark in Mark if mark in asked)
        return label

    @property
    def is_warning(self) -> bool:
        """Whether it is to be shown in red."""
        return any(mark.is_warning for mark in self.marks)


def marks_of(labels: Iterable[object]) -> tuple[Mark, ...]:
    """The marks of those that are labels, each once, in their order."""
    found = {mark for label in labels if isinstance(label, Label) for mark in label.marks}
    return tuple(mark for mark in Mark if mark in found)
