"""The user's own data: files and folders in the forms of docs/data.md, read and checked thoroughly.

Every mistake is a DatasetError that names the file, the array, what was got and what was expected.

program.py   ``load()`` of a ``.py`` file, in a process of its own
archive.py   ``.npz`` files
table.py     Parquet and CSV files, and folders of them
folder.py    folders of images
splits.py    which images train and which test; raw.py: what readers give; checks.py: what runs get
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from bakeoff.datasets import tree
from bakeoff.datasets.own.archive import read_npz
from bakeoff.datasets.own.checks import OwnData, checked
from bakeoff.datasets.own.folder import read_folder
from bakeoff.datasets.own.program import read_program
from bakeoff.datasets.own.raw import looked
from bakeoff.errors import DatasetError

__all__ = ["OwnData", "files_of", "pillow", "read", "readers"]

OnStep = Callable[[str], None]

# Raised when the same file is to give other arrays than before, so that it is read anew.
#   2  links are followed
#   3  images are turned as their EXIF entry says
READER_VERSION = 3
EXPECTED = "a .npz, .parquet, .csv or .py file, or a folder of images or tables"


def read(path: Path, side: int | None, on_step: OnStep) -> OwnData:
    """The user's arrays. side: resize encoded images while they are decoded; arrays are left as they are.

    Raises:
        DatasetError: any mistake in the data.
    """
    if path.suffix == ".py" and not path.is_dir():
        on_step("running load()")
        raw, made_from = read_program(path)
        on_step("checking")
        return replace(checked(str(path), raw), inputs=made_from)
    on_step("reading")
    before = looked(files_of(path))
    if tree.table_files(path) if path.is_dir() else path.suffix in tree.TABLES:
        # Imported now: in the process that watches a user's load(), polars must not be there already.
        from bakeoff.datasets.own.table import read_tables

        raw = read_tables(path, side)
    elif path.is_dir():
        raw = read_folder(path, side)
    elif path.suffix == ".npz":
        raw = read_npz(path)
    else:
        raise DatasetError(f"{path}: got a file ending in {path.suffix or 'nothing'}, expected {EXPECTED}")
    on_step("checking")
    # None if written while it was read: who knows what was read.
    return replace(checked(str(path), raw), inputs=before.looked_at_again())


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
