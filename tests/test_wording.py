"""Spans of time, as sentences tell them."""

from __future__ import annotations

import pytest

from bakeoff.wording import span


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.04 s"),
        (4.24, "4.2 s"),
        (40.4, "40 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (520, "8 min 40 s"),
        (3599.6, "1 h"),
        (4320, "1 h 12 min"),
        (86_399, "1 day"),
        (90_000, "1 day 1 h"),
        (200_000, "2 days 8 h"),
    ],
)
def test_a_span_has_two_units_at_most(seconds: float, told: str) -> None:
    assert span(seconds) == told
