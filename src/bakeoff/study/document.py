"""A study's TOML with its overrides, and where in it every value stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Place = tuple[str | int, ...]


@dataclass
class Problems:
    """Mistakes found so far, each once, in the order in which they were found.

    broken: settings that a table tried to give, and gave wrongly: not to be called missing.
    """

    document: Document
    lines: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def add(self, place: Place, message: str) -> None:
        """Note a mistake at a place."""
        self.add_line(f"{self.document.where(place)}: {message}")

    def add_line(self, line: str) -> None:
        """Note a mistake whose place is part of the line."""
        if line not in self.lines:
            self.lines.append(line)


@dataclass(frozen=True)
class Document:
    """The parsed file.

    name: the file as the user wrote it. directory: what relative paths in the file are relative to.
    overridden: places that an override set, with the override's key. made: tables that are there only
    because an override set something in them, with its key. forced: settings that an override fixes for
    all trials.
    """

    name: str
    directory: Path
    data: dict[str, Any]
    overridden: dict[Place, str] = field(default_factory=dict)
    made: dict[Place, str] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)

    def where(self, place: Place) -> str:
        """``study.toml: $.matrix.backend[1]``, or ``--set epochs`` for what came by an override."""
        prefix = self._overriding(place)
        if prefix is not None:
            return f"--set {self.overridden[prefix]}" + _steps(place[len(prefix) :])
        if place in self.made:
            return f"--set {self.made[place]}"
        return f"{self.name}: {path_of(place)}"

    def is_override(self, place: Place) -> bool:
        """Whether what stands there came by an override."""
        return self._overriding(place) is not None

    def path(self, text: str, place: Place) -> Path:
        """Absolute path of one given at this place, relative to the file, or if by override to where we are.

        Links stay: the interpreter of a virtual environment is one, and means its environment.
        """
        base = Path.cwd() if self.is_override(place) else self.directory
        return absolute(base / os.path.expanduser(text))  # noqa: PTH111  (Path's raises for unknown users)

    def _overriding(self, place: Place) -> Place | None:
        return next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.overridden), None)


def absolute(path: Path) -> Path:
    """The path from the root, without ``..`` and with its links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow links)


def path_of(place: Place) -> str:
    """``$.matrix.backend[1]``: where a value stands in its file."""
    return "$" + _steps(place)


def _steps(place: Place) -> str:
    return "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if re.fullmatch(r"[\w-]+", step, re.ASCII)
        else f'."{step}"'
        for step in place
    )


def parse(text: str, name: str) -> tuple[dict[str, Any], list[str]]:
    """The file's tables, and the syntax error if there is one, with line and column."""
    try:
        return tomllib.loads(text), []
    except tomllib.TOMLDecodeError as error:
        message, column = re.subn(
            r"^(.*) \(at line (\d+), column (\d+)\)$", rf"{name}: line \2, column \3: \1", str(error)
        )
        if not column:
            last = text.rstrip("\n").count("\n") + 1
            message = f"{name}: line {last}: " + str(error).removesuffix(" (at end of document)")
        return {}, [message]
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        return {}, [f"{name}: not readable as TOML: {error}"]


def override(document: Document, assignments: Sequence[str], sections: Sequence[str]) -> list[str]:
    """Apply ``key=value`` overrides to the document; gives the mistakes.

    A key that starts with one of `sections` (or is one) replaces that place of the file; any other
    is a setting, and holds for all trials.
    """
    problems = []
    for assignment in assignments:
        key_text, equals, value_text = (part.strip() for part in assignment.partition("="))
        keys = _parse_key(key_text)
        if not equals or not keys:
            problems.append(f"--set {assignment}: expected key=value, for example `--set repeats=2`")
            continue
        try:
            value = _parse_value(value_text)
        except tomllib.TOMLDecodeError as error:
            problems.append(f"--set {key_text}: not a TOML value: `{value_text}` ({error})")
            continue
        if keys[0] not in sections:
            document.forced.add(".".join(keys))
            keys = ["defaults", *keys]
        if not _put(document, keys, value, key_text):
            problems.append(f"--set {key_text}: the file has a value, not a table, above this key")
        document.overridden[tuple(keys)] = key_text
    return problems


def _put(document: Document, keys: list[str], value: Any, key_text: str) -> bool:
    table = document.data
    for depth, key in enumerate(keys[:-1], 1):
        if key not in table:
            table[key] = {}
            document.made[tuple(keys[:depth])] = key_text
        table = table[key]
        if not isinstance(table, dict):
            return False
    table[keys[-1]] = value
    return True


def _parse_key(text: str) -> list[str]:
    """The steps of a dotted TOML key; none if it isn't one."""
    try:
        table: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys = []
    while isinstance(table, dict) and table:
        ((key, table),) = table.items()
        keys.append(key)
    return keys


def _parse_value(text: str) -> Any:
    """A TOML value; a bare word or path is a string, so that shells need no double quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        if not text or text[0] in "[{\"'":
            raise
        return text
    if set(parsed) != {"value"}:  # a line break smuggled in more keys
        raise tomllib.TOMLDecodeError("expected one value")
    return parsed["value"]
