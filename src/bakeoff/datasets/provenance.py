"""Which entry each of the user's own sources came to, and what was read for it.

A source is known by its path, and trusted only while everything that was read for it is as it was: two
sources never share what is kept here. The entries themselves are known by their arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff import inputs
from bakeoff.datasets import disk, entries, own
from bakeoff.inputs import Inputs


@dataclass(frozen=True)
class Kept:
    """What a source came to: the key of its entry, and what was said when it was read."""

    entry: str
    notes: tuple[str, ...] = ()


def kept_of(root: Path, source: Path, image_size: int | None) -> Kept | None:
    """What a source gives now; None where only reading it can tell.

    Raises:
        DatasetError: a folder has a link that leads nowhere or in a circle.
    """
    document = _read(_file(root, source, image_size))
    if document is None or document["readers"] != own.readers():
        return None
    kept = Kept(str(document["entry"]), tuple(document["notes"]))
    try:
        before = inputs.from_document(document["inputs"])
    except (KeyError, TypeError):
        return None
    files = [str(file.absolute()) for file in own.files_of(source)]
    if source.suffix != ".py" and files != [path.path for path in before.paths]:
        return None
    now = before.looked_at_again()
    if now is None:
        return None
    if now != before:
        keep(root, source, image_size, now, kept)  # so that the next look is a cheap one
    return kept


def keep(root: Path, source: Path, image_size: int | None, made_from: Inputs | None, kept: Kept) -> None:
    """Remember what a source came to. made_from: None where that is not known in full, and never trusted."""
    file = _file(root, source, image_size)
    document = {
        "source": str(source.absolute()),
        "image_size": image_size,
        "readers": own.readers(),
        "inputs": None if made_from is None else made_from.document(),
        "entry": kept.entry,
        "notes": kept.notes,
    }
    with disk.writing(file.parent):
        entries.write_text(file, json.dumps(document))


def entries_from(root: Path, source: Path) -> Iterator[str]:
    """Keys of all entries that a source came to when it was last read, in any size."""
    for file in sorted(_folder(root).glob("*.json")):
        kept = _read(file)
        if kept is not None and kept["source"] == str(source.absolute()):
            yield kept["entry"]


def _folder(root: Path) -> Path:
    return entries.folder(root) / ".sources"


def _file(root: Path, source: Path, image_size: int | None) -> Path:
    name = json.dumps([str(source.absolute()), image_size])
    return _folder(root) / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return kept if kept.keys() >= {"source", "readers", "inputs", "entry", "notes"} else None
    except (OSError, ValueError, AttributeError):
        return None
