"""Every table of a study, for other formats; and its results in short, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from bakeoff import stats
from bakeoff.metrics import METRICS
from bakeoff.races.frames import Frames, Source
from bakeoff.races.learning import nothing_learnt
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report.cluster import said
from bakeoff.report.contents import compose
from bakeoff.report.opening import statements
from bakeoff.report.opening import tables as opening_tables
from bakeoff.report.opening.trust import trust
from bakeoff.report.reading import read
from bakeoff.report.tables import Table, counts_of, samples_of, summary, verdicts

_TERMINAL_METRICS = ("train_s", "wall_s", "first_step_s", "throughput_images_per_s", "final_validation_error")

# A title, headings, and rows.
InShort = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def tables(source: Source | Frames, study: str | None = None) -> tuple[Table, ...]:
    """Summary and verdict tables of a study, section by section, each with those of its distributed runs.

    Raises:
        StoreError: the store does not know the study.
    """
    contents = compose(read(source, study))
    sayings = said.say(contents, with_figures=False)
    found: list[Table] = []
    disclosure = opening_tables.disclosure(contents.sections)
    for section in contents.sections:
        note = statements.note(section.races[0])
        of_section = (summary(section), verdicts(section), opening_tables.ranking(section))
        found += [table.with_remark(note) for table in of_section if table is not None]
        if section.title in sayings.sections:
            found += sayings.sections[section.title].tables
    if sayings.conclusions:
        found += sayings.conclusions.tables
    if disclosure.rows:
        found.append(disclosure)
    return tuple(found)


def terminal_summary(source: Source | Frames, study: str | None = None) -> list[InShort]:
    """Titles, headings and rows for a terminal: verdicts first, then results, also on a cluster.

    Empty headings are not to be shown.
    """
    contents = compose(read(source, study))
    sayings = said.say(contents, with_figures=False)
    found: list[InShort] = []
    calibrated = trust(contents.frames.calibrations, contents.selection.chosen)
    lines = [
        statements.overview(contents.sections),
        calibrated.words if calibrated and statements.overview(contents.sections) else "",
    ]
    if any(lines):
        found.append(("Verdicts", ("",), [(line,) for line in lines if line]))
    for section in contents.sections:
        if section.races[0].comparisons:
            found.append((section.title, ("",), list(_sentences(section))))
    for section in contents.sections:
        found.append(_results(section))
        if section.title in sayings.sections:
            found += _distributed(sayings.sections[section.title])
    if sayings.conclusions:
        claims = [(claim,) for claim, _ in sayings.conclusions.verdicts]
        found.append((sayings.conclusions.title, ("Conclusion",), list[tuple[str, ...]](claims)))
    return found


def _sentences(section: Section) -> Iterator[tuple[str, ...]]:
    """The main race's verdicts, each with how it is founded."""
    for comparison in section.races[0].comparisons:
        told = statements.statement(comparison)
        words = " · ".join([f"{told.claim} {told.numbers}", *(badge.words for badge in told.badges)])
        yield (Label(words, [Mark.NOTHING_LEARNT] * told.is_warning),)
    others = sum(len(race.comparisons) for race in section.races[1:])
    if others:
        yield (f"{others} more under other settings: see the report, or bakeoff compare",)


def _results(section: Section) -> InShort:
    """One row per contestant: means of what matters most."""
    by_trial = {one.trial_id: section.runs.filter(trial_id=one.trial_id) for one in section.contestants}
    columns = []
    for name in _TERMINAL_METRICS:
        # More than one sample: what includes compilation, with a cold and with a warm compile cache.
        samples = [samples_of(by_trial[one.trial_id], one, name) for one in section.contestants]
        means = [[stats.summarize(values).mean for _, values in several] for several in samples]
        texts = iter(METRICS[name].texts([mean for several in means for mean in several]))
        columns.append([" / ".join(next(texts) for _ in several) for several in means])
    counts = counts_of(section)
    rows: list[tuple[str, ...]] = []
    for index, contestant in enumerate(section.contestants):
        failed, skipped = counts.get(contestant.trial_id, (0, 0))
        remarks = [f"{failed} failed"] * bool(failed) + [f"{skipped} skipped"] * bool(skipped)
        if by_trial[contestant.trial_id]["cache"].n_unique() > 1:
            remarks.append("wall time and first step: cold / warm cache")
        if contestant.is_short:
            remarks.append(f"{Mark.SHORT.symbol} some samples silently left out")
        if contestant.learning.is_nothing:
            why = nothing_learnt(contestant.learning)
            remarks.append(f"{Mark.NOTHING_LEARNT.symbol} learnt nothing: {why}")
        cells = (column[index] for column in columns)
        num_ok = len(by_trial[contestant.trial_id])
        rows.append((contestant.name, str(num_ok), *cells, ", ".join(remarks)))
    headings = (
        "Contestant",
        "Repeats",
        *(METRICS[name].heading for name in _TERMINAL_METRICS),
        "Remarks",
    )
    return section.title, headings, rows


def _distributed(found: said.Said) -> list[InShort]:
    """One row per contestant on a cluster, then what is to be said of layouts and of one machine."""
    shown: list[InShort] = []
    if found.brief is not None:
        shown.append((found.title, tuple(one.title for one in found.brief.columns), list(found.brief.rows)))
    if found.verdicts:
        sentences: list[tuple[str, ...]] = [(" ".join(verdict),) for verdict in found.verdicts]
        shown.append((f"{found.title}: verdicts", ("Verdict",), sentences))
    return shown
