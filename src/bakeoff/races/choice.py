"""Which of several alternatives is the fastest, each tried by several contestants in several blocks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bakeoff import stats

Pair = TypeVar("Pair", bound=Hashable)


@dataclass(frozen=True)
class Choice:
    """The alternative that goes on.

    index: which one. against: by index, the verdict on its times against each other alternative's.
    is_decided: whether it is faster than every other beyond doubt.
    """

    index: int
    against: Mapping[int, stats.Verdict]

    @property
    def is_decided(self) -> bool:
        """Whether every comparison has the verdict `FASTER`."""
        return all(verdict.kind == stats.FASTER for verdict in self.against.values())


def choose_fastest(times: Sequence[Mapping[Pair, float]], rules: stats.Rules | None = None) -> Choice | None:
    """The alternative with the lowest geometric mean of ratios to the others; None if none has a time.

    times: for each alternative, seconds by what pairs them with the others' (contestant and block). Each
    pair of alternatives is compared over the pairs that both have. Times that are not finite and positive
    don't count. Equal scores go to the one that comes first. Where no two alternatives have a pair, the one
    with the most times goes on, since there is no evidence about speed.
    """
    keys = sorted({key for time in times for key in time}, key=str)
    table = np.array([[time.get(key, np.nan) for key in keys] for time in times], dtype=float)
    table = np.where(np.isfinite(table) & (table > 0), table, np.nan)
    known = np.isfinite(table.reshape(len(times), len(keys))).sum(axis=1)
    if not known.any():
        return None
    ranking = stats.rank(table, rules)
    if any(ratio.num_blocks for ratio in ranking.ratios.values()):
        best = ranking.order[0]
    else:
        best = int(np.argmax(known))
    others = [other for other in range(len(times)) if other != best]
    return Choice(best, {other: stats.judge(table[best], table[other], rules=rules) for other in others})
