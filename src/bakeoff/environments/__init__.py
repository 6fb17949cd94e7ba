"""Environments: from a name to an interpreter that can run a worker, made on demand.

    catalogue()                what Bakeoff can make
    ensure(name)               the environment, made now if need be
    find(name)                 the environment if it is there
    check(name)                whether it is there or could be made, nothing made
    check_device(name)         whether runs on that device may use it here
    download(names)            what making them would download, of gigabytes; ask(names, consent) asks first
    list_environments()        what is on this machine
    remove(name)               give the disk space back
    pack(name, output)         one archive with interpreter and all, for a cluster's nodes
    java.find(spark)           the Java that an environment with Spark runs on

An environment ``java`` is made where this machine has no fitting Java; studies know nothing of it.
Only the standard library and uv are needed here.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from bakeoff import cache, registry
from bakeoff.environments import blas, creation, foreign, interpreters, java, large, packing
from bakeoff.environments.catalogue import (
    JAVA,
    Environment,
    EnvironmentRequest,
    catalogue,
)
from bakeoff.environments.large import Consent, Download, agreed, unasked
from bakeoff.environments.variables import digest_with
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import Listener, ignore
from bakeoff.registry import EnvironmentSpec

__all__ = [
    "Consent",
    "Download",
    "Environment",
    "EnvironmentFailure",
    "EnvironmentRequest",
    "EnvironmentSpec",
    "EnvironmentState",
    "agreed",
    "ask",
    "catalogue",
    "check",
    "check_device",
    "download",
    "ensure",
    "find",
    "java",
    "list_environments",
    "pack",
    "remove",
    "unasked",
]


State = Literal["absent", "ready", "broken", "outdated"]


@dataclass(frozen=True)
class EnvironmentState:
    """One environment as it is on this machine.

    state: ``ready``; ``absent`` (made when first needed); ``broken`` (half-built, or its Python is gone:
    made anew when needed); ``outdated`` (made from another lock than this version of Bakeoff has).
    disk_bytes: size when made, 0 unless ready or outdated; files shared with uv's cache count in full.
    """

    name: str
    state: State
    backends: tuple[str, ...]
    summary: str
    python: str
    disk_bytes: int
    path: Path | None


def ensure(
    name: str,
    *,
    request: EnvironmentRequest | None = None,
    backend: str | None = None,
    listener: Listener = ignore,
    consent: Consent = unasked,
) -> Environment:
    """The environment of that name, made now if need be (minutes and gigabytes for the large ones).

    request: what the study brings under that name, an interpreter or a lock; the catalogue's otherwise.
    backend: what is to run in it; checked where given. listener: is told what takes time. consent: is asked
    before CUDA is downloaded; without one, that is refused.

    Raises:
        EnvironmentFailure: it is unknown, does not serve that backend, or can't be made; says why.
    """
    return _with_code(_ensure(name, request, backend, listener, consent), backend)


def _ensure(
    name: str,
    request: EnvironmentRequest | None,
    backend: str | None,
    listener: Listener,
    consent: Consent,
) -> Environment:
    if request is not None and request.python is not None:
        return _external(request.name, request.python, backend)
    spec = _spec(name, request, backend)
    if spec.lock is None:
        return _own(spec)
    large.ask([spec], consent)
    try:
        home = creation.create(creation.root(), spec, listener)
    except EnvironmentFailure as error:
        raise _with_alternative(spec, error) from error
    if request is not None and backend is not None:
        _check_modules(name, request, backend, creation.site_packages_of(home))
    return _managed(spec, home)


def find(
    name: str, *, request: EnvironmentRequest | None = None, backend: str | None = None
) -> Environment | None:
    """The environment if it is ready, else None; makes nothing. backend: what is to run in it.

    Raises:
        EnvironmentFailure: the name is unknown, or an external interpreter won't do.
    """
    if request is not None and request.python is not None:
        return _with_code(_external(request.name, request.python, None), backend)
    spec = _spec(name, request, None)
    if spec.lock is None:
        return _with_code(_own(spec), backend)
    home = creation.folder(creation.root(), spec)
    return _with_code(_managed(spec, home), backend) if creation.is_ready(home) else None


def check(name: str, *, request: EnvironmentRequest | None = None, backend: str | None = None) -> None:
    """Pass if the environment is ready, or could be made here as far as shows without making anything.

    request, backend: as for `ensure`. What only a try tells (a download, a package) passes.

    Raises:
        EnvironmentFailure: it is unknown, does not serve that backend, or lacks an interpreter, a compiler,
            or disk space.
    """
    if request is not None and request.python is not None:
        _examined(request.name, request.python.expanduser().absolute(), backend)
        return
    spec = _spec(name, request, backend)
    if spec.lock is None or creation.is_ready(creation.folder(creation.root(), spec)):
        return
    try:
        creation.check_needs(spec, creation.root())
        interpreters.check(spec.python, headers=spec.needs_compiler)
    except EnvironmentFailure as error:
        raise _with_alternative(spec, error) from error


def check_device(
    name: str,
    *,
    request: EnvironmentRequest | None = None,
    backend: str | None = None,
    device: str = "cpu",
    gpu: int = 0,
) -> None:
    """Pass if a run on that device may use the environment here, as far as is known without a try.

    backend: what is to run. gpu: number of the card. Nothing is known of what a study brings: its interpreter
    passes, and its lock where no CUDA is downloaded for a run on the CPU. A backend that no build serves on
    GPUs passes, too: it says itself why it declines.

    Raises:
        EnvironmentFailure: the driver or the card does not serve the build; the run is on a GPU, and the
            build is for CPUs; or it is on the CPU, and CUDA would be downloaded for it.
    """
    for spec in _with_locks([name], {name: request} if request else {}):
        if device != "gpu":
            large.check_for_cpu(spec)
        elif spec.cuda or request:
            large.check_card(spec, gpu)
        elif builds := registry.environments_of(backend or "", has_spark=False, device="gpu"):
            raise EnvironmentFailure(
                f"environment {name} is for CPUs; got device gpu",
                f"Use environment {' or '.join(builds)}, which is what it takes where the study names none.",
            )


def download(names: Collection[str], requests: Mapping[str, EnvironmentRequest]) -> Download | None:
    """What making these would download, of builds with CUDA; None: nothing. requests: the study's own."""
    return large.download(_with_locks(names, requests))


def ask(names: Collection[str], requests: Mapping[str, EnvironmentRequest], consent: Consent) -> None:
    """Pass if there is room for what these would download, and the user wants it; asked once for all of them.

    Raises:
        EnvironmentFailure: one of the two is missing.
    """
    large.ask(_with_locks(names, requests), consent)


def _with_locks(names: Collection[str], requests: Mapping[str, EnvironmentRequest]) -> list[EnvironmentSpec]:
    """What would be made from a lock, of these; the rest is there already."""
    asked = [(name, requests.get(name)) for name in dict.fromkeys(names)]
    ours = [(name, request) for name, request in asked if request is None or request.python is None]
    return [spec for spec in (_spec(name, request, None) for name, request in ours) if spec.lock]


def list_environments() -> tuple[EnvironmentState, ...]:
    """The catalogue's environments in its order, Java's, then whatever else was made."""
    states, known = [], set()
    for spec in _managed_specs().values():
        if spec.lock is None:
            states.append(_state(spec, "ready", platform.python_version(), 0, None))
            continue
        home = creation.folder(creation.root(), spec)
        known.add(home)
        marker = creation.read_marker(home)
        if creation.is_ready(home) and marker:
            states.append(_state(spec, "ready", marker.python, marker.disk_bytes, home))
        else:
            there = home if home.exists() else None
            states.append(_state(spec, "broken" if there else "absent", spec.python, 0, there))
    for home in sorted(_folders() - known):
        name = home.name.rpartition("-")[0]
        known_spec = _managed_specs().get(name)
        spec = known_spec or EnvironmentSpec(name=name, summary="from a study's own lock", backends=())
        marker = creation.read_marker(home)
        if marker and creation.is_ready(home):
            state: State = "outdated" if known_spec else "ready"
            states.append(_state(spec, state, marker.python, marker.disk_bytes, home))
        else:
            states.append(_state(spec, "broken", "", 0, home))
    return tuple(states)


def remove(name: str) -> None:
    """Delete what was made under that name, outdated and half-built included, with its compile caches.

    Raises:
        EnvironmentFailure: nothing of that name was made, or it can't be deleted.
    """
    homes = [home for home in _folders() if home.name.rpartition("-")[0] == name]
    if not homes:
        made = sorted({home.name.rpartition("-")[0] for home in _folders()})
        raise EnvironmentFailure(
            f"no environment {name} to remove",
            f"There are: {', '.join(made)}." if made else "None was made yet.",
        )
    for home in homes:
        creation.delete(home)


def pack(
    name: str,
    output: Path | None = None,
    *,
    request: EnvironmentRequest | None = None,
    listener: Listener = ignore,
) -> Path:
    """The environment as an archive that runs on machines without it, made now if need be; see `packing`.

    Spark unpacks it on each node with ``spark.archives=FILE#environment``; the interpreter is then
    ``environment/bin/python``, and the packages are where they are in the environment. It needs a Linux of
    this machine's architecture with as new a glibc; for Theano g++, too, which the archive does not have.

    output: a ``.tar.gz``, ``NAME.tar.gz`` in the current folder by default; one that is there is replaced.
    request, listener: as for `ensure`.

    Raises:
        EnvironmentFailure: it was not made by Bakeoff, can't be made, or can't be packed; says why.
    """
    made = ensure(name, request=request, listener=listener)
    if made.kind != "managed":
        whose = "Bakeoff's own interpreter" if made.kind == "own" else "the user's own"
        raise EnvironmentFailure(
            f"environment {name} can't be packed: it is {whose}; expected one that Bakeoff made from a lock",
            "Pack it with conda-pack where it is conda's, or bring a lock and let Bakeoff make it.",
        )
    output = (output or Path(f"{name}.tar.gz")).expanduser().absolute()
    return packing.pack(name, made.scratch.parent, output, listener)


def _spec(name: str, request: EnvironmentRequest | None, backend: str | None) -> EnvironmentSpec:
    """What is to be made; a study's lock serves any backend, which is then looked for in it.

    Raises:
        EnvironmentFailure: unknown name, or the wrong environment for that backend.
    """
    if request is not None and request.lock is not None:
        python = request.python_version or platform.python_version()
        return EnvironmentSpec(
            name=name,
            summary=f"{name}, from {request.lock.name}",
            backends=tuple(registry.backends()),
            python=".".join(python.split(".")[:2]),
            lock=request.lock.absolute(),
            needs_compiler=creation.locks_compiling(request.lock),
        )
    spec = _managed_specs().get(name)
    if spec is None:
        raise EnvironmentFailure(
            f"no environment {name}; expected one of {', '.join(catalogue())}",
            f"Or describe it in the study file: [environments.{name}] with `python` or `lock`.",
        )
    if backend is not None and backend not in spec.backends:
        serving = ", ".join(other.name for other in catalogue().values() if backend in other.backends)
        raise EnvironmentFailure(
            f"environment {name} serves {', '.join(spec.backends) or 'no backend'}; got backend {backend}",
            f"Use environment {serving}." if serving else "",
        )
    return spec


def _managed_specs() -> Mapping[str, EnvironmentSpec]:
    """The catalogue, and Java's environment, which is made and removed as the others are."""
    return {**catalogue(), JAVA.name: JAVA}


def _check_modules(name: str, request: EnvironmentRequest, backend: str, site_packages: Path) -> None:
    """Pass if what a study's own lock brought can run the backend.

    Raises:
        EnvironmentFailure: with what the lock lacks.
    """
    there = {path.stem for path in site_packages.iterdir()}
    modules = registry.backends()[backend].record.modules
    if lacking := [module for module in modules if module not in there]:
        raise EnvironmentFailure(
            f"environment {name}: {request.lock} has no {', '.join(lacking)}; backend {backend} needs "
            f"{', '.join(modules)}",
            "Add it to the lock, or run another backend there.",
        )


def _with_code(environment: Environment, backend: str | None) -> Environment:
    """The environment as a backend of the user's runs in it: its digest covers the backend's own files."""
    code = registry.code_of(backend) if backend else {}
    return replace(environment, digest=digest_with(environment.digest, code)) if code else environment


def _managed(spec: EnvironmentSpec, home: Path) -> Environment:
    library = blas.bundled_openblas(creation.site_packages_of(home)) if spec.needs_compiler else None
    compiler = blas.compiler() if spec.needs_compiler else {}
    return Environment(
        name=spec.name,
        python=creation.python_of(home),
        variables=blas.variables(library),
        digest=digest_with(creation.digest(spec), {**compiler, **creation.holds(home)}),
        kind="managed",
        scratch=_existing(home / "scratch"),
        blas_library=library,
    )


def _external(name: str, python: Path, backend: str | None) -> Environment:
    python = python.expanduser().absolute()
    facts = _examined(name, python, backend)
    compiles = creation.holds_compiling(facts.packages)
    library = blas.bundled_openblas(facts.site_packages) if compiles else None
    return Environment(
        name=name,
        python=python,
        variables=blas.variables(library, os.environ.get("LD_LIBRARY_PATH", "")),
        digest=digest_with(facts.digest, blas.compiler() if compiles else {}),
        kind="external",
        scratch=_existing(cache.root() / "scratch" / f"{name}-{facts.digest[:12]}"),
        blas_library=library,
    )


def _examined(name: str, python: Path, backend: str | None) -> foreign.ExternalFacts:
    """What the user's own interpreter holds, which is enough for the backend."""
    record = registry.backends()[backend].record if backend else None
    facts = foreign.examine(name, python, record.modules if record else ("numpy",))
    if record and record.needs_compiler:
        creation.check_compiler(name)
    return facts


def _own(spec: EnvironmentSpec) -> Environment:
    """Bakeoff's own interpreter; its digest covers Python and numpy, the worker's only needs."""
    facts = foreign.ExternalFacts(
        version=platform.python_version(),
        implementation=platform.python_implementation(),
        packages={"numpy": metadata.version("numpy")},
        site_packages=Path(),
    )
    return Environment(
        name=spec.name,
        python=Path(sys.executable),
        variables={},
        digest=digest_with(facts.digest, {}),
        kind="own",
        scratch=_existing(cache.root() / "scratch" / spec.name),
    )


def _with_alternative(spec: EnvironmentSpec, error: EnvironmentFailure) -> EnvironmentFailure:
    """Where an environment can't be had, say what comes nearest."""
    return EnvironmentFailure(error.message, f"{error.hint} {spec.instead}") if spec.instead else error


def _state(
    spec: EnvironmentSpec,
    state: State,
    python: str,
    disk_bytes: int,
    path: Path | None,
) -> EnvironmentState:
    return EnvironmentState(spec.name, state, spec.backends, spec.summary, python, disk_bytes, path)


def _folders() -> set[Path]:
    """What was made, or begun, from locks."""
    root = creation.root()
    return {home for home in root.iterdir() if home.is_dir()} if root.is_dir() else set()


def _existing(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"{folder}: can't be made: {error.strerror}",
            "Set BAKEOFF_CACHE to a folder that you can write to.",
        ) from error
    return folder
