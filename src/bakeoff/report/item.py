"""What a report is made of, as data: items, each the answer to one question, in parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from bakeoff.races.marks import Mark, marks_of
from bakeoff.report import vega
from bakeoff.wording import counted


@dataclass(frozen=True)
class Column:
    """A column: its heading, and whether its cells are numbers, which line up at the right."""

    title: str
    numeric: bool = True


def words(*titles: str) -> tuple[Column, ...]:
    """Columns of text."""
    return tuple(Column(title, False) for title in titles)


def numbers(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(map(Column, titles))


@dataclass(frozen=True)
class Table:
    """Cells as text.

    name: for file names and anchors. rows: contestants' names as labels, with their marks; marks_within: of
    names within sentences. grouped: rows that begin alike belong together. remark: what to know when reading
    it. anchors: by first cell, the name under which a page can link to its group of rows.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    grouped: bool = False
    remark: str = ""
    anchors: Mapping[str, str] = field(default_factory=dict)
    marks_within: tuple[Mark, ...] = ()

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Of the contestants in it."""
        found = {*self.marks_within, *marks_of(cell for row in self.rows for cell in row)}
        return tuple(mark for mark in Mark if mark in found)

    def with_remark(self, remark: str) -> Table:
        """The table with one more sentence below it; itself where that is empty."""
        return replace(self, remark=" ".join(filter(None, (self.remark, remark)))) if remark else self

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """First cells with the rest of the rows that share them, in order."""
        found: list[tuple[str, list[tuple[str, ...]]]] = []
        for first, *rest in self.rows:
            if self.grouped and found and found[-1][0] == first:
                found[-1][1].append(tuple(rest))
            else:
                found.append((first, [tuple(rest)]))
        return found


class State(Enum):
    """What became of a question."""

    DECIDED = "decided"
    ON_TIME = "decided on time, not on error"
    UNDECIDED = "undecided"
    REFUSED = "refused"
    PLAIN = ""  # no verdict was asked for


class Tone(Enum):
    """What a colour says."""

    PLAIN = "plain"
    DECIDED = "decided"
    OPEN = "undecided, or to be looked at"
    BAD = "failed, or learnt nothing"


@dataclass(frozen=True)
class Badge:
    """A short word on how a claim is founded. mark: stands before it."""

    words: str
    tone: Tone = Tone.PLAIN
    mark: Mark | None = None


@dataclass(frozen=True)
class Claim:
    """One sentence, and what stands behind it.

    anchor: its place in the page. claim, numbers: the sentence. badges: track, certificate, and doubts.
    remarks: sentences that every reader should see. measures: other ratios, name and value. runs: a
    contestant's name and the anchor of its runs. command: what repeats them; empty if unknown. is_leading:
    whether it is of the one that the rest are measured by. is_warning: somebody learnt nothing.
    """

    claim: str
    numbers: str
    anchor: str = ""
    state: State = State.PLAIN
    badges: tuple[Badge, ...] = ()
    remarks: tuple[str, ...] = ()
    measures: tuple[tuple[str, str], ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    command: str = ""
    setting: str = ""
    is_leading: bool = True
    is_warning: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a reader should see it before asking for more."""
        shown = (State.DECIDED, State.ON_TIME, State.PLAIN)
        return self.is_leading and not self.setting and self.state in shown


@dataclass(frozen=True)
class Item:
    """One question of a report, answered as far as it can be.

    name: for file names and anchors. title: a few words. claims, remarks: sentences. draw: makes the chart,
    which `caption` explains and `alt` tells to those who can't see it; None where there is nothing to draw.
    labels: names in the chart, with their marks. table: the numbers; None where others have them. in_files:
    whether the table belongs into files of tables, too.
    """

    name: str
    title: str
    claims: tuple[Claim, ...] = ()
    remarks: tuple[str, ...] = ()
    draw: Callable[[], vega.Chart] | None = None
    caption: str = ""
    alt: str = ""
    labels: tuple[str, ...] = ()
    table: Table | None = None
    in_files: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        has_rows = self.table is not None and bool(self.table.rows)
        return not (self.claims or self.remarks or self.draw or has_rows)

    @property
    def marks(self) -> set[Mark]:
        """Of all names in it."""
        badges = {badge.mark for claim in self.claims for badge in claim.badges if badge.mark}
        return {*marks_of(self.labels), *(self.table.marks if self.table else ()), *badges}

    @property
    def open_claims(self) -> tuple[Claim, ...]:
        """Those to be seen at once."""
        return tuple(claim for claim in self.claims if claim.is_open)

    @property
    def folded_claims(self) -> tuple[Claim, ...]:
        """The rest."""
        return tuple(claim for claim in self.claims if not claim.is_open)

    @property
    def fold(self) -> str:
        """What the fold is called: ``3 more comparisons, 1 undecided``."""
        by_state = Counter(claim.state for claim in self.folded_claims)
        num, more = len(self.folded_claims), "more " if self.open_claims else ""
        states = (
            f"{by_state[state]} {state.value}"
            for state in (State.UNDECIDED, State.REFUSED)
            if by_state[state]
        )
        return ", ".join([counted(num, f"{more}comparison"), *states])


@dataclass(frozen=True)
class Part:
    """Items under one heading.

    anchor: its place in the page. section: the data set that a page's switch shows it with; empty where it
    is of the whole study. note: what every figure and table in it needs to have said once. empty: what there
    is to say instead of items.
    """

    anchor: str
    title: str
    items: tuple[Item, ...]
    section: str = ""
    note: str = ""
    remarks: tuple[str, ...] = ()
    empty: str = ""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of its items, those that have rows."""
        return tuple(item.table for item in self.items if item.table is not None and item.table.rows)
