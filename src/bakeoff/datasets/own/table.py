"""Tables of images: Parquet files (also as Hugging Face lays them) and CSV files (as Kaggle has them)."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bakeoff.datasets import resize, tree
from bakeoff.datasets.own import splits
from bakeoff.datasets.own.raw import Array, Failures, Picture, Raw, listed, require_memory, stacked
from bakeoff.errors import DatasetError

# What columns are called, in any case; the first that there is counts.
_IMAGE = ("image", "img")
_LABEL = ("label", "labels", "class", "emotion")
_SPLIT = ("split", "usage")
_PIXEL_TEXT = "pixels"


@dataclass(frozen=True)
class _Rows:
    """Rows of one file. split: what the file's name says; None where a column or nobody says it."""

    path: Path
    table: pl.DataFrame
    split: str | None
    class_names: Sequence[str] | None = None

    def column(self, called: Sequence[str]) -> pl.Series | None:
        """The column that is called so, in any case."""
        lower = {name.lower(): name for name in reversed(self.table.columns)}
        return next((self.table[lower[name]] for name in called if name in lower), None)

    @property
    def names(self) -> Sequence[str]:
        """The columns that the file has."""
        return [name for name in self.table.columns if name != _ROW]

    def filled(self, called: Sequence[str]) -> pl.Series:
        """The same where there has to be one, without empty cells.

        Raises:
            DatasetError: there is none, or it has gaps.
        """
        found = self.column(called)
        if found is None:
            raise DatasetError(
                f"{self.path}: got columns {listed([*self.names])}; missing {called[0]}",
                "expected image (encoded bytes, or numbers and a column shape), label, and split (train or "
                "test); docs/data.md shows the forms",
            )
        if nulls := found.null_count():
            raise DatasetError(f"{self.path}: column {found.name}: got {nulls:,} empty cells, expected none")
        return found


def read_tables(source: Path, side: int | None) -> Raw:
    """The images of a Parquet or CSV file, or of a folder with one or more for each split.

    Raises:
        DatasetError: any mistake in them.
    """
    files = tree.table_files(source) if source.is_dir() else [source]
    split_of = {file: _split_of(file, source) for file in files}
    if source.is_dir():
        _check_folder(source, split_of)
    else:
        _check_alone(source, split_of[source])
    _require_memory(source, files, side)
    notes: list[str] = []
    read = []
    for file in files:
        rows = _read(file, split_of[file])
        if source.is_dir() and rows.column(_LABEL) is None and rows.split == "test":
            notes.append(f"{file.name} has no labels and is left out")
        else:
            read.append(rows)
    by_split = _by_split(source, read)
    sizes = {split: sum(len(rows.table) for rows in parts) for split, parts in by_split.items()}
    roles = splits.roles(str(source), sizes) if by_split.keys() != {""} else splits.Roles("", None)
    labels, class_names, numbering = _labels(source, by_split, roles)
    pictures = _pictures(source, {split: by_split[split] for split in labels}, side)
    if roles.test is None:
        names = [f"row {number}" for number in range(len(pictures[roles.train]))]  # wherever the file lies
        of_class = labels[roles.train]
        is_test = splits.drawn(
            str(source), names, of_class, class_names or [str(number) for number in range(of_class.max() + 1)]
        )
        notes.append(splits.drawn_note(is_test))
        everything = pictures[roles.train]
        chosen = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
        pictures = {split: [everything[i] for i in rows] for split, rows in chosen.items()}
        labels = {split: of_class[rows] for split, rows in chosen.items()}
    else:
        pictures = {"train": pictures[roles.train], "test": pictures[roles.test]}
        labels = {"train": labels[roles.train], "test": labels[roles.test]}
    notes = [note for note in (roles.note, numbering, *notes) if note]
    return Raw(stacked(pictures, labels), class_names, tuple(notes))


# ---- files and splits -----------------------------------------------------------------------------


def _split_of(file: Path, source: Path) -> str | None:
    """What a file's name, or the folder that it lies in, says of its split."""
    if split := splits.split_of_file(file.stem):
        return split
    return splits.split_called(file.parent.name) if file.parent != source else None


def _check_folder(source: Path, split_of: Mapping[Path, str | None]) -> None:
    if nameless := [str(file) for file, split in split_of.items() if split is None]:
        raise DatasetError(
            f"{source}: {listed(nameless)}: the names don't say which split this is",
            "call them train… and test…, or name one file with a column split",
        )
    for split in set(split_of.values()):
        if len(folders := {file.parent for file in split_of if split_of[file] == split}) > 1:
            raise DatasetError(
                f"{source}: got {split} files in several folders: {listed(sorted(map(str, folders)))}; "
                "expected one data set",
                f"name one of them, or the folder above it: {sorted(folders)[0].parent}",
            )


def _check_alone(path: Path, split: str | None) -> None:
    """One split's file alone is half of a data set: its own images would test it."""
    others = {splits.split_of_file(file.stem) for file in path.parent.glob(f"*{path.suffix}")} - {None, split}
    if split is not None and others:
        raise DatasetError(
            f"{path}: is the {split} split alone; beside it lies {', '.join(sorted(filter(None, others)))}",
            f"name the folder, and all splits are read: {path.parent}",
        )


def _require_memory(source: Path, files: Sequence[Path], side: int | None) -> None:
    """Return if what all files claim by their numbers of rows and their first ones fits; no more is read.

    Raises:
        DatasetError: it doesn't, or a file can't be read.
    """
    num_rows, largest = 0, (0, 0, 0)
    kind: np.dtype[Any] = np.dtype(np.uint8)
    for path in files:
        with _reading(path):
            if path.suffix == ".csv":
                with path.open(encoding="utf-8", errors="replace") as file:
                    _, line = file.readline(), file.readline()
                    num_rows += 1 + sum(1 for _ in file)
                # As a table of whole numbers, which it is until it is known to be pixels.
                claimed, kind = (1, 1, len(line.replace(" ", ",").split(","))), np.dtype(np.int64)
            else:
                rows = pl.scan_parquet(path)
                num_rows += int(rows.select(pl.len()).collect().item())
                claimed = _claimed(_Rows(path, rows.head(1).collect(), None), side)
            largest = max(largest, claimed, key=math.prod)
    require_memory(str(source), (num_rows, *largest), kind)


def _claimed(first: _Rows, side: int | None) -> tuple[int, int, int]:
    """(H, W, C) of the image in a row, as far as that row tells; nothing of what will be refused anyway."""
    column = first.column(_IMAGE)
    cell = None if column is None or column.is_empty() else column[0]
    if isinstance(cell, dict):  # the layout of Hugging Face's image columns
        cell = cell.get("bytes")
    if isinstance(cell, bytes):
        return resize.shape_of(io.BytesIO(cell), str(first.path), side)
    return (0, 0, 0) if cell is None else (1, 1, int(np.asarray(cell).size))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    kind = "Parquet" if path.suffix == ".parquet" else "CSV"
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path}: can't be read as {kind} ({str(error).splitlines()[0]})") from error


def _read(path: Path, split: str | None) -> _Rows:
    with _reading(path):
        if path.suffix == ".parquet":
            return _Rows(path, pl.read_parquet(path), split, _hugging_face_names(path))
        with path.open(encoding="utf-8", errors="replace") as file:
            has_header = not _are_numbers(file.readline().split(","))
        table = pl.read_csv(path, has_header=has_header, infer_schema_length=None)
    if not has_header:  # as MNIST is passed on: the label, then the pixels
        table = table.rename({table.columns[0]: _LABEL[0]})
    return _Rows(path, table, split)


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(cell.strip().removeprefix("-").replace(".", "", 1).isdigit() for cell in cells)


def _hugging_face_names(path: Path) -> Sequence[str] | None:
    """The names of the classes that `datasets` writes beside a ClassLabel column."""
    try:
        features = json.loads(pl.read_parquet_metadata(path)["huggingface"])["info"]["features"]
        (names,) = (one["names"] for name, one in features.items() if name.lower() in _LABEL)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return [str(name) for name in names]


def _by_split(source: Path, read: Sequence[_Rows]) -> dict[str, list[_Rows]]:
    """Rows by split; all under ``""`` where nothing tells splits apart."""
    found: dict[str, list[_Rows]] = {}
    for rows in read:
        column = rows.column(_SPLIT)
        if rows.split is not None or column is None:
            found.setdefault(rows.split or "", []).append(rows)
            continue
        cells = rows.filled(_SPLIT).cast(pl.String)
        called = {cell: splits.split_called(cell) for cell in cells.unique().sort().to_list()}
        if unknown := [cell for cell, split in called.items() if split is None]:
            raise DatasetError(
                f"{source}: column {column.name}: got {listed(unknown)}, expected train, test or validation"
            )
        of_row = cells.replace_strict(called, return_dtype=pl.String)
        for split in dict.fromkeys(called.values()):
            chosen = rows.table.with_row_index(_ROW).filter(of_row == split)
            found.setdefault(str(split), []).append(_Rows(rows.path, chosen, split, rows.class_names))
    return found


_ROW = "bakeoff row"  # a row's number in its file, for messages


# ---- labels ---------------------------------------------------------------------------------------


def _labels(
    source: Path, by_split: Mapping[str, Sequence[_Rows]], roles: splits.Roles
) -> tuple[dict[str, Array], Sequence[str] | None, str]:
    """Class numbers by split, the classes' names, and what was done to number them.

    Texts are numbered in alphabetical order; whole numbers stay where they have no gaps.
    """
    chosen = [split for split in (roles.train, roles.test) if split is not None]
    columns = {split: [(rows, rows.filled(_LABEL)) for rows in by_split[split]] for split in chosen}
    texts, numbers = (pl.String, pl.Categorical, pl.Enum), {}
    for split, parts in columns.items():
        for rows, column in parts:
            if not (column.dtype.is_integer() or column.dtype in texts):
                raise DatasetError(
                    f"{rows.path}: column {column.name}: got {column.dtype}, expected whole numbers or text"
                )
        numbers[split] = [cell for _, column in parts for cell in column.to_list()]
    if len({type(cell) for cells in numbers.values() for cell in cells}) > 1:
        raise DatasetError(f"{source}: labels are numbers in one file and texts in another")
    names = next((rows.class_names for parts in columns.values() for rows, _ in parts), None)
    present = sorted(set(numbers[roles.train]))
    if isinstance(present[0], int) and (present[0] < 0 or present == list(range(len(present)))):
        return (
            {split: np.array(cells, np.int64) for split, cells in numbers.items()},
            names if names is not None and len(names) == len(present) else None,
            "",
        )
    number_of = {cell: number for number, cell in enumerate(present)}
    for split, cells in numbers.items():
        if unknown := sorted({str(cell) for cell in cells if cell not in number_of}):
            raise DatasetError(f"{source}: {split}: got labels {listed(unknown)}, which train doesn't have")
    class_names = [
        names[cell] if names is not None and isinstance(cell, int) and cell < len(names) else str(cell)
        for cell in present
    ]
    note = (
        "" if isinstance(present[0], str) else f"labels {_series(present)} are numbered from 0 without gaps"
    )
    return (
        {split: np.array([number_of[cell] for cell in cells], np.int64) for split, cells in numbers.items()},
        class_names,
        note,
    )


def _series(numbers: Sequence[int]) -> str:
    shown = [str(number) for number in numbers[:12]]
    return ", ".join(shown) + (" …" if len(numbers) > len(shown) else "")


# ---- images ---------------------------------------------------------------------------------------


def _pictures(
    source: Path, by_split: Mapping[str, Sequence[_Rows]], side: int | None
) -> dict[str, list[Picture]]:
    failures = Failures([])
    found = {
        split: [picture for rows in parts for picture in _of_rows(rows, side, failures)]
        for split, parts in by_split.items()
    }
    failures.raise_all(sum(map(len, found.values())) + len(failures.found))
    return found


def _of_rows(rows: _Rows, side: int | None, failures: Failures) -> list[Picture]:
    """Every row's image with its name for messages."""
    of_file = rows.table[_ROW] if _ROW in rows.table.columns else range(len(rows.table))
    names = [f"{rows.path}: row {row}" for row in of_file]
    if rows.path.suffix == ".csv":
        return list(zip(names, _pixel_columns(rows), strict=True))
    column = rows.filled(_IMAGE)
    if isinstance(column.dtype, pl.Struct) and "bytes" in [field.name for field in column.dtype.fields]:
        column = column.struct.field("bytes")  # the layout of Hugging Face's image columns
        if column.null_count():
            raise DatasetError(
                f"{rows.path}: column image: {column.null_count():,} of {len(column):,} images are paths "
                "alone, without their bytes; expected the encoded images in the file",
                "name the folder that the images lie in, or write the file with their bytes",
            )
    if column.dtype == pl.Binary:
        pictures = []
        for cell, name in zip(column, names, strict=True):
            with failures.gathered():
                pictures.append((name, resize.decoded(io.BytesIO(cell), name, side)))
        return pictures
    if not isinstance(column.dtype, pl.List | pl.Array):
        raise DatasetError(
            f"{rows.path}: column {column.name}: got {column.dtype}, "
            "expected encoded bytes or lists of numbers"
        )
    shape = _row_shape(rows, column.dtype)
    images = []
    for cell, name in zip(column, names, strict=True):
        pixels = np.asarray(cell.to_numpy() if isinstance(cell, pl.Series) else cell)
        if pixels.size != math.prod(shape):
            raise DatasetError(
                f"{name}: image: got {pixels.size} numbers, expected {math.prod(shape)} for shape {shape}"
            )
        images.append((name, pixels.reshape(shape)))
    return images


def _row_shape(rows: _Rows, dtype: pl.DataType) -> tuple[int, ...]:
    """The images' shape (H, W, C): from the column shape, or fixed in the type of the image column."""
    if "shape" in rows.table.columns:
        shapes = {tuple(shape) for shape in rows.table["shape"].to_list()}
        if len(shapes) != 1:
            raise DatasetError(f"{rows.path}: column shape: got {len(shapes)} different shapes, expected one")
        shape = shapes.pop()
    elif isinstance(dtype, pl.Array) and len(dtype.shape) > 1:
        shape = dtype.shape
    else:
        raise DatasetError(
            f"{rows.path}: column image holds lists of numbers, but there is no column shape",
            "add a column shape with [H, W] or [H, W, C] in every row",
        )
    if len(shape) not in (2, 3) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise DatasetError(f"{rows.path}: column shape: got {list(shape)}, expected [H, W] or [H, W, C]")
    return (*shape, 1) if len(shape) == 2 else shape


def _pixel_columns(rows: _Rows) -> Array:
    """Grey squares (N, side, side, 1) uint8 or float32, a pixel a column or all in one column of text."""
    text = rows.column([_PIXEL_TEXT])
    if text is not None and text.dtype == pl.String:
        cells = text.str.split(" ").cast(pl.List(pl.Int64), strict=False)
        lengths = cells.list.len().unique().to_list()
        if len(lengths) != 1 or cells.list.eval(pl.element().is_null()).list.any().any():
            raise DatasetError(
                f"{rows.path}: column {text.name}: got rows of {listed([*map(str, lengths)])} values; "
                "expected as many whole numbers in each, separated by spaces"
            )
        values = np.array(cells.to_list(), np.int64)
    else:
        named = [rows.column(called) for called in (_LABEL, _SPLIT, [_ROW], ["id"])]
        others = {column.name for column in named if column is not None}
        pixels = rows.table.select(name for name in rows.table.columns if name not in others)
        if strange := [name for name, dtype in pixels.schema.items() if not dtype.is_numeric()]:
            raise DatasetError(
                f"{rows.path}: column {strange[0]}: got {pixels.schema[strange[0]]}, expected numbers",
                "expected a column label and one column for each pixel of a square grey image",
            )
        if gaps := [name for name in pixels.columns if pixels[name].null_count()]:
            raise DatasetError(f"{rows.path}: column {gaps[0]}: got empty cells, expected none")
        values = pixels.to_numpy()
    length = math.isqrt(values.shape[1])
    if length == 0 or length**2 != values.shape[1]:
        raise DatasetError(
            f"{rows.path}: got {values.shape[1]:,} pixels a row, expected those of a square grey image, "
            "such as 784 = 28 x 28",
            "save other images with np.savez, or as Parquet with a column shape",
        )
    if values.dtype.kind in "iu":
        if values.size and not (values.min() >= 0 and values.max() <= 255):
            raise DatasetError(
                f"{rows.path}: got pixels from {values.min()} to {values.max()}, expected 0 to 255"
            )
        values = values.astype(np.uint8)
    return values.reshape(-1, length, length, 1)
