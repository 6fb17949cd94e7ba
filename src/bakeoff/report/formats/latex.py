"""Tables as LaTeX floats."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bakeoff.report.formats.marks import marked, notes
from bakeoff.report.item import Table


def to_latex(table: Table) -> str:
    """The table; needs the package booktabs."""
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escaped(table.title)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{align}}}",
        r"    \toprule",
        "    " + " & ".join(_escaped(column.title) for column in table.columns) + r" \\",
        r"    \midrule",
    ]
    for index, (first, rows) in enumerate(table.groups):
        if table.grouped and index:
            lines.append(r"    \addlinespace")
        for number, row in enumerate(rows):
            cells = [
                _escaped(marked(first)) if number == 0 else "",
                *(_escaped(marked(cell)) for cell in row),
            ]
            lines.append("    " + " & ".join(cells) + r" \\")
    plain = " ".join(filter(None, (table.remark, notes(table.marks, warnings=False))))
    warning = _escaped(notes(table.marks, warnings=True))
    said = (_escaped(plain), rf"\textbf{{{warning}}}" if warning else "")
    note = [rf"  \par\footnotesize {words}" for words in said if words]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", *note, r"\end{table}", ""])


_TEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "‡": r"$\ddagger$",
    "÷": r"$\div$",
    "’": "'",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
    "†": r"$\dagger$",
    "✗": r"$\otimes$",
    "–": "--",
    "\u202f": r"\,",
    "\n": " ",
}
_CHARACTER = re.compile("|".join(map(re.escape, _TEX)))
_POWER = re.compile("([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_NORMAL = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def _escaped(text: str) -> str:
    escaped = _CHARACTER.sub(lambda match: _TEX[match.group()], text)
    return _POWER.sub(lambda match: f"$^{{{match.group().translate(_NORMAL)}}}$", escaped)
