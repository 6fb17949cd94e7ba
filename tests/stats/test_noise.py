"""Noise borrowed from other races and contestants: worked by hand, and what it leaves as it was."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats as reference

from bakeoff import stats
from bakeoff.stats import ErrorDifference, Lent, Obstacle, OnError, Pairing, Rules

AB = frozenset("ab")


def race(**logs: list[float]) -> dict[str, dict[int, float]]:
    """Seconds by contestant and block, from log times."""
    return {name: {block: math.exp(one) for block, one in enumerate(mine)} for name, mine in logs.items()}


def test_what_is_lent_worked_by_hand() -> None:
    """Log ratios of a to b are 0 and -0.2, then -0.1 and -0.3: a sum of squares of 0.02 in either race."""
    first, second = stats.lend(
        [race(a=[0.0, 0.0], b=[0.0, 0.2], c=[0.0, 0.0]), race(a=[0.0, 0.0], b=[0.1, 0.3])]
    )
    # Squares of the pairs of the first race are 0.02, 0 and 0.02; its residuals' are a third of their sum.
    assert dataclasses.astuple(first[AB]) == pytest.approx((0.02, 1, 0.08 / 3 - 0.02, 1))
    assert dataclasses.astuple(second[AB]) == pytest.approx((0.02, 1, 0.0, 0), abs=1e-12)
    # Both races of the pair have 0.04 with 2 degrees of freedom, the first race 0.0267 with 2.
    ratio = stats.time_ratio([1.0, 1.0], [1.0, math.exp(0.2)], lent=first[AB])
    assert ratio.noise is not None and (ratio.noise.df, ratio.noise.own_df) == (3, 1)
    assert ratio.noise.log_sd == pytest.approx(math.sqrt(0.02))
    assert (ratio.low, ratio.high) == (None, None), "three degrees of freedom are too few"
    # c differs from a by nothing: there the race's noise is the larger one.
    quiet = stats.time_ratio([1.0, 1.0], [1.0, 1.0], lent=first[frozenset("ac")])
    assert quiet.noise is not None and quiet.noise.log_sd == pytest.approx(math.sqrt(0.08 / 3 / 2))


def test_missing_runs_leave_a_race_what_it_knows() -> None:
    """As by least squares with SciPy on the cells that are there; the pair's part is never more than all."""
    random = np.random.default_rng(1)
    for _ in range(20):
        table = np.where(random.random((4, 5)) < 0.3, np.nan, random.normal(0, 0.1, (4, 5)))
        names = "abcd"
        times = {
            name: {block: math.exp(one) for block, one in enumerate(row) if math.isfinite(one)}
            for name, row in zip(names, table, strict=True)
        }
        rows, columns = np.nonzero(np.isfinite(table))
        design = np.hstack([np.eye(4)[rows], np.eye(5)[columns]])
        residuals = table[rows, columns] - design @ (np.linalg.pinv(design) @ table[rows, columns])
        df = len(rows) - np.linalg.matrix_rank(design)
        for pair, lent in stats.lend([times])[0].items():
            a, b = (table[names.index(name)] for name in pair)
            logs = (a - b)[np.isfinite(a - b)]
            own = ((logs - logs.mean()) ** 2).sum() if len(logs) else 0.0
            assert lent.race_square == pytest.approx(max(2 * (residuals**2).sum() - own, 0), abs=1e-9)
            assert lent.race_df == df - max(len(logs) - 1, 0) >= 0 and lent.pair_df == 0


def test_an_interval_of_two_blocks_is_students_with_the_degrees_of_freedom_that_are_known() -> None:
    lent = Lent(pair_square=0.02, pair_df=2, race_square=0.04, race_df=6)
    found = stats.judge([1.0, 1.1], [2.0, 2.0], lent=lent)
    own = math.log(1.1) ** 2 / 2
    sd = math.sqrt(max((own + 0.02) / 3, (own + 0.04) / 7))
    half = reference.t.isf(0.025, 1 + 2 + 2) * sd / math.sqrt(2)
    assert found.on_time is stats.FASTER and found.time.ratio is not None and found.time.low is not None
    assert math.log(found.time.ratio) - math.log(found.time.low) == pytest.approx(half)
    forth, back = found, stats.judge([2.0, 2.0], [1.0, 1.1], lent=lent).inverse
    assert forth.time.low == pytest.approx(back.time.low) and forth.on_time is back.on_time


def test_what_may_not_borrow() -> None:
    """One block, six blocks, nothing to borrow from, and whoever looks after every block."""
    lent = Lent(0.02, 2, 0.04, 6)
    assert stats.judge([1.0], [2.0], lent=lent).on_time is stats.TOO_FEW
    assert stats.judge([1.0, 1.0], [2.0, 2.1]).on_time is stats.TOO_FEW
    assert stats.judge([1.0, 1.0], [2.0, 2.1], None, Rules(is_sequential=True), lent).on_time is stats.TOO_FEW
    times = [1.0, 1.1, 1.05] * 2, [2.0] * 6
    assert stats.judge(*times, lent=lent) == stats.judge(*times)


def test_a_ranking_says_what_verdicts_say() -> None:
    random = np.random.default_rng(3)
    logs = np.log([1.0, 1.0, 3.0])[:, None] + random.normal(0, 0.02, (2, 3, 3))
    races = [
        {name: dict(enumerate(np.exp(one))) for name, one in zip("abc", data, strict=True)} for data in logs
    ]
    lent = stats.lend(races)[0]
    by_index = {(a, b): lent[frozenset(("abc"[a], "abc"[b]))] for a, b in [(0, 1), (0, 2), (1, 2)]}
    found = stats.rank(np.exp(logs[0]), lent=by_index)
    assert found.faster == {(0, 2), (1, 2)} and stats.rank(np.exp(logs[0])).faster == set()
    for (a, b), one in by_index.items():
        verdict = stats.judge(np.exp(logs[0, a]), np.exp(logs[0, b]), lent=one)
        assert ((a, b) in found.faster) == (verdict.on_time is stats.FASTER)


@pytest.mark.parametrize(
    ("test_set_se", "obstacle"), [(0.0005, Obstacle.TOO_FEW_BLOCKS), (0.004, Obstacle.TEST_SET_TOO_SMALL)]
)
def test_two_blocks_may_tell_the_time_and_leave_the_error_open(
    test_set_se: float, obstacle: Obstacle
) -> None:
    error = ErrorDifference(0.001, None, None, 2, 0.001, test_set_se, Pairing.BY_IMAGE)
    found = stats.judge([1.0, 1.1], [2.0, 2.0], error, lent=Lent(0.02, 2, 0.04, 6))
    for one, on_time in ((found, stats.FASTER), (found.inverse, stats.SLOWER)):
        assert (one.on_time, one.on_error, one.kind) == (on_time, OnError.OPEN, stats.UNDECIDED)
        assert one.is_decided_on_time and not one.is_decided and one.undecided_on is stats.Question.ERROR
    assert (found.more, found.obstacle) == (None, obstacle)
    close = stats.judge([1.0, 1.1], [1.1, 1.15], error, lent=Lent(0.02, 2, 0.04, 6))
    assert (close.undecided_on, close.obstacle) == (stats.Question.TIME, Obstacle.TOO_FEW_BLOCKS)


def test_a_projection_from_two_blocks_rests_on_what_the_verdict_does() -> None:
    """Its own blocks agree to a thousandth, which would be decided by block six; others show 6 and 7 %."""

    def more(sd: float) -> stats.MoreBlocks:
        lent = Lent(pair_square=40 * sd**2, pair_df=40, race_square=80 * sd**2, race_df=80)
        found = stats.judge([1.08, 1.081], [1.0, 1.0], lent=lent)
        assert found.on_time is stats.UNDECIDED and found.more is not None
        return found.more

    less, noisier = more(0.06), more(0.07)
    assert less.low == noisier.low == 4, "blocks that are added are judged from the sixth on"
    assert 4 < less.num <= noisier.num and less.high < noisier.high
