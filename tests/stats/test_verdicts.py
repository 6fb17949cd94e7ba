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
from bakeoff.stats.doubts import correlation, is_dependent

times = st.floats(0.01, 1e4)
# Log ratios a:b of -0.1, -0.2 and -0.3, each twice: mean -0.2, standard deviation √(0.04 / 5).
A, B = [math.exp(-0.1 * one) for one in (1, 2, 3, 3, 1, 2)], [1.0] * 6
SD = math.sqrt(0.04 / 5)


def errors(difference: float, half: float, rules: Rules, num: int = 6) -> ErrorDifference:
    """A difference of errors with that half width after `num` blocks, all of it from seeds."""
    se = half / rules.critical_value(num)  # the test set has no share in it
    return ErrorDifference(
        difference, difference - half, difference + half, num, se, 0.0, stats.Pairing.BY_IMAGE
    )


def logs(mean: float, sd: float, num: int) -> np.ndarray:
    """Log ratios with exactly this mean and standard deviation, neighbours unlike each other."""
    values = np.linspace(-1, 1, num)
    values = values[[index // 2 if index % 2 else -1 - index // 2 for index in range(num)]]
    return mean + sd * values / values.std(ddof=1)


def judge(mean: float, sd: float, num: int, rules: Rules, error: ErrorDifference | None = None) -> Verdict:
    return stats.judge(np.exp(logs(mean, sd, num)), np.ones(num), error, rules)


def test_a_ratio_worked_by_hand() -> None:
    found = stats.time_ratio(A, B)
    half = 2.570582 * SD / math.sqrt(6)
    assert found.ratio == pytest.approx(math.exp(-0.2))
    assert (found.low, found.high) == pytest.approx((math.exp(-0.2 - half), math.exp(-0.2 + half)), rel=1e-6)
    assert (found.num_blocks, found.log_sd) == (6, pytest.approx(SD))
    assert stats.judge(A, B).kind == stats.FASTER  # 0.2 is more than 0.094
    # At 99.9 %, t is 6.868827 and the half width 0.2508.
    assert stats.judge(A, B, None, Rules(confidence=0.999)).kind == stats.UNDECIDED


@given(st.lists(st.tuples(times, times), min_size=6, max_size=20), st.integers(1, 6))
def test_a_fixed_interval_is_that_of_scipys_paired_test(pairs: list[tuple[float, float]], count: int) -> None:
    a, b = np.log(np.array(pairs)).T
    assume(np.ptp(a - b) > 1e-6 and not is_dependent(a - b))
    found = stats.time_ratio(np.exp(a), np.exp(b), Rules(num_comparisons=count))
    expected = reference.ttest_rel(a, b).confidence_interval(1 - 0.05 / count)
    assert math.log(found.low or 0) == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert math.log(found.high or 0) == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "sd", "num", "kind"),
    [
        (-0.5, 0.05, 6, stats.FASTER),
        (0.5, 0.05, 6, stats.SLOWER),
        (0.01, 0.05, 6, stats.UNDECIDED),
        (0.001, 0.01, 6, stats.PRACTICALLY_EQUAL),  # half width 2.571 x 0.01 / √6 = 0.0105, margin 0.0198
        (0.01, 0.002, 6, stats.PRACTICALLY_EQUAL),  # differs for certain, by less than matters
        (-0.5, 0.05, 5, stats.TOO_FEW),
        (0.0, 0.0, 6, stats.PRACTICALLY_EQUAL),
        (-0.5, 0.0, 6, stats.FASTER),
    ],
)
def test_verdicts_on_time(mean: float, sd: float, num: int, kind: str) -> None:
    assert judge(mean, sd, num, Rules()).kind == kind
    assert judge(mean, sd, num, Rules()).is_decided == (kind not in (stats.UNDECIDED, stats.TOO_FEW))


def test_the_margin_counts() -> None:
    assert judge(0.001, 0.01, 6, Rules(margin=0.01)).kind == stats.UNDECIDED
    assert judge(0.03, 0.01, 6, Rules(margin=0.05)).kind == stats.PRACTICALLY_EQUAL


@pytest.mark.parametrize(
    ("difference", "half", "kind", "undecided_on"),
    [
        (-0.0002, 0.0009, stats.FASTER, None),  # up to 0.07 points more, margin 0.25
        (0.0015, 0.0009, stats.FASTER, None),  # certainly worse, by less than the margin
        (0.0040, 0.0009, stats.FASTER_AT_WORSE_ERROR, None),
        (
            0.0020,
            0.0009,
            stats.FASTER_AT_WORSE_ERROR,
            None,
        ),  # 0.11 to 0.29: worse, and maybe beyond the margin
        (0.0020, 0.0030, stats.UNDECIDED, "error"),
    ],
)
def test_verdicts_on_time_and_error(
    difference: float, half: float, kind: str, undecided_on: str | None
) -> None:
    rules = Rules()
    found = judge(-0.5, 0.05, 6, rules, errors(difference, half, rules))
    assert (found.kind, found.undecided_on) == (kind, undecided_on)
    # The same from the other side: there b is the slower one, and the sign of the difference turns.
    other = judge(0.5, 0.05, 6, rules, errors(-difference, half, rules))
    assert other.kind == found.inverse.kind


def test_the_error_of_equals_and_of_the_undecided_is_shown_and_not_judged() -> None:
    worse = errors(0.01, 0.001, Rules())
    assert judge(0.0, 0.001, 6, Rules(), worse).kind == stats.PRACTICALLY_EQUAL
    assert judge(0.0, 0.2, 6, Rules(), worse).undecided_on == "time"


def test_the_sentence_of_a_verdict_can_be_made_from_it_alone() -> None:
    rules = Rules()
    found = judge(-math.log(3.1), 0.06, 6, rules, errors(-0.0002, 0.0009, rules)).inverse.inverse
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
def test_the_order_of_blocks_matters_only_to_whether_they_depend_on_one_another(
    pairs: list[tuple[float, float]], random: object, is_sequential: bool
) -> None:
    rules = Rules(is_sequential=is_sequential)
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = [one for one, _ in pairs], [other for _, other in pairs]
    c, d = [one for one, _ in shuffled], [other for _, other in shuffled]
    one, other = stats.judge(a, b, None, rules), stats.judge(c, d, None, rules)
    assert (one.time.ratio, one.time.log_sd) == (other.time.ratio, other.time.log_sd)
    if one.time.widening == other.time.widening == 1.0:
        assert one == other


def test_the_correlation_of_neighbouring_blocks_is_at_most_one() -> None:
    assert correlation(np.repeat([0.0, 1.0], 4)) == pytest.approx(0.625 + (1 + 3 * 0.625) / 8)
    assert correlation(np.repeat([0.0, 1.0], 10)) == 1.0  # 0.85 + (1 + 3 * 0.85) / 20 is more


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
    assert (early.kind, early.more, early.obstacle) == (stats.TOO_FEW, None, stats.Obstacle.TOO_FEW_BLOCKS)
    assert (early.time.low, early.time.high) == (None, None)
    assert judge(-1.1, 0.05, 6, rules).kind == stats.FASTER


def test_times_that_are_none_do_not_count() -> None:
    found = stats.time_ratio([1.0, math.nan, 0.0, 2.0], [2.0, 1.0, 1.0, 4.0])
    assert (found.num_blocks, found.ratio) == (2, pytest.approx(0.5))
    assert stats.judge([], []).kind == stats.TOO_FEW
    assert stats.judge([], []).obstacle is stats.Obstacle.TOO_FEW_BLOCKS


@pytest.mark.parametrize("difference", [0.0, 0.015])
def test_projections_are_what_futures_do(difference: float) -> None:
    """Against futures drawn block by block, and judged at each by the rule itself."""
    found = judge(difference, 0.04, 12, Rules())
    assert found.undecided_on is stats.Question.TIME and found.more is not None
    random, rules, needed = np.random.default_rng(3), Rules(is_sequential=True), []
    seen = logs(difference, 0.04, 12)
    for _ in range(200):
        sd = 0.04 * math.sqrt(11 / random.chisquare(11))
        future = np.concatenate([seen, random.normal(random.normal(difference, sd / math.sqrt(12)), sd, 388)])
        count = np.arange(1, 401)
        mean = np.cumsum(future) / count
        sds = np.sqrt((np.cumsum(future**2) - count * mean**2)[12:] / (count - 1)[12:])
        half = np.array([rules.critical_value(int(one)) for one in count[12:]]) * sds / np.sqrt(count[12:])
        mean = np.abs(mean[12:])
        decided = (mean > half) | (mean + half < rules.log_margin)
        needed.append(decided.argmax() + 1 if decided.any() else math.inf)
    low, middle, high = np.quantile(needed, [0.1, 0.5, 0.9], method="higher")
    assert found.more.num == pytest.approx(middle, rel=0.3)
    assert found.more.low == pytest.approx(low, rel=0.5, abs=2) and found.more.high == pytest.approx(
        high, rel=0.3
    )


def test_a_projection_is_silent_where_it_predicts_nothing() -> None:
    """Few degrees of freedom, futures that are too unlike, and futures that hardly end."""
    assert judge(0.3, 0.2, 5, Rules()).obstacle is stats.Obstacle.TOO_FEW_BLOCKS
    wide = judge(0.05, 0.06, 6, Rules())
    assert (wide.kind, wide.more, wide.obstacle) == (stats.UNDECIDED, None, stats.Obstacle.UNPREDICTABLE)
    endless = judge(0.0, 2.0, 60, Rules())
    assert (endless.more, endless.obstacle) == (None, stats.Obstacle.TOO_MANY_BLOCKS)


def test_more_noise_asks_for_more_blocks_and_a_fixed_number_is_no_help_afterwards() -> None:
    """Blocks that are added are judged at every look, so that both rules project the same."""
    few, many = (judge(0.0, sd, 8, Rules()).more for sd in (0.026, 0.03))
    assert few is not None and many is not None and few.num < many.num
    assert judge(0.0, 0.03, 8, Rules(is_sequential=True)).more == many


def test_a_test_set_too_small_for_the_margin_is_named() -> None:
    rules = Rules()
    small = stats.error_difference(
        [0.05, 0.052, 0.048] * 2, [0.05, 0.049, 0.051] * 2, rules, num_test_images=500
    )
    found = judge(-0.5, 0.01, 6, rules, small)
    assert (found.kind, found.undecided_on, found.more) == (stats.UNDECIDED, stats.Question.ERROR, None)
    assert found.obstacle is stats.Obstacle.TEST_SET_TOO_SMALL


def test_blocks_that_the_error_needs_are_projected_too() -> None:
    rules = Rules()
    seeds = errors(0.0, 0.003, rules, 20)  # the margin is 0.0025: more blocks shrink it
    found = judge(-0.5, 0.01, 20, rules, seeds)
    assert (found.kind, found.undecided_on) == (stats.UNDECIDED, stats.Question.ERROR)
    assert found.more is not None and found.more.num > 10
    assert judge(-0.5, 0.01, 20, rules, errors(0.0, 0.001, rules, 20)).is_decided


def test_projections_come_true_as_often_as_they_say() -> None:
    """Undecided after 12 blocks: half are decided within the number, eight in ten within the range."""
    random = np.random.default_rng(8)
    rules = Rules(is_sequential=True)
    critical = np.array([rules.critical_value(num) for num in range(13, 401)])
    within, inside = [], []
    for _ in range(400):
        future = random.normal(random.normal(0, 0.05), 0.05, 400)
        more = stats.judge(np.exp(future[:12]), np.ones(12), None, rules).more
        if more is None:
            continue
        count = np.arange(1, 401)
        mean = np.cumsum(future) / count
        sds = np.sqrt((np.cumsum(future**2) - count * mean**2)[12:] / (count - 1)[12:])
        half, mean = critical * sds / np.sqrt(count[12:]), np.abs(mean[12:])
        decided = (mean > half) | (mean + half < rules.log_margin)
        needed = decided.argmax() + 1 if decided.any() else math.inf
        within.append(needed <= more.num)
        inside.append(more.low <= needed <= more.high)
    assert len(within) > 60
    assert 0.35 < np.mean(within) < 0.75 and 0.68 < np.mean(inside) < 0.95


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
