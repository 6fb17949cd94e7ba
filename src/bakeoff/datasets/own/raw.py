"""What a reader of some form gives, before it is checked; and how much memory it may claim."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from bakeoff.errors import DatasetError
from bakeoff.inputs import Inputs, look

Array = npt.NDArray[Any]
# One image, with its name for messages.
Picture = tuple[str, Array]

# What a message names of many; the rest is counted.
_NAMED = 3
# A run holds its images as 32-bit floats, beside the arrays that they are made from.
_TRAINED_ITEM_BYTES = 4


@dataclass(frozen=True)
class Raw:
    """Arrays as a source has them, by the names in ARRAYS.

    class_names: where the source names its classes. notes: for people, a sentence for each thing that was
    decided or passed over.
    """

    arrays: Mapping[str, Array]
    class_names: Sequence[str] | None = None
    notes: tuple[str, ...] = ()


def looked(files: Sequence[Path | str]) -> Inputs:
    """The files as they are now.

    Raises:
        DatasetError: one can't be read.
    """
    try:
        return look(files)
    except OSError as error:
        raise DatasetError(f"{error.filename}: can't be read ({error.strerror})") from error


def require_memory(label: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Return if arrays of this shape and type can be read and trained on here; nothing is read for it.

    Raises:
        DatasetError: they can't; says what they claim and what is free.
    """
    claimed = math.prod(map(int, shape)) * dtype.itemsize
    needed = claimed + math.prod(map(int, shape)) * _TRAINED_ITEM_BYTES
    free = psutil.virtual_memory().available
    if needed > free:
        sizes = " x ".join(f"{size:,}" for size in shape)
        raise DatasetError(
            f"{label}: claims {sizes} values of {dtype}, {claimed / 2**30:,.1f} GiB; to train on them takes "
            f"{needed / 2**30:,.1f} GiB, {free / 2**30:,.1f} GiB of memory are free",
            "take fewer or smaller images (image_size resizes a folder's as it reads them)",
        )


@dataclass
class Failures:
    """Mistakes of single files, gathered so that all are told at once."""

    found: list[DatasetError]

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep a DatasetError of the block and go on."""
        try:
            yield
        except DatasetError as error:
            self.found.append(error)

    def raise_all(self, num_looked_at: int) -> None:
        """Raise if there were any.

        Raises:
            DatasetError: the one there was, or how many, with the first of them.
        """
        if not self.found:
            return
        first = self.found[0]
        if len(self.found) == 1:
            raise first
        raise DatasetError(
            f"{len(self.found):,} of {num_looked_at:,} images can't be used: "
            + listed([error.message for error in self.found]),
            first.hint,
        )


def listed(items: Sequence[str]) -> str:
    """The first few, separated by semicolons, and how many more there are."""
    more = [f"and {len(items) - _NAMED:,} more"] if len(items) > _NAMED else []
    return "; ".join([*items[:_NAMED], *more])


def stacked(pictures: Mapping[str, Sequence[Picture]], labels: Mapping[str, Array]) -> dict[str, Array]:
    """The four arrays from single images by split.

    Grey images become colour where others are; bytes become floats in [0, 1] where others are.

    Raises:
        DatasetError: images of several sizes.
    """
    everything = [picture for split in pictures.values() for picture in split]
    first_name, first = everything[0]
    others = [(name, image) for name, image in everything if image.shape[:2] != first.shape[:2]]
    if others:
        sizes = [f"{name}: {image.shape[1]} x {image.shape[0]}" for name, image in others]
        raise DatasetError(
            f"got images of several sizes, expected {first.shape[1]} x {first.shape[0]} as in {first_name}; "
            f"{listed(sizes)}",
            "set image_size, and all images are resized to it",
        )
    channels = max(image.shape[2] for _, image in everything)
    is_float = any(image.dtype == np.float32 for _, image in everything)
    arrays: dict[str, Array] = {}
    for split, chosen in pictures.items():
        x = np.empty((len(chosen), *first.shape[:2], channels), np.float32 if is_float else first.dtype)
        for number, (_, image) in enumerate(chosen):
            x[number] = image / np.float32(255) if is_float and image.dtype == np.uint8 else image
        arrays |= {f"x_{split}": x, f"y_{split}": labels[split]}
    return arrays
