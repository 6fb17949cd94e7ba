"""``.npz`` files, whatever their author called the arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.datasets.catalogue import ARRAYS
from bakeoff.datasets.own.raw import Array, Raw, require_memory
from bakeoff.errors import DatasetError

# In lower case; the second as MedMNIST has them.
_CALLED = {
    "x_train": ("x_train", "train_images"),
    "y_train": ("y_train", "train_labels"),
    "x_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
}
_VALIDATION = ("x_val", "x_valid", "val_images")


def read_npz(path: Path) -> Raw:
    """The four arrays of an ``.npz`` file; none is read before its claimed size was held against memory.

    Raises:
        DatasetError: damaged, too large, pickled, or without an array that is needed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {
                name.removesuffix(".npy"): _header(archive, name)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        names = _names(path, headers)
        for name in names.values():
            if header := headers[name]:
                require_memory(f"{path}: {name}", *header)
        with np.load(path, allow_pickle=False) as arrays:
            read = {ours: _member(path, arrays, name) for ours, name in names.items()}
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path}: can't be read as .npz ({error})", "save it anew with np.savez"
        ) from error
    unused = [header[0][0] for name, header in headers.items() if name.lower() in _VALIDATION and header]
    notes = (
        [f"{unused[0]:,} validation images are left out: nothing trains or tests on them"] if unused else []
    )
    return Raw(read, notes=tuple(notes))


def _names(path: Path, headers: Mapping[str, Any]) -> dict[str, str]:
    """What the file calls each of the four arrays.

    Raises:
        DatasetError: it lacks one; says all that it has.
    """
    lower = {name.lower(): name for name in headers}
    found = {
        ours: next((lower[name] for name in called if name in lower), None)
        for ours, called in _CALLED.items()
    }
    if missing := [name for name in ARRAYS if found[name] is None]:
        raise DatasetError(
            f"{path}: got arrays {', '.join(headers) or 'none'}; missing {', '.join(missing)}",
            "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
        )
    return {ours: name for ours, name in found.items() if name is not None}


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and type that an array claims; None where its header is of no known version."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            return None
        shape, _, dtype = readers[version](member)
        return shape, dtype


def _member(path: Path, arrays: Any, name: str) -> Array:
    try:
        return np.asarray(arrays[name])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DatasetError(
            f"{path}: {name}: got dtype object, expected numbers; Python objects (pickles) are never loaded",
            "give all images the same shape, then save them as one array",
        ) from error
