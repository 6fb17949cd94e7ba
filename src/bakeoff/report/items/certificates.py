"""Whether the pairs of a race were shown to train the same thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bakeoff.races.definitions import DIFFERENT, NOT_COMPARED, SAME, UNCERTIFIED, Comparison, Race
from bakeoff.races.marks import Label, Mark
from bakeoff.report.item import Badge, Tone


def labelled(comparison: Comparison, between: str) -> Label:
    """The pair's name, ``a vs b``, with the marks of both, and where it was not certified that mark."""
    first, second = comparison.first.short, comparison.second.short
    uncertified = [] if comparison.certificate.is_same else [Mark.UNCERTIFIED]
    return Label(f"{first} {between} {second}", [*first.marks, *second.marks, *uncertified])


def badge(comparison: Comparison) -> Badge:
    """What was shown of the pair, in a word."""
    verdict = comparison.certificate.verdict
    if verdict == SAME:
        what = "steps" if comparison.growth else "training"
        return Badge(f"certified: same {what}", Tone.DECIDED)
    words = "train different things" if verdict == DIFFERENT else "not certified"
    return Badge(words, Tone.BAD, Mark.UNCERTIFIED)


def note(races: Iterable[Race]) -> str:
    """Which pairs of some races were not certified, where others were."""
    every = [comparison for race in races for comparison in race.comparisons]
    pairs = list(dict.fromkeys(_named(one) for one in every if not one.certificate.is_same))
    if not pairs or all(not one.certificate.is_same for one in every):
        return ""
    shown = ", ".join(pairs[:3])
    more = f" and {len(pairs) - 3} other pairs" if len(pairs) > 3 else ""
    return f"Not certified to train the same thing: {shown}{more}."


def _named(comparison: Comparison) -> str:
    return f"{comparison.first.short} and {comparison.second.short}"


def founded(verdicts: Sequence[str]) -> str:
    """What is known of whether the pairs train the same thing, in one or two sentences."""
    counts = Counter(verdicts)
    if counts[SAME] == len(verdicts):
        return "All pairs are certified to train the same thing."
    words = {
        SAME: "certified to train the same thing",
        DIFFERENT: "known to differ in what they train",
        NOT_COMPARED: "not to be compared in what they train",
        UNCERTIFIED: "not verified to train the same thing: bakeoff verify would tell",
    }
    parts = [
        f"{'1 pair is' if counts[kind] == 1 else f'{counts[kind]} pairs are'} {said}"
        for kind, said in words.items()
        if counts[kind]
    ]
    return f"{'; '.join(parts)}."
