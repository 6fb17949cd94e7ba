import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from bakeoff import stats

times = st.floats(0.01, 1e4)


def test_a_ratio_worked_by_hand() -> None:
    # ratios 2, 2, 8: logs ln 2 x (1, 1, 3), mean 5/3 ln 2, standard error ln 2 x sqrt(4/3) / sqrt(3)
    found = stats.paired_ratio([2.0, 4.0, 8.0], [1.0, 2.0, 1.0])
    assert found.ratio == pytest.approx(2 ** (5 / 3))
    half = 4.302653 * math.log(2) * math.sqrt(4 / 3) / math.sqrt(3)
    assert found.low == pytest.approx(2 ** (5 / 3) * math.exp(-half), rel=1e-5)
    assert found.high == pytest.approx(2 ** (5 / 3) * math.exp(half), rel=1e-5)
    assert (found.num_pairs, found.verdict) == (3, stats.UNDECIDED)


@given(st.lists(st.tuples(times, times), min_size=2, max_size=20))
def test_the_interval_is_that_of_scipys_paired_test(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    logs = np.log(a) - np.log(b)
    if np.ptp(logs) < 1e-6:
        return
    found = stats.paired_ratio(a, b)
    expected = reference.ttest_rel(np.log(a), np.log(b)).confidence_interval(0.95)
    assert math.log(found.low or 0) == pytest.approx(expected.low, rel=1e-6, abs=1e-6)
    assert math.log(found.high or 0) == pytest.approx(expected.high, rel=1e-6, abs=1e-6)


@given(st.lists(st.tuples(times, times), max_size=12), st.randoms())
def test_the_order_of_rows_changes_nothing(pairs: list[tuple[float, float]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    c, d = [pair[0] for pair in shuffled], [pair[1] for pair in shuffled]
    assert stats.paired_ratio(a, b) == stats.paired_ratio(c, d)
    assert stats.paired_difference(a, b, 100) == stats.paired_difference(c, d, 100)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=12))
def test_seen_from_the_other_side_it_is_the_inverse(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    forth, back = stats.paired_ratio(a, b), stats.paired_ratio(b, a).inverse
    assert forth.verdict == back.verdict
    assert forth.ratio == pytest.approx(back.ratio)
    assert forth.low == pytest.approx(back.low)
    difference, other = stats.paired_difference(a, b), stats.paired_difference(b, a).inverse
    assert difference.difference == pytest.approx(other.difference)
    assert difference.high == pytest.approx(other.high)


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([1.0, 1.1, 0.9], [3.0, 3.3, 2.8], stats.FASTER),
        ([3.0, 3.3, 2.8], [1.0, 1.1, 0.9], stats.SLOWER),
        ([1.0, 2.0, 1.0], [2.0, 1.0, 1.0], stats.UNDECIDED),
        ([1.0, 1.0], [100.0, 100.0], stats.TOO_FEW),
        ([1.0], [100.0], stats.TOO_FEW),
        ([], [], stats.TOO_FEW),
    ],
)
def test_verdicts(a: list[float], b: list[float], verdict: str) -> None:
    assert stats.paired_ratio(a, b).verdict == verdict


def test_one_pair_has_a_ratio_but_no_interval() -> None:
    found = stats.paired_ratio([2.0], [1.0])
    assert (found.ratio, found.low, found.high) == (2.0, None, None)


def test_two_pairs_have_an_interval_but_no_verdict() -> None:
    found = stats.paired_ratio([1.0, 1.0], [9.0, 10.0])
    assert found.low is not None and found.high is not None and found.high < 1
    assert found.verdict == stats.TOO_FEW


def test_times_that_are_none_do_not_count() -> None:
    found = stats.paired_ratio([1.0, float("nan"), 0.0, 2.0], [2.0, 1.0, 1.0, 4.0])
    assert (found.num_pairs, found.ratio) == (2, pytest.approx(0.5))


def test_drift_of_the_machine_cancels_in_pairs() -> None:
    random = np.random.default_rng(5)
    drift = np.exp(random.normal(0, 0.5, 6))
    a, b = 1.0 * drift, 1.1 * drift * np.exp(random.normal(0, 0.01, 6))
    assert stats.paired_ratio(a, b).verdict == stats.FASTER


def test_the_ratios_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    num, trials = 5, 3000
    hits = 0
    for _ in range(trials):
        drift = random.normal(0, 0.3, num)
        a = np.exp(drift + random.normal(0, 0.05, num))
        b = 2.0 * np.exp(drift + random.normal(0, 0.05, num))
        found = stats.paired_ratio(a, b)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.5 <= found.high
    assert hits / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_equal_contestants_get_a_verdict_in_one_case_of_twenty() -> None:
    random = np.random.default_rng(12)
    trials = 3000
    verdicts = [
        stats.paired_ratio(*np.exp(random.normal(0, 0.06, (2, stats.MIN_PAIRS)))).verdict
        for _ in range(trials)
    ]
    wrong = sum(verdict in (stats.FASTER, stats.SLOWER) for verdict in verdicts) / trials
    assert wrong == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / trials))


def test_an_error_difference_worked_by_hand() -> None:
    found = stats.paired_difference([0.010, 0.012, 0.014], [0.009, 0.009, 0.009], num_test_images=10_000)
    assert found.difference == pytest.approx(0.003)
    half = 4.302653 * 0.002 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.003 - half, 0.003 + half), rel=1e-5)
    expected = math.sqrt((0.012 * 0.988 + 0.009 * 0.991) / 10_000)
    assert found.test_set_se == pytest.approx(expected)


def test_the_test_sets_share_is_unknown_without_its_size() -> None:
    assert stats.paired_difference([0.1, 0.2], [0.1, 0.1]).test_set_se is None


def test_the_binomial_error_of_the_field_notes() -> None:
    # 0.09 pp at 0.8 % of 10,000 images; a difference of two such has sqrt(2) times as much.
    found = stats.paired_difference([0.008], [0.008], 10_000)
    assert found.test_set_se == pytest.approx(math.sqrt(2) * 0.0009, rel=0.02)


def test_pairs_are_those_of_common_blocks() -> None:
    a, b = stats.pair([3, 0, 1], [30.0, 0.5, 10.0], [1, 2, 3], [1.0, 2.0, 3.0])
    assert (a.tolist(), b.tolist()) == ([10.0, 30.0], [1.0, 3.0])


def test_a_block_twice_is_ambiguous() -> None:
    with pytest.raises(ValueError, match="twice"):
        stats.pair([0, 0], [1.0, 2.0], [0], [1.0])


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        stats.paired_ratio([1.0], [1.0, 2.0])
