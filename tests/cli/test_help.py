"""The help names everything that one may type, and what comes of it."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bakeoff import errors
from bakeoff.cli import arguments


def actions(
    parser: argparse.ArgumentParser, prefix: str = "bakeoff"
) -> Iterator[tuple[str, argparse.Action]]:
    """Each option and argument, beside its command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from actions(sub, f"{prefix} {name}")
        else:
            yield prefix, action


def test_every_option_has_a_help_text() -> None:
    found = list(actions(arguments.parser()))
    assert len(found) > 30
    assert [f"{command} {action.dest}" for command, action in found if not action.help] == []


def test_every_exit_code_is_in_the_help() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.BakeoffError)}
    listed = {int(code) for code in re.findall(r"(?<!\S)(\d+) ", arguments.EXIT_CODES)}
    assert listed == codes | {0, errors.FAILED, errors.UNDECIDED, errors.INTERRUPTED}
    assert len({errors.FAILED, errors.UNDECIDED, errors.INTERRUPTED} - codes) == 2, "FAILED alone is shared"


def test_without_arguments_it_says_where_to_start(program: Any) -> None:
    shown = program()
    assert shown.stdout == f"{arguments.START_HERE}\n" and shown.stderr == ""
    commands = re.findall(r"^  bakeoff (.*?)  ", shown.stdout, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        arguments.parser().parse_args(command.split())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("bakeoff ru", {"run"}),
        ("bakeoff compare --ma", {"--margin"}),
        ("bakeoff run qu", {"quick", "quick-distributed", "quick-gpu"}),
        ("bakeoff run ti", {"tiny.toml"}),
        ("bakeoff show ti", {"tiny"}),
    ],
)
def test_bash_completes_commands_options_and_studies(program: Any, typed: str, expected: set[str]) -> None:
    if expected == {"tiny"}:
        program("run", "tiny.toml", "--quiet", "--no-report")
    script = program("--print-completion", "bash").stdout
    words = " ".join(f'"{word}"' for word in typed.split())
    script += f"""
        bakeoff() {{ "{sys.executable}" -m bakeoff "$@"; }}
        COMP_WORDS=({words}) COMP_CWORD={typed.count(" ")}
        _shtab_bakeoff
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    found = subprocess.run(
        ["bash", "-c", script], cwd=program.folder, capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) == expected, found.stderr


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_reads_its_completion(program: Any) -> None:
    script = program("--print-completion", "zsh").stdout
    subprocess.run(["zsh", "-n"], input=script, text=True, check=True)
