"""The backends that there are: those that Bakeoff brings, and those in folders that the user names.

``BAKEOFF_BACKENDS`` lists folders, separated as in ``PATH``. Each holds a folder for each backend, as
``bakeoff_worker/backends`` does; what is there belongs to the worker's package as if Bakeoff had brought it.
docs/backends.md says what such a folder holds.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import bakeoff_worker.backends as package
from bakeoff.errors import UsageError
from bakeoff_worker.backends import Cuda, Environment, Record

SETTING = "BAKEOFF_BACKENDS"
LOCKS = Path(__file__).parent / "environments" / "locks"
_HINT = f"{SETTING} lists folders that hold backends; see `A new backend` in docs/backends.md."


class Brought(NamedTuple):
    """A backend's record, and the folder that it came from."""

    record: Record
    folder: Path


@dataclass(frozen=True)
class EnvironmentSpec:
    """An environment that can be made, or Bakeoff's own interpreter.

    backends: names of those that it serves, its own first. lock: pinned and hashed requirements; None where
    nothing is made. The rest is as in `bakeoff_worker.backends.Environment`.
    """

    name: str
    summary: str
    backends: tuple[str, ...]
    lock: Path | None = None
    python: str = "3.11"
    has_spark: bool = False
    needs_compiler: bool = False
    disk_bytes: int = 0
    instead: str = ""
    cuda: Cuda | None = None

    @functools.cached_property
    def wheels(self) -> Mapping[str, int]:
        """Sizes in bytes of what is downloaded, by file, as far as the lock tells: of its comments.

        ``# 526574961 torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl``, as ``scripts/lock.py`` has them.
        """
        text = self.lock.read_text(errors="replace") if self.lock and self.lock.is_file() else ""
        return {name: int(size) for size, name in re.findall(r"^# (\d+) (\S+\.whl)$", text, re.MULTILINE)}


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
def environments() -> Mapping[str, EnvironmentSpec]:
    """All environments that some backend names: those for CPUs first, then for GPUs, then with Spark.

    Raises:
        UsageError: as `backends`; or two backends say different things of one environment.
    """
    described: dict[str, Environment] = {}
    found: dict[str, EnvironmentSpec] = {}
    for name, (record, folder) in backends().items():
        for environment in record.environments:
            known = found.get(environment.name)
            if described.setdefault(environment.name, environment) != environment and known:
                raise UsageError(
                    f"environment {environment.name} is described in two ways, by {known.backends[0]} "
                    f"and by {name}",
                    "Give one of the two another name.",
                )
            spec = known or EnvironmentSpec(
                **{**vars(environment), "lock": _lock(environment, folder), "backends": ()}
            )
            found[environment.name] = replace(spec, backends=(*spec.backends, name))
    return dict(sorted(found.items(), key=lambda item: (item[1].has_spark, item[1].cuda is not None)))


def _lock(environment: Environment, folder: Path) -> Path | None:
    """A lock that a backend brings in its folder, or one of Bakeoff's own."""
    if environment.lock is None:
        return None
    brought = folder / environment.lock
    return brought if brought.exists() else LOCKS / environment.lock


def environments_of(backend: str, *, has_spark: bool, device: str = "cpu") -> tuple[str, ...]:
    """Names of the environments of one machine, or of a cluster, that serve a backend; its own first.

    device: on ``cpu`` or ``gpu``.
    """
    known = backends().get(backend)
    every = known.record.environments if known else ()
    kind = has_spark, device == "gpu"
    return tuple(
        environment.name
        for environment in every
        if (environment.has_spark, environment.cuda is not None) == kind
    )


def code_of(backend: str) -> dict[str, str]:
    """What a backend of the user's is, by the digest of its files: part of what its runs ran in.

    These are all in its own folder, data and locks too, and those that lie beside it, which it may import.
    Empty for Bakeoff's own, whose changes raise the measurement version.
    """
    folder = backends()[backend].folder
    if folder.parent == Path(package.__path__[0]):
        return {}
    digest = hashlib.sha256()
    for path in sorted({*folder.rglob("*"), *folder.parent.glob("*")}):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(folder.parent).as_posix()
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return {"backend": digest.hexdigest()}


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
