"""What something was made from: files as they were when they were read, to be looked at again later.

A look is cheap: where size, time stamps and inode are those of before, the file counts as unchanged. Where
they are not, its content decides, so that a copy or a `touch` changes nothing. Links are followed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# Stamps younger than this prove nothing: a file may change twice within one tick of its file system's clock.
_SETTLED_NS = 2_000_000_000
# How far a file system's clock may be behind: a kernel tick of 10 ms, and again as much.
_TICK_NS = 20_000_000


@dataclass(frozen=True)
class Input:
    """One path as it was.

    path: absolute, or ``$NAME`` for an environment variable. content: SHA-256 in hex of a file, of a folder's
    names or a variable's value; empty where nothing was there.
    stamp: size, modification and change time in ns, inode and device of a file; empty for all else.
    """

    path: str
    content: str
    stamp: tuple[int, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """All that something was made from, in the order given. looked_ns: when, by the wall clock."""

    paths: tuple[Input, ...]
    looked_ns: int

    def changed(self) -> str | None:
        """The first path that is other than it was; None where all are the same."""
        return next(
            (path.path for path in self.paths if _again(path, self.looked_ns).content != path.content), None
        )

    def looked_at_again(self) -> Inputs | None:
        """The same with present stamps; None where something has changed."""
        looked_ns = now_ns()
        paths = tuple(_again(path, self.looked_ns) for path in self.paths)
        same = all(new.content == old.content for new, old in zip(paths, self.paths, strict=True))
        return replace(self, paths=paths, looked_ns=looked_ns) if same else None

    def settled_before(self, time_ns: int) -> bool:
        """Whether no file was changed, or made, since then."""
        return all(max(path.stamp[1:3]) < time_ns for path in self.paths if path.stamp)

    def document(self) -> dict[str, Any]:
        """In JSON's own types."""
        return asdict(self)


def look(paths: Iterable[str | Path]) -> Inputs:
    """These paths as they are now.

    Raises:
        OSError: one is there and can't be read.
    """
    looked_ns = now_ns()
    return Inputs(tuple(_look(str(path)) for path in paths), looked_ns)


def now_ns() -> int:
    """The time as file systems stamp it, which may lag behind the clock by a tick."""
    return time.time_ns() - _TICK_NS


def paths_of(seen: Mapping[str, Any], program: Path) -> list[str]:
    """What a program was seen to read (`bakeoff_worker.reading`): itself first, then the rest.

    Of modules that it looked for in vain, the places beside it where they would be found.
    """
    folder = program.absolute().parent
    absent = [str(folder / place) for name in seen["absent"] for place in (f"{name}.py", name)]
    variables = [f"${name}" for name in seen.get("variables", ())]
    others = sorted({*seen["paths"], *seen["folders"], *absent} - {str(program.absolute())})
    return [str(program.absolute()), *others, *variables]


def relative_names(made_from: Inputs) -> dict[str, str]:
    """Contents by path: relative to the folder of the first file, which is ``""``; outside, by the name.

    Of several outside of one name, by name and content: their order in the file system doesn't matter.
    """
    first, *others = made_from.paths
    folder = os.path.dirname(first.path)  # noqa: PTH120
    names = [_relative(other.path, folder) for other in others]
    return {"": first.content} | {
        name if names.count(name) == 1 else f"{name} {one.content[:8]}": one.content
        for name, one in zip(names, others, strict=True)
    }


def _relative(path: str, folder: str) -> str:
    is_inside = path == folder or path.startswith(folder + os.sep)
    return os.path.relpath(path, folder) if is_inside else os.path.basename(path)  # noqa: PTH119


def from_document(document: Mapping[str, Any]) -> Inputs:
    """What `Inputs.document` gave.

    Raises:
        KeyError, TypeError: it is no such document.
    """
    paths = (Input(one["path"], one["content"], tuple(one["stamp"])) for one in document["paths"])
    return Inputs(tuple(paths), document["looked_ns"])


def _again(before: Input, looked_ns: int) -> Input:
    """What is there now. Only a stamp that had settled when it was taken spares reading the file."""
    settled = before.stamp and max(before.stamp[1:3]) < looked_ns - _SETTLED_NS
    if settled and _stamp(before.path) == before.stamp:
        return before
    try:
        return _look(before.path)
    except OSError:
        return Input(before.path, "unreadable")


def _look(path: str) -> Input:
    if path.startswith("$"):
        value = os.environ.get(path[1:])
        return Input(path, "" if value is None else _digest(value))
    if os.path.isdir(path):  # noqa: PTH112
        return Input(path, _digest(["folder", *sorted(filter(_counts, os.listdir(path)))]))  # noqa: PTH208
    stamp = _stamp(path)
    if not stamp:
        return Input(path, "")
    with open(path, "rb") as file:  # noqa: PTH123  (names that are no text are names, too)
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return Input(path, content, stamp)


def _counts(name: str) -> bool:
    """Whether a name in a folder is an input: what Python and Bakeoff leave beside a program is none."""
    return not (name.startswith(".") or name == "__pycache__" or ".sqlite" in name)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _stamp(path: str) -> tuple[int, ...]:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:
        return ()
    return (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)
