"""Every table of a study, for other formats."""

from __future__ import annotations

from bakeoff.races.frames import Frames, Source
from bakeoff.report.cluster import said
from bakeoff.report.contents import compose
from bakeoff.report.opening import statements
from bakeoff.report.opening import tables as opening_tables
from bakeoff.report.reading import read
from bakeoff.report.tables import Table, summary, verdicts


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
