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
    error = stats.ErrorDifference(
        difference, difference - half, difference + half, len(a), se, 0.0, stats.Pairing.BY_IMAGE
    )
    return Comparison(A, B, stats.judge(a, [1.0] * len(a), error, rules))


def test_faster_at_non_inferior_error() -> None:
    assert races.sentence(meet(0.5, difference=-0.0002)) == (
        "a trains 2.00× faster than b (95 % CI 1.98–2.02, 7 paired blocks), at non-inferior error "
        "(difference −0.02 pp, 95 % CI −0.12 to +0.08, margin 0.25 pp)"
    )


def test_practically_equal() -> None:
    text = races.sentence(meet(0.999, noise=0.1))
    assert text.startswith(
        "a and b take practically the same time (ratio of times (a's over b's) 0.999, within ±2 %, "
        "95 % CI 0.998–1.000"
    )


def test_undecided_says_what_would_tell() -> None:
    found = meet(0.99, noise=1.5)
    assert not found.verdict.is_decided and found.verdict.undecided_on == "time"
    text = races.sentence(found)
    assert text.startswith("a against b: undecided, ratio of times (a's over b's) 0.99")
    more = found.verdict.more
    assert more is not None and more.low < more.num < more.high
    assert text.endswith(
        f": about {more.num} more blocks would tell (8 in 10 times {more.low} to {more.high})"
    )


def test_a_ratio_of_times_is_the_firsts_over_the_seconds_everywhere() -> None:
    """Undecided, equal, and beside it the other measures: none of them the inverse of another."""
    for found in (meet(0.98, noise=3.0), meet(0.999, noise=0.1)):
        ratio = found.verdict.time.ratio
        assert ratio is not None and ratio < 1 and found.verdict.kind != stats.FASTER
        both = dataclasses.replace(found, measures={"total_s": found.verdict.time})
        number = next(sentences.measure_words(both))[1].split()[0]
        assert f"ratio of times (a's over b's) {number}" in races.sentence(both)
    target = stats.compare_to_target([0.96, 1.1, 0.9, 0.95, 1.0, 0.97], [1.0] * 6)
    told = dataclasses.replace(meet(0.5), target=target, target_error=0.01)
    assert target.verdict == stats.UNDECIDED and target.ratio.ratio is not None and target.ratio.ratio < 1
    assert f"ratio of times (a's over b's) {target.ratio.ratio:.3f} (95 % CI" in sentences.target_words(told)


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
    verdict = stats.judge([1.0] * 5, [2.0, 2.1] * 2 + [2.0])
    words = "at least 1 more block would be needed to tell"
    assert sentences.what_would_decide(Comparison(A, B, verdict)) == words
    assert races.sentence(Comparison(A, B, verdict)).startswith(
        "a against b: too few repeats to say, ratio of times (a's over b's) 0.490 "
        "(no interval, 5 paired blocks;"
    )


@pytest.mark.parametrize(
    ("pairing", "words"),
    [
        (stats.Pairing.BY_IMAGE, "about the error"),
        (stats.Pairing.OUTCOMES_MISSING, "not all of these runs recorded which test images they got wrong"),
        (stats.Pairing.OTHER_IMAGES, "these runs were not measured on the same images"),
    ],
)
def test_why_the_test_set_is_too_small_follows_from_the_data(pairing: stats.Pairing, words: str) -> None:
    error = stats.ErrorDifference(0.0, -0.02, 0.02, len(NOISE), 0.0001, 0.01, pairing)
    verdict = stats.judge([0.5 * one for one in NOISE], [1.0] * len(NOISE), error)
    assert verdict.obstacle is stats.Obstacle.TEST_SET_TOO_SMALL
    text = races.sentence(Comparison(A, B, verdict))
    assert "the test set is too small: no number of blocks would tell about the error" in text
    assert text.endswith(words)


def test_what_blocks_show_beside_the_verdict_is_said() -> None:
    """Of twelve blocks, a takes twice as long in half; then it has one that takes ten times as long."""
    jitter = [1.0, 1.01, 0.99, 1.005, 0.995, 1.0] * 2
    two = [one * (2 if index % 2 else 1) for index, one in enumerate(jitter)]
    (words,) = sentences.warnings(Comparison(A, B, stats.judge(two, [1.0] * 12)))
    assert words.startswith("a takes one of two times, the longer 2.0")
    (words,) = sentences.warnings(Comparison(A, B, stats.judge([1.0] * 12, two)))
    assert words.startswith("b takes one of two times")
    rare = [*jitter[:-1], 10.0]
    words, median = sentences.warnings(Comparison(A, B, stats.judge(rare, [0.9] * 12)))
    assert median.endswith(
        "is the geometric mean over processes, which the verdict is on; the median, 1.11, disagrees"
    )
    assert words == "a has outliers, in 1 block: the verdict is on the mean, which they move"
    steps = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
    (words,) = sentences.warnings(Comparison(A, B, stats.judge(steps, [1.0] * 8)))
    assert words.startswith("neighbouring blocks are alike (correlation 0.")


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (Certified(), "not certified: nobody verified that they train the same thing"),
        (Certified(races.SAME, "ignored"), "certified: both train the same thing"),
        (Certified(races.DIFFERENT, "b: loss"), "they do not train the same thing: b: loss"),
        (Certified(races.NOT_COMPARED, "b crashed"), "not certified: b crashed"),
    ],
)
def test_certificates(certificate: Certified, words: str) -> None:
    assert sentences.certified(dataclasses.replace(meet(0.5), certificate=certificate)) == words


def test_targets(invented: Callable[..., Frames], entry: Any) -> None:
    frames = invented(entry("jax", (20.0, 22.0, 24.0, 21.0, 23.0, 20.4)), entry("tensorflow"))
    (found,) = races.compose(frames)[0].races[0].comparisons
    assert sentences.target_words(found).startswith(
        "tensorflow comes to an error of 1.00 % 2.00× sooner than jax (95 % CI 2.00–2.00, 6 paired blocks)"
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
    frames = invented(entry("jax", (20.0,) * 6), entry("tensorflow", (10.0,) * 6, once_s=20.0))
    (found,) = races.compose(frames)[0].races[0].comparisons
    words = sentences.break_even_words(found)  # 20 + 2.5 n against 5 + 5 n
    assert words.startswith("tensorflow takes less time in all than jax from 6.0 epochs on, jax before")
    frames = invented(entry("jax", (20.0,) * 6), entry("tensorflow", (10.0,) * 6))
    (found,) = races.compose(frames)[0].races[0].comparisons
    expected = "tensorflow takes less time in all than jax from 1 epoch to 200"
    assert sentences.break_even_words(found) == expected
