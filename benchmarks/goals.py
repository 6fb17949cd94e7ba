"""The last line of every benchmark: figures beside their goals, and the exit status that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure as people read it, such as ``start-up 0.034 s``.

    goal: as people read it, such as ``≤ 0.15 s``; empty where there is none. met: whether it was reached.
    """

    text: str
    goal: str = ""
    met: bool = True


def conclude(name: str, figures: Sequence[Figure]) -> int:
    """Print the last line; 0 if every goal was met, else 1."""
    words = []
    for figure in figures:
        mark = "" if figure.met else ": MISSED"
        words.append(f"{figure.text} (goal {figure.goal}{mark})" if figure.goal else figure.text)
    print(f"bench-{name}: {', '.join(words)}", flush=True)
    return 0 if all(figure.met for figure in figures) else 1
