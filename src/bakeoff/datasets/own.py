"""The user's own data: ``.npz``, ``.parquet`` or ``.py`` files and image folders, checked thoroughly.

What the four forms look like is shown in docs/data.md. Every mistake is a DatasetError that names the
file, the array, what was got and what was expected.
"""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bakeoff import cache, inputs
from bakeoff.datasets import disk, tree
from bakeoff.datasets.catalogue import ARRAYS
from bakeoff.errors import DatasetError
from bakeoff.inputs import Inputs, look

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[Any]
OnStep = Callable[[str], None]

# Raised when the same file is to give other arrays than before, so that it is read anew.
#   2  links are followed
READER_VERSION = 2
PROGRAM_TIME_LIMIT_S = 1800.0
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_FORMS = "a .npz, .parquet or .py file, or a folder with train/<class>/ and test/<class>/ images"


@dataclass(frozen=True)
class OwnData:
    """Checked arrays: images (N, H, W, C) uint8 or float32, labels (N,) int64 from 0 without gaps.

    class_names: known for image folders and for Parquet files with text labels. inputs: what they were made
    from; None where that can't be told in full, and only reading them anew shows whether they have changed.
    """

    arrays: Mapping[str, Array]
    num_classes: int
    class_names: list[str] | None
    inputs: Inputs | None = None


def read(path: Path, side: int | None, on_step: OnStep) -> OwnData:
    """The user's arrays. side: resize encoded images while they are decoded; arrays are left as they are.

    Raises:
        DatasetError: any mistake in the data.
    """
    on_step("reading")
    made_from = None if path.suffix == ".py" else _looked(files_of(path))
    if path.is_dir():
        raw, class_names = _read_folder(path, side)
    elif path.suffix == ".npz":
        raw, class_names = _read_npz(path), None
    elif path.suffix == ".parquet":
        raw, class_names = _read_parquet(path, side)
    elif path.suffix == ".py":
        on_step("running load()")
        (raw, made_from), class_names = read_program(path), None
    else:
        raise DatasetError(f"{path}: got a file ending in {path.suffix or 'nothing'}, expected {_FORMS}")
    on_step("checking")
    data = checked(str(path), raw, class_names)
    if made_from and path.suffix != ".py":
        made_from = made_from.looked_at_again()  # None if written while it was read: who knows what was read
    return replace(data, inputs=made_from)


def files_of(path: Path) -> list[Path]:
    """The files that a source of data consists of, as far as its form tells; of a program, the program.

    Raises:
        DatasetError: a link that leads nowhere, or back to a folder that it lies in.
    """
    return tree.visible_files(path) if path.is_dir() else [path]


def readers() -> str:
    """What decodes a user's data, in a line: other versions may give other arrays."""
    versions = [f"reader {READER_VERSION}", f"Python {platform.python_version()}"]
    for library in ("numpy", "pillow", "polars", "pandas", "scipy"):
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{library} {metadata.version(library)}")
    return ", ".join(versions)


def pillow() -> str:
    """The library and version that resizes images."""
    return f"Pillow {metadata.version('pillow')}, bilinear"


def _looked(files: Sequence[Path | str]) -> Inputs:
    try:
        return look(files)
    except OSError as error:
        raise DatasetError(f"{error.filename}: can't be read ({error.strerror})") from error


# ---- checks ---------------------------------------------------------------------------------------


def checked(label: str, raw: Mapping[str, Array], class_names: list[str] | None = None) -> OwnData:
    """`raw` in the form that runs use. label: names the data in messages.

    Raises:
        DatasetError: the first mistake found, by array.
    """
    if missing := [name for name in ARRAYS if name not in raw]:
        raise DatasetError(
            f"{label}: got arrays {', '.join(sorted(raw)) or 'none'}; missing {', '.join(missing)}",
            "save it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
        )
    images = {name: _images(f"{label}: {name}", raw[name]) for name in ("x_train", "x_test")}
    labels = {name: _labels(f"{label}: {name}", raw[name]) for name in ("y_train", "y_test")}
    for split in ("train", "test"):
        x, y = images[f"x_{split}"], labels[f"y_{split}"]
        if len(x) != len(y):
            raise DatasetError(
                f"{label}: y_{split}: got {len(y):,} labels, expected {len(x):,}, one for each of x_{split}"
            )
    if images["x_train"].shape[1:] != images["x_test"].shape[1:]:
        raise DatasetError(
            f"{label}: x_test: got images of shape {images['x_test'].shape[1:]}, "
            f"expected {images['x_train'].shape[1:]} as in x_train",
            "bring all images to one size",
        )
    if images["x_train"].dtype != images["x_test"].dtype:
        raise DatasetError(
            f"{label}: x_test: got {images['x_test'].dtype}, expected {images['x_train'].dtype} as in x_train"
        )
    return OwnData({**images, **labels}, _num_classes(label, labels), class_names)


def _images(label: str, array: Array) -> Array:
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DatasetError(
            f"{label}: got dtype {array.dtype}, expected uint8 (0 to 255) or floating point",
            'convert it, for example with .astype("uint8") if all values are from 0 to 255',
        )
    if array.ndim not in (3, 4):
        raise DatasetError(
            f"{label}: got shape {array.shape}, expected (N, H, W) or (N, H, W, C)",
            "reshape flat images to their height and width",
        )
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if len(array) == 0:
        raise DatasetError(f"{label}: got no images, expected at least one")
    if 0 in array.shape:
        raise DatasetError(f"{label}: got shape {array.shape}, expected no empty axis")
    if array.shape[1] in (1, 3) and array.shape[3] > 4:
        raise DatasetError(
            f"{label}: got shape {array.shape}, which looks like channels first; expected (N, H, W, C)",
            "transpose it with .transpose(0, 2, 3, 1)",
        )
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused below
            array = array.astype(np.float32)
        if not (finite := np.isfinite(array).all(axis=(1, 2, 3))).all():
            bad = np.flatnonzero(~finite)
            raise DatasetError(
                f"{label}: got NaN or infinite pixels in {len(bad):,} images, first in image {bad[0]}; "
                "expected finite float32 values",
                "repair or remove these images",
            )
    return np.ascontiguousarray(array)


def _labels(label: str, array: Array) -> Array:
    if array.ndim == 2 and array.shape[1] == 1:  # as Keras gives CIFAR-10
        array = array[:, 0]
    if array.ndim != 1:
        hint = "turn one-hot rows into class numbers with .argmax(axis=1)" if array.ndim == 2 else ""
        raise DatasetError(f"{label}: got shape {array.shape}, expected (N,) class numbers", hint)
    if array.dtype.kind not in "iu":
        raise DatasetError(
            f"{label}: got dtype {array.dtype}, expected whole numbers from 0",
            'convert it with .astype("int64")',
        )
    if len(array) == 0:
        raise DatasetError(f"{label}: got no labels, expected at least one")
    if array.min() < 0:
        raise DatasetError(f"{label}: got label {array.min()}, expected whole numbers from 0")
    return array.astype(np.int64)


def _num_classes(label: str, labels: Mapping[str, Array]) -> int:
    present = np.unique(labels["y_train"])
    if len(present) == 1:
        raise DatasetError(
            f"{label}: y_train: got the one class {present[0]}, expected at least two",
            "a classifier needs something to tell apart",
        )
    if present[-1] != len(present) - 1:
        absent = next(i for i in range(len(present)) if present[i] != i)
        raise DatasetError(
            f"{label}: y_train: got labels up to {present[-1]} without {absent}, expected 0 to "
            f"{len(present) - 1} for its {len(present)} classes",
            "renumber with np.unique(labels, return_inverse=True)",
        )
    if (highest := labels["y_test"].max()) >= len(present):
        raise DatasetError(
            f"{label}: y_test: got label {highest}, expected 0 to {len(present) - 1}, the labels of y_train"
        )
    return len(present)


# ---- the four forms -------------------------------------------------------------------------------


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            # A small file may unpack to anything: ask for room before unpacking.
            unpacked_bytes = sum(archive.getinfo(name).file_size for name in archive.namelist())
        disk.require(cache.root(), unpacked_bytes, f"the arrays of {path}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _member(path, arrays, name) for name in arrays.files if name in ARRAYS}
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path}: can't be read as .npz ({error})", "save it anew with np.savez"
        ) from error


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


def _read_folder(path: Path, side: int | None) -> tuple[dict[str, Array], list[str]]:
    class_names = [folder.name for folder in tree.visible_folders(path / "train")]
    if not class_names:
        raise DatasetError(f"{path}: got no train/<class>/ folders, expected {_FORMS}")
    unknown = [
        folder.name for folder in tree.visible_folders(path / "test") if folder.name not in class_names
    ]
    if unknown:
        raise DatasetError(
            f"{path / 'test'}: got classes {', '.join(unknown)}, which train doesn't have; "
            f"expected {', '.join(class_names)}"
        )
    pictures, labels = {}, {}
    for split in ("train", "test"):
        files = [
            (file, number)
            for number, name in enumerate(class_names)
            if (path / split / name).is_dir()
            for file in tree.visible_files(path / split / name)
        ]
        if strange := [file for file, _ in files if file.suffix.lower() not in _PICTURES]:
            raise DatasetError(
                f"{strange[0]}: got a {strange[0].suffix} file, expected {', '.join(_PICTURES)}"
            )
        if not files:
            raise DatasetError(f"{path / split}: got no images, expected at least one in a class folder")
        pictures[split] = [_picture(file, str(file), side) for file, _ in files]
        labels[split] = np.array([number for _, number in files], np.int64)
    return _stacked(pictures, labels), class_names


def _read_parquet(path: Path, side: int | None) -> tuple[dict[str, Array], list[str] | None]:
    import polars as pl

    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path}: can't be read as Parquet ({str(error).splitlines()[0]})") from error
    if missing := [name for name in ("image", "label", "split") if name not in table.columns]:
        raise DatasetError(
            f"{path}: got columns {', '.join(table.columns)}; missing {', '.join(missing)}",
            "expected image (encoded bytes, or numbers and a column shape), label, and split (train or test)",
        )
    for name in ("image", "label", "split"):
        if nulls := table[name].null_count():
            raise DatasetError(f"{path}: column {name}: got {nulls} empty cells, expected none")
    splits = set(table["split"].cast(pl.String).unique())
    if splits != {"train", "test"}:
        raise DatasetError(f"{path}: column split: got {', '.join(sorted(splits))}, expected train and test")
    numbers, class_names = _column_labels(path, table["label"])
    is_train = (table["split"].cast(pl.String) == "train").to_numpy()
    pictures = _column_images(path, table, side)
    chosen = {"train": np.flatnonzero(is_train), "test": np.flatnonzero(~is_train)}
    return (
        _stacked(
            {split: [pictures[i] for i in rows] for split, rows in chosen.items()},
            {split: numbers[rows] for split, rows in chosen.items()},
        ),
        class_names,
    )


def _column_labels(path: Path, column: pl.Series) -> tuple[Array, list[str] | None]:
    """Class numbers; texts are numbered in alphabetical order."""
    if column.dtype.is_integer():
        return column.to_numpy(), None
    import polars as pl

    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        raise DatasetError(f"{path}: column label: got {column.dtype}, expected whole numbers or text")
    texts = column.cast(pl.String).to_list()
    class_names = sorted(set(texts))
    numbers = {text: number for number, text in enumerate(class_names)}
    return np.array([numbers[text] for text in texts], np.int64), class_names


def _column_images(path: Path, table: pl.DataFrame, side: int | None) -> list[tuple[str, Array]]:
    """Every row's image with its name for messages."""
    import polars as pl

    column = table["image"]
    if isinstance(column.dtype, pl.Struct) and "bytes" in [field.name for field in column.dtype.fields]:
        column = column.struct.field("bytes")  # the layout of Hugging Face's image columns
    names = [f"{path}: row {row}" for row in range(len(column))]
    if column.dtype == pl.Binary:
        return [_picture(io.BytesIO(cell), name, side) for cell, name in zip(column, names, strict=True)]
    if not isinstance(column.dtype, pl.List | pl.Array):
        raise DatasetError(
            f"{path}: column image: got {column.dtype}, expected encoded bytes or lists of numbers"
        )
    shape = _row_shape(path, table, column.dtype)
    images = []
    for cell, name in zip(column, names, strict=True):
        pixels = np.asarray(cell.to_numpy() if isinstance(cell, pl.Series) else cell)
        if pixels.size != np.prod(shape):
            raise DatasetError(
                f"{name}: image: got {pixels.size} numbers, expected {np.prod(shape)} for shape {shape}"
            )
        images.append((name, pixels.reshape(shape)))
    return images


def _row_shape(path: Path, table: pl.DataFrame, dtype: pl.DataType) -> tuple[int, ...]:
    """The images' shape (H, W, C): from the column shape, or fixed in the type of the image column."""
    import polars as pl

    if "shape" in table.columns:
        shapes = {tuple(shape) for shape in table["shape"].to_list()}
        if len(shapes) != 1:
            raise DatasetError(f"{path}: column shape: got {len(shapes)} different shapes, expected one")
        shape = shapes.pop()
    elif isinstance(dtype, pl.Array) and len(dtype.shape) > 1:
        shape = dtype.shape
    else:
        raise DatasetError(
            f"{path}: column image holds lists of numbers, but there is no column shape",
            "add a column shape with [H, W] or [H, W, C] in every row",
        )
    if len(shape) not in (2, 3) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise DatasetError(f"{path}: column shape: got {list(shape)}, expected [H, W] or [H, W, C]")
    return (*shape, 1) if len(shape) == 2 else shape


def read_program(
    path: Path, time_limit_s: float = PROGRAM_TIME_LIMIT_S
) -> tuple[dict[str, Array], Inputs | None]:
    """What the ``load()`` of a Python file returns, called in a process of its own, and what it read.

    None instead of the latter where it did what can't be seen into (asked the network, started processes,
    loaded native code that may open files by itself), or where files were written meanwhile.

    Raises:
        DatasetError: it failed, crashed, took too long, or returned something else; with its last lines.
    """
    began_ns = inputs.now_ns()
    with tempfile.TemporaryDirectory(prefix="bakeoff-load-") as folder:
        status, last_lines = _run_program(path, Path(folder), time_limit_s)
        if status is None:
            raise DatasetError(
                f"{path}: load() had not returned after {time_limit_s:g} s\n{last_lines}".rstrip(),
                "let it write its arrays to a .npz file once, and name that file",
            )
        if status != 0:
            ended = f"was killed by {signal.Signals(-status).name}" if status < 0 else "failed"
            raise DatasetError(
                f"{path}: load() {ended}:\n{last_lines}", "run the file alone to see all it says"
            )
        try:
            arrays = {name: np.load(Path(folder) / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
            seen = json.loads((Path(folder) / "read.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{path}: load() ended before it returned ({error})") from error
        made_from = None if seen["blind_spots"] else _looked(inputs.paths_of(seen, path))
        return arrays, made_from if made_from and made_from.settled_before(began_ns) else None


def _run_program(path: Path, folder: Path, time_limit_s: float) -> tuple[int | None, str]:
    """Exit status (None: out of time) and the last lines that the program wrote to its error output."""
    # -P: a module beside the user's file must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", "bakeoff.datasets.load_program", str(path.absolute()), str(folder)]
    with (folder / "output.txt").open("w+b") as output:
        # stdin stays open as long as we live; the child ends when it closes.
        child = subprocess.Popen(
            command,
            cwd=path.absolute().parent,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # or the order of a set of texts is another each time
        )
        try:
            status: int | None = child.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(child)
        output.seek(max(0, output.seek(0, io.SEEK_END) - 4000))
        return status, "\n".join(output.read().decode(errors="replace").strip().splitlines()[-6:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started; nothing happens if they have ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    if child.stdin:
        child.stdin.close()
    child.wait()


# ---- images and files -----------------------------------------------------------------------------


def _picture(content: Any, name: str, side: int | None) -> tuple[str, Array]:
    from bakeoff.datasets import resize

    return name, resize.decoded(content, name, side)


def _stacked(
    pictures: Mapping[str, Sequence[tuple[str, Array]]], labels: Mapping[str, Array]
) -> dict[str, Array]:
    """The four arrays from single images; greyscale ones become colour where others are."""
    everything = [picture for split in pictures.values() for picture in split]
    first_name, first = everything[0]
    channels = max(image.shape[2] for _, image in everything)
    for name, image in everything:
        if image.shape[:2] != first.shape[:2]:
            raise DatasetError(
                f"{name}: got {image.shape[1]} x {image.shape[0]} pixels, expected {first.shape[1]} x "
                f"{first.shape[0]} as in {first_name}",
                "set image_size, and all images are resized to it",
            )
    arrays: dict[str, Array] = {}
    for split, chosen in pictures.items():
        wide = [
            image if image.shape[2] == channels else np.repeat(image, channels, axis=2) for _, image in chosen
        ]
        arrays |= {f"x_{split}": np.stack(wide), f"y_{split}": labels[split]}
    return arrays
