"""One self-contained HTML file, its tables and its figures, from a store's data frames.

render            the HTML report, and its figures as files
tables            summary and verdict tables as cells; to_markdown, to_latex
screen            the results in short, for a terminal
figures           Altair charts, for notebooks
"""

from bakeoff.races.frames import Frames
from bakeoff.report import figures
from bakeoff.report.page import Options, render
from bakeoff.report.reading import read
from bakeoff.report.screen import screen
from bakeoff.report.summaries import tables
from bakeoff.report.tables import Table, to_latex, to_markdown

__all__ = [
    "Frames",
    "Options",
    "Table",
    "figures",
    "read",
    "render",
    "screen",
    "tables",
    "to_latex",
    "to_markdown",
]
