"""Images brought to another size, with Pillow's antialiased bilinear filter."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from bakeoff.datasets import disk
from bakeoff.errors import DatasetError

Array = npt.NDArray[Any]

# Larger squares than any network here is trained on; a slip of the keyboard must not fill the disk.
MAX_SIDE = 1024
_REPORT_EVERY = 1000

OnBytes = Callable[[int, int], None]


def check(side: int) -> None:
    """Return if `side` is a size in pixels that can be asked for.

    Raises:
        DatasetError: it isn't.
    """
    if not 1 <= side <= MAX_SIDE:
        raise DatasetError(f"image_size: got {side}, expected 1 to {MAX_SIDE} pixels")


def resize(images: Array, side: int, target: Path, on_bytes: OnBytes) -> None:
    """Write `images` (N, H, W, C) uint8 or float32 as (N, side, side, C) of that dtype into a ``.npy`` file.

    Pillow's bilinear filter widens with the reduction, so that smaller images don't alias. One image at
    a time, since all of them may be more than memory holds.

    Raises:
        MachineError: no room on the disk.
    """
    shape = (len(images), side, side, images.shape[3])
    total = int(np.prod(shape, dtype=np.int64)) * images.dtype.itemsize
    disk.require(target.parent, total, f"images of {side} x {side} pixels")
    resized = np.lib.format.open_memmap(target, mode="w+", dtype=images.dtype, shape=shape)
    for i, image in enumerate(images):
        resized[i] = one(image, side)
        if i % _REPORT_EVERY == 0:
            on_bytes(total * i // len(images), total)
    resized.flush()
    on_bytes(total, total)


def one(image: Array, side: int) -> Array:
    """An image (H, W, C) uint8 or float32 as (side, side, C) of the same dtype."""
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(_scaled(Image.fromarray(np.ascontiguousarray(image)), side))
    # Pillow knows one-channel bytes and one-channel floats; any number of them makes an image.
    channels = [Image.fromarray(np.ascontiguousarray(image[:, :, c])) for c in range(image.shape[2])]
    return np.stack([np.asarray(_scaled(channel, side)) for channel in channels], axis=-1)


def shape_of(content: Any, label: str, side: int | None) -> tuple[int, int, int]:
    """(H, W, C) of an encoded image as `decoded` would give it, from the file's header.

    A damaged one counts nothing: decoding it will tell.
    """
    try:
        with _opened(content, label) as image:
            channels = 1 if image.mode in _GREY else 3
            width, height = (side, side) if side is not None else image.size
    except DatasetError:
        return (0, 0, 0)
    return (height, width, channels)


def decoded(content: Any, label: str, side: int | None) -> Array:
    """An encoded image (a path or an open file) as (H, W, 1) or (H, W, 3), resized if `side` is given.

    Its first frame, turned upright as its EXIF entry says. Greyscale stays greyscale; all else becomes RGB,
    transparency dropped. uint8; where a grey image has 16 bits, float32 in [0, 1].

    Raises:
        DatasetError: damaged, no image, absurdly large, or of more than 16 bits.
    """
    with _opened(content, label) as image:
        if image.mode.startswith("I;16"):
            deep = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32) / 65535
            plain = Image.fromarray(deep)
        elif image.mode.startswith(("I", "F")):
            raise DatasetError(
                f"{label}: got pixels of mode {image.mode}, expected 8 or 16 bits a channel",
                "save the images with 8 bits, or give floating-point arrays in a .npz file",
            )
        else:
            plain = ImageOps.exif_transpose(image).convert("L" if image.mode in _GREY else "RGB")
    pixels = np.asarray(plain if side is None else _scaled(plain, side))
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N")


@contextmanager
def _opened(content: Any, label: str) -> Iterator[Image.Image]:
    """An image for the length of a block; whatever Pillow finds wrong in it is one kind of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(content) as image:
                yield image
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        reason = "no image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DatasetError(
            f"{label}: can't be read as an image ({reason})", "replace or remove it"
        ) from error


def _scaled(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BILINEAR)
