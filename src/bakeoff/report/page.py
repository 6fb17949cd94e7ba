"""The report: one HTML file that needs no network, and its figures as files of their own."""

from __future__ import annotations

import functools
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import polars as pl
from altair.utils.schemapi import debug_mode

from bakeoff.errors import ReportError
from bakeoff.metrics import METRICS
from bakeoff.races.compose import command_of
from bakeoff.races.contestants import line_name
from bakeoff.races.frames import Frames, Source, plain
from bakeoff.races.marks import Label, Mark, marks_of
from bakeoff.races.sections import Section
from bakeoff.report import figures as draw
from bakeoff.report import tables
from bakeoff.report.cluster import figures as cluster_figures
from bakeoff.report.cluster import said
from bakeoff.report.contents import Contents, compose
from bakeoff.report.drawn import Drawn, notes
from bakeoff.report.opening import drawn as opening_drawn
from bakeoff.report.opening import statements
from bakeoff.report.opening import tables as opening_tables
from bakeoff.report.opening.trust import Trust, trust
from bakeoff.report.reading import read
from bakeoff.report.tables import Table

FIGURE_FORMATS = ("svg", "png")
# The study's own windows, in epochs.
WINDOWS = (50, 200)
# Rows above which a table is folded.
MAX_OPEN_ROWS = 80


@dataclass(frozen=True)
class Options:
    """What a report says about itself.

    command: what produced the results; None takes the runs' own. generated_at: None is now.
    """

    command: str | None = None
    generated_at: datetime | None = None


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    name: for file names. alt: what it shows, for those who can't see it. warning: stands below it in red.
    """

    number: int
    name: str
    chart: Any
    caption: str
    alt: str
    warning: str = ""

    @property
    def height(self) -> int:
        """Pixels to keep free for it."""
        return int(self.chart.usermeta["bakeoff"]["height"])

    @property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite."""
        # Checking against the schema takes longer than all else; tests do it for every figure.
        found: dict[str, Any] = self.chart.to_dict(validate=False)
        return found


@dataclass(frozen=True)
class Part:
    """A section with everything said, drawn and tabulated. ranking: stands with the verdicts."""

    anchor: str
    title: str
    groups: tuple[statements.Group, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    setting: str = ""
    empty: str = ""
    remarks: tuple[str, ...] = ()
    ranking: Table | None = None


@dataclass(frozen=True)
class Opening:
    """What stands above the parts.

    trust: in the machine; None where nobody looked. overview, rules: sentences. what_ran: by contestant.
    """

    trust: Trust | None
    overview: str
    rules: str
    figures: tuple[Figure, ...]
    what_ran: Table | None


def render(
    source: Source | Frames,
    out: Path | str,
    study: str | None = None,
    options: Options | None = None,
    figures: Sequence[str] = (),
) -> Path:
    """Write the report of a study and return the HTML file's path.

    out: the file, if it ends in ``.html``; else a folder, for its ``report.html``. study: None takes
    the one begun last. figures: also write each figure as ``svg`` or ``png``, into a folder beside it.

    Raises:
        ReportError: a figure format is unknown, or a file can't be written.
        StoreError: the store does not know the study.
    """
    if unknown := sorted(set(figures) - set(FIGURE_FORMATS)):
        raise ReportError(
            f"figures: expected {', '.join(FIGURE_FORMATS)}; got {', '.join(unknown)}",
            "Leave the others out.",
        )
    target = Path(out)
    if target.suffix.lower() not in (".html", ".htm"):
        target = target / "report.html"
    with ThreadPoolExecutor(1) as beside, debug_mode(False):
        vega = beside.submit(_vega)  # a second or two outside the interpreter's lock
        contents = compose(read(source, study))
        numbers = itertools.count(1)
        opening = _opening(contents, numbers)
        parts = tuple(_parts(contents, numbers))
        _write(target, _html(contents, opening, parts, options or Options(), vega).encode())
    drawn = _drawn(opening, parts)
    for name, content in _files(drawn, figures):
        _write(target.with_name(f"{target.stem}-figures") / name, content)
    return target


# ---- what goes in -------------------------------------------------------------------------------


def _opening(contents: Contents, numbers: Iterator[int]) -> Opening:
    """What is said of the whole study before anything else."""
    what_ran = opening_tables.disclosure(contents.sections)
    return Opening(
        trust=trust(contents.frames.calibrations, contents.selection.chosen),
        overview=statements.overview(contents.sections),
        rules=statements.rules(contents.sections),
        figures=_numbered(opening_drawn.time_and_error(contents.sections), numbers),
        what_ran=what_ran if what_ran.rows else None,
    )


def _drawn(opening: Opening, parts: Sequence[Part]) -> list[Figure]:
    """Every figure of the page, in order."""
    return [*opening.figures, *(figure for part in parts for figure in part.figures)]


def _parts(contents: Contents, numbers: Iterator[int] | None = None) -> Iterator[Part]:
    """Sections with their figures and tables, numbered through, and what was distributed after each."""
    numbers = numbers or itertools.count(1)
    sayings = said.say(contents)
    for index, section in enumerate(contents.sections, 1):
        anchor = f"section-{index}"
        if not len(section.runs):
            yield Part(anchor, section.title, (), (), (), empty="No run on this data set has ended well yet.")
            continue
        plateaus = tables.plateaus(section)
        note = statements.note(section.races[0])
        drawn = _numbered((one.noted(note) for one in _section_figures(section, plateaus)), numbers)
        found = [tables.summary(section).with_remark(note)]
        if not _only_at_the_end(section.epochs_of(section.races[0])):
            found.append(tables.plateau_table(section, plateaus))
        if any(race.comparisons for race in section.races):
            found.insert(0, tables.verdicts(section).with_remark(note))
        found.append(opening_tables.runs(section))
        ranking = opening_tables.ranking(section)
        yield Part(
            anchor=anchor,
            title=section.title,
            groups=statements.groups(section, index),
            figures=drawn,
            tables=tuple(found),
            setting=section.races[0].setting,
            ranking=None if ranking is None else ranking.with_remark(note),
        )
        if section.title in sayings.sections:
            yield _part(f"{anchor}-cluster", sayings.sections[section.title], numbers)
    if sayings.conclusions:
        yield _part("conclusions", sayings.conclusions, numbers)


def _part(anchor: str, found: said.Said, numbers: Iterator[int]) -> Part:
    drawn = _numbered(found.figures, numbers)
    told = tuple(statements.plain(*one) for one in found.verdicts)
    groups = (statements.Group("", told, ()),) if told else ()
    return Part(anchor, found.title, groups, drawn, found.tables, remarks=found.remarks)


def _numbered(drawn: Iterable[Drawn], numbers: Iterator[int]) -> tuple[Figure, ...]:
    """Figures with the next numbers."""
    return tuple(
        Figure(
            number,
            f"{number:02d}-{one.name}",
            one.chart,
            one.noted(notes(one.marks, warnings=False)).caption,
            one.alt,
            notes(one.marks, warnings=True),
        )
        for one, number in zip(drawn, numbers, strict=False)
    )


def _section_figures(section: Section, plateaus: Mapping[str, Any]) -> Iterator[Drawn]:
    """The figures of one section."""
    race = section.races[0]
    runs, epochs = section.runs_of(race), section.epochs_of(race)
    names = ", ".join(contestant.short for contestant in race.contestants)
    where = statements.where(section, race)
    palette = draw.Palette.of((one.short, one.backend) for one in race.contestants)
    marks = marks_of(one.short for one in race.contestants)
    if len(runs):
        ratios = [
            (one.first.short, statements.marked(one), one.verdict)
            for one in race.comparisons
            if one.verdict.time.ratio is not None and one.is_asked
        ]
        if ratios:
            yield Drawn(
                "ratios",
                draw.time_ratios(ratios),
                f"Ratio of training times on {where}: the first’s of each pair over the second’s, paired by "
                "block, geometric mean and 95 % interval. Filled: the verdict is that one is "
                "faster. Hollow: any other verdict, be it that both are equal or that it is undecided.",
                f"Ratios of training times of {len(ratios)} pairs; the values are in the table of verdicts.",
                marks_of(side for *sides, _ in ratios for side in sides),
            )
        yield from opening_drawn.break_even(section, race)
        yield Drawn(
            "times",
            draw.execution_times(runs, palette=palette),
            f"Execution times on {where}. Each dot is one repeat (hollow: on a disturbed machine); ticks are "
            "means, bars their 95 % intervals (from three repeats on). Training excludes start-up, first "
            "step and evaluation; wall time is the whole run (where others found a warm compile cache, runs "
            "with a cold one are drawn, and not in the mean); user and system are CPU times of training, "
            "over all cores.",
            f"Times of {names}; the values are in the table of results.",
            marks,
        )
    if len(epochs) and not _only_at_the_end(epochs):
        for one in _epoch_figures(epochs, where, names, palette, plateaus):
            yield replace(one, marks=marks)
    if len(runs) and runs["first_step_s"].is_not_null().any():
        yield Drawn(
            "first-step",
            draw.first_step(runs, palette),
            f"First training step on {where}, compilation included, with a cold or a warm compile cache "
            "where the backend keeps one. It is undone before training and in no training time.",
            f"Seconds of the first step of {names}; the values are in the table of results.",
            marks,
        )
    yield from _sweeps(section)


def _only_at_the_end(epochs: pl.DataFrame) -> bool:
    """Whether the error was measured once, after several epochs: a cluster may train them in one go."""
    per_run = epochs.group_by("run_id").agg(num=pl.len(), last=pl.col("epoch").max())
    return len(per_run) > 0 and bool(((per_run["num"] == 1) & (per_run["last"] > 1)).all())


def _epoch_figures(
    epochs: pl.DataFrame, where: str, names: str, palette: draw.Palette, plateaus: Mapping[str, Any]
) -> Iterator[Drawn]:
    last = int(epochs["epoch"].max() or 0)  # type: ignore[arg-type]
    ends = _last_values(epochs)
    yield Drawn(
        "error",
        draw.error_per_epoch(epochs, palette),
        f"Validation error after each epoch on {where}: means over repeats, and single runs (thin) where "
        "they are few.",
        f"Validation error per epoch of {names}. {ends}",
    )
    several = bool((epochs.group_by("contestant").agg(pl.col("run_id").n_unique())["run_id"] > 1).any())
    for number, window in enumerate(WINDOWS):
        if not several or (number and last <= WINDOWS[number - 1]):
            break
        shown = min(last, window)
        extent = (
            f"the first {window} epochs"
            if last >= window
            else f"epochs 1 to {shown} (of a window of {window})"
        )
        yield Drawn(
            f"error-{window}",
            draw.error_mean_and_spread(epochs, window, palette),
            f"Mean ± one standard deviation over repeats of the validation error on {where}, {extent}.",
            f"Mean and standard deviation of the validation error of {names}, {extent}. {ends}",
        )
    usable = {name: found for name, found in plateaus.items() if found.epochs}
    if usable:
        words = "; ".join(
            f"{name}: {f'epoch {found.epoch}' if found.epoch else found.reason}"
            for name, found in usable.items()
        )
        yield Drawn(
            "plateau",
            draw.remaining_improvement(usable, palette),
            f"How far the mean validation error on {where} will still fall after each epoch (averages of "
            f"five epochs). A symbol marks where it stops improving: {words}.",
            f"Where the error stops improving: {words}.",
        )
    if last > 1:
        yield Drawn(
            "error-time",
            draw.error_against_time(epochs, palette),
            f"Validation error against training time on {where}, means over repeats: at equal height, who is "
            "further left was sooner.",
            f"Validation error against training time of {names}. {ends}",
        )
    counted = epochs.group_by("run_id").agg(num=pl.len(), last=pl.col("epoch").max())
    if last > 1 and bool((counted["num"] == counted["last"]).all()):  # no record stands for several epochs
        yield Drawn(
            "epoch-times",
            draw.epoch_times(epochs, palette),
            f"Training time of each epoch on {where}, mean ± one standard deviation over repeats.",
            f"Training seconds per epoch of {names}.",
        )


def _last_values(epochs: pl.DataFrame) -> str:
    metric = METRICS["validation_error"]
    means = (
        epochs.filter(pl.col("epoch") == pl.col("epoch").max().over("contestant"))
        .group_by("contestant", maintain_order=True)
        .agg(pl.col("validation_error").mean())
    )
    texts = metric.texts(means["validation_error"])
    parts = [f"{name} {text} %" for name, text in zip(means["contestant"], texts, strict=True)]
    return f"After the last epoch: {', '.join(parts)}."


def _sweeps(section: Section) -> Iterator[Drawn]:
    for axis, every in section.axes.items():
        if axis == "distribution":
            continue  # one machine and a cluster meet in a part of their own
        contestants = section.swept(axis)
        own = {plain(one.axes[axis]) for one in contestants}
        values = [value for value in every if plain(value) in own]
        if len({plain(one.axes[axis]) for one in contestants}) < 2:
            continue
        # One line for a backend, with the marks of all its points.
        marked: dict[str, list[Mark]] = {}
        for one in contestants:
            marked.setdefault(line_name(one), []).extend(one.short.marks)
        lines = {one.trial_id: Label(line_name(one), marked[line_name(one)]) for one in contestants}
        naming = pl.DataFrame({"trial_id": list(lines), "contestant": list(map(str, lines.values()))})
        runs = section.runs.drop("contestant").join(naming, on="trial_id", maintain_order="left")
        if not len(runs):
            continue
        title = axis.replace("_", " ").replace(".", ": ")
        palette = draw.Palette.of((lines[one.trial_id], one.backend) for one in contestants)
        chart = draw.sweep(
            runs,
            title,
            {one.trial_id: plain(one.axes[axis]) for one in contestants},
            [plain(value) for value in values],
            palette=palette,
        )
        yield Drawn(
            f"sweep-{axis.replace('_', '-').replace('.', '-')}",
            chart,
            f"Training time and final validation error on {section.title} against {title}, all other "
            "settings as in the main race: means over repeats with 95 % intervals.",
            f"Training time and final error of {', '.join(dict.fromkeys(lines.values()))} for {title} of "
            f"{', '.join(plain(value) for value in values)}; the values are in the table of results.",
            marks_of(lines.values()),
        )


# ---- how it is written --------------------------------------------------------------------------


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which puts `vegaEmbed` into the window."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _html(
    contents: Contents, opening: Opening, parts: Sequence[Part], options: Options, vega: Future[str]
) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    specs = {f"figure-{figure.number}": figure.spec for figure in _drawn(opening, parts)}
    spread = any(len(frame) for frame in (contents.frames.tasks, contents.frames.samples))
    dark = dict(draw.DARK) | (dict(cluster_figures.DARK) if spread else {})
    after = [
        table
        for table in (
            tables.troubles(contents),
            tables.disturbed(contents),
            tables.warnings(contents),
            tables.left_out(contents),
        )
        if table.rows
    ]
    origin = [
        table
        for table in (tables.machines(contents), tables.versions(contents), tables.provenance(contents))
        if table.rows
    ]
    folder = resources.files("bakeoff.report") / "templates"
    return environment.get_template("report.html.j2").render(
        title=contents.title,
        facts=_header(contents, options),
        opening=opening,
        parts=parts,
        notes=contents.notes,
        troubles=after,
        origin=origin,
        numbers=_numbers(
            [part.ranking for part in parts if part.ranking],
            [opening.what_ran] if opening.what_ran else [],
            [table for part in parts for table in part.tables],
            after,
            origin,
        ),
        max_open_rows=MAX_OPEN_ROWS,
        css=(folder / "report.css").read_text(encoding="utf-8"),
        js=(folder / "report.js").read_text(encoding="utf-8"),
        vega=vega.result() if specs else "",
        data=_embedded({"themes": draw.THEMES, "dark": dark, "locale": draw.LOCALE, "specs": specs}),
    )


def _numbers(*found: Sequence[Table]) -> dict[str, int]:
    """By table name, its number; in the order in which the page has them."""
    return {table.name: number for number, table in enumerate(itertools.chain(*found), 1)}


def _header(contents: Contents, options: Options) -> list[tuple[str, str]]:
    """Term and value of what was run, when, where and how."""
    frames, runs = contents.frames, contents.selection.chosen
    found: list[tuple[str, str]] = []
    if frames.study:
        found.append(("Study", frames.study))
    if len(runs):
        found.append(("Machine", ", ".join(sorted({str(one) for one in runs["machine"] if one}))))
        first, last = runs["started_at"].min(), runs["started_at"].max()
        if isinstance(first, datetime) and isinstance(last, datetime):
            days = [f"{day:%-d %B %Y}" for day in (first, last)]
            found.append(("Measured", days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"))
    counts = runs["status"].value_counts(sort=True).iter_rows() if len(runs) else ()
    tally = ", ".join(f"{number} {str(status).replace('_', ' ')}" for status, number in counts)
    planned = f" ({frames.num_planned} planned)" if frames.num_planned is not None else ""
    found.append(("Runs", (tally or "none yet") + planned))
    found += [("Order", words) for words in _alternating(runs)]
    command = options.command or command_of(runs)
    if command:
        found.append(("Command", command))
    when = options.generated_at or datetime.now(UTC)
    found.append(
        ("Report", f"Bakeoff {metadata.version('bakeoff')}, {when:%Y-%m-%d %H:%M} {when:%Z}".strip())
    )
    if frames.others:
        found.append(("Also in the store", ", ".join(frames.others)))
    return found


def _alternating(runs: pl.DataFrame) -> list[str]:
    """How contestants took turns, where they did; runs in another order are other trials."""
    if "settings.order" not in runs.columns:
        return []
    steps = runs.filter(pl.col("settings.order") == "alternating")["settings.turn_steps"].unique().sort()
    return [
        f"alternating: the contestants of a block train {slice_} each in turn, the others stopped"
        for slice_ in ("an epoch" if num is None else f"{num} steps" for num in steps)
    ]


def _embedded(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _files(drawn: Sequence[Figure], formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each figure in each format: file name and content."""
    if not formats:
        return
    import vl_convert

    for figure in drawn:
        spec = draw.standalone(figure.chart)
        if "svg" in formats:
            yield f"{figure.name}.svg", vl_convert.vegalite_to_svg(spec, format_locale=draw.LOCALE).encode()
        if "png" in formats:
            yield f"{figure.name}.png", vl_convert.vegalite_to_png(spec, scale=2, format_locale=draw.LOCALE)


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ReportError(
            f"{path}: can't be written: {error.strerror or error}",
            "Name a file in a folder that you may write.",
        ) from error
