"""How long a study takes whose blocks run side by side."""

from __future__ import annotations

import pytest

from bakeoff.plan import Estimate, side_by_side


@pytest.mark.parametrize(("at_once", "expected"), [(1, 100), (3, 40), (10, 10), (50, 10)])
def test_it_is_as_long_as_the_most_blocks_of_a_node(at_once: int, expected: float) -> None:
    found = side_by_side(Estimate(100.0, 50.0, 200.0, (), 0), 10, at_once)
    assert (found.total_s, found.low_s, found.high_s) == (expected, expected / 2, 2 * expected)


def test_what_is_unknown_stays_unknown() -> None:
    assert side_by_side(Estimate(None, None, None, (), 4), 2, 2).total_s is None
