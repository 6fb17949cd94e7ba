"""What came of a study, in short: who took how long, what may be said of it, what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import METRICS, NO_VALUE, RATIO
from bakeoff.races import sentences
from bakeoff.races.compose import command_of
from bakeoff.races.definitions import UNCERTIFIED, Comparison, Contestant, Race
from bakeoff.races.frames import Frames, Source, distributed
from bakeoff.races.learning import nothing_learnt
from bakeoff.races.marks import Label, Mark, marks_of
from bakeoff.races.sections import Section
from bakeoff.report import vega
from bakeoff.report.contents import FAILED, Contents, compose
from bakeoff.report.item import Item, Tone
from bakeoff.report.items import verdicts
from bakeoff.report.items.cluster.runs import cluster
from bakeoff.report.items.cluster.sentences import in_short, where_time_went
from bakeoff.report.items.conditions import last_calibration
from bakeoff.report.reading import read
from bakeoff.wording import counted, listed, span

# Names of places in a sentence, and sentences of one kind: more are counted. Races that are drawn. Claims on
# who is faster.
MAX_PLACES, MAX_ALIKE, MAX_RACES, MAX_CLAIMS = 6, 4, 6, 12
# What may be said of the fastest's time against another's: beaten, or not yet known.
_BEATEN = frozenset({stats.FASTER})
_OPEN = (stats.UNDECIDED, stats.TOO_FEW)


@dataclass(frozen=True)
class Words:
    """A sentence, or a part of a line. mark: stands before it."""

    text: str
    tone: Tone = Tone.PLAIN
    mark: Mark | None = None


@dataclass(frozen=True)
class Cell:
    """One contestant in one race.

    time: mean training seconds as text, or what became of it instead. ratio: of its time to the fastest's,
    with its interval; None for the fastest, and where the two are not compared. marks: those that not all of
    its row has. is_fastest: whether the others' ratios are to its time.
    """

    time: str
    ratio: stats.TimeRatio | None = None
    tone: Tone = Tone.PLAIN
    marks: tuple[Mark, ...] = ()
    is_fastest: bool = False


@dataclass(frozen=True)
class Grid:
    """Training times.

    rows: contestants, the fastest first. columns: races. cells: by row and column; not every contestant is in
    every race. level: of the intervals, in words; empty where there is none.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[int, int], Cell]
    level: str = ""

    @property
    def marked_rows(self) -> tuple[Label, ...]:
        """The rows with the marks of all of their cells."""
        cells = [
            [cell for (row, _), cell in self.cells.items() if row == index] for index in range(len(self.rows))
        ]
        return tuple(
            Label(name, {*marks_of([name]), *(mark for cell in of_row for mark in cell.marks)})
            for name, of_row in zip(self.rows, cells, strict=True)
        )


@dataclass(frozen=True)
class Next:
    """What to type next, and why."""

    command: str
    why: str


@dataclass(frozen=True)
class Screen:
    """What is shown at the end of a study. header: parts of a line. grid: None where nobody has a time."""

    study: str
    header: tuple[Words, ...]
    grid: Grid | None
    sentences: tuple[Words, ...]
    onwards: Next | None = None


def screen(source: Source | Frames, study: str | None = None) -> Screen:
    """The results of a study, of the one begun last unless `study` names another.

    Raises:
        StoreError: the store does not know the study.
    """
    return summarized(compose(read(source, study)))


def summarized(contents: Contents) -> Screen:
    """The same of contents that are composed already."""
    columns = [_column(section, race) for section in contents.sections for race in section.races]
    return Screen(
        contents.frames.study,
        tuple(_header(contents)),
        _grid(columns),
        tuple(_sentences(contents, columns)),
        _onwards(contents, columns),
    )


def summary(contents: Contents, screen: Screen) -> Item:
    """The screen's table as a chart: everybody's time to the fastest's, with intervals."""
    backends = {contestant.plain_short: contestant.backend for contestant in contents.contestants}
    grid = screen.grid
    has_ratios = grid is not None and any(cell.ratio for cell in grid.cells.values())
    labels: tuple[str, ...] = () if grid is None else grid.marked_rows
    return Item(
        "summary",
        "Summary",
        remarks=tuple(sentence.text for sentence in screen.sentences),
        draw=partial(standings, grid, backends) if grid is not None and has_ratios else None,
        caption="Training time, times the fastest’s of each race"
        + (f", with {grid.level}" if grid is not None and grid.level else "")
        + ". Hollow: not told apart from the fastest. The axis is the same everywhere, and logarithmic.",
        alt="Training times to the fastest’s; the values are in the tables of verdicts.",
        labels=labels,
    )


def standings(grid: Grid, backends: Mapping[str, str]) -> vega.Chart:
    """Everybody's training time to the fastest's, a panel for each race, the same axis in all.

    backends: by contestant's name without marks.
    """
    columns = range(min(len(grid.columns), MAX_RACES))
    rows: list[dict[str, Any]] = []
    for (row, column), cell in grid.cells.items():
        if column not in columns or not (cell.ratio or cell.is_fastest):
            continue
        ratio = cell.ratio or stats.TimeRatio(1.0, None, None, 0, None)
        rows.append(
            {
                "race": grid.columns[column],
                "contestant": str(grid.rows[row]),
                "ratio": ratio.ratio,
                "low": ratio.low,
                "high": ratio.high,
                "shown": RATIO.text(ratio.ratio),
                "interval": " to ".join(RATIO.texts([ratio.low, ratio.high])),
                "time": cell.time,
                "open": cell.tone is Tone.OPEN,
            }
        )
    names = [name for name in map(str, grid.rows) if any(row["contestant"] == name for row in rows)]
    palette = vega.Palette.of((name, backends.get(name, name)) for name in names)
    scale = verdicts.ratio_scale([(row["ratio"], row["low"], row["high"]) for row in rows])
    fewest = len(columns) if len(columns) < 4 else 3

    x = vega.quantity("ratio", "Times the fastest’s", scale, grid=True, tickCount=5, format="~r")
    base = {"y": vega.rows_of("contestant", names), "color": palette.colour(legend=False)}
    fields = {"contestant": "contestant", "training time, s": "time", "times the fastest’s": "shown"}
    point: vega.Spec = {
        **base,
        "x": x,
        "shape": {**palette.shape(), "legend": None},
        "fill": palette.colour(legend=False),
        "fillOpacity": vega.either("datum.open", 0, 1),
        "tooltip": vega.tips({**fields, "interval": "interval"}),
    }
    layers = [
        vega.layer("rule", {"x": vega.at(x, 1)}, strokeDash=[3, 3], color=vega.FAINT[0]),
        vega.layer("rule", {**base, **vega.ends("x", x)}, needs="low", strokeWidth=2.5),
        vega.layer("point", point, size=75, opacity=1, strokeWidth=1.6),
    ]
    races = [grid.columns[column] for column in columns]
    return vega.chart(
        layers,
        rows,
        width=160 if fewest > 2 else 240,
        height=26 * max(1, len(names)),
        facets=vega.Facets("race", races, columns=fewest, labels=vega.label_width(names)),
    )


# ---- header -------------------------------------------------------------------------------------


def _header(contents: Contents) -> Iterator[Words]:
    yield Words(contents.frames.study)
    selection, planned = contents.selection, contents.frames.num_planned
    num_ok = len(selection.ok)
    of = f" of {planned}" if planned is not None and planned >= num_ok else ""
    took_s = float(selection.chosen["wall_s"].sum()) if len(selection.chosen) else 0.0
    yield Words(f"{num_ok}{of} runs, {span(took_s)}")
    if not len(selection.chosen):
        return
    yield Words(", ".join(sorted({str(one) for one in selection.chosen["machine"] if one})))
    if contents.frames.calibrations is not None:
        found = last_calibration(contents.frames.calibrations, selection.chosen)
        if found is None:
            yield Words("never calibrated", Tone.OPEN)
        elif found.passed:
            yield Words(f"calibrated {found.ended_at:%Y-%m-%d}")
        else:
            yield Words(f"failed its calibration {found.ended_at:%Y-%m-%d}", Tone.BAD)


# ---- table --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """One race, and how it stands.

    times: mean seconds by trial_id. leader: whoever took the least time of those that may be compared; None
    where nobody has a time. against: by trial_id, how the leader compares with another, the leader first.
    """

    section: Section
    race: Race
    times: Mapping[str, float]
    leader: Contestant | None
    against: Mapping[str, tuple[Comparison, stats.Verdict]]

    @property
    def where(self) -> str:
        """The data set and the race's setting."""
        return self.section.place_of(self.race)

    @property
    def rivals(self) -> dict[stats.Kind, list[str]]:
        """By what may be said of the leader's time against theirs: all whom it is to be compared with."""
        found: dict[stats.Kind, list[str]] = {}
        for contestant in self.race.contestants:
            if contestant.trial_id in self.times.keys() & self.against:
                pair, verdict = self.against[contestant.trial_id]
                if pair.is_asked:
                    found.setdefault(verdict.on_time, []).append(contestant.plain_short)
        return found

    def in_order(self, names: Iterable[str]) -> list[str]:
        """These contestants' names in the race's order, which ranks nobody."""
        return sorted(names, key=[contestant.plain_short for contestant in self.race.contestants].index)


def _column(section: Section, race: Race) -> _Column:
    means = section.runs.group_by("trial_id").agg(pl.col("train_s").mean()).drop_nulls()
    times = dict(means.iter_rows())
    order = race.ranking.order if race.ranking else range(len(race.contestants))
    timed = [race.contestants[one] for one in order if race.contestants[one].trial_id in times]
    fit = [contestant for contestant in timed if not contestant.learning.is_nothing]
    if race.ranking is None:
        fit.sort(key=lambda contestant: times[contestant.trial_id])
    leader = fit[0] if fit else None
    against = {}
    for pair in race.comparisons:
        if pair.first == leader:
            against[pair.second.trial_id] = pair, pair.verdict
        elif pair.second == leader:
            against[pair.first.trial_id] = pair, pair.verdict.inverse
    return _Column(section, race, times, leader, against)


def _grid(columns: Sequence[_Column]) -> Grid | None:
    cells: dict[tuple[str, int], Cell] = {}
    slower: dict[str, list[float]] = {}
    for index, column in enumerate(columns):
        shown = dict(zip(column.times, METRICS["train_s"].texts(column.times.values()), strict=True))
        for contestant in column.race.contestants:
            cells[contestant.plain_short, index] = _cell(column, contestant, shown.get(contestant.trial_id))
            if column.leader is not None and contestant.trial_id in column.times:
                log = math.log(column.times[contestant.trial_id] / column.times[column.leader.trial_id])
                slower.setdefault(contestant.plain_short, []).append(log)
    if not slower:
        return None
    names = sorted(
        dict.fromkeys(name for name, _ in cells),
        key=lambda name: sum(slower[name]) / len(slower[name]) if name in slower else math.inf,
    )
    ranked = {name: place for place, name in enumerate(names)}
    common = {
        name: set.intersection(*(set(cell.marks) for (of, _), cell in cells.items() if of == name))
        for name in names
    }
    pairs = [pair for column in columns for pair, _ in column.against.values()]
    known = [pair.verdict.rules for pair in pairs if pair.verdict.time.low is not None]
    return Grid(
        rows=tuple(Label(name, common[name]) for name in names),
        columns=tuple(column.where for column in columns),
        cells={
            (ranked[name], index): replace(
                cell, marks=tuple(mark for mark in cell.marks if mark not in common[name])
            )
            for (name, index), cell in cells.items()
        },
        level=sentences.confidence(known[0]) if known else "",
    )


def _cell(column: _Column, contestant: Contestant, time: str | None) -> Cell:
    marks = contestant.short.marks
    if time is None:
        tried = column.section.attempts.filter(trial_id=contestant.trial_id)["status"]
        status = str(tried[-1]) if len(tried) else NO_VALUE
        tone = Tone.BAD if status in FAILED else Tone.OPEN
        return Cell(status.replace("_", " "), tone=tone, marks=marks)
    if contestant.learning.is_nothing:
        return Cell(time, tone=Tone.BAD, marks=marks)
    if contestant == column.leader:
        is_decided = bool(column.rivals) and column.rivals.keys() <= _BEATEN
        tone = Tone.DECIDED if is_decided else Tone.PLAIN
        return Cell(time, tone=tone, marks=marks, is_fastest=bool(column.rivals))
    if contestant.trial_id not in column.against:
        return Cell(time, marks=marks)
    pair, verdict = column.against[contestant.trial_id]
    if pair.refusal:
        return Cell(time, marks=marks)
    if not pair.certificate.is_same:
        marks = (*marks, Mark.UNCERTIFIED)
    is_open = pair.is_asked and verdict.on_time in _OPEN
    return Cell(time, verdict.time.inverse, Tone.OPEN if is_open else Tone.PLAIN, marks)


# ---- sentences ----------------------------------------------------------------------------------


def _sentences(contents: Contents, columns: Sequence[_Column]) -> Iterator[Words]:
    yield from _fastest(columns)
    yield from _not_well(contents, columns)
    yield from _learning(columns)
    yield from _errors(contents, columns)
    yield from _on_clusters(contents)
    shorts = any(contestant.is_short for column in columns for contestant in column.race.contestants)
    if shorts:
        yield Words(Mark.SHORT.value, Tone.OPEN, Mark.SHORT)
    yield from _more(contents, columns)


def _fastest(columns: Sequence[_Column]) -> Iterator[Words]:
    """Who is fastest where, or how the study's pairs stand: once for all races where the same may be said."""
    found: dict[tuple[Tone, str], list[_Column]] = {}
    for column in columns:
        for claim in _of_pairs(column) or filter(None, [_of_race(column)]):
            found.setdefault(claim, []).append(column)
    for (tone, words), places in list(found.items())[:MAX_CLAIMS]:
        yield Words(words.replace("{where}", _places(places, columns)), tone)
    if len(found) > MAX_CLAIMS:
        yield Words(f"{len(found) - MAX_CLAIMS} more answers: bakeoff compare.")


def _of_pairs(column: _Column) -> list[tuple[Tone, str]]:
    """The claims on pairs that the study names, with ``{where}`` for the race; empty where it names none."""
    if not any(pair.is_aside for pair in column.race.comparisons):
        return []
    named = [pair for pair in column.race.comparisons if pair.is_asked and not pair.is_aside]
    return [
        (
            Tone.DECIDED if pair.verdict.is_decided_on_time else Tone.OPEN,
            f"{sentences.claim_and_numbers(pair)[0]}{{where}}.",
        )
        for pair in named
    ]


def _of_race(column: _Column) -> tuple[Tone, str] | None:
    """What may be said of the fastest, with ``{where}`` for the race; None where nobody is to be compared."""
    rivals = column.rivals
    if column.leader is None or not rivals:
        return None
    leader = column.leader.plain_short
    alike = rivals.get(stats.PRACTICALLY_EQUAL, [])
    settled = (stats.FASTER, stats.PRACTICALLY_EQUAL)
    doubtful = [name for kind, names in rivals.items() if kind not in settled for name in names]
    num = sum(map(len, rivals.values()))
    if doubtful and rivals.keys() == {stats.TOO_FEW}:
        return Tone.OPEN, f"Too few repeats to say who trains fastest{{where}}: {leader} took the least time."
    if doubtful:
        names = listed(column.in_order([leader, *doubtful, *alike]), "or")
        return Tone.OPEN, f"Undecided who trains fastest{{where}}: {names}."
    if alike:
        others = " and less than all others" if len(alike) < num else ""
        names = listed(column.in_order([leader, *alike]))
        return Tone.PLAIN, f"{names} take practically the same time{others}{{where}}."
    if num == 1:
        ((other,),) = rivals.values()
        return Tone.DECIDED, f"{leader} trains faster than {other}{{where}}."
    return Tone.DECIDED, f"{leader} trains fastest{{where}}."


def _not_well(contents: Contents, columns: Sequence[_Column]) -> Iterator[Words]:
    """Runs that did not end well and were not made good: how often, and the last reason."""
    done = set(contents.selection.ok.select("trial_id", "repeat").iter_rows())
    lost: dict[tuple[str, str, str], list[_Column]] = {}
    for column in columns:
        for contestant in column.race.contestants:
            mine = column.section.attempts.filter(trial_id=contestant.trial_id)
            for row in mine.unique("repeat", keep="last", maintain_order=True).iter_rows(named=True):
                if (row["trial_id"], row["repeat"]) not in done:
                    lines = (row["reason"] or "").strip().splitlines() or [""]
                    lost.setdefault((contestant.plain_short, row["status"], lines[0]), []).append(column)
    for (name, status, reason), of in list(lost.items())[:MAX_ALIKE]:
        words = f"{name}: {counted(len(of), 'run')} {status.replace('_', ' ')}{_places(of, columns)}"
        yield Words(f"{words}: {reason}" if reason else f"{words}.", _tone_of(status))
    if len(lost) > MAX_ALIKE:
        yield Words(f"{len(lost) - MAX_ALIKE} more kinds of runs that did not end well.", Tone.BAD)


def _tone_of(status: str) -> Tone:
    return Tone.BAD if status in FAILED else Tone.OPEN


def _learning(columns: Sequence[_Column]) -> Iterator[Words]:
    """Who learnt nothing: always, or in some runs."""
    idle: dict[str, list[tuple[_Column, Contestant]]] = {}
    for column in columns:
        for contestant in column.race.contestants:
            if contestant.learning.is_nothing:
                idle.setdefault(contestant.plain_short, []).append((column, contestant))
            elif contestant.learning.is_partial:
                runs = f"{contestant.learning.num_nothing} of {contestant.learning.num_runs} runs"
                where = _places([column], columns)
                yield Words(f"{contestant.plain_short} learnt nothing in {runs}{where}.", Tone.OPEN)
    for name, every in idle.items():
        places = _places([column for column, _ in every], columns)
        why = f": {nothing_learnt(every[0][1].learning)}" if len(every) == 1 else ""
        words = f"{name} learnt nothing{places}{why}, so nobody is compared with it."
        yield Words(words, Tone.BAD, Mark.NOTHING_LEARNT)


def _errors(contents: Contents, columns: Sequence[_Column]) -> Iterator[Words]:
    """What is decided, how well it is founded, and how high the errors are."""
    worse: dict[tuple[str, str], list[_Column]] = {}
    for column in columns:
        for pair in column.race.comparisons:
            if pair.is_asked and pair.verdict.kind is stats.FASTER_AT_WORSE_ERROR:
                worse.setdefault((pair.first.plain_short, pair.second.plain_short), []).append(column)
    for (first, second), of in worse.items():
        yield Words(f"{first} trains faster than {second}, but at worse error{_places(of, columns)}.")
    metric = METRICS["final_validation_error"]
    ranges = []
    for section in contents.sections:
        means = section.runs.group_by("trial_id").agg(pl.col(metric.name).mean())[metric.name].drop_nulls()
        if len(means):
            low, high = metric.texts([means.min(), means.max()])  # type: ignore[list-item]
            ranges.append(f"{low if low == high else f'{low} to {high}'} % on {section.title}")
    if ranges:
        yield Words(f"Final error: {_counted(ranges)}.")
    if overview := verdicts.overview(contents.sections):
        yield Words(overview)


def _on_clusters(contents: Contents) -> Iterator[Words]:
    """Whether distributing paid, and which layout is better."""
    clusters = [cluster(section, contents) for section in contents.sections if len(distributed(section.runs))]
    for one in clusters:
        for kind, claim in in_short(one):
            tone = Tone.OPEN if kind in _OPEN else Tone.PLAIN
            yield Words(f"{claim}{f', on {one.section.title}' if len(clusters) > 1 else ''}.", tone)
        if any(pair.verdict.on_time is stats.FASTER for pair in one.machine):
            yield from map(Words, list(where_time_went(one))[:MAX_ALIKE])


def _more(contents: Contents, columns: Sequence[_Column]) -> Iterator[Words]:
    """What else is known, and what would tell more."""
    pairs = [pair for column in columns for pair in column.race.comparisons if pair.is_asked]
    if doubtful := sum(bool(pair.hinge) or any(sentences.warnings(pair)) for pair in pairs):
        yield Words(f"Doubts stand beside {counted(doubtful, 'comparison')}.", Tone.OPEN)
    ok = contents.selection.ok
    if len(ok) and (disturbed := int(ok["disturbed"].fill_null(False).sum())):
        of = counted(len(ok), "run")
        yield Words(f"The machine did other things during {disturbed} of {of}.", Tone.OPEN)
    if num := len(contents.selection.left_out):
        yield Words(f"Left out: {counted(num, 'run')} under other conditions.", Tone.OPEN)
    if (missing := (contents.frames.num_planned or 0) - len(ok)) > 0:
        yield Words(f"Missing: {counted(missing, 'run')}; the same command goes on with them.", Tone.OPEN)
    if any(_tells(pair.verdict) for pair in pairs):
        yield Words("More repeats would tell: run it again with --until-decided.")


def _onwards(contents: Contents, columns: Sequence[_Column]) -> Next | None:
    """What tells most of what is not known yet."""
    again, study = command_of(contents.selection.chosen), contents.frames.study
    pairs = [pair for column in columns for pair in column.race.comparisons if pair.is_asked]
    if again and (contents.frames.num_planned or 0) > len(contents.selection.ok):
        return Next(again, "goes on with the runs that are missing")
    if again and any(_tells(pair.verdict) for pair in pairs):
        return Next(f"{again} --until-decided", "adds repeats until the open comparisons are decided")
    if study and any(pair.certificate.verdict == UNCERTIFIED for pair in pairs):
        return Next(f"bakeoff verify {study}", "shows whether all of them train the same thing")
    return Next(f"bakeoff compare {study}", "tells pair by pair") if study and pairs else None


def _tells(verdict: stats.Verdict) -> bool:
    """Whether more blocks would help, and nobody adds them already."""
    is_open = verdict.undecided_on is stats.Question.TIME or verdict.more is not None
    return is_open and verdict.schedule in (stats.Schedule.FIXED, stats.Schedule.CHANGED)


def _places(where: Sequence[_Column], every: Sequence[_Column]) -> str:
    """`` on mnist and cifar10``; empty where there is but one race."""
    names = list(dict.fromkeys(column.where for column in where))
    if len(every) == 1:
        return ""
    if len(names) == len(every) > 2:
        has_settings = any(one.race.setting for one in every)
        return f" in all {len(names)} races" if has_settings else " on all data sets"
    if len(names) > MAX_PLACES:
        return f" in {len(names)} of {len(every)} races"
    return f" on {listed(names)}"


def _counted(parts: Sequence[str]) -> str:
    more = f", and {len(parts) - MAX_PLACES} more" if len(parts) > MAX_PLACES else ""
    return ", ".join(parts[:MAX_PLACES]) + more
