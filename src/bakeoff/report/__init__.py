"""A study's results as a report: items, each the answer to one question, in several formats.

render            the HTML report, and its figures as files
tables            the tables of results, verdicts and conditions as cells; to_markdown, to_latex
screen            the results in short, for a terminal
checklist         what a reviewer asks of a benchmark, answered
figures           charts, for notebooks
"""

from bakeoff.races.frames import Frames, Source
from bakeoff.report import figures
from bakeoff.report.contents import compose
from bakeoff.report.formats import TABLES, to_latex, to_markdown
from bakeoff.report.formats.html import Options, render
from bakeoff.report.formats.markdown import to_checklist
from bakeoff.report.item import Table
from bakeoff.report.items import parts
from bakeoff.report.items.checklist import Check
from bakeoff.report.items.checklist import checklist as _checklist
from bakeoff.report.items.summary import screen
from bakeoff.report.reading import read

__all__ = [
    "TABLES",
    "Check",
    "Frames",
    "Options",
    "Table",
    "checklist",
    "figures",
    "read",
    "render",
    "screen",
    "tables",
    "to_checklist",
    "to_latex",
    "to_markdown",
]


def tables(source: Source | Frames, study: str | None = None) -> tuple[Table, ...]:
    """Results and verdicts of a study, section by section, with those of its distributed runs.

    Raises:
        StoreError: the store does not know the study.
    """
    return tuple(
        item.table.with_remark(part.note)
        for part in parts(compose(read(source, study)))
        for item in part.items
        if item.in_files and item.table is not None and item.table.rows
    )


def checklist(source: Source | Frames, study: str | None = None) -> tuple[Check, ...]:
    """What a reviewer asks of a benchmark, answered from the store.

    Raises:
        StoreError: the store does not know the study.
    """
    return _checklist(compose(read(source, study)))
