"""Which of several alternatives is the fastest, each tried by several contestants in several blocks."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bakeoff.stats.comparison import FASTER, Ratio, paired_ratio

Pair = TypeVar("Pair", bound=Hashable)


@dataclass(frozen=True)
class Choice:
    """The alternative that goes on.

    index: which one. against: by index, how its times compare with each other alternative's: below 1 it
    is the faster. is_decided: whether it is faster than every other beyond doubt.
    """

    index: int
    against: Mapping[int, Ratio]

    @property
    def is_decided(self) -> bool:
        """Whether every comparison has the verdict `FASTER`."""
        return all(ratio.verdict == FASTER for ratio in self.against.values())


def choose_fastest(times: Sequence[Mapping[Pair, float]]) -> Choice | None:
    """The alternative with the lowest geometric mean of ratios to the others; None if none has a time.

    times: for each alternative, seconds by what pairs them with the others' (contestant and block). Each
    pair of alternatives is compared over the pairs that both have; an alternative's score is the mean of
    its log ratios to those it can be compared with. Times that are not finite and positive don't count.
    Equal scores go to the one that comes first. Where no two alternatives have a pair, the one
    with the most times goes on, since there is no evidence about speed.
    """
    usable = [
        {key: value for key, value in one.items() if math.isfinite(value) and value > 0} for one in times
    ]
    if not any(usable):
        return None
    ratios = [
        {other: _ratio(one, usable[other]) for other in range(len(usable)) if other != index}
        for index, one in enumerate(usable)
    ]
    scores = {
        index: sum(logs) / len(logs)
        for index, against in enumerate(ratios)
        if (logs := [math.log(one.ratio) for one in against.values() if one.ratio is not None])
    }
    if scores:
        best = min(scores, key=lambda index: (round(scores[index], 12), index))
    else:
        best = max(range(len(usable)), key=lambda index: (len(usable[index]), -index))
    return Choice(best, ratios[best])


def _ratio(a: Mapping[Pair, float], b: Mapping[Pair, float]) -> Ratio:
    common = [key for key in a if key in b]
    return paired_ratio([a[key] for key in common], [b[key] for key in common])
