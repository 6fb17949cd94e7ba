"""Training images as a folder of Parquet files, as the executors of a cluster read them.

A row has ``index`` (int32, the image's row in ``x_train``), ``label`` (int32) and ``image`` (binary: the
pixels in C order, bytes or little-endian float32). Rows lie in a random order that the data set's digest
fixes, so that each file is a sample of the whole even where the arrays are sorted by class. ``_about.json``,
whose name Spark passes over, has what a reader needs to make arrays of them; the files' own metadata
have the same under the key ``bakeoff``.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bakeoff.datasets import disk, entries
from bakeoff.datasets.entries import Prepared
from bakeoff.events import Listener, Step, ignore

Array = npt.NDArray[Any]

# History of these folders: 1 first version.
FORMAT = 1
ABOUT = "_about.json"
# A cluster of any even layout, up to 40 tasks at once, gets whole files, the same number for each task.
NUM_FILES = 40
# Larger ones only make writing and reading clumsy; what is cut further has a multiple of NUM_FILES.
_FILE_BYTES = 128 << 20
# Parts of a file that more tasks than files may share.
_GROUP_BYTES = 4 << 20


def parquet_files(prepared: Prepared, num_files: int = NUM_FILES, *, listener: Listener = ignore) -> Path:
    """The folder of Parquet files with a prepared set's training images; made once, then hashed.

    It lies in ``parquet/`` beside the cache's ``datasets/``. num_files: files of the same number of rows
    (±1), fewer where there are fewer rows, a multiple where they would be larger than 128 MB.

    Raises:
        MachineError: no room, or the cache can't be written.
    """
    root = prepared.path.parent.parent
    target = root / "parquet" / prepared.path.name / f"{num_files}-files"
    if _is_sound(target, prepared):
        return target  # without the lock: a cache that is complete may be read-only

    def tell_waiting() -> None:
        listener(Step(prepared.name, "waiting for another process that writes its Parquet files"))

    with entries.lock(root, f"{prepared.path.name}-{num_files}-parquet", tell_waiting):
        if not _is_sound(target, prepared):  # else another process made them while we waited
            images = np.load(prepared.path / "x_train.npy", mmap_mode="r", allow_pickle=False)
            disk.require(root, images.nbytes, f"{prepared.name} as Parquet files")
            with entries.placing(target) as fresh:
                _write(prepared, images, num_files, fresh, listener)
    return target


def _write(prepared: Prepared, images: Array, num_files: int, fresh: Path, listener: Listener) -> None:
    labels = np.load(prepared.path / "y_train.npy", allow_pickle=False)
    num_files *= -(-images.nbytes // (num_files * _FILE_BYTES))
    height, width, channels = prepared.image_shape
    about = {
        "format": FORMAT,
        "name": prepared.name,
        "made_from": prepared.digest,
        "num_rows": prepared.num_train,
        "num_classes": prepared.num_classes,
        "height": height,
        "width": width,
        "channels": channels,
        "dtype": str(images.dtype),
    }
    files: list[dict[str, Any]] = []
    for number, rows in enumerate(np.array_split(_order(prepared), min(num_files, prepared.num_train))):
        content = _file(images, labels, rows, about)
        name = f"part-{number:05d}.parquet"
        # Written by us, not by Polars: a full disk then is an error that says so.
        (fresh / name).write_bytes(content)
        files.append(
            {
                "name": name,
                "num_rows": len(rows),
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        done = sum(file["num_rows"] for file in files) * images[0].nbytes
        listener(Step(prepared.name, "writing Parquet files", done, images.nbytes))
    (fresh / ABOUT).write_text(json.dumps({**about, "files": files}, indent=1) + "\n", encoding="utf-8")


def _file(images: Array, labels: Array, rows: Array, about: dict[str, Any]) -> bytes:
    """One Parquet file, compressed as Spark itself does unless it is told otherwise."""
    import polars as pl

    frame = pl.DataFrame(
        {
            "index": pl.Series(rows, dtype=pl.Int32),
            "label": pl.Series(labels[rows], dtype=pl.Int32),
            "image": pl.Series([image.tobytes() for image in images[rows]], dtype=pl.Binary),
        }
    )
    buffer = io.BytesIO()
    frame.write_parquet(
        buffer,
        compression="snappy",
        statistics=False,  # nobody looks for the least image
        row_group_size=max(1, _GROUP_BYTES // images[0].nbytes),
        metadata={"bakeoff": json.dumps(about)},
    )
    return buffer.getvalue()


def _order(prepared: Prepared) -> Array:
    """Rows of ``x_train`` in the order of the files."""
    seed = np.frombuffer(hashlib.sha256(f"{prepared.digest}/parquet".encode()).digest(), "<u4")
    return np.random.RandomState(seed).permutation(prepared.num_train)


def _is_sound(target: Path, prepared: Prepared) -> bool:
    """Whether the folder was made by this version from those very arrays, and is as it was made."""
    try:
        about = json.loads((target / ABOUT).read_text(encoding="utf-8"))
        if about["format"] != FORMAT or about["made_from"] != prepared.digest:
            return False
        return all(_sha256(target / file["name"]) == str(file["sha256"]) for file in about["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
