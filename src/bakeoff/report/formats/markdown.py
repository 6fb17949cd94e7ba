"""Tables and checklists in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bakeoff.report.formats.marks import marked, notes
from bakeoff.report.item import Table
from bakeoff.report.items.checklist import Answer, Check

_BOXES = {Answer.YES: "[x]", Answer.NO: "[ ]", Answer.UNKNOWN: "[ ] unknown:"}


def to_markdown(table: Table) -> str:
    """The table, with its title above."""
    head = [_escaped(column.title) for column in table.columns]
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    lines = [head, rule, *([_escaped(marked(cell)) for cell in row] for row in table.rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    warning = _escaped(notes(table.marks, warnings=True))
    said = (_escaped(_note(table)), f"**{warning}**" if warning else "")
    note = "".join(f"\n{words}\n" for words in said if words)
    return f"**{_escaped(table.title)}**\n\n{body}\n{note}"


def to_checklist(checks: Iterable[Check]) -> str:
    """A list with a box for each question."""
    return "".join(
        f"- {_BOXES[check.answer]} **{check.question}** {_escaped(check.words)}\n" for check in checks
    )


def _note(table: Table) -> str:
    return " ".join(filter(None, (table.remark, notes(table.marks, warnings=False))))


def _escaped(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)
    return re.sub(r"\s*\n\s*", "<br>", escaped)
