"""A data set by name or path, ready to be trained on: from the cache, or made and put there."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.datasets import augment, disk, entries, own, provenance, resize, sources
from bakeoff.datasets.catalogue import ARRAYS, Entry, catalogue
from bakeoff.datasets.entries import Prepared
from bakeoff.datasets.progress import OnProgress, Progress
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import DatasetError


@dataclass(frozen=True)
class Status:
    """What the cache has of one data set.

    key: catalogue name or ``user-<digest>``, with ``@<side>`` where resized and ``@x<times>`` where there are
    changed copies. title: for people. path: the entry, or None if there is none. size_bytes: of the entry's
    files. source: where it came from.
    """

    key: str
    title: str
    path: Path | None
    size_bytes: int
    source: str


@dataclass(frozen=True)
class Verification:
    """One cached entry, hashed anew. damaged: a line for each file that is not as it should be."""

    key: str
    path: Path
    damaged: tuple[str, ...]


def ensure(
    name: str,
    *,
    image_size: int | None = None,
    scale: int = 1,
    directory: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Prepared:
    """The data set called `name`, hashed and in the cache; fetched, decoded and resized if it must be.

    name: a catalogue name, or the path of a ``.npz``, ``.parquet``, ``.csv`` or ``.py`` file or of a folder.
    image_size: side in pixels of the square that images are resized to; None keeps them.
    scale: how many times the training set is had: once as it is, then in changed copies (`augment`).
    directory: a folder that is searched before any other source.

    Raises:
        DatasetError: it can't be had, is damaged, or has a wrong form; the message names the file.
        MachineError: no room, or the cache can't be written.
    """
    return prepare(name, Surroundings.of_this_machine(directory, on_progress), image_size, scale)


def fetch(
    name: str,
    *,
    source: str | None = None,
    image_size: int | None = None,
    directory: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Prepared:
    """The data set called `name` in the cache; got anew where a source is named, or where it is the user's.

    source: one of ``directory``, ``system``, ``mirrors``, ``packages``; None asks them in this order for
    what the cache doesn't have. The user's own data are read, or their ``load()`` run, again.

    Raises:
        DatasetError, MachineError: as `ensure`; what the cache had stays.
    """
    if source is not None and source not in sources.SOURCES:
        raise DatasetError(f"source: got {source}, expected one of {', '.join(sources.SOURCES)}")
    around = Surroundings.of_this_machine(directory, on_progress)
    anew = source is not None or name not in catalogue()
    return prepare(name, around, image_size, anew=anew, only=source)


def prepare(
    name: str,
    around: Surroundings,
    image_size: int | None = None,
    scale: int = 1,
    *,
    anew: bool = False,
    only: str | None = None,
) -> Prepared:
    """`ensure` and `fetch` with all that they take from the machine given."""
    augment.check(scale)
    if image_size is not None:
        resize.check(image_size)
    entry = catalogue().get(name)
    if entry is not None:
        prepared = prepare_entry(entry, around, image_size, anew=anew, only=only)
    elif only is not None:
        raise DatasetError(
            f"{name}: only a catalogue data set has a source; expected one of {', '.join(catalogue())}"
        )
    else:
        prepared = _prepare_own(_existing(name), around, image_size, anew)
    return prepare_scaled(prepared, around, scale) if scale > 1 else prepared


def prepare_scaled(base: Prepared, around: Surroundings, scale: int) -> Prepared:
    """A prepared set with `scale` - 1 changed copies of its training images behind them; same test images."""
    entry_key = entries.scaled_key(base.path.name, scale, augment.RECIPE_VERSION)
    path = entries.folder(around.root) / entry_key
    if kept := _sound(path, made_from=base.digest):
        return replace(kept, name=base.name, notes=base.notes)
    with entries.lock(around.root, entry_key, _waiting(base.name, around)):
        if kept := _sound(path, made_from=base.digest):
            return replace(kept, name=base.name, notes=base.notes)  # another process made it while we waited
        arrays = {
            name: np.load(base.path / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS
        }
        facts = entries.facts_of(base.path) | {
            "name": base.name,
            "source": {"kind": "augmented", "detail": str(base.path)},
            "scale": scale,
            "made_from": base.digest,
        }
        with entries.building(around.root, entry_key, facts) as fresh:
            report = _reporting(base.name, f"making {scale} times the training images", around)
            augment.augment(arrays["x_train"], scale, base.digest, fresh / "x_train.npy", report)
            entries.save(fresh, "y_train", np.tile(arrays["y_train"], scale))
            for name in ("x_test", "y_test"):
                entries.save(fresh, name, arrays[name])
    return replace(_made(path), name=base.name, notes=base.notes)


def prepare_entry(
    entry: Entry,
    around: Surroundings,
    image_size: int | None = None,
    *,
    anew: bool = False,
    only: str | None = None,
) -> Prepared:
    """A known data set, whole or resized."""
    whole = _prepare_whole(entry, around, anew, only)
    if image_size is None or whole.image_shape[:2] == (image_size, image_size):
        return whole
    entry_key = entries.key(entry.name, image_size)
    path = entries.folder(around.root) / entry_key
    if not anew and (kept := _sound(path, made_from=whole.digest)):
        return kept
    with entries.lock(around.root, entry_key, _waiting(entry.name, around)):
        if not anew and (kept := _sound(path, made_from=whole.digest)):
            return kept  # another process made it while we waited
        facts = _facts(entry) | {
            "source": {"kind": "resized", "detail": str(whole.path)},
            "image_size": image_size,
            "made_from": whole.digest,
            "resized_by": own.pillow(),
        }
        with entries.building(around.root, entry_key, facts) as fresh:
            for split in ("train", "test"):
                images = np.load(whole.path / f"x_{split}.npy", mmap_mode="r", allow_pickle=False)
                step = f"resizing the {split} images to {image_size} x {image_size}"
                resize.resize(
                    images, image_size, fresh / f"x_{split}.npy", _reporting(entry.name, step, around)
                )
                labels = np.load(whole.path / f"y_{split}.npy", mmap_mode="r", allow_pickle=False)
                entries.save(fresh, f"y_{split}", labels)
    return _made(path)


def verify(name: str) -> tuple[Verification, ...]:
    """What is damaged in the cached entries of a data set, in all its sizes, after hashing all of them.

    A catalogue set's whole entry is compared with the catalogue, all others with their own about.json.

    Raises:
        DatasetError: nothing of it is in the cache.
    """
    return verify_in(Surroundings.of_this_machine().root, name)


def verify_in(root: Path, name: str) -> tuple[Verification, ...]:
    """`verify` in a given cache. name may also be an entry's key, as `status` gives it."""
    folder = entries.folder(root)
    bases = [name]
    if name not in catalogue() and not (folder / name).is_dir():
        bases = list(provenance.entries_from(root, _existing(name)))
    paths = [
        path
        for path in _entry_folders(folder)
        if any(path.name == base or path.name.startswith(base + "@") for base in bases)
    ]
    if not paths:
        raise DatasetError(f"{name}: not in the cache {folder}", f"fetch it with `bakeoff data fetch {name}`")
    entries.forget_hashes()
    return tuple(
        Verification(path.name, path, entries.damage(path, _known_hashes(path.name))) for path in paths
    )


def status() -> tuple[Status, ...]:
    """Every catalogue set, in the cache or not, then all else that the cache has."""
    return status_in(Surroundings.of_this_machine().root)


def status_in(root: Path) -> tuple[Status, ...]:
    """`status` of a given cache."""
    found = {path.name: _status(path) for path in _entry_folders(entries.folder(root))}
    known = [found.pop(name, Status(name, entry.title, None, 0, "")) for name, entry in catalogue().items()]
    return (*known, *found.values())


def _prepare_whole(entry: Entry, around: Surroundings, anew: bool, only: str | None) -> Prepared:
    path = entries.folder(around.root) / entry.name
    if not anew and (kept := _sound(path, entry.sha256)):
        return kept  # without the lock: a cache that is complete may be read-only
    with entries.lock(around.root, entry.name, _waiting(entry.name, around)):
        if not anew and (kept := _sound(path, entry.sha256)):
            return kept  # another process made it while we waited
        problem = f"nothing in {path}"
        if not anew and entries.about_of(path) is not None:
            problem = "refused: " + "; ".join(entries.damage(path, entry.sha256))
            around.on_progress(
                Progress(entry.name, f"the cached copy is damaged, fetching it anew ({problem})")
            )
        obtained = sources.obtain(entry, around, only, problem)
        facts = _facts(entry) | {"source": {"kind": obtained.source, "detail": obtained.detail}}
        with entries.building(around.root, entry.name, facts) as fresh:
            for name, array in obtained.arrays.items():
                entries.save(fresh, name, array)
    return _made(path)


def known(name: str, image_size: int | None = None, scale: int = 1) -> Prepared | None:
    """The data set called `name` if the cache has it and its source is as it was; nothing is read or made.

    Raises:
        DatasetError: there is no such data set.
    """
    return known_in(Surroundings.of_this_machine(), name, image_size, scale)


def known_in(around: Surroundings, name: str, image_size: int | None, scale: int) -> Prepared | None:
    """`known` in a given cache."""
    kept: provenance.Kept | None = provenance.Kept(entries.key(name, image_size))
    if name not in catalogue():
        kept = provenance.kept_of(around.root, _existing(name), image_size)
    if kept is None:
        return None
    base = entries.read(entries.folder(around.root) / kept.entry)
    if base is not None and scale > 1:
        key = entries.scaled_key(kept.entry, scale, augment.RECIPE_VERSION)
        base = _sound(entries.folder(around.root) / key, made_from=base.digest)
    return replace(base, notes=kept.notes) if base else None


def _prepare_own(source: Path, around: Surroundings, image_size: int | None, anew: bool) -> Prepared:
    around.on_progress(Progress(source.name, "looking whether it has changed"))
    if not anew and (kept := _unchanged(source, around, image_size)):
        return kept
    lock_name = hashlib.sha256(str(source.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    with entries.lock(around.root, f"source-{lock_name}", _waiting(source.name, around)):
        if not anew and (kept := _unchanged(source, around, image_size)):
            return kept  # another process read it while we waited
        data = own.read(source, image_size, lambda step: around.on_progress(Progress(source.name, step)))
        facts = {
            "name": source.name,
            "title": source.name,
            "num_classes": data.num_classes,
            "class_names": data.class_names,
            "source": {"kind": "user", "detail": str(source.absolute())},
            "image_size": image_size,
            "resized_by": None if image_size is None else own.pillow(),
        }
        disk.require(
            around.root, sum(array.nbytes for array in data.arrays.values()), f"the copy of {source}"
        )
        with entries.naming(around.root, facts) as fresh:
            for split in ("train", "test"):
                images = data.arrays[f"x_{split}"]
                target = fresh.path / f"x_{split}.npy"
                if image_size is None or images.shape[1:3] == (image_size, image_size):
                    entries.save(fresh.path, f"x_{split}", images)
                else:
                    step = f"resizing the {split} images to {image_size} x {image_size}"
                    resize.resize(images, image_size, target, _reporting(source.name, step, around))
                entries.save(fresh.path, f"y_{split}", data.arrays[f"y_{split}"])
        came_to = provenance.Kept(fresh.key, data.notes)
        provenance.keep(around.root, source, image_size, data.inputs, came_to)
    return replace(_made(entries.folder(around.root) / fresh.key), name=source.name, notes=data.notes)


def _unchanged(source: Path, around: Surroundings, image_size: int | None) -> Prepared | None:
    """The entry that a source came to, if it is there, undamaged, and all that was read for it as it was."""
    kept = provenance.kept_of(around.root, source, image_size)
    sound = _sound(entries.folder(around.root) / kept.entry) if kept else None
    return replace(sound, name=source.name, notes=kept.notes) if sound and kept else None


def _sound(
    path: Path, known: Mapping[str, str] | None = None, made_from: str | None = None
) -> Prepared | None:
    """The entry in a folder if it is whole and undamaged and, where given, made from that other entry."""
    prepared = entries.read(path)
    if prepared is None or entries.damage(path, known):
        return None
    if made_from is not None and (entries.about_of(path) or {}).get("made_from") != made_from:
        return None
    return prepared


def _existing(name: str) -> Path:
    """The file or folder that `name` is the path of."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    close = difflib.get_close_matches(name, catalogue(), n=1)
    raise DatasetError(
        f"data set: got {name}, expected one of {', '.join(catalogue())}, or {own.EXPECTED} that exists",
        f"did you mean {close[0]}?" if close else "check the name; paths are relative to the current folder",
    )


def _facts(entry: Entry) -> dict[str, Any]:
    """What about.json tells of a catalogue entry."""
    return {
        "name": entry.name,
        "title": entry.title,
        "num_classes": entry.num_classes,
        "class_names": list(entry.class_names),
        "homepage": entry.homepage,
        "licence": entry.licence,
        "citation": entry.citation,
        "image_size": None,
    }


def _made(path: Path) -> Prepared:
    prepared = entries.read(path)
    if prepared is None:  # another program took it away under our hands
        raise DatasetError(f"{path}: vanished right after it was written", "try again")
    return prepared


def _known_hashes(entry_key: str) -> Mapping[str, str] | None:
    entry = catalogue().get(entry_key)
    return entry.sha256 if entry else None


def _entry_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _status(path: Path) -> Status:
    about = entries.about_of(path) or {}
    size_bytes = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    source = about.get("source", {})
    return Status(
        key=path.name,
        title=about.get("title", "unreadable entry"),
        path=path,
        size_bytes=size_bytes,
        source=f"{source.get('kind', '')}: {source.get('detail', '')}" if source else "",
    )


def _waiting(name: str, around: Surroundings) -> Any:
    return lambda: around.on_progress(Progress(name, "waiting for another process that prepares it"))


def _reporting(name: str, step: str, around: Surroundings) -> resize.OnBytes:
    return lambda done, total: around.on_progress(Progress(name, step, done, total))
