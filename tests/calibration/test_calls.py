"""What is called on whole arrays is what `stats.judge` says of each pair."""

from __future__ import annotations

import numpy as np
import pytest

from bakeoff import stats
from bakeoff.calibration.calls import by_look, called, equal

RULES = [
    stats.Rules(),
    stats.Rules(margin=0.0),
    stats.Rules(is_sequential=True),
    stats.Rules(margin=0.1, confidence=0.9),
]


def judged(ratios: np.ndarray, rules: stats.Rules) -> tuple[list[int], list[bool]]:
    """The same, one by one."""
    kinds = [stats.judge(np.exp(one), np.ones(len(one)), None, rules).kind for one in ratios]
    signs = {stats.FASTER: -1, stats.SLOWER: 1}
    return [signs.get(kind, 0) for kind in kinds], [kind == stats.PRACTICALLY_EQUAL for kind in kinds]


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("num_blocks", [2, 3, 6, 11])
def test_calls_are_verdicts(rules: stats.Rules, num_blocks: int) -> None:
    random = np.random.default_rng(num_blocks)
    shifts = random.normal(0, 0.04, (60, 1))
    ratios = shifts + random.normal(0, 1, (60, num_blocks)) * random.choice([0.002, 0.02], (60, 1))
    signs, equals = judged(ratios, rules)
    assert called(ratios, rules).tolist() == signs
    assert equal(ratios, rules).tolist() == equals
    if num_blocks == 11 and rules.margin < 0.1:
        assert {-1, 0, 1} == set(signs)


def test_looks_begin_with_the_fewest_blocks_that_decide() -> None:
    rules = stats.Rules(is_sequential=True)
    ratios = np.random.default_rng(0).normal(0.05, 0.03, (4, 9))
    looks = by_look(ratios, rules)
    assert looks.shape == (4, 4)
    for index, num in enumerate(range(6, 10)):
        assert looks[:, index].tolist() == judged(ratios[:, :num], rules)[0]
    assert by_look(ratios[:, :5], rules).shape == (4, 0)
