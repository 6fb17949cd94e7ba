"""Texts of the user's are shown as they are, whatever a terminal library would read into them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.progress import Progress
from rich.text import Text

from bakeoff.cli import console, progress
from bakeoff.errors import BakeoffError
from bakeoff.events import Step

SOURCES = Path(console.__file__).parents[1]
TITLE = "[bold]x[/] [/] [0] \\\\[ :smile: [link=here]"
STUDY = """
title = '{title}'
description = 'of {title}'
repeats = 1

[defaults]
backend = "fake"
dataset = "digits.npz"
epochs = 1
model = "[0].py"

[matrix]
model_options.way = ["[red]a[0]", "[b]:smile:"]
"""

texts = st.text("[]/\\\\:=#@ abold0", min_size=1, max_size=30).map(str.strip).filter(bool)


@given(texts, texts)
def test_any_text_comes_out_as_it_went_in(one: str, other: str) -> None:
    screen = console.console()
    screen.file = io.StringIO()
    screen.print(one)
    listed = console.table("a", "b", title=other)
    listed.add_row(one, other)
    screen.print(listed)
    printed, title, _, row = (line.strip() for line in screen.file.getvalue().splitlines())
    assert (printed, title) == (one, other)
    assert row.startswith(one) and row.endswith(other)


def test_a_contestants_long_name_takes_several_lines_and_hides_no_number() -> None:
    screen = console.console(width_in_files=80)
    screen.file = io.StringIO()
    names = [f"{name} · channels_first · memory kept on · steps a call 8" for name in ("torch", "jax")]
    listed = console.table("seconds", *names, right=names)
    listed.add_row("imports", "4.59", "7.15")
    screen.print(listed)
    printed = screen.file.getvalue()
    assert "4.59" in printed and "7.15" in printed and max(map(len, printed.splitlines())) <= 80


def test_control_characters_are_shown_and_never_sent(capsys: pytest.CaptureFixture[str]) -> None:
    every = "".join(map(chr, (*range(32), *range(0x7F, 0xA0))))
    evil = f"a{every}\x1b]0;owned\x07\x1b[2Jz"
    screen = console.console(width_in_files=1000)
    screen.file = io.StringIO()
    screen.print(evil)
    listed = console.table("name", title=evil)
    listed.add_row(Text(evil, "bold"))
    screen.print(listed)
    console.say(evil)
    console.tell(evil)
    console.tell_error(BakeoffError(evil, evil))
    printed = "".join([screen.file.getvalue(), *capsys.readouterr()])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", printed)
    assert printed.count(r"\x1b]0;owned") >= 5 and r"\x1b[2Jz" in printed and r"\x9b" in printed


def test_our_own_colours_are_sent() -> None:
    screen = console.console()
    screen.file, screen._color_system, screen._force_terminal = io.StringIO(), ColorSystem.STANDARD, True
    screen.print(Text("a\x1b[2J", "red"))
    assert screen.file.getvalue() == "\x1b[31ma\\x1b[2J\x1b[0m\n"


def test_a_study_s_title_reaches_the_terminal_without_its_controls(program: Any) -> None:
    text = STUDY.replace("'", '"').format(title=r"\u001b[31mred\u0007")
    program.write("mine.toml", f'name = "mine"{text}')
    program.write("[0].py", "def build(input_shape, num_classes, **options): ...\n")
    planned = program("plan", "mine.toml").stdout
    assert planned.startswith(r"\x1b[31mred (mine)") and "\x1b" not in planned
    ran = program("run", "mine.toml")
    assert "\x1b" not in ran.stdout + ran.stderr and r"\x1b[31mred\x07" in ran.stderr


def test_all_text_is_printed_through_the_console() -> None:
    """Whatever else calls print has JSON, or text of ours alone."""
    for path in Path(console.__file__).parent.glob("*.py"):
        for line in re.findall(r"(?<![.\w])print\(.*", path.read_text()):
            fixed = r'print\(("[^"{]*"|\)|json\.dumps|START_HERE|shtab\.|visible\()'
            assert re.match(fixed, line), (path, line)


def test_every_console_is_made_in_one_place() -> None:
    for path in SOURCES.rglob("*.py"):
        if path.name != "console.py":
            text = path.read_text()
            assert not re.search(r"\bConsole\(|from_markup|rich\.print", text), path
            assert all("markup=False" in one for one in re.findall(r"TextColumn\(.*", text)), path


def test_every_command_shows_titles_and_file_names_as_they_are(program: Any) -> None:
    program.write("[0].toml", STUDY.format(title=TITLE))
    program.write("mine.toml", 'name = "mine"' + STUDY.format(title=TITLE))
    program.write("[0].py", "def build(input_shape, num_classes, **options): ...\n")
    labels = ("[red]a[0]", "[b]:smile:")
    planned = program("plan", "mine.toml").stdout
    assert planned.splitlines()[:2] == [f"{TITLE} (mine)", f"of {TITLE}"]
    ran = program("run", "mine.toml")
    assert TITLE in ran.stderr
    outputs = [planned, ran.stderr, ran.stdout, program("show", "--runs").stdout, program("show").stdout]
    outputs += [program("compare", code=9).stdout, program("verify", "mine.toml").stdout]
    for out in outputs:
        assert all(label in out for label in labels), out
    program("show", "--certificates")
    program("show", "--warnings")
    program("studies")
    program("report", "--tables", "md,tex")
    checklist = program("report", "--checklist").stdout
    assert checklist.startswith("- [ ] unknown: **Do the compared programs train the same thing?**")
    assert TITLE not in checklist and "- [x] **Can it be repeated?** bakeoff run mine.toml" in checklist
    assert program("plan", "[0].toml").stdout.startswith(f"{TITLE} ([0])"), "named by its file"


def test_names_of_data_sets_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown: list[str] = []
    monkeypatch.setattr(
        Progress,
        "add_task",
        lambda self, words, **_: shown.append(self.columns[0].render(_Task(words)).plain),
    )
    monkeypatch.setattr(Progress, "update", lambda self, task, **_: None)
    monkeypatch.setattr(Progress, "start", lambda self: None)
    lines = progress.Lines()
    lines(Step("[/]mine[0].npz", "reading [b]", 0, 1))
    lines.close()
    assert shown == ["[/]mine[0].npz: reading [b]"]


class _Task:
    """As much of a task of rich's as a column of text asks for."""

    def __init__(self, description: str) -> None:
        self.description = description
