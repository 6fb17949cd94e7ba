"""The report as one HTML file that needs no network, and its figures as files of their own."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from bakeoff import cache
from bakeoff.errors import ReportError
from bakeoff.races.frames import Frames, Source
from bakeoff.races.marks import Label, Mark, marks_of
from bakeoff.report.contents import Contents, compose
from bakeoff.report.formats import figures as files
from bakeoff.report.formats.marks import SYMBOLS, notes
from bakeoff.report.item import Item, Part, Tone
from bakeoff.report.items import checklist, conditions, parts, verdicts
from bakeoff.report.items.cluster import time_budget
from bakeoff.report.items.summary import Screen, summarized, summary
from bakeoff.report.reading import read
from bakeoff.report.vega import Chart, dark

FIGURE_FORMATS = ("svg", "png")
_CLASSES = {Tone.DECIDED: "good", Tone.BAD: "bad", Tone.OPEN: "open", Tone.PLAIN: "plain"}


@dataclass(frozen=True)
class Options:
    """What a report says about itself.

    command: what produced the results; None takes the runs' own. generated_at: None is now.
    """

    command: str | None = None
    generated_at: datetime | None = None


@dataclass(frozen=True)
class Figure:
    """An item's chart, drawn. id: its place in the page."""

    id: str
    number: int
    item: Item
    chart: Chart

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Of the names in it."""
        return marks_of(self.item.labels)

    @property
    def height(self) -> int:
        """Pixels to keep free for it."""
        return int(self.chart.page["height"])


@dataclass(frozen=True)
class Page:
    """What the template writes. figures, tables: by the name of a part and an item, and by a table's name."""

    contents: Contents
    screen: Screen
    summary: Item
    parts: tuple[Part, ...]
    figures: dict[tuple[str, str], Figure]
    tables: dict[str, int]

    @property
    def sections(self) -> list[str]:
        """Between which the page can switch."""
        return list(dict.fromkeys(part.section for part in self.parts if part.section))

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All that occur."""
        found = {mark for part in self.parts for item in part.items for mark in item.marks}
        return tuple(mark for mark in Mark if mark in found)


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
    with ThreadPoolExecutor(1) as beside:
        vega = beside.submit(_vega)  # outside the interpreter's lock, where it has to be made
        page = compose_page(compose(read(source, study)))
        _write(target, _html(page, options or Options(), vega).encode())
    for figure in page.figures.values():
        for suffix in figures:
            name = f"{figure.number:02d}-{figure.item.name}.{suffix}"
            content = files.encode(figure.chart, suffix, figure.item.labels)
            _write(target.with_name(f"{target.stem}-figures") / name, content)
    return target


def compose_page(contents: Contents) -> Page:
    """Everything that a page shows, numbered in its order."""
    screen = summarized(contents)
    first, found = summary(contents, screen), parts(contents)
    numbers, tables = itertools.count(1), itertools.count(1)
    places = [("", first), *((part.anchor, item) for part in found for item in part.items)]
    return Page(
        contents=contents,
        screen=screen,
        summary=first,
        parts=found,
        figures={
            (anchor, item.name): Figure(f"figure-{anchor}-{item.name}", next(numbers), item, item.draw())
            for anchor, item in places
            if item.draw is not None
        },
        tables={table.name: next(tables) for part in found for table in part.tables},
    )


# ---- how it is written --------------------------------------------------------------------------


def _cache() -> Path | None:
    """The folder for what is the same in every report; None where nothing can be kept."""
    folder = cache.root() / "report"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if folder.is_dir() and os.access(folder, os.W_OK) else None


def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which puts `vegaEmbed` into the window.

    Making it takes seconds: it is kept in the cache, by the version of what makes it.
    """
    kept = cache.root() / "report" / f"vega-{metadata.version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        import vl_convert

        script = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    with contextlib.suppress(ReportError):  # a cache that can't be written costs time, no more
        _write(kept, script.encode())
    return script


def _html(page: Page, options: Options, vega: Future[str]) -> str:
    import jinja2

    compiled = _cache()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bakeoff.report.formats"),
        bytecode_cache=jinja2.FileSystemBytecodeCache(str(compiled)) if compiled else None,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": _marked, "tone": _CLASSES.__getitem__, "symbol": SYMBOLS.__getitem__}
    environment.globals |= {"label": lambda cell: isinstance(cell, Label) and cell.is_warning}
    contents = page.contents
    specs = {
        figure.id: files.with_marks(figure.chart, figure.item.labels) for figure in page.figures.values()
    }
    when = options.generated_at or datetime.now(UTC)
    made = f"Bakeoff {metadata.version('bakeoff')}, {when:%Y-%m-%d %H:%M} {when:%Z}".strip()
    folder = resources.files("bakeoff.report.formats") / "templates"
    return environment.get_template("report.html.j2").render(
        page=page,
        title=contents.title,
        facts=[*conditions.header(contents, options.command), ("Report", made)],
        trust=conditions.trust(contents.frames.calibrations, contents.selection.chosen),
        overview=verdicts.overview(contents.sections),
        rules=verdicts.rules(contents.sections),
        notes=contents.notes,
        checks=checklist.checklist(contents),
        methods=checklist.methods_paragraph(contents),
        bibtex=checklist.bibtex(contents),
        warning=lambda marks: notes(marks, warnings=True),
        css=(folder / "report.css").read_text(encoding="utf-8"),
        js=(folder / "report.js").read_text(encoding="utf-8"),
        vega=vega.result() if specs else "",
        data=_embedded(
            {
                "themes": files.THEMES,
                "dark": {**dark(), **time_budget.DARK},
                "locale": files.LOCALE,
                "specs": specs,
            }
        ),
    )


def _marked(name: str) -> Any:
    """The name, and symbols that say what they mean."""
    from markupsafe import Markup, escape

    found = escape(name)
    for mark in name.marks if isinstance(name, Label) else ():
        found += Markup(' <abbr class="mark" title="{}">{}</abbr>').format(mark.value, SYMBOLS[mark])
    return found


def _embedded(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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
