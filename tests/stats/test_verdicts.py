"""Verdicts on a pair: worked by hand, against SciPy, seen from both sides, and what projections promise."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as reference

from bakeoff import stats
from bakeoff.stats import ErrorDifference, Rules, Verdict

times = st.floats(0.01, 1e4)
# Ratios a:b of exp(-0.1), exp(-0.2), exp(-0.3): mean log -0.2, sd 0.1, standard error 0.1 / √3.
A, B = [math.exp(-0.1), math.exp(-0.2), math.exp(-0.3)], [1.0, 1.0, 1.0]


def errors(difference: float, half: float, rules: Rules, num: int = 4) -> ErrorDifference:
    """A difference of errors with that half width after `num` blocks, all of it from seeds."""
    se = half / rules.critical_value(num)
    return ErrorDifference(difference, difference - half, difference + half, num, se, 0.0, True)


def logs(mean: float, sd: float, num: int) -> np.ndarray:
    """Log ratios with exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, num)
    return mean + sd * values / values.std(ddof=1)


def judge(mean: float, sd: float, num: int, rules: Rules, error: ErrorDifference | None = None) -> Verdict:
    return stats.judge(np.exp(logs(mean, sd, num)), np.ones(num), error, rules)


def test_a_ratio_worked_by_hand() -> None:
    found = stats.time_ratio(A, B)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert found.ratio == pytest.approx(math.exp(-0.2))
    assert (found.low, found.high) == pytest.approx((math.exp(-0.2 - half), math.exp(-0.2 + half)), rel=1e-6)
    assert (found.num_blocks, found.log_sd) == (3, pytest.approx(0.1))
    assert stats.judge(A, B).kind == stats.UNDECIDED  # 0.2 is less than 0.248
    # At 90 %, t is 2.919986 and the half width 0.1686.
    assert stats.judge(A, B, None, Rules(confidence=0.9)).kind == stats.FASTER


@given(st.lists(st.tuples(times, times), min_size=3, max_size=20), st.integers(1, 6))
def test_a_fixed_interval_is_that_of_scipys_paired_test(pairs: list[tuple[float, float]], count: int) -> None:
    a, b = np.log(np.array(pairs)).T
    assume(np.ptp(a - b) > 1e-6)
    found = stats.time_ratio(np.exp(a), np.exp(b), Rules(num_comparisons=count))
    expected = reference.ttest_rel(a, b).confidence_interval(1 - 0.05 / count)
    assert math.log(found.low or 0) == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert math.log(found.high or 0) == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "sd", "num", "kind"),
    [
        (-0.5, 0.05, 5, stats.FASTER),
        (0.5, 0.05, 5, stats.SLOWER),
        (0.01, 0.05, 5, stats.UNDECIDED),
        (0.001, 0.01, 5, stats.PRACTICALLY_EQUAL),  # half width 2.776 x 0.01 / √5 = 0.0124, margin 0.0198
        (0.01, 0.002, 5, stats.PRACTICALLY_EQUAL),  # differs for certain, by less than matters
        (-0.5, 0.05, 2, stats.TOO_FEW),
        (0.0, 0.0, 3, stats.PRACTICALLY_EQUAL),
        (-0.5, 0.0, 3, stats.FASTER),
    ],
)
def test_verdicts_on_time(mean: float, sd: float, num: int, kind: str) -> None:
    assert judge(mean, sd, num, Rules()).kind == kind
    assert judge(mean, sd, num, Rules()).is_decided == (kind not in (stats.UNDECIDED, stats.TOO_FEW))


def test_the_margin_counts() -> None:
    assert judge(0.001, 0.01, 5, Rules(margin=0.01)).kind == stats.UNDECIDED
    assert judge(0.03, 0.01, 5, Rules(margin=0.05)).kind == stats.PRACTICALLY_EQUAL


@pytest.mark.parametrize(
    ("difference", "half", "kind", "undecided_on"),
    [
        (-0.0002, 0.0009, stats.FASTER, ""),  # up to 0.07 points more, margin 0.25
        (0.0015, 0.0009, stats.FASTER, ""),  # certainly worse, by less than the margin
        (0.0040, 0.0009, stats.FASTER_AT_WORSE_ERROR, ""),
        (0.0020, 0.0009, stats.FASTER_AT_WORSE_ERROR, ""),  # 0.11 to 0.29: worse, and maybe beyond the margin
        (0.0020, 0.0030, stats.UNDECIDED, "error"),
    ],
)
def test_verdicts_on_time_and_error(difference: float, half: float, kind: str, undecided_on: str) -> None:
    rules = Rules()
    found = judge(-0.5, 0.05, 4, rules, errors(difference, half, rules))
    assert (found.kind, found.undecided_on) == (kind, undecided_on)
    # The same from the other side: there b is the slower one, and the sign of the difference turns.
    other = judge(0.5, 0.05, 4, rules, errors(-difference, half, rules))
    assert other.kind == found.inverse.kind


def test_the_error_of_equals_and_of_the_undecided_is_shown_and_not_judged() -> None:
    worse = errors(0.01, 0.001, Rules())
    assert judge(0.0, 0.001, 5, Rules(), worse).kind == stats.PRACTICALLY_EQUAL
    assert judge(0.0, 0.2, 5, Rules(), worse).undecided_on == "time"


def test_the_sentence_of_a_verdict_can_be_made_from_it_alone() -> None:
    rules = Rules()
    found = judge(-math.log(3.1), 0.042, 4, rules, errors(-0.0002, 0.0009, rules)).inverse.inverse
    faster, error = found.time.inverse, found.error
    assert found.kind == stats.FASTER and error is not None
    assert error.difference is not None and error.low is not None and error.high is not None
    sentence = (
        f"{faster.ratio:.1f}× faster ({100 * found.rules.confidence:.0f} % CI "
        f"{faster.low:.1f}–{faster.high:.1f}), "
        f"at non-inferior error (difference {100 * error.difference:+.2f} pp, CI {100 * error.low:+.2f}…"
        f"{100 * error.high:+.2f}, margin {100 * found.rules.error_margin:.2f} pp)"
    )
    assert sentence == (
        "3.1× faster (95 % CI 2.9–3.3), at non-inferior error "
        "(difference -0.02 pp, CI -0.11…+0.07, margin 0.25 pp)"
    )


@given(st.lists(st.tuples(times, times), max_size=12), st.randoms(), st.booleans())
def test_the_order_of_rows_changes_nothing(
    pairs: list[tuple[float, float]], random: object, is_sequential: bool
) -> None:
    rules = Rules(is_sequential=is_sequential)
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = [one for one, _ in pairs], [other for _, other in pairs]
    c, d = [one for one, _ in shuffled], [other for _, other in shuffled]
    assert stats.judge(a, b, None, rules) == stats.judge(c, d, None, rules)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=12), st.booleans(), st.floats(0.001, 1000))
def test_seen_from_the_other_side_it_is_the_inverse_and_units_do_not_matter(
    pairs: list[tuple[float, float]], is_sequential: bool, unit: float
) -> None:
    rules = Rules(is_sequential=is_sequential)
    a, b = np.array(pairs).T
    assume(len(a) < 2 or np.ptp(np.log(a) - np.log(b)) > 1e-9)  # else rounding decides
    forth, back = stats.judge(a, b, None, rules), stats.judge(b * unit, a * unit, None, rules).inverse
    assert (forth.kind, forth.undecided_on, forth.obstacle) == (back.kind, back.undecided_on, back.obstacle)
    assert forth.time.ratio == pytest.approx(back.time.ratio)
    ends = (forth.time.low, forth.time.high), (back.time.low, back.time.high)
    assert ends == ((None, None), (None, None)) or ends[0] == pytest.approx(ends[1], rel=1e-6)


@given(st.lists(st.tuples(times, times), min_size=6, max_size=20))
def test_looking_often_asks_for_more_than_looking_once(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    assume(np.ptp(np.log(a) - np.log(b)) > 1e-6)
    once, often = stats.time_ratio(a, b), stats.time_ratio(a, b, Rules(is_sequential=True))
    assert often.low is not None and once.low is not None and often.low < once.low
    assert often.high is not None and once.high is not None and often.high > once.high


def test_a_sequential_verdict_waits_for_block_six() -> None:
    rules = Rules(is_sequential=True)
    early = judge(-1.1, 0.05, 5, rules)
    assert (early.kind, early.more_blocks) == (stats.TOO_FEW, 1)
    assert (early.time.low, early.time.high) == (None, None)
    assert judge(-1.1, 0.05, 6, rules).kind == stats.FASTER


def test_times_that_are_none_do_not_count() -> None:
    found = stats.time_ratio([1.0, math.nan, 0.0, 2.0], [2.0, 1.0, 1.0, 4.0])
    assert (found.num_blocks, found.ratio) == (2, pytest.approx(0.5))
    assert stats.judge([], []).kind == stats.TOO_FEW
    assert stats.judge([], []).more_blocks == 3
    assert stats.judge([1.0], [2.0]).more_blocks == 2


def test_a_projection_worked_by_hand() -> None:
    """Mean 0.03, sd 0.06 after 10 blocks: 18 in all are the fewest with t(n-1) x 0.06 / √n below 0.03.

    The chance of a difference being found is one half where the half width equals the mean (the other
    side's chance and that of equality are below one per cent then).
    """
    found = judge(0.03, 0.06, 10, Rules())
    enough = next(n for n in range(11, 99) if reference.t.isf(0.025, n - 1) * 0.06 / math.sqrt(n) < 0.03)
    assert (found.kind, found.undecided_on, found.obstacle) == (stats.UNDECIDED, "time", "")
    assert enough == 18 and found.more_blocks == 8


def test_a_projection_towards_equality() -> None:
    """Equal so far: the interval must shrink to the margin, which takes fewer blocks with less noise."""
    needed = [judge(0.0, sd, 8, Rules()).more_blocks for sd in (0.03, 0.06)]
    assert needed[0] is not None and needed[1] is not None and needed[0] < needed[1]
    half = reference.t.isf(0.025, 7 + needed[0]) * 0.03 / math.sqrt(8 + needed[0])
    assert half < math.log1p(0.02)


def test_a_projection_without_end_says_so() -> None:
    found = judge(0.0, 2.0, 60, Rules())
    assert (found.more_blocks, found.obstacle) == (None, "more than 340 more blocks")


def test_a_test_set_too_small_for_the_margin_is_named() -> None:
    rules = Rules()
    small = stats.error_difference([0.05, 0.052, 0.048], [0.05, 0.049, 0.051], rules, num_test_images=500)
    found = judge(-0.5, 0.01, 3, rules, small)
    assert (found.kind, found.undecided_on, found.more_blocks) == (stats.UNDECIDED, "error", None)
    assert "test set is too small" in found.obstacle


def test_blocks_that_the_error_needs_are_projected_too() -> None:
    rules = Rules()
    seeds = errors(0.0, 0.004, rules)  # the margin is 0.0025: more blocks shrink it
    found = judge(-0.5, 0.01, 4, rules, seeds)
    assert (found.kind, found.undecided_on) == (stats.UNDECIDED, "error")
    assert found.more_blocks is not None
    needed = 4 + found.more_blocks
    assert seeds.half_width(rules, needed) < 0.0025 <= seeds.half_width(rules, needed - 1)


@pytest.mark.parametrize("is_sequential", [False, True])
def test_projections_come_true_more_often_than_not(is_sequential: bool) -> None:
    """Studies undecided after 8 blocks: with as many more as projected, half or more are decided."""
    random = np.random.default_rng(8)
    rules = Rules(is_sequential=is_sequential)
    outcomes = []
    for _ in range(150):
        ratios = np.exp(random.normal(random.normal(0, 0.05), 0.05, 408))
        early = stats.judge(ratios[:8], np.ones(8), None, rules)
        if early.more_blocks is not None:
            late = stats.judge(ratios[: 8 + early.more_blocks], np.ones(8 + early.more_blocks), None, rules)
            outcomes.append(late.is_decided)
    assert len(outcomes) > 50
    assert 0.4 < np.mean(outcomes) < 0.75


def test_rules_are_numbers_that_can_be_stored() -> None:
    rules = Rules(margin=0.03, is_sequential=True, num_comparisons=3)
    assert Rules(**json.loads(json.dumps(dataclasses.asdict(rules)))) == rules


@pytest.mark.parametrize(
    "wrong", [{"margin": -0.1}, {"error_margin": -0.1}, {"confidence": 1.0}, {"num_comparisons": 0}]
)
def test_rules_without_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Rules(**wrong)  # type: ignore[arg-type]


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        stats.judge([1.0], [1.0, 2.0])
