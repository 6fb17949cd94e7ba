"""The last line of every benchmark: figures beside their goals, and the exit status that follows."""

from __future__ import annotations

import math
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


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def at_most(what: str, share: float, goal: float, num: int) -> Figure:
    """A share with its goal; two standard errors of the simulation are forgiven."""
    return Figure(f"{what} {percent(share)}", f"≤ {100 * goal:g} %", share <= goal + forgiven(goal, num))


def at_least(what: str, share: float, goal: float, num: int) -> Figure:
    """As `at_most`, the other way round."""
    return Figure(f"{what} {percent(share)}", f"≥ {100 * goal:g} %", share >= goal - forgiven(goal, num))


def within(text: str, shares: list[float], goal: tuple[float, float], num: int) -> Figure:
    """Shares that are all to lie between two goals."""
    low, high = goal
    met = min(shares) >= low - forgiven(low, num) and max(shares) <= high + forgiven(high, num)
    return Figure(text, f"{100 * low:.0f}–{100 * high:.0f} %", met)


def forgiven(goal: float, num: int) -> float:
    """Two standard errors of a share among so many simulated studies: 0.2 points of 5 % among 40,000."""
    return 2 * math.sqrt(goal * (1 - goal) / num)
