"""What uv says when it fails, in words that tell the user what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bakeoff.errors import EnvironmentFailure

_SHOWN_LINES = 20


@dataclass(frozen=True)
class _Meaning:
    """What uv says (a pattern), what that means for the user, and what to do."""

    pattern: str
    meaning: str
    hint: str


# The first that matches counts.
_MEANINGS = (
    _Meaning(
        r"No space left on device",
        "the disk is full",
        "Free some space (`uv cache clean`), or set BAKEOFF_CACHE and UV_CACHE_DIR to a larger disk.",
    ),
    _Meaning(
        r"Hash mismatch",
        "a package is not the one that was locked (hash mismatch)",
        "The index or a proxy serves another file than the lock names: don't trust it; try another index.",
    ),
    _Meaning(
        r"must have a hash|must have their versions pinned",
        "its lock is not pinned and hashed throughout",
        "Make it with `uv pip compile --generate-hashes --python-version X.Y requirements.in -o lock.txt`.",
    ),
    _Meaning(
        r"error sending request|dns error|tcp connect|timed out|network (connectivity is|was) disabled",
        "the package index can't be reached",
        "Check the network, or name an index in reach to pip (PIP_INDEX_URL) or uv (UV_DEFAULT_INDEX).",
    ),
    _Meaning(
        r"No solution found|was not found in|no version of|no wheels",
        "the index lacks a package of its lock, or a build of it for this machine",
        "Name an index or a folder that has it (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS), or bring an external "
        "environment.",
    ),
    _Meaning(
        r"Failed to build|build backend",
        "a package that comes as source could not be built",
        "See uv's lines; a missing compiler or header is the usual cause.",
    ),
    _Meaning(r"", "uv failed", "See uv's lines; `bakeoff doctor` looks at this machine."),
)


def explain(name: str, lines: list[str]) -> EnvironmentFailure:
    """uv's failure in a sentence, with the last lines of its output."""
    output = "\n".join(lines)
    found = next(meaning for meaning in _MEANINGS if re.search(meaning.pattern, output))
    start = next((index for index, line in enumerate(lines) if line.startswith("error:")), 0)
    shown = lines[start:]
    if len(shown) > _SHOWN_LINES:
        shown = [*shown[:2], "  ...", *shown[3 - _SHOWN_LINES :]]
    kept = "".join(f"\n  {line}" for line in shown)
    return EnvironmentFailure(f"environment {name} can't be made: {found.meaning}{kept}", found.hint)
