"""What lies in a folder of images or tables: links are followed, hidden names passed over."""

from __future__ import annotations

import os
from pathlib import Path

from bakeoff.errors import DatasetError

# Of files that are taken for images, and for tables of them.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
TABLES = (".parquet", ".csv")


def visible_files(folder: Path) -> list[Path]:
    """All files below a folder, behind links too, in an order that every machine agrees on.

    Raises:
        DatasetError: a link leads nowhere, or back to a folder that it lies in; or a folder can't be read.
    """
    found = _below(folder, ())
    return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def visible_folders(folder: Path) -> list[Path]:
    """The folders, or links to some, directly in a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def table_files(folder: Path) -> list[Path]:
    """The tables that a folder consists of: Parquet files at any depth, else CSV files directly in it.

    None of a folder of images, whatever tables lie beside them.
    """
    files = visible_files(folder)
    if any(file.suffix.lower() in PICTURES for file in files):
        return []
    parquet = [file for file in files if file.suffix == ".parquet"]
    return parquet or [file for file in files if file.suffix == ".csv" and file.parent == folder]


def _below(folder: Path, above: tuple[tuple[int, int], ...]) -> list[Path]:
    """above: device and inode of each folder on the way here."""
    try:
        facts = folder.stat()
        here = (facts.st_dev, facts.st_ino)
        if here in above:
            raise DatasetError(
                f"{folder}: is a link back to {folder.resolve()}, which it lies in; expected no circles",
                "remove the link",
            )
        found = []
        for path in folder.iterdir():
            if path.name.startswith("."):
                continue
            if path.is_dir():
                found += _below(path, (*above, here))
            elif path.is_file():
                found.append(path)
            elif path.is_symlink():
                raise DatasetError(
                    f"{path}: is a link to {os.readlink(path)}, where nothing is; expected a file or folder",  # noqa: PTH115
                    "remove the link, or put back what it leads to",
                )
    except OSError as error:
        raise DatasetError(f"{error.filename or folder}: can't be read ({error.strerror})") from error
    return found
