"""More training images from those there are: copies changed a little, in ways that keep their labels.

Copy 0 is the original. In every further one, each image is turned by up to 5 degrees about its centre and
shifted by up to 2 pixels each way (bilinear; edge pixels go on outside), and has its contrast about its mean
and then its brightness changed by up to 10 %. How much is drawn from a seed made of the data set's digest
and the copy's number: everyone sees the same pixels, and fewer copies are the first of more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bakeoff.datasets import disk
from bakeoff.errors import DatasetError

Array = npt.NDArray[Any]

# Raised when the same copy is to have other pixels than before, so that old cache entries are left alone.
RECIPE_VERSION = 1
# Sixteen times MNIST is 750 MB; a slip of the keyboard must not fill the disk.
MAX_SCALE = 256

_MAX_TURN_DEGREES = 5.0
_MAX_SHIFT_PIXELS = 2.0
_MAX_CHANGE = 0.1
_CHUNK_BYTES = 1 << 16  # of images worked on at once: some megabytes as floats

OnBytes = Callable[[int, int], None]


def check(scale: int) -> None:
    """Return if a training set can be asked for `scale` times.

    Raises:
        DatasetError: it can't.
    """
    if not 1 <= scale <= MAX_SCALE:
        raise DatasetError(f"data_scale: got {scale}, expected 1 to {MAX_SCALE} times the training set")


def augment(images: Array, scale: int, seed: str, target: Path, on_bytes: OnBytes) -> None:
    """Write `images` (N, H, W, C) uint8 or float32 and scale - 1 changed copies into one ``.npy`` file.

    seed: digest of the data set. Copy k is rows k * N to (k + 1) * N. Floats stay between the least and the
    greatest of `images`. A chunk at a time, since all of them may be more than memory holds.

    Raises:
        MachineError: no room on the disk.
    """
    disk.require(target.parent, images.nbytes * scale, f"{scale} times the training images")
    lowest, highest = (0.0, 255.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))
    many = np.lib.format.open_memmap(
        target, mode="w+", dtype=images.dtype, shape=(len(images) * scale, *images.shape[1:])
    )
    for number in range(scale):
        changes = _Changes(len(images), seed, number)
        for rows in _chunks(images):
            chunk = images[rows] if number == 0 else changes.of(images[rows], rows, lowest, highest)
            end = number * len(images) + rows.stop
            many[end - len(chunk) : end] = chunk
            on_bytes(end * images[0].nbytes, many.nbytes)
        many.flush()  # what is on the disk needs no memory


class _Changes:
    """What happens to each image of one copy."""

    def __init__(self, num_images: int, seed: str, number: int) -> None:
        digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
        # NumPy's legacy generator, whose streams are the same in every version.
        drawn = np.random.RandomState(np.frombuffer(digest, "<u4")).uniform(-1, 1, (num_images, 5))
        self._turns = math.radians(_MAX_TURN_DEGREES) * drawn[:, 0]
        self._shifts = _MAX_SHIFT_PIXELS * drawn[:, 1:3]
        self._factors = 1 + _MAX_CHANGE * drawn[:, 3:5]

    def of(self, chunk: Array, rows: slice, lowest: float, highest: float) -> Array:
        """Changed images of some rows: `chunk` (n, H, W, C), whose values stay within the bounds."""
        # Single precision is exact enough for bytes; the user's floats may be as large as floats get.
        kind = np.float32 if chunk.dtype == np.uint8 else np.float64
        pixels = moved(chunk, self._turns[rows], self._shifts[rows], kind)
        contrast, brightness = self._factors[rows].astype(kind).T.reshape(2, -1, 1, 1, 1)
        # Of the image as it was: a sum of bytes is exact, and so the same wherever it is taken.
        mean = chunk.mean(axis=(1, 2, 3), dtype=np.float64, keepdims=True).astype(kind)
        pixels -= mean
        pixels *= contrast
        pixels += mean
        pixels *= brightness
        if chunk.dtype == np.uint8:
            np.rint(pixels, out=pixels)
        return np.clip(pixels, lowest, highest, out=pixels).astype(chunk.dtype)


def moved(chunk: Array, turns: Array, shifts: Array, kind: type[np.floating[Any]] = np.float64) -> Array:
    """`chunk` (n, H, W, C), each image turned and shifted, bilinear, as floats of that kind.

    turns: radians, (n,), at most the module's greatest. shifts: pixels along x and y, (n, 2), likewise.
    The whole chunk at once: calls of Pillow or SciPy for each small image cost more than their pixels.
    """
    height, width, num_channels = chunk.shape[1:]
    # How far outside an image a corner may come from, where the edge goes on.
    reach = math.hypot(height, width) * math.sin(math.radians(_MAX_TURN_DEGREES) / 2) + _MAX_SHIFT_PIXELS
    margin = math.ceil(reach) + 1
    padded = np.pad(chunk, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="edge")
    row_length = padded.shape[2]
    # Where each pixel comes from: turned about the centre, then shifted.
    x = np.arange(width, dtype=kind) - kind((width - 1) / 2)
    y = np.arange(height, dtype=kind)[:, np.newaxis] - kind((height - 1) / 2)
    cosine, sine, to_x, to_y = (
        part.astype(kind)[:, np.newaxis, np.newaxis]
        for part in (
            np.cos(turns),
            np.sin(turns),
            shifts[:, 0] + (width - 1) / 2 + margin,
            shifts[:, 1] + (height - 1) / 2 + margin,
        )
    )
    from_x = cosine * x + sine * y + to_x
    from_y = cosine * y - sine * x + to_y
    left, upper = from_x.astype(np.intp), from_y.astype(np.intp)
    corner = upper * row_length + left
    corner += np.arange(len(chunk))[:, np.newaxis, np.newaxis] * (padded.shape[1] * row_length)
    rightwards, downwards = (from_x - left)[..., np.newaxis], (from_y - upper)[..., np.newaxis]
    flat = padded.reshape(-1, num_channels)

    def between(first: Array, second: Array, share: Array) -> Array:
        second -= first
        second *= share
        second += first
        return second

    def pixels(index: Array) -> Array:
        return flat.take(index, axis=0).astype(kind)

    def row(index: Array) -> Array:
        return between(pixels(index), pixels(index + 1), rightwards)

    return between(row(corner), row(corner + row_length), downwards)


def _chunks(images: Array) -> Iterator[slice]:
    size = max(1, _CHUNK_BYTES * len(images) // images.nbytes)
    return (slice(start, min(start + size, len(images))) for start in range(0, len(images), size))
