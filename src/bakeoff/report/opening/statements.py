"""What may be said of each pair, with everything that a reader needs to doubt it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bakeoff import stats
from bakeoff.races import sentences
from bakeoff.races.definitions import (
    DIFFERENT,
    NOT_COMPARED,
    SAME,
    UNCERTIFIED,
    Comparison,
    Race,
    Unfit,
)
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report.opening import tables

_MARK = Mark.UNCERTIFIED.symbol
SOME_NOTE = f"{_MARK} Not certified of every pair that both train the same thing: see the verdicts."

DECIDED, UNDECIDED, REFUSED, PLAIN = "decided", "undecided", "refused", ""


@dataclass(frozen=True)
class Badge:
    """A short word on how a statement is founded. kind: "plain", "good" or "bad"."""

    kind: str
    words: str


@dataclass(frozen=True)
class Statement:
    """One sentence, and what stands behind it.

    anchor: its place in the page. claim, numbers: the sentence. state: `DECIDED`, `UNDECIDED`, `REFUSED`, or
    `PLAIN` where no verdict was asked for. badges: track, certificate, and doubts. remarks: sentences that
    every reader should see. measures: other ratios, name and value. runs: a contestant's name and the anchor
    of its runs. command: what repeats them; empty if unknown. is_warning: whether the claim is called out in
    red: somebody learnt nothing.
    """

    claim: str
    numbers: str
    anchor: str = ""
    state: str = PLAIN
    badges: tuple[Badge, ...] = ()
    remarks: tuple[str, ...] = ()
    measures: tuple[tuple[str, str], ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    command: str = ""
    is_warning: bool = False


@dataclass(frozen=True)
class Group:
    """Statements under one heading; those of the leader stay open, the rest is folded.

    title: the race's setting; empty for a section's main race.
    """

    title: str
    leading: tuple[Statement, ...]
    others: tuple[Statement, ...]

    @property
    def summary(self) -> str:
        """What the fold of the others is called: ``3 more pairs, 1 undecided``."""
        counted = Counter(one.state for one in self.others if one.state not in (DECIDED, PLAIN))
        plural = "" if len(self.others) == 1 else "s"
        return ", ".join(
            [f"{len(self.others)} more pair{plural}", *(f"{num} {state}" for state, num in counted.items())]
        )


def plain(claim: str, numbers: str) -> Statement:
    """A sentence without more behind it than it says."""
    return Statement(claim, numbers)


def groups(section: Section, number: int) -> tuple[Group, ...]:
    """The section's statements, race by race, the main race first. number: of the section, for anchors."""
    found = []
    for index, race in enumerate(section.races, 1):
        every = [
            statement(one, f"verdict-{number}-{index}-{place}")
            for place, one in enumerate(race.comparisons, 1)
        ]
        if not every:
            continue
        leader = race.comparisons[0].first
        leading = [told for told, one in zip(every, race.comparisons, strict=True) if one.first == leader]
        others = [told for told in every if told not in leading]
        found.append(Group(race.setting if index > 1 else "", tuple(leading), tuple(others)))
    return tuple(found)


def statement(comparison: Comparison, anchor: str = "") -> Statement:
    """One comparison."""
    claim, numbers = sentences.claim_and_numbers(comparison)
    state = DECIDED if comparison.verdict.is_decided else UNDECIDED
    if comparison.refusal:
        state = REFUSED
    elif comparison.growth:
        state = PLAIN
    more = [sentences.target_words(comparison), sentences.break_even_words(comparison)]
    if comparison.differing:
        more.append(f"what ran differs in {', '.join(comparison.differing)}")
    if comparison.certificate.verdict == DIFFERENT or comparison.certificate.words:
        more.append(sentences.certified(comparison))
    more += [
        *sentences.warnings(comparison),
        sentences.compiled_otherwise(comparison),
        *_exclusions(comparison),
    ]
    return Statement(
        claim=claim,
        numbers=numbers,
        anchor=anchor,
        state=state,
        badges=tuple(_badges(comparison)),
        remarks=tuple(_sentence(words) for words in more if words),
        measures=() if comparison.refusal else tuple(sentences.measure_words(comparison)),
        runs=tuple((one.short, tables.anchor(one)) for one in (comparison.first, comparison.second)),
        command=comparison.command,
        is_warning=comparison.refusal is not None and comparison.refusal.kind is Unfit.NOTHING_LEARNT,
    )


def _badges(comparison: Comparison) -> Iterable[Badge]:
    if not comparison.refusal:
        yield Badge("plain", comparison.track)
    for one in (comparison.first, comparison.second):
        if one.learning.is_partial:
            some = f"{one.learning.num_nothing} of {one.learning.num_runs}"
            yield Badge("bad", f"{one.plain_short} learnt nothing in {some} runs")
    certificate = comparison.certificate
    if certificate.verdict == SAME:
        yield Badge("good", "certified: same training")
    elif certificate.verdict == DIFFERENT:
        yield Badge("bad", f"{_MARK} train different things")
    else:
        yield Badge("bad", f"{_MARK} not certified")
    if comparison.hinges:
        yield Badge("bad", "hinges on which runs count")


def _exclusions(comparison: Comparison) -> Iterable[str]:
    if comparison.hinge:
        yield f"hinges on which runs count: {comparison.hinge}"
    counted = Counter((one.contestant, one.why) for one in comparison.excluded)
    if counted:
        words = (f"{name}: {number} {why}" for (name, why), number in counted.items())
        yield f"left out by rule: {', '.join(words)}"


def _sentence(words: str) -> str:
    """With a capital where that renames nobody, and a full stop."""
    starts = (
        "who ",
        "neither ",
        "what ",
        "hinges ",
        "left ",
        "they ",
        "not ",
        "certified",
        "blocks ",
        "neighbouring ",
        "ratio ",
    )
    return f"{words[0].upper() + words[1:] if words.startswith(starts) else words}."


# ---- of a whole study ---------------------------------------------------------------------------


def overview(sections: Sequence[Section]) -> str:
    """How many comparisons are decided and how well founded they are, in one or two sentences."""
    every = _every(sections)
    if not every:
        return ""
    asked = [one for one in every if one.is_asked]
    open_ones = [one.verdict for one in asked if not one.verdict.is_decided]
    on_error = sum(one.is_decided_on_time for one in open_ones)
    counts = {
        "decided": len(asked) - len(open_ones),
        "decided on time, not on error": on_error,
        "undecided": len(open_ones) - on_error,
        "of how cost grows": sum(bool(one.growth) for one in every),
        "refused": sum(bool(one.refusal) for one in every),
        "hinging on which runs count": sum(one.hinges for one in asked),
    }
    parts = [f"{number} {word}" for word, number in counts.items() if number]
    founded = _founded([one.certificate.verdict for one in every])
    plural = "" if len(every) == 1 else "s"
    return f"{len(every)} comparison{plural}: {', '.join(parts)}. {founded}"


def _founded(verdicts: Sequence[str]) -> str:
    """What is known of whether the pairs train the same thing, in one or two sentences."""
    counts = Counter(verdicts)
    if counts[SAME] == len(verdicts):
        return "All pairs are certified to train the same thing."
    words = {
        SAME: "certified to train the same thing",
        DIFFERENT: f"known to differ in what they train ({_MARK})",
        NOT_COMPARED: f"not to be compared in what they train ({_MARK})",
        UNCERTIFIED: f"not verified to train the same thing ({_MARK}): bakeoff verify would tell",
    }
    parts = [
        f"{'1 pair is' if counts[kind] == 1 else f'{counts[kind]} pairs are'} {said}"
        for kind, said in words.items()
        if counts[kind]
    ]
    return f"{'; '.join(parts)}."


def rules(sections: Sequence[Section]) -> str:
    """By what rules the verdicts were reached, and what they rest on; empty without a comparison."""
    found = _rules(sections)
    if found is None:
        return ""
    together = f" for {found.num_comparisons} comparisons together" if found.num_comparisons > 1 else ""
    when = "until decided" if found.is_sequential else "number of blocks fixed"
    return (
        f"Judged with a margin of ±{100 * found.margin:g} % in time and {100 * found.error_margin:g} "
        f"percentage points in error, at {100 * found.confidence:g} %{together}; {when}. "
        f"{sentences.noise_words(_every(sections))}"
    ).rstrip()


def confidence(sections: Sequence[Section]) -> float:
    """Of the intervals that are shown, a fraction."""
    found = _rules(sections)
    return found.confidence if found else stats.Rules.confidence


def _rules(sections: Sequence[Section]) -> stats.Rules | None:
    """Those of the study, which all comparisons share."""
    return next((one.verdict.rules for one in _every(sections)), None)


def _every(sections: Sequence[Section]) -> list[Comparison]:
    return [one for section in sections for race in section.races for one in race.comparisons]


def where(section: Section, race: Race) -> str:
    """The data set, with the race's setting where there are several."""
    return section.title + (f" ({race.setting})" if race.setting else "")


def marked(comparison: Comparison) -> Label:
    """The second one's name, with the mark where the pair was not certified: ends the name of a pair."""
    second = comparison.second
    uncertified = [] if comparison.certificate.is_same else [Mark.UNCERTIFIED]
    return Label(second.plain_short, [*second.short.marks, *uncertified])


def note(race: Race) -> str:
    """What is to stand under every figure and table of a race with pairs that were not certified."""
    pairs = [one for one in race.comparisons if not one.certificate.is_same]
    if not pairs:
        return ""
    if len(pairs) == len(race.comparisons):
        return f"{_MARK} Not certified that these contestants train the same thing."
    shown = ", ".join(f"{one.first.short} and {one.second.short}" for one in pairs[:3])
    more = f" and {len(pairs) - 3} other pairs" if len(pairs) > 3 else ""
    return f"{_MARK} Not certified to train the same thing: {shown}{more}."
