"""A study's results on one screen, in so many columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from bakeoff import stats
from bakeoff.metrics import NO_VALUE
from bakeoff.races.marks import Label, marks_of
from bakeoff.report.formats.marks import SYMBOLS, marked
from bakeoff.report.item import Tone
from bakeoff.report.items.summary import Cell, Grid, Screen, Words

_STYLES = {Tone.PLAIN: "", Tone.DECIDED: "green", Tone.OPEN: "yellow", Tone.BAD: "bold red"}
_GAP = "  "


def lines(screen: Screen, width: int) -> list[Text]:
    """The screen in lines of so many columns; longer ones where a name alone is longer."""
    drawn = [*wrapped(screen.header, width, between=" · ")]
    if screen.grid is not None:
        num_groups, table = _drawn(screen.grid, width)
        if num_groups > 1:
            table = min(table, _drawn(_transposed(screen.grid), width)[1], key=len)
        drawn += [*table, *_legend(screen, width)]
    return drawn + [line for sentence in screen.sentences for line in wrapped([sentence], width)]


def _legend(screen: Screen, width: int) -> Iterator[Text]:
    """What the table's symbols mean, but for those that a sentence explains."""
    grid = screen.grid
    if grid is None:
        return
    if any(_is_open(cell) for cell in grid.cells.values()):
        yield from wrapped([Words("? Not told apart from the fastest.")], width)
    explained = {sentence.mark for sentence in screen.sentences}
    for mark in marks_of(grid.marked_rows):
        if mark not in explained:
            yield from wrapped([Words(mark.value, mark=mark)], width)


def _is_open(cell: Cell) -> bool:
    return cell.tone is Tone.OPEN and cell.ratio is not None


def wrapped(parts: Sequence[Words], width: int, between: str = "") -> Iterator[Text]:
    """Parts one after the other, in lines that break at spaces only, from the second on indented."""
    said = (f"{SYMBOLS[part.mark]} {part.text}" if part.mark else part.text for part in parts)
    texts = [" ".join(text.split()) for text in said]
    whole = between.join(texts)
    styled = Text(whole)
    start = 0
    for part, text in zip(parts, texts, strict=True):
        styled.stylize(_STYLES[part.tone], start, start + len(text))
        start += len(text) + len(between)
    for number, line in enumerate(_broken(styled, width - len(_GAP))):
        yield Text(_GAP * (number > 0)) + line


def _drawn(grid: Grid, width: int) -> tuple[int, list[Text]]:
    """The table, its columns in as many groups as the width asks for: how many, and their lines."""
    title = "Training time, s"
    if any(cell.ratio for cell in grid.cells.values()):
        title += f" (times the fastest's{', ' * bool(grid.level)}{grid.level})"
    num_groups, drawn = 0, [Text(title, "bold")]
    names = [_name(label, width) for label in grid.rows]
    columns = [_Column.of(grid, index) for index in range(len(grid.columns))]
    indent = max(cell_len(line.plain) for name in names for line in name)
    while columns:
        used, shown = indent, list[_Column]()
        while columns and (not shown or used + len(_GAP) + columns[0].width <= width):
            used += len(_GAP) + columns[0].width
            shown.append(columns.pop(0))
        for heading in zip_longest(*(column.heading for column in shown), fillvalue=Text()):
            drawn.append(_line([Text(), *heading], indent, shown))
        for row, name in enumerate(names):
            cells = [column.cells[row] for column in shown]
            if any(cells):
                drawn.append(_line([name[0], *cells], indent, shown))
                drawn += name[1:]
        num_groups += 1
    return num_groups, drawn


@dataclass(frozen=True)
class _Column:
    """A column in text. heading: its lines. cells: one for each row, empty where there is none."""

    heading: list[Text]
    cells: list[Text]
    width: int

    @classmethod
    def of(cls, grid: Grid, index: int) -> _Column:
        """The grid's column, its parts below one another."""
        rows = [grid.cells.get((row, index)) for row in range(len(grid.rows))]
        parts = [("", "") if cell is None else (cell.time, _times(cell)) for cell in rows]
        times, ratios = (max(len(part[side]) for part in parts) for side in (0, 1))
        cells = []
        for cell, (time, ratio) in zip(rows, parts, strict=True):
            if cell is None:
                cells.append(Text())
                continue
            ends = f" ({'–'.join(_numbers(cell.ratio)[1:])})" if _has_interval(cell) else ""
            doubt = " ?" if _is_open(cell) else ""
            marks = "".join(f" {SYMBOLS[mark]}" for mark in cell.marks)
            gap = " " if ratio or ends else ""
            words = f"{time:>{times}}{gap}{ratio:>{ratios if ratio else 0}}{ends}{doubt}{marks}"
            cells.append(Text(words, _STYLES[cell.tone]))
        longest = max(cell_len(cell.plain) for cell in cells)
        label = marked(grid.columns[index])
        word = max(map(cell_len, label.split()))
        heading = _broken(Text(label, "dim"), max(longest, word))
        return cls(heading, cells, max(longest, *(cell_len(line.plain) for line in heading)))


def _line(parts: Sequence[Text], indent: int, columns: Sequence[_Column]) -> Text:
    line = Text()
    for part, width in zip(parts, [indent, *(column.width for column in columns)], strict=False):
        line += part + Text(" " * (width - cell_len(part.plain)) + _GAP)
    line.rstrip()
    return line


def _name(label: str, width: int) -> list[Text]:
    style = _STYLES[Tone.BAD] if isinstance(label, Label) and label.is_warning else ""
    return _broken(Text(marked(label), style), width * 3 // 5)


def _broken(words: Text, width: int) -> list[Text]:
    """In lines that break at spaces only."""
    starts, used = list[int](), 0
    for word in re.finditer(r"\S+\s*", words.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            starts.append(word.start())
            used = 0
        used += cell_len(word[0])
    found = list(words.divide(starts))
    for line in found:
        line.rstrip()
    return found


def _times(cell: Cell) -> str:
    return f"{_numbers(cell.ratio)[0]}×" if cell.ratio is not None else ""


def _has_interval(cell: Cell) -> bool:
    return cell.ratio is not None and cell.ratio.low is not None


def _numbers(ratio: stats.TimeRatio | None) -> list[str]:
    """The ratio and the ends of its interval, with as few decimals as tell them apart."""
    values = [] if ratio is None else [one for one in (ratio.ratio, ratio.low, ratio.high) if one is not None]
    if not values:
        return [NO_VALUE]
    fewest = 0 if values[0] >= 10 else 1 if values[0] >= 2 else 2
    for decimals in range(fewest, 4):
        texts = [f"{value:.{decimals}f}" if value < 1000 else f"{value:.0e}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _transposed(grid: Grid) -> Grid:
    """Races below one another, for studies with many of them and few contestants."""
    cells = {(column, row): cell for (row, column), cell in grid.cells.items()}
    return Grid(grid.columns, grid.rows, cells, grid.level)
