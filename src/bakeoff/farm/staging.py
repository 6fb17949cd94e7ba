"""Environments and data where a node reads them: in the shared folder, or unpacked to its own disk."""

from __future__ import annotations

import dataclasses
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bakeoff import environments
from bakeoff.environments import Environment
from bakeoff.errors import BakeoffError, MachineError
from bakeoff.events import Listener
from bakeoff.execute import Provision
from bakeoff.farm.ledger import Work
from bakeoff.launchers.scratch import scratch
from bakeoff.study import EnvironmentRequest

Provisions = Mapping[str, Provision | BakeoffError]


def pack(
    provisions: Provisions, requests: Mapping[str, EnvironmentRequest], folder: Path, listener: Listener
) -> dict[str, Path]:
    """By name, an archive of each environment that Bakeoff made; packed once for each form of it.

    requests: environments that the study brings, by name.
    """
    archives = {}
    for environment in _environments(provisions):
        archive = folder / f"{environment.name}-{environment.digest[:16]}.tar.gz"
        if not archive.exists():
            folder.mkdir(parents=True, exist_ok=True)
            request = requests.get(environment.name)
            environments.pack(environment.name, archive, request=request, listener=listener)
        archives[environment.name] = archive
    return archives


@contextmanager
def staged(work: Work) -> Iterator[Provisions]:
    """What a job's runs need, on this node; what was unpacked is gone afterwards.

    Raises:
        MachineError: this node does not see what the submitter sees, or has no room.
    """
    _check_seen(work)
    if work.archives is None:
        yield work.provisions
        return
    with scratch("bakeoff-farm-") as folder:
        try:
            yield _unpacked(work.provisions, work.archives, folder)
        except OSError as error:
            if error.filename and Path(error.filename).is_relative_to(folder):
                raise MachineError(
                    f"{folder}: can't be filled: {error.strerror}", "Free space there, or set TMPDIR."
                ) from error
            raise


def _unpacked(provisions: Provisions, archives: Mapping[str, Path], folder: Path) -> Provisions:
    moved: dict[str, Environment] = {}
    for environment in _environments(provisions):
        home = folder / environment.name
        with tarfile.open(archives[environment.name]) as archive:
            archive.extractall(home, filter="tar")
        (home / "scratch").mkdir(exist_ok=True)
        # Its variables name files in it, such as the BLAS that Theano links.
        before = str(environment.scratch.parent)
        variables = {name: text.replace(before, str(home)) for name, text in environment.variables.items()}
        moved[environment.name] = dataclasses.replace(
            environment, python=home / "bin" / "python", scratch=home / "scratch", variables=variables
        )
    copies: dict[Path, Path] = {}
    staged: dict[str, Provision | BakeoffError] = {}
    for trial_id, one in provisions.items():
        if isinstance(one, Provision):
            if one.dataset not in copies:
                copies[one.dataset] = folder / "data" / str(len(copies))
                shutil.copytree(one.dataset, copies[one.dataset])
            environment = moved.get(one.environment.name, one.environment)
            one = dataclasses.replace(one, environment=environment, dataset=copies[one.dataset])
        staged[trial_id] = one
    return staged


def _environments(provisions: Provisions) -> list[Environment]:
    """Those that Bakeoff made, once each; any other has to be on the nodes."""
    each = [provision.environment for provision in provisions.values() if isinstance(provision, Provision)]
    return list(
        {environment.name: environment for environment in each if environment.kind == "managed"}.values()
    )


def _check_seen(work: Work) -> None:
    """Pass if all files that the job needs are seen from here."""
    needed: list[Path] = list((work.archives or {}).values())
    for provision in work.provisions.values():
        if isinstance(provision, Provision):
            code = [Path(provision.code.paths[0].path)] if provision.code else []
            needed += [provision.dataset, *code, *filter(None, (provision.model_file,))]
            if work.archives is None or provision.environment.name not in work.archives:
                needed.append(provision.environment.python)
    if missing := [path for path in dict.fromkeys(needed) if not path.exists()]:
        names = ", ".join(map(str, missing[:3])) + ", …" * (len(missing) > 3)
        raise MachineError(
            f"this node does not see {names}",
            "Keep Bakeoff's cache and your files in a folder that all nodes share (BAKEOFF_CACHE), or let "
            "environments travel: --set farm.staging=packed, with farm.folder in a shared one.",
        )
