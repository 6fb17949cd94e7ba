import pytest

from bakeoff import stats


def test_pairs_are_those_of_common_blocks() -> None:
    a, b = stats.pair([3, 0, 1], [30.0, 0.5, 10.0], [1, 2, 3], [1.0, 2.0, 3.0])
    assert (a.tolist(), b.tolist()) == ([10.0, 30.0], [1.0, 3.0])


def test_a_block_twice_is_ambiguous() -> None:
    with pytest.raises(ValueError, match="twice"):
        stats.pair([0, 0], [1.0, 2.0], [0], [1.0])
