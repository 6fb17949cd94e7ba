"""Ranking of several contestants, with ties: who may be called faster than whom, all comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from bakeoff.stats.noise import Lent
from bakeoff.stats.ratio import TimeRatio, time_ratio
from bakeoff.stats.rules import Rules


@dataclass(frozen=True)
class Ranking:
    """Contestants by speed, by their index.

    order: from the fastest estimate on; those without a time come last. faster: pairs (a, b) of which a may
    be called faster than b; the chance that any of them is wrong is 1 - confidence at most. ranks: by
    contestant, the best and the worst place, from 1, that it may have. groups: largest sets within which
    nobody may be called faster than anybody, each in the order of `order`; a contestant may be in several.
    ratios: by pair (a, b) with a < b, the ratio of their times with a simultaneous interval.
    """

    order: tuple[int, ...]
    faster: frozenset[tuple[int, int]]
    ranks: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, ...], ...]
    ratios: Mapping[tuple[int, int], TimeRatio]


def rank(
    times: ArrayLike, rules: Rules | None = None, lent: Mapping[tuple[int, int], Lent] | None = None
) -> Ranking:
    """Rank contestants by their times: seconds, shape (num_contestants, num_blocks), NaN where one has none.

    lent: by pair (a, b) with a < b, what other runs show of its noise.

    Each pair is compared over the blocks that both have, by its own noise, so that contestants need not be
    equally noisy. Who may be called faster follows Holm (1979), A simple sequentially rejective multiple test
    procedure, Scand. J. Statist. 6: the level is divided by the number of pairs not yet told apart, and so is
    that of the stopping rule, which keeps it at every look. The intervals divide it by the number of pairs
    (Bonferroni), and hold all at once; Holm may tell a pair apart whose interval just includes 1. Places
    follow from who may be called faster: Mogstad, Romano, Shaikh and Wilhelm (2024), Inference for ranks with
    applications to mobility across neighbourhoods, Rev. Econ. Stud. 91.
    """
    rules = rules or Rules()
    table = np.asarray(times, dtype=float)
    if table.ndim != 2:
        raise ValueError(f"expected shape (num_contestants, num_blocks); got {table.shape}")
    count = len(table)
    pairs = list(combinations(range(count), 2))
    at_once = replace(rules, num_comparisons=rules.num_comparisons * max(len(pairs), 1))
    ratios = {(a, b): time_ratio(table[a], table[b], at_once, (lent or {}).get((a, b))) for a, b in pairs}
    faster = _holm(ratios, rules)
    order = _order(table, ratios)
    ranks = tuple(
        (1 + sum(b == one for _, b in faster), count - sum(a == one for a, _ in faster))
        for one in range(count)
    )
    return Ranking(order, frozenset(faster), ranks, _groups(order, faster), ratios)


def _holm(ratios: Mapping[tuple[int, int], TimeRatio], rules: Rules) -> set[tuple[int, int]]:
    """Pairs told apart, the faster one first: those that exceed the level left, until no other does."""
    left = dict(ratios)
    num_left, faster = len(ratios), set[tuple[int, int]]()
    while left:
        step = replace(rules, num_comparisons=rules.num_comparisons * num_left)
        found = {pair for pair, ratio in left.items() if _excludes_one(ratio, step)}
        if not found:
            break
        faster |= {(a, b) if (left[a, b].ratio or 1) < 1 else (b, a) for a, b in found}
        left = {pair: ratio for pair, ratio in left.items() if pair not in found}
        num_left -= len(found)
    return faster


def _excludes_one(ratio: TimeRatio, rules: Rules) -> bool:
    return ratio.ratio is not None and abs(math.log(ratio.ratio)) > ratio.half_width(rules)


def _order(table: np.ndarray, ratios: Mapping[tuple[int, int], TimeRatio]) -> tuple[int, ...]:
    """By the mean of log ratios to the others, which is by geometric mean where no time is missing."""
    scores: list[list[float]] = [[] for _ in table]
    for (a, b), ratio in ratios.items():
        if ratio.ratio is not None:
            scores[a].append(math.log(ratio.ratio))
            scores[b].append(-math.log(ratio.ratio))
    means = [round(sum(score) / len(score), 12) if score else math.inf for score in scores]
    return tuple(sorted(range(len(table)), key=lambda one: (means[one], one)))


def _groups(order: tuple[int, ...], faster: Collection[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Insert and absorb: Piepho (2004), An algorithm for a letter-based representation, JCGS 13."""
    groups = [frozenset(order)] if order else []
    for a, b in faster:
        split = [
            part for group in groups for part in ((group - {a}, group - {b}) if {a, b} <= group else (group,))
        ]
        groups = [one for one in dict.fromkeys(split) if not any(one < other for other in split)]
    place = {one: index for index, one in enumerate(order)}
    return tuple(
        sorted(
            (tuple(sorted(one, key=place.__getitem__)) for one in groups),
            key=lambda one: [place[i] for i in one],
        )
    )
