"""How a report's items look: one module for each format. They alone know symbols, markup and drawing.

html          one file that needs no network
terminal      the screen at a study's end
markdown      tables and checklists
latex         tables
figures       charts as SVG, PNG, HTML, JSON
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bakeoff.report.formats.latex import to_latex
from bakeoff.report.formats.markdown import to_markdown
from bakeoff.report.item import Table

__all__ = ["TABLES", "to_latex", "to_markdown"]

# Formats of tables, by the suffix of their files.
TABLES: Mapping[str, Callable[[Table], str]] = {"md": to_markdown, "tex": to_latex}
