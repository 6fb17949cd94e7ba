"""Comparisons in words: by hand, from invented verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from bakeoff import races, stats
from bakeoff.races import Certified, Comparison, Contestant, Frames, sentences

A, B = (Contestant(name, name, name, name, name, {}) for name in ("a", "b"))
RULES = stats.Rules()
NOISE = (0.98, 1.0, 1.02, 0.99, 1.01, 1.0, 1.0)


def meet(
    ratio: float, noise: float = 1.0, difference: float = 0.0, half: float = 0.001, rules: stats.Rules = RULES
) -> Comparison:
    """a takes `ratio` of b's time, with a difference of errors and half of its interval."""
    a = [ratio * one**noise for one in NOISE]
    se = half / rules.critical_value(len(a))
    error = stats.ErrorDifference(difference, difference - half, difference + half, len(a), se, 0.0, True)
    return Comparison(A, B, stats.judge(a, [1.0] * len(a), error, rules))


def test_faster_at_non_inferior_error() -> None:
    assert races.sentence(meet(0.5, difference=-0.0002)) == (
        "a trains 2.00× faster than b (95 % CI 1.98–2.02, 7 paired blocks), at non-inferior error "
        "(difference −0.02 pp, 95 % CI −0.12 to +0.08, margin 0.25 pp)"
    )


def test_practically_equal() -> None:
    text = races.sentence(meet(0.999, noise=0.1))
    assert text.startswith(
        "a and b take practically the same time (ratio 1.001, within ±2 %, 95 % CI 1.000–1.002"
    )


def test_undecided_says_what_would_tell() -> None:
    found = meet(0.99, noise=1.5)
    assert not found.verdict.is_decided and found.verdict.undecided_on == "time"
    text = races.sentence(found)
    assert text.startswith("a against b: undecided, ratio of times 1.01")
    assert text.endswith(f": about {found.verdict.more_blocks} more blocks would tell")


def test_undecided_on_the_error() -> None:
    found = meet(0.5, half=0.004)
    text = races.sentence(found)
    assert text.startswith(
        "a trains 2.00× faster than b, but whether at non-inferior error is undecided (95 % CI"
    )
    assert "more block" in text


def test_intervals_that_hold_together_say_so() -> None:
    text = races.sentence(meet(0.5, rules=stats.Rules(num_comparisons=6, confidence=0.9)))
    assert "(90 % simultaneous CI 1.9" in text


def test_one_block_more_is_no_blocks() -> None:
    verdict = stats.judge([1.0, 1.0], [2.0, 2.1])
    assert sentences.what_would_decide(Comparison(A, B, verdict)) == "about 1 more block would tell"


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (Certified(), "not certified: nobody verified that they train the same thing"),
        (Certified("same", "ignored"), "certified: both train the same thing"),
        (Certified("different", "b: loss"), "they do not train the same thing: b: loss"),
        (Certified("not compared", "b crashed"), "not certified: b crashed"),
    ],
)
def test_certificates(certificate: Certified, words: str) -> None:
    assert sentences.certified(dataclasses.replace(meet(0.5), certificate=certificate)) == words


def test_targets(invented: Callable[..., Frames], entry: Any) -> None:
    frames = invented(entry("jax", (20.0, 22.0, 24.0, 21.0)), entry("tensorflow"))
    (found,) = races.compose(frames)[0].races[0].comparisons
    assert sentences.target_words(found).startswith(
        "tensorflow comes to an error of 1.00 % 2.00× sooner than jax (95 % CI 2.00–2.00, 4 paired blocks)"
    )
    far = races.compose(frames, target_error=0.001)[0].races[0].comparisons[0]
    assert sentences.target_words(far) == "neither comes to an error of 0.10 % in the epochs that were run"


@pytest.mark.parametrize(
    ("at", "low", "high", "words"),
    [
        (None, None, None, "b takes less time in all than a from 1 epoch to 3"),
        (2.5, 2, 3, "b takes less time in all than a from 2.5 epochs on, a before; uncertain from 2 to 3"),
        (2.5, 2, 2, "b takes less time in all than a from 2.5 epochs on, a before; uncertain at 2"),
        (2.5, 2, None, "b takes less time in all than a from 2.5 epochs on, a before; uncertain from 2 on"),
        (2.5, 1, None, "who of a and b takes less time in all is uncertain from 1 epoch to 3"),
    ],
)
def test_break_even_says_where_it_is_uncertain(
    at: float | None, low: int | None, high: int | None, words: str
) -> None:
    found = stats.BreakEven((1, 2, 3), (0.8, 0.9, 1.1), (None,) * 3, (None,) * 3, at, low, high)
    assert sentences.break_even_words(dataclasses.replace(meet(0.5), break_even=found)) == words


def test_break_even(invented: Callable[..., Frames], entry: Any) -> None:
    frames = invented(entry("jax", (20.0,) * 4), entry("tensorflow", (10.0,) * 4, once_s=20.0))
    (found,) = races.compose(frames)[0].races[0].comparisons
    words = sentences.break_even_words(found)  # 20 + 2.5 n against 5 + 5 n
    assert words.startswith("tensorflow takes less time in all than jax from 6.0 epochs on, jax before")
    frames = invented(entry("jax", (20.0,) * 4), entry("tensorflow", (10.0,) * 4))
    (found,) = races.compose(frames)[0].races[0].comparisons
    expected = "tensorflow takes less time in all than jax from 1 epoch to 200"
    assert sentences.break_even_words(found) == expected
