"""Prepared data sets in the cache: written whole or not at all, and hashed before they are used.

An entry is a folder ``<root>/datasets/<key>/`` with the four arrays as ``.npy`` files and
``about.json``. The key is a catalogue name or ``user-<digest>``, the beginning of its arrays' digest; with
``@<side>`` where images were resized and ``@x<times>`` where changed copies of them were added.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from bakeoff.datasets import disk
from bakeoff.datasets.catalogue import ARRAYS

Array = npt.NDArray[Any]

# History of about.json: 1 first version.
FORMAT = 1


@dataclass(frozen=True)
class Prepared:
    """A data set ready to be trained on.

    path: folder with ``x_train.npy`` (N, H, W, C) uint8 or float32, ``y_train.npy`` (N,) labels from 0,
    ``x_test.npy``, ``y_test.npy`` and ``about.json``. image_shape: (height, width, channels).
    num_train: N, the changed copies of a scaled set included. digest: SHA-256 over the names, forms and
    hashes of the four arrays and, of the user's own, the classes' names. base_digest: the same
    without the changed copies. notes: for
    people, what was decided or passed over when the user's own were read.
    """

    path: Path
    name: str
    num_classes: int
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    digest: str
    base_digest: str
    notes: tuple[str, ...] = ()


def folder(root: Path) -> Path:
    """Where the entries are."""
    return root / "datasets"


def key(name: str, image_size: int | None) -> str:
    """An entry's folder name."""
    return name if image_size is None else f"{name}@{image_size}"


def scaled_key(base_key: str, scale: int, recipe_version: int) -> str:
    """The folder name of an entry's training images `scale` times, changed by a version of the recipe."""
    return f"{base_key}@x{scale}-a{recipe_version}"


def save(target: Path, name: str, array: Array) -> None:
    """Write one array of an entry that is being built."""
    np.save(target / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


@contextmanager
def building(root: Path, entry_key: str, facts: Mapping[str, Any]) -> Iterator[Path]:
    """A fresh folder for the four arrays, which becomes the entry when the block ends well.

    The caller holds the entry's lock. facts: what about.json says beside shapes and hashes; ``name`` and
    ``num_classes`` are needed.

    Raises:
        MachineError: the disk is full or can't be written.
    """
    with placing(folder(root) / entry_key) as fresh:
        yield fresh
        seal(fresh, facts)


@dataclass
class Fresh:
    """An entry on its way into the cache. path: of the four arrays; key: known once they are there."""

    path: Path
    key: str = ""


@contextmanager
def naming(root: Path, facts: Mapping[str, Any]) -> Iterator[Fresh]:
    """As `building`, for an entry called by its arrays: ``user-<digest>``, and ``@<side>`` if resized.

    Raises:
        MachineError: the disk is full or can't be written.
    """
    parent = folder(root)
    with disk.writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".building-user-") as scratch:
            fresh = Fresh(Path(scratch) / "entry")
            fresh.path.mkdir()
            yield fresh
            fresh.key = key(f"user-{seal(fresh.path, facts)[:16]}", facts["image_size"])
            with lock(root, fresh.key, lambda: None):
                _place(fresh.path, parent / fresh.key, Path(scratch))


@contextmanager
def placing(target: Path) -> Iterator[Path]:
    """A fresh folder that becomes `target`, or takes its place, when the block ends well: on the disk, whole.

    The caller holds a lock for `target`.

    Raises:
        MachineError: the disk is full or can't be written.
    """
    parent = target.parent
    with disk.writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for killed in parent.glob(f".building-{target.name}-*"):  # what a process that died left behind
            shutil.rmtree(killed, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".building-{target.name}-") as scratch:
            fresh = Path(scratch) / "entry"
            fresh.mkdir()
            yield fresh
            _place(fresh, target, Path(scratch))


def _place(fresh: Path, target: Path, scratch: Path) -> None:
    """Make a folder `target`, once all of it is on the disk."""
    for file in fresh.iterdir():
        _sync(file)
    _sync(fresh)
    _swap(fresh, target, scratch / "replaced")
    _sync(target.parent)


def write_text(file: Path, text: str) -> None:
    """Put a small file in place, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as fresh:
        fresh.write(text)
    Path(fresh.name).replace(file)


def read(path: Path) -> Prepared | None:
    """The entry in a folder, or None where there is none that this version can read. Nothing is hashed."""
    about = about_of(path)
    if about is None:
        return None
    height, width, channels = about["image_shape"]
    return Prepared(
        path=path,
        name=about["name"],
        num_classes=about["num_classes"],
        image_shape=(height, width, channels),
        num_train=about["arrays"]["x_train"]["shape"][0],
        num_test=about["arrays"]["x_test"]["shape"][0],
        digest=about["digest"],
        base_digest=about["made_from"] if "scale" in about else about["digest"],
    )


def about_of(path: Path) -> dict[str, Any] | None:
    """An entry's ``about.json``, or None where there is none that this version can read."""
    try:
        about = json.loads((path / "about.json").read_text(encoding="utf-8"))
        return about if about["format"] == FORMAT and set(about["arrays"]) == set(ARRAYS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def facts_of(path: Path) -> dict[str, Any]:
    """What an entry's ``about.json`` says beside its arrays' forms and hashes: what `building` was given."""
    sealed = ("format", "image_shape", "arrays", "digest")
    return {key: value for key, value in (about_of(path) or {}).items() if key not in sealed}


def damage(path: Path, known: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What is wrong with an entry's files, a line each; empty if all is as it was written.

    known: SHA-256 of the right arrays by name, where they are known from elsewhere than the entry itself.
    """
    about = about_of(path)
    if about is None:
        return (f"{path / 'about.json'}: missing or unreadable",)
    problems = []
    for name in ARRAYS:
        file = path / f"{name}.npy"
        expected = (known or {}).get(name, about["arrays"][name]["sha256"])
        try:
            got = sha256_of_file(file)
        except (OSError, ValueError, EOFError) as error:
            problems.append(f"{file}: missing or unreadable ({error})")
            continue
        if got != expected:
            problems.append(f"{file}: the array's sha256 is {got}, expected {expected}")
    return tuple(problems)


def sha256_of(array: Array) -> str:
    """SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of the array in a ``.npy`` file; hashed once a process unless the file changes.

    Raises:
        OSError, ValueError, EOFError: the file is missing, or is no whole array.
    """
    facts = path.stat()
    return _sha256_of_file(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def forget_hashes() -> None:
    """Hash every file again when it is asked for next, changed or not."""
    _sha256_of_file.cache_clear()


@functools.lru_cache(maxsize=256)
def _sha256_of_file(path: Path, inode: int, size: int, modified_ns: int) -> str:
    return sha256_of(np.load(path, mmap_mode="r", allow_pickle=False))


@contextmanager
def lock(root: Path, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold one data set for this process; `on_wait` is called if another process holds it."""
    locks = folder(root) / ".locks"
    with disk.writing(locks):
        locks.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(locks / f"{name}.lock")
        try:
            held.acquire(timeout=0)
        except filelock.Timeout:
            on_wait()
            held.acquire()
    try:
        yield
    finally:
        held.release()


def seal(fresh: Path, facts: Mapping[str, Any]) -> str:
    """Describe the four arrays beside them; the digest of it all."""
    arrays = {}
    for name in ARRAYS:
        array = np.load(fresh / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        arrays[name] = {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": sha256_of(array)}
    identity: dict[str, Any] = dict(arrays)
    if facts["source"]["kind"] == "user" and facts["class_names"]:
        identity["class_names"] = facts["class_names"]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    about = {
        "format": FORMAT,
        **facts,
        "image_shape": arrays["x_train"]["shape"][1:],
        "arrays": arrays,
        "digest": digest,
    }
    (fresh / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return digest


def _swap(fresh: Path, target: Path, replaced: Path) -> None:
    """Put a folder in another's place; a reader sees the old one, none for an instant, or the new one."""
    if target.is_dir() and not target.is_symlink():
        target.replace(replaced)
    fresh.replace(target)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows can't open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
