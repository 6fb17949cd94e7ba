"""One contestant's error rate, with both of its uncertainties: seed, and finite test set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.stats.rules import Rules
from bakeoff.stats.summary import SHARE, Values, summarize


@dataclass(frozen=True)
class ErrorRate:
    """Mean error rate over repeats, a fraction.

    rate: None without a repeat. num_repeats: those that counted. seed_low, seed_high: what other seeds would
    do on the same test images; None below three repeats. low, high: what other seeds would do on other
    images; None as well, or where the test set's size is unknown.
    """

    rate: float | None
    num_repeats: int
    seed_low: float | None = None
    seed_high: float | None = None
    low: float | None = None
    high: float | None = None


def error_rate(
    errors: Values, num_test_images: int | None = None, confidence: float = Rules.confidence
) -> ErrorRate:
    """The mean of error rates, fractions of shape (num_repeats,), with its intervals.

    Seeds: Student's, of the logit. Test set: Wilson's (1927, Probable inference, the law of succession, and
    statistical inference, J. Am. Statist. Assoc. 22), which is not symmetric, so that it never reaches below
    0. The two half widths to each side are added as squares: Zou and Donner (2008, Statist. Med. 27). For one
    contestant: of two, what they have in common cancels in their difference (`error_difference`).
    """
    summary = summarize(errors, confidence, SHARE)
    if summary.mean is None:
        return ErrorRate(None, 0)
    if summary.low is None or summary.high is None:
        return ErrorRate(summary.mean, summary.num)
    rate, ends = summary.mean, (summary.low, summary.high)
    if not num_test_images:
        return ErrorRate(rate, summary.num, *ends)
    low, high = _wilson(min(max(rate, 0.0), 1.0), num_test_images, confidence)
    # The squares of two distances that each stay within the bounds may go beyond one of them.
    return ErrorRate(
        rate,
        summary.num,
        *ends,
        low=max(rate - math.hypot(rate - ends[0], rate - low), 0.0),
        high=min(rate + math.hypot(ends[1] - rate, high - rate), 1.0),
    )


def _wilson(rate: float, num: int, confidence: float) -> tuple[float, float]:
    z = Rules(confidence=confidence).normal_quantile
    middle = (rate + z**2 / (2 * num)) / (1 + z**2 / num)
    half = z / (1 + z**2 / num) * math.sqrt(rate * (1 - rate) / num + z**2 / (4 * num**2))
    return middle - half, middle + half
