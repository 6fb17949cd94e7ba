"""docs/cli.md has every command and option, and every command line in the documentation is one."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.cli.arguments import parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(
    of: argparse.ArgumentParser, path: str = "bakeoff"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and command of a command, by what one types."""
    yield path, of
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, f"{path} {name}")


COMMANDS = dict(commands(parser()))


def _section(command: str) -> str:
    """The part of docs/cli.md under the heading that names the command."""
    sections = re.split(r"^## ", (ROOT / "docs" / "cli.md").read_text(), flags=re.MULTILINE)
    word = command.split()[1] if " " in command else ""
    found = [text for text in sections[1:] if f"`bakeoff {word}" in text.partition("\n")[0]]
    assert len(found) == 1, f"no section on {command}, or several"
    return found[0]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "bakeoff"])
def test_each_command_is_described_with_an_example_and_all_its_options(command: str) -> None:
    section = _section(command)
    if not any(other.startswith(f"{command} ") for other in COMMANDS):  # not only a group of commands
        assert re.search(rf"^    {command}\b", section, re.MULTILINE), "no example"
    for action in COMMANDS[command]._actions:
        for option in action.option_strings:
            if option not in ("-h", "--help"):
                assert re.search(rf"{option}\b", section), option


def test_nothing_is_described_that_is_not_there() -> None:
    known = {
        option for one in COMMANDS.values() for action in one._actions for option in action.option_strings
    }
    text = (ROOT / "docs" / "cli.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= known


def command_lines() -> Iterator[tuple[str, str]]:
    """Every line of a block in the documentation that calls bakeoff, with its page."""
    for page in PAGES:
        fenced = False
        for line in page.read_text().splitlines():
            if line.lstrip().startswith("```"):
                fenced = not fenced
                continue
            found = re.match(r"^(\s*)(?:\$ )?(bakeoff .+)", line)
            if found and (fenced or len(found[1]) >= 4):
                yield page.name, re.split(r"\s{2,}|\s#", found[2])[0]


@pytest.mark.parametrize(("page", "line"), list(command_lines()))
def test_each_command_line_parses(page: str, line: str) -> None:
    if line == "bakeoff COMMAND ...":
        return
    try:
        parser().parse_args(shlex.split(line)[1:])
    except SystemExit as stopped:
        assert stopped.code == 0, f"{page}: {line}"  # --help and --version


def test_each_command_in_a_sentence_exists() -> None:
    words = {name.split()[1] for name in COMMANDS if " " in name} | {"--help", "--version"}
    for page in PAGES:
        for word in re.findall(r"`bakeoff ([\w-]+)", page.read_text()):
            assert word in words, f"{page.name}: bakeoff {word}"
