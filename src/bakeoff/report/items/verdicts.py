"""Who is faster than whom, by how much, at which difference of errors: pair by pair, and all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, NO_VALUE, RATIO
from bakeoff.races import sentences
from bakeoff.races.definitions import DIFFERENT, Comparison, Contestant, Race, Unfit
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.races.sentences import answer
from bakeoff.report import vega
from bakeoff.report.item import Badge, Claim, Item, State, Table, Tone, numbers, words
from bakeoff.report.items import certificates
from bakeoff.report.items.words import interval_text, slug
from bakeoff.wording import counted

_UNLIKE = {DIFFERENT: "no: they differ"}


def items(section: Section) -> Iterator[Item]:
    """Every pair of contestants that raced."""
    ratios = [
        comparison
        for comparison in section.races[0].comparisons
        if comparison.verdict.time.ratio is not None and comparison.is_asked and not comparison.is_aside
    ]
    found = pairs_table(section)
    if not found.rows:
        return
    yield Item(
        "ratios",
        "Who is faster than whom",
        claims=tuple(claims(section)),
        draw=partial(
            time_ratios, [(ratio.first.short, ratio.second.short, ratio.verdict) for ratio in ratios]
        )
        if ratios
        else None,
        caption=f"Ratio of training times on {section.place_of(section.races[0])}: the first’s of each pair "
        "over the second’s, paired by block, geometric mean and 95 % interval. Filled: the verdict is that "
        "one is faster. Hollow: any other verdict, be it that both are equal or that it is undecided.",
        alt=f"Ratios of training times of {len(ratios)} pairs; the values are in the table of verdicts.",
        labels=tuple(certificates.labelled(ratio, "vs") for ratio in ratios),
        table=found,
    )
    if (places := ranking_table(section)) is not None:
        yield Item("ranking", "Ranking", table=places)


# ---- claims -------------------------------------------------------------------------------------


def claims(section: Section) -> Iterator[Claim]:
    """The section's comparisons in words, race by race, the main race first."""
    for index, race in enumerate(section.races):
        has_asides = any(one.is_aside for one in race.comparisons)
        for place, comparison in enumerate(race.comparisons, 1):
            anchor = f"verdict-{slug(section.title)}-{index + 1}-{place}"
            leads = not comparison.is_aside and (has_asides or comparison.first == race.comparisons[0].first)
            yield claim(comparison, anchor, race.setting if index else "", is_leading=leads)


def claim(comparison: Comparison, anchor: str = "", setting: str = "", *, is_leading: bool = True) -> Claim:
    """One comparison."""
    said, shown = sentences.claim_and_numbers(comparison)
    state = State.ON_TIME if comparison.verdict.is_decided_on_time else State.UNDECIDED
    if comparison.verdict.is_decided:
        state = State.DECIDED
    if comparison.refusal:
        state = State.REFUSED
    elif comparison.growth:
        state = State.PLAIN
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
    sides = comparison.first, comparison.second
    return Claim(
        claim=said,
        numbers=shown,
        anchor=anchor,
        state=state,
        badges=tuple(_badges(comparison)),
        remarks=tuple(_sentence(one, [side.short for side in sides]) for one in more if one),
        measures=() if comparison.refusal else tuple(sentences.measure_words(comparison)),
        runs=tuple((contestant.short, runs_anchor(contestant)) for contestant in sides),
        command=comparison.command,
        setting=setting,
        is_leading=is_leading,
        is_warning=comparison.refusal is not None and comparison.refusal.kind is Unfit.NOTHING_LEARNT,
    )


def _badges(comparison: Comparison) -> Iterable[Badge]:
    if not comparison.refusal:
        yield Badge(comparison.track)
    for contestant in (comparison.first, comparison.second):
        if contestant.is_short:
            yield Badge(f"{contestant.plain_short} skipped samples", Tone.BAD, Mark.SHORT)
        if contestant.learning.is_partial:
            some = f"{contestant.learning.num_nothing} of {contestant.learning.num_runs}"
            yield Badge(f"{contestant.plain_short} learnt nothing in {some} runs", Tone.BAD)
    yield certificates.badge(comparison)
    if comparison.hinges:
        yield Badge("hinges on which runs count", Tone.BAD)


def _exclusions(comparison: Comparison) -> Iterable[str]:
    if comparison.hinge:
        yield f"hinges on which runs count: {comparison.hinge}"
    counted = Counter((exclusion.contestant, exclusion.why) for exclusion in comparison.excluded)
    if counted:
        parts = (f"{name}: {number} {why}" for (name, why), number in counted.items())
        yield f"left out by rule: {', '.join(parts)}"


def _sentence(text: str, names: Sequence[str]) -> str:
    """With a capital where that renames nobody, and a full stop."""
    keeps = text.startswith(tuple(names))
    return f"{text if keeps else text[0].upper() + text[1:]}."


def runs_anchor(contestant: Contestant) -> str:
    """Where a contestant's runs are in the page."""
    return f"runs-{contestant.trial_id}"


# ---- of a whole study ---------------------------------------------------------------------------


def overview(sections: Sequence[Section]) -> str:
    """How many comparisons are decided and how well founded they are, in one or two sentences."""
    raced = _every(sections)
    every = [comparison for comparison in raced if not comparison.is_aside]
    if not every:
        return ""
    asked = [one for one in every if one.is_asked]
    open_ones = [one.verdict for one in asked if not one.verdict.is_decided]
    on_error = sum(verdict.is_decided_on_time for verdict in open_ones)
    counts = {
        "decided": len(asked) - len(open_ones),
        "decided on time, not on error": on_error,
        "undecided": len(open_ones) - on_error,
        "of how cost grows": sum(bool(one.growth) for one in every),
        "refused": sum(bool(one.refusal) for one in every),
        "hinging on which runs count": sum(one.hinges for one in asked),
    }
    parts = [f"{number} {word}" for word, number in counts.items() if number]
    founded = certificates.founded([one.certificate.verdict for one in every])
    beside = len(raced) - len(every)
    more = f" The study does not ask about {counted(beside, 'other pair')}." if beside else ""
    return f"{counted(len(every), 'comparison')}: {', '.join(parts)}. {founded}{more}"


def rules(sections: Sequence[Section]) -> str:
    """By what rules the verdicts were reached, and what they rest on; empty without a comparison."""
    found = rules_of(sections)
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
    found = rules_of(sections)
    return found.confidence if found else stats.Rules.confidence


def rules_of(sections: Sequence[Section]) -> stats.Rules | None:
    """Those of the study, which all comparisons share."""
    return next((comparison.verdict.rules for comparison in _every(sections)), None)


def _every(sections: Sequence[Section]) -> list[Comparison]:
    return [comparison for section in sections for race in section.races for comparison in race.comparisons]


# ---- chart --------------------------------------------------------------------------------------


def time_ratios(comparisons: Iterable[tuple[str, str, stats.Verdict]]) -> vega.Chart:
    """Ratio of training times of each pair, the first's over the second's, with its 95 % interval.

    comparisons: name of the first, name of the second, and the verdict on them. Filled where one is faster.
    """
    rows: list[dict[str, Any]] = []
    for first, second, verdict in comparisons:
        times = verdict.time
        if times.ratio is None:
            continue
        rows.append(
            {
                "pair": f"{first} vs {second}",
                "ratio": times.ratio,
                "low": times.low,
                "high": times.high,
                "verdict": answer(verdict),
                "shown": RATIO.text(times.ratio),
                "interval": " to ".join(RATIO.texts([times.low, times.high])),
                "pairs": times.num_blocks,
            }
        )
    scale = ratio_scale([(row["ratio"], row["low"], row["high"]) for row in rows])
    title = "Ratio of training times, the first’s over the second’s"
    x = vega.quantity("ratio", title, scale, grid=True, tickCount=6, format="~r")
    y = vega.rows_of("pair", [row["pair"] for row in rows])
    fields = {"pair": "pair", "ratio": "shown", "95 % interval": "interval"}
    point = {
        "x": x,
        "y": y,
        "fillOpacity": vega.either("datum.verdict == 'faster'", 1, 0),
        "tooltip": vega.tips(fields | {"paired blocks": "pairs", "verdict": "verdict"}),
    }
    look: vega.Spec = {"opacity": 1, "strokeWidth": 1.5, "color": vega.INK[0], "fill": vega.INK[0]}
    layers = [
        vega.layer("rule", {"x": vega.at(x, 1)}, strokeDash=[3, 3], color=vega.FAINT[0]),
        vega.layer("rule", {"y": y, **vega.ends("x", x)}, needs="low", strokeWidth=2, color=vega.INK[0]),
        vega.layer("point", point, size=70, **look),
    ]
    return vega.chart(layers, rows, height=22 * max(1, len(rows)), room=60)


def ratio_scale(ratios: Iterable[tuple[float, float | None, float | None]]) -> dict[str, Any]:
    """A logarithmic scale with 1 in it, and all of these with their intervals.

    An interval of two pairs may span powers of ten: it is cut where it would hide all the others.
    """
    known = list(ratios)
    middles = [1.0, *(ratio for ratio, *_ in known)]
    ends = [end for _, *both in known for end in both if end is not None]
    domain = [
        max(0.95 * min([0.85, *middles, *ends]), min(middles) / 3),
        min(1.05 * max([1.05, *middles, *ends]), 1.5 * max(middles) / min(middles)),
    ]
    return {"type": "log", "domain": domain, "nice": False, "clamp": True}


# ---- tables -------------------------------------------------------------------------------------


def _kind(comparison: Comparison) -> str:
    if comparison.refusal:
        return "not compared"
    return "growth of cost" if comparison.growth else answer(comparison.verdict)


def pairs_table(section: Section) -> Table:
    """Every pair of contestants that raced: who is faster, by how much, and at what difference of error."""
    several = len(section.races) > 1
    rows = []
    for race in section.races:
        for comparison in race.comparisons:
            ratio, error = comparison.verdict.time, comparison.verdict.error
            times = RATIO.texts([ratio.ratio, ratio.low, ratio.high])
            parts = ("difference", "low", "high", "test_set_se")
            differences = ERROR_DIFFERENCE.texts([getattr(error, part, None) for part in parts])
            certified = (
                "yes" if comparison.certificate.is_same else _UNLIKE.get(comparison.certificate.verdict, "no")
            )
            cells = (
                comparison.first.short,
                comparison.second.short,
                _kind(comparison),
                times[0],
                interval_text(times[1], times[2]),
                str(ratio.num_blocks),
                differences[0],
                interval_text(differences[1], differences[2]),
                differences[3],
                comparison.track,
                Label(certified, [] if comparison.certificate.is_same else [Mark.UNCERTIFIED]),
            )
            rows.append((race.setting or "main", *cells) if several else cells)
    columns = (
        *words("Contestant", "Against", "Training is"),
        *numbers("Ratio of times", "95 % interval", "Blocks"),
        *numbers("Error difference (pp)", "95 % interval", "Test-set SE (pp)"),
        *words("Track", "Certified"),
    )
    return Table(
        f"verdicts-{slug(section.title)}",
        f"Pairwise verdicts on {section.title}",
        (*words("Setting"), *columns) if several else columns,
        tuple(rows),
        grouped=several,
    )


def ranking_table(section: Section) -> Table | None:
    """Who may be called faster than whom, all at once; None where nobody raced or may be compared."""
    several = len(section.races) > 1
    ranked = [race for race in section.races if race.ranking is not None]
    rows = tuple(
        (race.setting, *row) if several else row for race in ranked for row in _ranked(section, race)
    )
    if not rows:
        return None
    columns = (
        *words("Place", "Contestant"),
        *numbers("Training time (s)", "Times the first’s", "Simultaneous interval"),
        *words("Group"),
    )
    level = next(comparison.verdict.rules.confidence for race in ranked for comparison in race.comparisons)
    return Table(
        f"ranking-{slug(section.title)}",
        f"Ranking on {section.title}",
        (*words("Setting"), *columns) if several else columns,
        rows,
        grouped=several,
        remark="Places that a contestant may have, and groups within which nobody may be called faster, at "
        f"{100 * level:g} % for all pairs of a race together. Time alone: errors are in the verdicts.",
    )


def _ranked(section: Section, race: Race) -> Iterator[tuple[str, ...]]:
    found = race.ranking
    if found is None:
        return
    times = [
        stats.summarize(section.runs_by_trial[contestant.trial_id]["train_s"].drop_nulls().to_numpy()).mean
        for contestant in race.contestants
    ]
    texts = METRICS["train_s"].texts(times)
    first = found.order[0]
    for index in found.order:
        best, worst = found.ranks[index]
        ratio, interval = NO_VALUE, NO_VALUE
        if index != first:
            of = found.ratios[min(index, first), max(index, first)]
            of = of if index < first else of.inverse
            ratio, low, high = RATIO.texts([of.ratio, of.low, of.high])
            interval = interval_text(low, high)
        groups = "".join(_letter(number) for number, group in enumerate(found.groups) if index in group)
        place = str(best) if best == worst else f"{best} to {worst}"
        yield place, race.contestants[index].short, texts[index], ratio, interval, groups


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"
