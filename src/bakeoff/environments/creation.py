"""Making an environment from its lock: once, whole, and by one process at a time.

A folder ``<cache>/environments/<name>-<12 hex of digest>/`` holds ``venv/``, ``scratch/`` (compile
caches) and, written last, ``environment.json``. Without that file the folder is half-built and is made
anew: virtual environments know their own path, so one can't be built aside and renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import uv

from bakeoff import cache, registry
from bakeoff.environments import interpreters, pip_settings
from bakeoff.environments.uv_messages import explain
from bakeoff.errors import EnvironmentFailure
from bakeoff.events import Listener, tell
from bakeoff.registry import EnvironmentSpec

_MARKER = "environment.json"
_KEPT_LINES = 500  # of uv's output; a hash mismatch lists every hash that would have done
_WORTH_SAYING = ("Resolved", "Downloading", "Building", "Prepared", "Installed")


@dataclass(frozen=True)
class Marker:
    """What is known of a finished environment: ``environment.json``.

    python: version it was made with. disk_bytes: size when made; what uv's cache shares counts in full.
    """

    name: str
    digest: str
    python: str
    disk_bytes: int
    created_unix_s: float
    uv: str


def digest(spec: EnvironmentSpec) -> str:
    """64 hex digits over the lock's content and the Python's minor version.

    Raises:
        EnvironmentFailure: the lock can't be read.
    """
    assert spec.lock is not None
    try:
        lock = spec.lock.read_bytes()
    except OSError as error:
        raise EnvironmentFailure(
            f"environment {spec.name}: its lock can't be read: {spec.lock}: {error.strerror}",
            "Name an existing requirements file, pinned and hashed (`uv pip compile --generate-hashes`).",
        ) from error
    return hashlib.sha256(lock + f"\npython {spec.python}\n".encode()).hexdigest()


def root() -> Path:
    """The folder of all environments, made or not."""
    return cache.root() / "environments"


def folder(root: Path, spec: EnvironmentSpec) -> Path:
    """Where the environment of that lock and Python lives, made or not."""
    return root / f"{spec.name}-{digest(spec)[:12]}"


def python_of(home: Path) -> Path:
    """The interpreter inside an environment's folder."""
    return home / "venv" / "bin" / "python"


def site_packages_of(home: Path) -> Path:
    """Where its packages are; there is one such folder in a finished environment."""
    return next((home / "venv" / "lib").glob("python*/site-packages"))


def holds(home: Path) -> dict[str, str]:
    """What is in a finished environment by now: the build of its Python, and packages by name and version.

    An upgrade of the system changes its Python under it, and pip its packages, where somebody calls it there.
    """
    command = [str(python_of(home)), "-I", "-S", "-c", "import sys; print(sys.version)"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        build = ""  # its first run says why
    else:
        build = asked.stdout.strip()
    packages = sorted(path.name for path in home.glob("venv/lib/python*/site-packages/*.dist-info"))
    return {"python": build, "packages": " ".join(packages)}


def read_marker(home: Path) -> Marker | None:
    """What a finished environment says of itself; None where it is half-built, damaged or not there."""
    try:
        return Marker(**json.loads((home / _MARKER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_ready(home: Path) -> bool:
    """Whether it was finished and its interpreter is still there (an upgrade of Python may take it away)."""
    return read_marker(home) is not None and os.access(python_of(home), os.X_OK)


def create(root: Path, spec: EnvironmentSpec, listener: Listener) -> Path:
    """The folder of a finished environment, made now unless it is there already.

    Several processes may ask at once: one makes it, the others wait and use it.

    Raises:
        EnvironmentFailure: see the message; nothing half-built is ever used.
    """
    home = folder(root, spec)
    if is_ready(home):
        return home
    with exclusive(
        home, lambda: tell(listener, f"{spec.name}: another process is making it; waiting")
    ) as held:
        if is_ready(home):
            return home
        try:
            _make(home, spec, listener, held)
        except OSError as error:
            raise EnvironmentFailure(
                f"environment {spec.name} can't be made in {home}: {error.strerror}",
                "Free some space there and check who may write, or set BAKEOFF_CACHE to another folder.",
            ) from error
    return home


def delete(home: Path) -> None:
    """Remove an environment's folder, marker first: what a failed removal leaves counts as half-built."""
    with exclusive(home, lambda: None):
        (home / _MARKER).unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)
    if home.exists():
        raise EnvironmentFailure(
            f"{home} could not be removed completely", "Check the folder's owner and permissions."
        )


@contextmanager
def exclusive(home: Path, on_wait: Callable[[], None]) -> Iterator[int]:
    """Hold the lock file beside an environment's folder; gives its file descriptor.

    The kernel lets it go when the last process that holds the descriptor ends. uv inherits it, so that a uv
    outliving a killed Bakeoff can't write into an environment that the next one makes (why not filelock,
    which closes it on exec).
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(home.with_name(home.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise EnvironmentFailure(
            f"{home.parent}: can't be written: {error.strerror}",
            "Set BAKEOFF_CACHE to a folder that you can write to.",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def check_room(name: str, disk_bytes: int, root: Path) -> None:
    """Pass if there is that much free space where environments go. name: of what needs it.

    Raises:
        EnvironmentFailure: with both figures.
    """
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < disk_bytes:
        raise EnvironmentFailure(
            f"environment {name} needs {disk_bytes / 1e9:.1f} GB in {root}; {free / 1e9:.1f} GB are free",
            "Free some space (`bakeoff env remove NAME`, `uv cache clean`), or move BAKEOFF_CACHE elsewhere.",
        )


def check_needs(spec: EnvironmentSpec, root: Path) -> None:
    """Pass if the machine has the disk space and the compiler that an environment asks for.

    Raises:
        EnvironmentFailure: with both figures, or with what is missing.
    """
    check_room(spec.name, spec.disk_bytes, root)
    if not spec.needs_compiler:
        return
    check_compiler(spec.name)
    if re.search(r"[\s,]", str(root)):
        raise EnvironmentFailure(
            f"environment {spec.name} can't live in {root}: Theano's flags take no blank or comma in a path",
            "Set BAKEOFF_CACHE to a folder without blanks and commas.",
        )


def check_compiler(name: str) -> None:
    """Pass if g++ is on PATH.

    Raises:
        EnvironmentFailure: it isn't.
    """
    if shutil.which("g++") is None:
        raise EnvironmentFailure(
            f"environment {name} needs g++, which is not on PATH: Theano compiles while it runs",
            "Install it: `apt-get install g++`, `dnf install gcc-c++`, or conda's `gxx`.",
        )


def holds_compiling(packages: Collection[str]) -> bool:
    """Whether one of these packages, by their names in lower case, is a framework that calls g++."""
    records = (brought.record for brought in registry.backends().values())
    return any(record.packages[0] in packages for record in records if record.needs_compiler)


def locks_compiling(lock: Path) -> bool:
    """The same of a lock; False where it can't be read, which `digest` tells."""
    try:
        return holds_compiling(re.findall(r"^([\w.-]+)==", lock.read_text().lower(), re.MULTILINE))
    except (OSError, UnicodeDecodeError):
        return False


def _make(home: Path, spec: EnvironmentSpec, listener: Listener, held: int) -> None:
    check_needs(spec, home.parent)
    python = interpreters.obtain(spec.python, headers=spec.needs_compiler)
    tell(listener, f"{spec.name}: making {spec.summary} with Python {python.version}")
    if home.exists():
        shutil.rmtree(home)  # half-built, or its interpreter is gone
    (home / "scratch").mkdir(parents=True)
    run = _Uv(home, spec.name, listener, held)
    failed, lines = run(
        "venv", "--no-project", "--no-config", "--python", str(python.path), str(home / "venv")
    )
    if failed:
        raise explain(spec.name, lines)
    _install(spec, home, run)
    marker = Marker(
        name=spec.name,
        digest=digest(spec),
        python=python.version,
        disk_bytes=_size_bytes(home),
        created_unix_s=time.time(),
        uv=metadata.version("uv"),
    )
    temporary = home / (_MARKER + ".part")
    temporary.write_text(json.dumps(asdict(marker), indent=1))
    temporary.replace(home / _MARKER)
    tell(listener, f"{spec.name}: ready, {marker.disk_bytes / 1e6:.0f} MB")


def _install(spec: EnvironmentSpec, home: Path, run: _Uv) -> None:
    """Install the lock and nothing else; what comes as source is built by the lock's own setuptools."""
    command = [
        *("pip", "install", "--require-hashes", "--compile-bytecode", "--no-deps", *install_arguments()),
        *("--python", str(python_of(home)), "--build-constraints", str(spec.lock), "-r", str(spec.lock)),
    ]
    failed, lines = run(*command)
    if not failed:
        return
    variant = torch_variant(spec.lock.read_text()) if spec.lock else None
    if variant is None or "UV_TORCH_BACKEND" in os.environ or "torch" not in "\n".join(lines):
        raise explain(spec.name, lines)
    # uv takes torch from PyTorch's index *instead* of find-links, hence the user's own places first.
    run.tell(f"no torch +{variant} where pip's settings point; trying PyTorch's own index")
    failed, lines = run(*command, "--torch-backend", variant)
    if failed:
        error = explain(spec.name, lines)
        raise EnvironmentFailure(
            error.message,
            f"The +{variant} build of torch comes from PyTorch's own index, or from a folder with its wheel "
            f"that PIP_FIND_LINKS names. {error.hint}",
        )


def torch_variant(lock: str) -> str | None:
    """The build of torch that a lock pins, as ``--torch-backend`` calls it: ``cpu``, ``cu128``; None without.

    PyPI has no such builds, so that a lock that names one can't bring gigabytes of CUDA by accident.
    """
    match = re.search(r"^torch==[^+\s]+\+(cpu|cu\d+|rocm[\d.]+|xpu)\b", lock, re.MULTILINE)
    return match.group(1) if match else None


class _Uv:
    """uv with the user's settings, its output passed on line by line and its last lines kept."""

    def __init__(self, home: Path, name: str, listener: Listener, held: int) -> None:
        self.home, self.name, self.listener, self.held = home, name, listener, held

    def tell(self, line: str) -> None:
        """Tell whoever listens what uv says."""
        tell(self.listener, f"{self.name}: {line}")

    def __call__(self, *command: str) -> tuple[bool, list[str]]:
        """Whether it failed, and its last lines."""
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        process = subprocess.Popen(
            [uv.find_uv_bin(), "--color", "never", "--no-progress", "--no-python-downloads", *command],
            env=uv_environment(),
            cwd=self.home,  # not the user's folder, whose pyproject.toml may have other plans
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=(self.held,),
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    if line.startswith(_WORTH_SAYING):
                        self.tell(line.strip())
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return process.returncode != 0, [line for line in lines if line]


def uv_environment() -> dict[str, str]:
    """Our variables and the user's pip settings in uv's words, less what would lead uv to another Python."""
    environ = {**_settings().variables, **os.environ}
    astray = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON")
    return {name: value for name, value in environ.items() if name not in astray}


def install_arguments() -> tuple[str, ...]:
    """Those of the user's pip settings that uv takes on the command line only."""
    return _settings().arguments


def _settings() -> pip_settings.UvSettings:
    return pip_settings.uv_settings(
        os.environ, pip_settings.read_pip(os.environ), pip_settings.read_uv_file(os.environ)
    )


def _size_bytes(home: Path) -> int:
    return sum(path.lstat().st_size for path in home.rglob("*") if not path.is_dir())
