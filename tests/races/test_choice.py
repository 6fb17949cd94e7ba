"""Which alternative goes on: hand-worked cases, what does not count, and what must not matter."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.races import choose_fastest
from bakeoff.stats import FASTER, TOO_FEW, UNDECIDED

NAN = float("nan")


def test_the_lowest_geometric_mean_of_ratios_wins_over_all_contestants() -> None:
    """Two contestants, two blocks: 0.5, 0.5 for the one, 1.1, 1.1 for the other."""
    slow = {("theano", 0): 100.0, ("theano", 1): 120.0, ("jax", 0): 10.0, ("jax", 1): 20.0}
    fast = {("theano", 0): 50.0, ("theano", 1): 60.0, ("jax", 0): 11.0, ("jax", 1): 22.0}
    choice = choose_fastest([slow, fast])
    assert choice is not None and choice.index == 1
    assert choice.against[0].time.ratio == pytest.approx(math.sqrt(0.5 * 1.1))
    assert choice.against[0].time.num_blocks == 4
    # The sum would say the same here; with the long runs alike, only the ratios see the short ones.
    assert choose_fastest([{"a": 1000.0, "b": 1.0}, {"a": 1001.0, "b": 0.5}]).index == 1  # type: ignore[union-attr]


def test_a_clear_difference_is_decided_and_noise_is_not() -> None:
    blocks = range(6)
    clear = choose_fastest([{b: 10 + 0.1 * b for b in blocks}, {b: 8 + 0.1 * b for b in blocks}])
    assert clear is not None and clear.index == 1 and clear.is_decided
    assert clear.against[0].kind == FASTER
    noise = choose_fastest([{b: 10 + (-1) ** b for b in blocks}, {b: 10.05 - (-1) ** b for b in blocks}])
    assert noise is not None and not noise.is_decided
    ((_, verdict),) = noise.against.items()
    ratio = verdict.time
    assert verdict.kind == UNDECIDED and ratio.low is not None and ratio.high is not None
    assert ratio.low < ratio.ratio < 1 < ratio.high  # type: ignore[operator]


def test_two_pairs_are_too_few_to_decide_but_enough_to_choose() -> None:
    choice = choose_fastest([{0: 10.0, 1: 10.0}, {0: 9.0, 1: 9.0}])
    assert choice is not None and choice.index == 1 and not choice.is_decided
    assert choice.against[0].kind == TOO_FEW


def test_runs_that_only_one_side_has_do_not_count() -> None:
    """The second is slower in the block that both have; its fast lone run says nothing."""
    choice = choose_fastest([{0: 10.0, 1: NAN, 2: 0.0}, {0: 11.0, 1: 1.0, 2: 1.0}])
    assert choice is not None and choice.index == 0 and choice.against[1].time.num_blocks == 1


def test_an_alternative_without_a_time_loses() -> None:
    choice = choose_fastest([{}, {0: 5.0}, {0: NAN}])
    assert choice is not None and choice.index == 1
    assert all(one.time.ratio is None for one in choice.against.values())
    assert not choice.is_decided


def test_without_a_pair_the_one_with_most_times_goes_on() -> None:
    assert choose_fastest([{0: 1.0}, {1: 9.0, 2: 9.0}]).index == 1  # type: ignore[union-attr]


def test_a_tie_goes_to_the_first() -> None:
    assert choose_fastest([{0: 3.0, 1: 4.0}, {0: 4.0, 1: 3.0}]).index == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("times", [[], [{}], [{}, {0: NAN}]])
def test_nothing_to_choose_from(times: list[dict[int, float]]) -> None:
    assert choose_fastest(times) is None


def test_three_alternatives() -> None:
    choice = choose_fastest([{0: 4.0, 1: 8.0}, {0: 2.0, 1: 4.0}, {0: 1.0, 1: 3.0}])
    assert choice is not None and choice.index == 2
    assert choice.against[1].time.ratio == pytest.approx(math.sqrt(0.5 * 0.75))
    assert set(choice.against) == {0, 1}


times = st.lists(
    st.dictionaries(st.integers(0, 5), st.floats(0.1, 100.0), min_size=1, max_size=6), min_size=1, max_size=4
)


@settings(deadline=None)
@given(times, st.randoms(use_true_random=False), st.floats(0.01, 100.0))
def test_neither_order_of_rows_nor_unit_of_time_matters(
    times: list[dict[int, float]], chance: random.Random, unit: float
) -> None:
    shuffled = []
    for one in times:
        rows = [(key, value * unit) for key, value in one.items()]
        chance.shuffle(rows)
        shuffled.append(dict(rows))
    first, second = choose_fastest(times), choose_fastest(shuffled)
    assert first is not None and second is not None
    assert first.index == second.index
