"""Arrays of the user's own, checked and brought into the form that runs use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bakeoff.datasets.own.raw import Array, Raw
from bakeoff.errors import DatasetError
from bakeoff.inputs import Inputs


@dataclass(frozen=True)
class OwnData:
    """Checked arrays: images (N, H, W, C) uint8 or float32, labels (N,) int64 from 0 without gaps.

    class_names: where the source names its classes. notes: what was decided or passed over, for people.
    inputs: what they were made from; None where that can't be told in full, and only reading them anew shows
    whether they have changed.
    """

    arrays: Mapping[str, Array]
    num_classes: int
    class_names: list[str] | None
    notes: tuple[str, ...] = ()
    inputs: Inputs | None = None


def checked(label: str, raw: Raw) -> OwnData:
    """`raw` in the form that runs use; labels that are texts numbered. label: names the data in messages.

    Raises:
        DatasetError: the first mistake found, by array.
    """
    given, class_names = _numbered(label, raw)
    images = {name: _images(f"{label}: {name}", given[name]) for name in ("x_train", "x_test")}
    labels = {name: _labels(f"{label}: {name}", given[name]) for name in ("y_train", "y_test")}
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
    return OwnData({**images, **labels}, _num_classes(label, labels), class_names, raw.notes)


def _numbered(label: str, raw: Raw) -> tuple[Mapping[str, Array], list[str] | None]:
    """The arrays with labels that are texts as numbers, in alphabetical order, and the classes' names."""
    labels = {name: raw.arrays[name] for name in ("y_train", "y_test")}
    texts = {name: array for name, array in labels.items() if array.dtype.kind == "U"}
    if not texts:
        return raw.arrays, None if raw.class_names is None else list(raw.class_names)
    if len(texts) == 1:
        raise DatasetError(f"{label}: {next(iter(texts))}: got texts, but numbers in the other split")
    class_names, numbers = np.unique(texts["y_train"], return_inverse=True)
    if unknown := sorted({str(text) for text in texts["y_test"].ravel()} - set(class_names.tolist())):
        raise DatasetError(f"{label}: y_test: got labels {', '.join(unknown)}, which y_train doesn't have")
    numbered = {
        "y_train": numbers.reshape(texts["y_train"].shape),
        "y_test": np.searchsorted(class_names, texts["y_test"]),
    }
    return {**raw.arrays, **numbered}, class_names.tolist()


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
        hint = ""
        if array.ndim == 2 and array.dtype.kind in "iufb":
            one_hot = bool((array.sum(axis=1) == 1).all())
            hint = (
                "turn one-hot rows into class numbers with .argmax(axis=1)"
                if one_hot
                else "an image has one class here; several at once (multi-label) can't be trained"
            )
        raise DatasetError(f"{label}: got shape {array.shape}, expected (N,) class numbers", hint)
    if array.dtype.kind not in "iu":
        raise DatasetError(
            f"{label}: got dtype {array.dtype}, expected whole numbers from 0, or texts",
            'convert it with .astype("int64")'
            if array.dtype.kind in "bf"
            else "number the classes with np.unique(labels, return_inverse=True)",
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
