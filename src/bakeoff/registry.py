"""The backends that there are: those that Bakeoff brings, and those in folders that the user names.

``BAKEOFF_BACKENDS`` lists folders, separated as in ``PATH``. Each holds a folder for each backend, as
``bakeoff_worker/backends`` does; what is there belongs to the worker's package as if Bakeoff had brought it.
docs/backends.md says what such a folder holds.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import bakeoff_worker.backends as package
from bakeoff.errors import UsageError
from bakeoff_worker.backends import Environment, Record

SETTING = "BAKEOFF_BACKENDS"
_HINT = f"{SETTING} lists folders that hold backends; see `A new backend` in docs/backends.md."


class Brought(NamedTuple):
    """A backend's record, and the folder that it came from."""

    record: Record
    folder: Path


class Served(NamedTuple):
    """An environment of the records, the backends that it serves, and the folder of the first of them."""

    environment: Environment
    backends: tuple[str, ...]
    folder: Path


@functools.cache
def backends() -> Mapping[str, Brought]:
    """All backends by name, in the order of tables and legends.

    Raises:
        UsageError: a folder of the user's is missing, a record in it is wrong, or a name is taken.
    """
    found: dict[str, Brought] = {}
    for folder in _folders():
        record = _record(folder)
        if record.name in found:
            other = found[record.name].folder
            raise UsageError(f"backend {record.name} is in {other} and in {folder}: expected it once", _HINT)
        found[record.name] = Brought(record, folder)
    return dict(sorted(found.items(), key=lambda item: (item[1].record.place, item[0])))


@functools.cache
def environments() -> Mapping[str, Served]:
    """All environments that some backend names: those of one machine first, then those with Spark.

    Raises:
        UsageError: as `backends`; or two backends say different things of one environment.
    """
    found: dict[str, Served] = {}
    for name, (record, folder) in backends().items():
        for one in record.environments:
            known = found.get(one.name)
            if known is not None and known.environment != one:
                raise UsageError(
                    f"environment {one.name} is described in two ways, by {known.backends[0]} and by {name}",
                    "Give one of the two another name.",
                )
            found[one.name] = (
                known._replace(backends=(*known.backends, name)) if known else (Served(one, (name,), folder))
            )
    return dict(sorted(found.items(), key=lambda item: item[1].environment.has_spark))


def environments_of(backend: str, *, has_spark: bool) -> tuple[str, ...]:
    """Names of the environments of one machine, or of a cluster, that serve a backend; its own first."""
    known = backends().get(backend)
    every = known.record.environments if known else ()
    return tuple(one.name for one in every if one.has_spark == has_spark)


def backend_rank(backend: str) -> int:
    """A backend's place in tables and legends; unknown ones come last."""
    names = list(backends())
    return names.index(backend) if backend in names else len(names)


def _folders() -> Iterator[Path]:
    """Each backend's folder. The user's become part of the worker's package, as seen from here."""
    own = package.__path__[0]
    package.__path__[:] = [own]
    for text in filter(None, [own, *os.environ.get(SETTING, "").split(os.pathsep)]):
        where = Path(text).expanduser().absolute()
        folders = [path.parent for path in sorted(where.glob("*/backend.py"))]
        if not folders:
            raise UsageError(f"{SETTING}: {where} has no backend in it: expected NAME/backend.py", _HINT)
        if text != own:
            package.__path__.append(str(where))
        yield from folders


def _record(folder: Path) -> Record:
    try:
        module = importlib.import_module(f"{package.__name__}.{folder.name}")
        record = module.RECORD
    except Exception as error:
        raise UsageError(
            f"{folder}: its record can't be read: {type(error).__name__}: {error}", _HINT
        ) from error
    if not isinstance(record, Record) or record.name != folder.name:
        got = record.name if isinstance(record, Record) else type(record).__name__
        raise UsageError(f"{folder}: expected RECORD, a Record named {folder.name}; got {got}", _HINT)
    return record
