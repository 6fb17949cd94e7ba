"""Entries slowed by a known amount: counted by verdict, and projected to the noise that was seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff import stats
from bakeoff.calibration.handicaps import blocks_needed, found


def invented(
    handicap: float, sd: float, seed: int = 0, num_blocks: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    plain = random.normal(0, sd / math.sqrt(2), (num_blocks, 10))
    return math.log1p(handicap) + random.normal(0, sd / math.sqrt(2), num_blocks), plain


def test_each_comparison_is_a_verdict() -> None:
    slowed, plain = invented(0.03, 0.04)
    result = found(0.03, slowed, plain, 0.04)
    kinds = [stats.judge(np.exp(slowed), np.exp(one)).kind for one in plain.T]
    assert result.num_comparisons == 10 and result.num_blocks == 12
    assert result.num_slower == kinds.count(stats.SLOWER)
    assert result.num_equal == kinds.count(stats.PRACTICALLY_EQUAL)
    assert result.num_faster == kinds.count(stats.FASTER) == 0
    until = stats.Rules(is_sequential=True)
    for one, block in zip(plain.T, result.blocks, strict=True):
        looks = range(6, 13)
        calls = [stats.judge(np.exp(slowed[:num]), np.exp(one[:num]), None, until).kind for num in looks]
        expected = looks[calls.index(stats.SLOWER)] if stats.SLOWER in calls else None
        assert block == expected


def test_a_plain_difference_is_found_at_once_and_a_small_one_is_called_equal() -> None:
    large = found(0.1, *invented(0.1, 0.01), 0.01)
    assert (large.num_slower, large.blocks, large.median_blocks) == (10, (6,) * 10, 6)
    assert large.ratio.ratio == pytest.approx(1.1, abs=0.02)
    small = found(0.01, *invented(0.01, 0.004), 0.004)
    assert small.num_equal == 10 and small.num_slower == 0


def test_the_median_counts_those_that_were_never_found() -> None:
    result = found(0.03, *invented(0.03, 0.2), 0.2)
    assert result.median_blocks is None and None in result.blocks


def test_blocks_that_do_not_count_are_left_out() -> None:
    slowed, plain = invented(0.1, 0.01)
    slowed[[2, 5]] = math.nan
    assert found(0.1, slowed, plain, 0.01).num_blocks == 10


def test_a_handicap_that_never_ended_well_has_no_ratio() -> None:
    _, plain = invented(0.1, 0.01)
    result = found(0.1, np.full(12, math.nan), plain, 0.01)
    assert (result.num_blocks, result.num_slower, result.ratio.ratio) == (0, 0, None)


def test_projected_blocks_are_those_of_the_verdicts_own_simulation() -> None:
    """`make bench-verdicts` has within 20 for 3 % at a noise of 3 %, 75 at 6 %, and for 10 % at 6 % 12."""
    assert blocks_needed(0.03, 0.03) == pytest.approx(20, abs=1)
    assert blocks_needed(0.03, 0.06) == pytest.approx(75, abs=3)
    assert blocks_needed(0.1, 0.06) == pytest.approx(12, abs=1)


def test_what_is_found_at_once_or_never() -> None:
    assert blocks_needed(0.1, 0.0001) == 6
    assert blocks_needed(0.03, 0.2) is None
    assert blocks_needed(0.01, 0.001) is None, "it lies within the margin"
