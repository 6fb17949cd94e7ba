"""Which figures the opening's charts become: of whom, and what is said below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from bakeoff.races import sentences
from bakeoff.races.definitions import Race
from bakeoff.races.marks import marks_of
from bakeoff.races.sections import Section
from bakeoff.report.drawn import Drawn
from bakeoff.report.figures import Palette
from bakeoff.report.opening import figures, statements, tables

# Races of which the figure of time and error has a panel, and pairs whose break-even is drawn, at most.
MAX_PANELS, MAX_CURVES = 12, 6


def time_and_error(sections: Sequence[Section]) -> Iterator[Drawn]:
    """One figure of everybody's time against error, a panel for each race."""
    raced = [(section, race) for section in sections for race in section.races]
    raced = [(section, race) for section, race in raced if len(section.runs_of(race))]
    shown = raced[:MAX_PANELS]
    if not shown:
        return
    titles = [statements.where(section, race) for section, race in shown]
    columns = ("contestant", "trial_id", "backend", "train_s", "final_validation_error")
    runs = pl.concat(
        [
            section.runs_of(race).select(columns).with_columns(panel=pl.lit(title))
            for (section, race), title in zip(shown, titles, strict=True)
        ],
        how="vertical_relaxed",
    )
    if not runs["final_validation_error"].is_not_null().any():
        return
    num_images = {key: num for _, race in shown for key, num in tables.num_images(race).items()}
    palette = Palette.of(runs.select("contestant", "backend").iter_rows())
    notes = {statements.note(race) for _, race in shown}
    note = notes.pop() if len(notes) == 1 else statements.SOME_NOTE
    some = f" {len(shown)} of {len(raced)} races." if len(raced) > len(shown) else ""
    level = statements.confidence(sections)
    yield Drawn(
        "time-and-error",
        figures.time_and_error(runs, num_images, palette, level),
        f"Training time against final validation error: means over repeats.{some} Horizontal bars: "
        f"{100 * level:g} % interval of the time. Vertical ones: of the error, thick over seeds alone, thin "
        "over seeds and the draw of test images. Bars are those of one contestant each; pairs are compared "
        "within blocks, and where possible image by image: bars may overlap where the verdict is clear."
        + (f" {note}" if note else ""),
        f"Training time and final error of {', '.join(palette.names)} on "
        f"{', '.join(titles)}; the values are in the tables of results.",
        marks_of(one.short for _, race in shown for one in race.contestants),
    )


def break_even(section: Section, race: Race) -> Iterator[Drawn]:
    """Whose total is less, by number of epochs: first the pairs in which that changes."""
    known = [(one, one.break_even) for one in race.comparisons if one.break_even is not None]
    known.sort(key=lambda pair: pair[1].at is None)
    shown = known[:MAX_CURVES]
    if not shown:
        return
    curves = [
        figures.Curve(
            one.first.short,
            statements.marked(one),
            found,
            tables.num_epochs(section, (one.first, one.second)),
        )
        for one, found in shown
    ]
    some = f" {len(shown)} of {len(known)} pairs." if len(known) > len(shown) else ""
    words = "; ".join(filter(None, (sentences.break_even_words(one) for one, _ in shown)))
    yield Drawn(
        "break-even",
        figures.break_even(curves),
        f"Break-even on {statements.where(section, race)}: total time of a pair's first to that of its "
        "second, by number of epochs; start-up, compilation and training count, evaluation does not. Below 1 "
        f"the first is ahead. Bands: {100 * statements.confidence([section]):g} % intervals. Diamonds: "
        f"break-even points. Dashed: projected from the epochs that were run, by their mean after the "
        f"warm-up.{some}",
        f"Total times by number of epochs. {words}.",
        marks_of(side for curve in curves for side in (curve.first, curve.second)),
    )
