"""The help names everything that one may type, and what comes of it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

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
    assert listed == codes | {0, 130}
