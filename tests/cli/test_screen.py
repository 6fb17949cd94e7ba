"""How the screen at a study's end is drawn: in so many columns, no name cut, colours that say something."""

import contextlib
import os
import pty
import re
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from bakeoff.races.marks import Label, Mark
from bakeoff.report.formats.terminal import lines
from bakeoff.report.item import Tone
from bakeoff.report.items.summary import Cell, Grid, Screen, Words
from bakeoff.stats import TimeRatio

SCREENS = Path(__file__).parent / "screens"
HEADER = (
    Words("quick"),
    Words("24 of 24 runs, 8 min 40 s"),
    Words("AMD EPYC, 2 cores, virtual machine"),
    Words("never calibrated", Tone.OPEN),
)
FASTEST = Words("tensorflow trains fastest on all data sets.", Tone.DECIDED)


def ratio(value: float, low: float | None = None, high: float | None = None) -> TimeRatio:
    return TimeRatio(value, low, high, 6, 0.05)


def decided(column: int, ratios: Sequence[float], level: float = 1.12) -> Mapping[tuple[int, int], Cell]:
    """A column of contestants that are so many times slower than the first, with an interval."""
    first = {(0, column): Cell(f"{0.87 + column:.3f}", tone=Tone.DECIDED)}
    return first | {
        (row, column): Cell(f"{(0.87 + column) * one:.3f}", ratio(one, one / level, one * level))
        for row, one in enumerate(ratios, 1)
    }


QUICK = Grid(
    (Label("tensorflow"), Label("torch"), Label("jax"), Label("theano", [Mark.UNCERTIFIED])),
    ("mnist", "fashion_mnist", "cifar10"),
    {**decided(0, (2.5, 4.8, 6.4)), **decided(1, (2.76, 4.2, 5.9)), **decided(2, (2.67, 8.3, 12.4))},
    "95 % CI",
)
TROUBLED = Grid(
    (Label("tensorflow"), Label("jax"), Label("torch", [Mark.NOTHING_LEARNT]), Label("theano")),
    ("mnist", "cifar10"),
    {
        (0, 0): Cell("6.44"),
        (1, 0): Cell("6.63", ratio(1.03, 0.98, 1.083), Tone.OPEN),
        (2, 0): Cell("11.26", tone=Tone.BAD),
        (3, 0): Cell("failed", tone=Tone.BAD),
        (0, 1): Cell("17.10"),
        (1, 1): Cell("25.50", ratio(1.49), Tone.OPEN, (Mark.SHORT,)),
        (2, 1): Cell("20.26", tone=Tone.BAD),
        (3, 1): Cell("171.08", ratio(10.0, 9.7, 10.31), marks=(Mark.UNCERTIFIED,)),
    },
    "95 % simultaneous CI",
)
SWEEP = Grid(
    (Label("tensorflow"), Label("theano (vintage_spark)", [Mark.UNCERTIFIED])),
    tuple(f"mnist (elephas, layout {layout})" for layout in ("4x5", "5x4", "2x10", "10x2")),
    {**decided(0, (2.5,)), **decided(1, (2.76,)), **decided(2, (2.67,)), **decided(3, (3.1,))},
    "95 % CI",
)
STUDIES = {
    "quick": Screen("quick", HEADER, QUICK, (FASTEST,)),
    "troubled": Screen(
        "quick",
        HEADER,
        TROUBLED,
        (
            Words("Undecided who trains fastest on mnist: tensorflow or jax.", Tone.OPEN),
            Words("theano: 2 runs failed on mnist: killed by signal 9", Tone.BAD),
        ),
    ),
    "sweep": Screen("sweep", HEADER, SWEEP, ()),
    "single": Screen("one", HEADER[:2], Grid(("jax",), ("mnist",), {(0, 0): Cell("8.55")}), ()),
    "nothing": Screen("none", (Words("none"), Words("0 of 4 runs, 0.0 s")), None, ()),
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", list(STUDIES))
def test_the_screen_is_as_it_was_seen(name: str, width: int) -> None:
    """Delete a file under screens/ to accept a change on the next run."""
    drawn = "".join(f"{line.plain}\n" for line in lines(STUDIES[name], width))
    assert all(cell_len(line) <= width for line in drawn.splitlines())
    path = SCREENS / f"{name}-{width}.txt"
    if not path.exists():
        path.write_text(drawn, encoding="utf-8")
        pytest.fail(f"{path.name} was missing: written now; look at it and run again")
    assert drawn == path.read_text(encoding="utf-8")


words = st.sampled_from(("a", "theano", "(vintage_spark)", "漢字漢字", "·", "layout", "4x5,", "keep_memory"))
names = st.lists(st.lists(words, min_size=1, max_size=6).map(" ".join), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names, names)
def test_no_name_is_cut_and_lines_keep_to_the_width(rows: list[str], columns: list[str]) -> None:
    cells = {
        (row, column): Cell("12.34", ratio(2.5, 2.2, 2.9))
        for row in range(len(rows))
        for column in range(len(columns))
    }
    shown = Screen("s", (Words("s"),), Grid(tuple(rows), tuple(columns), cells), (Words(" ".join(rows)),))
    drawn = [line.plain for line in lines(shown, 80)]
    pieces = [piece for line in drawn for piece in line.split()]
    for word in (word for name in (*rows, *columns) for word in name.split()):
        assert word in pieces, "broken at spaces only"
    assert all(cell_len(line) <= 80 for line in drawn)
    assert sum("2.5× (2.2–2.9)" in line for line in drawn) >= min(len(rows), len(columns))


def test_colours_mean_something() -> None:
    spans = {
        (line.plain[span.start : span.end].strip(), span.style)
        for line in lines(STUDIES["troubled"], 120)
        for span in line.spans
    }
    coloured = {text: style for text, style in spans if style in ("green", "yellow", "bold red")}
    assert coloured["never calibrated"] == "yellow" and coloured["torch ✗"] == "bold red"
    assert coloured["6.63 1.03× (0.98–1.08) ?"] == "yellow" and coloured["failed"] == "bold red"
    assert "tensorflow" not in coloured and not any(style == "green" for _, style in spans)
    greens = [span for line in lines(STUDIES["quick"], 80) for span in line.spans if span.style == "green"]
    assert len(greens) == 4, "the fastest of three data sets, and the sentence"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_has_its_width_and_colours_unless_told_otherwise(
    program: Any, monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    program("run", "tiny.toml", "--quiet", "--no-report")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.delenv("COLUMNS", raising=False)
    terminal, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 70))
    process = program.start("show", stdin=side, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    with contextlib.suppress(OSError):  # the program's end is an error on Linux
        while piece := os.read(terminal, 4096):
            shown += piece
    os.close(terminal)
    assert process.wait(60) == 0
    assert (b"\x1b[3" in shown) == (no_color == "")
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    assert 50 < max(len(line) for line in plain.splitlines() if "file:" not in line) <= 70


def test_files_have_no_colours_and_as_many_columns_as_said(
    program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("run", "tiny.toml", "--quiet", "--no-report")
    assert "\x1b" not in program("show").stdout
    monkeypatch.setenv("COLUMNS", "44")
    narrow = program("show").stdout
    assert 30 < max(map(len, narrow.splitlines())) <= 44, narrow


def test_a_run_ends_with_the_screen_and_where_the_report_is(program: Any) -> None:
    out = program("run", "tiny.toml").stdout.splitlines()
    assert out[0].startswith("tiny · 4 of 4 runs, ")
    assert out[-1] == f"Report: {(program.folder / 'tiny-report.html').as_uri()}"
    assert program("show").stdout.splitlines() == out, "and so does show"
    assert "Pair by pair: bakeoff compare tiny" in out
    assert "Why, and what to tune: bakeoff profile tiny" in out
    (program.folder / "tiny-report.html").unlink()
    assert program("show", "--store", "bakeoff.sqlite").stdout.splitlines()[-1] == (
        "Report: bakeoff report tiny --store bakeoff.sqlite"
    )
