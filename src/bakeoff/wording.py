"""Numbers and names in a sentence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def counted(number: float, noun: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{number:.0f} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def span(seconds: float) -> str:
    """``4.2 s``, ``40 s``, ``8 min 40 s``, ``3 h 5 min``, ``2 days 3 h``: to two units at most."""
    for (large, size), (small, part) in itertools.pairwise(_UNITS):
        num, rest = divmod(round(seconds / part), size // part)
        if num:
            first = counted(num, large) if large == "day" else f"{num} {large}"
            return f"{first} {rest} {small}" if rest else first
    return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
