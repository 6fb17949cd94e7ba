"""Arrays of one run: read, split, preprocessed, and put in each epoch's order.

All randomness is NumPy's legacy generator, whose streams are the same in every NumPy from 1.18 on, so
that every contestant of a repeat sees the same images in the same order.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, Tuple

import numpy as np

from bakeoff_worker.records import TrialSettings

# Offsets that keep the streams of one seed apart.
_SPLIT, _ORDER = 1, 1000


@dataclass(frozen=True)
class Arrays:
    """What a run trains and is judged on.

    x_train (N, H, W, C) or (N, C, H, W) floats; y_train (N, num_classes) one-hot floats, or (N,) int32
    for sparse losses; x_evaluation, y_evaluation likewise; num_classes.
    """

    x_train: Any
    y_train: Any
    x_evaluation: Any
    y_evaluation: Any
    num_classes: int

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.x_train.shape[1:])


def load(folder: str, settings: TrialSettings, seed: int) -> Arrays:
    """The arrays of one run.

    Raises:
        ValueError: the data set is smaller than the settings ask for.
    """
    with open(os.path.join(folder, "about.json")) as about_file:
        about: Dict[str, Any] = json.load(about_file)
    x_train, y_train, x_test, y_test = (
        np.load(os.path.join(folder, name + ".npy"), mmap_mode="r", allow_pickle=False)
        for name in ("x_train", "y_train", "x_test", "y_test")
    )
    order, held_out = split(len(x_train), settings, seed)
    if settings.evaluation_split == "validation":
        x_evaluation, y_evaluation = x_train[held_out], y_train[held_out]
    else:
        x_evaluation, y_evaluation = x_test, y_test
    if settings.evaluation_images is not None:
        limit = _available(settings.evaluation_images, len(x_evaluation), "evaluation_images")
        x_evaluation, y_evaluation = x_evaluation[:limit], y_evaluation[:limit]
    x_train, y_train = x_train[order], y_train[order]
    dtype = "float64" if settings.precision == "float64" else "float32"
    scale = _preprocessor(settings.preprocessing, x_train, dtype)
    num_classes = int(about["num_classes"])
    labels = _sparse if settings.loss.startswith("sparse") else _one_hot
    return Arrays(
        _layout(scale(x_train), settings.data_layout),
        labels(y_train, num_classes, dtype),
        _layout(scale(x_evaluation), settings.data_layout),
        labels(y_evaluation, num_classes, dtype),
        num_classes,
    )


def split(num_rows: int, settings: TrialSettings, seed: int) -> Tuple[Any, Any]:
    """Rows of ``x_train`` that are trained on, in their order, and rows held out of it for validation.

    num_rows: of ``x_train``, the copies that `data_scale` adds included. Original images alone are held
    out, and no copy of them is trained on, or the error would be measured on images half seen. A subset of
    n training images is n / data_scale originals with all their copies, the same originals at each scale.

    Raises:
        ValueError: the data set is smaller than the settings ask for, or isn't of their scale.
    """
    num_originals, left = divmod(num_rows, settings.data_scale)
    if left:
        raise ValueError("data_scale is {}, but there are {} images".format(settings.data_scale, num_rows))
    random = np.random.RandomState(_stream(seed, _SPLIT))
    order = random.permutation(num_originals)
    num_held_out = 0
    if settings.evaluation_split == "validation":
        num_held_out = int(round(num_originals * settings.validation_fraction))
    held_out, order = order[:num_held_out], order[num_held_out:]
    if settings.data_scale > 1:
        copies = np.arange(settings.data_scale) * num_originals
        order = (order[:, np.newaxis] + copies).reshape(-1)
    if settings.train_images is not None:
        order = order[: _available(settings.train_images, len(order), "train_images")]
    # Neighbours are copies of one image; mixed, so that any run of rows is a sample of the whole.
    return (order[random.permutation(len(order))] if settings.data_scale > 1 else order), held_out


def epoch_order(num_images: int, seed: int, epoch: int) -> Any:
    """Permutation (num_images,) of the training images for one epoch, from 1; the same for every backend."""
    return np.random.RandomState(_stream(seed, _ORDER + epoch)).permutation(num_images)


def first_batches(num_images: int, batch_size: int) -> slice:
    """Images that show every batch shape of an epoch once: a full batch and, if there is one, the rest.

    Backends that compile for shapes (JAX, XLA) thus meet all of them before the first epoch.
    """
    return slice(0, num_images if num_images <= batch_size else batch_size + num_images % batch_size)


def _stream(seed: int, offset: int) -> int:
    return (seed * 1000003 + offset) % (2**32)


def _available(asked: int, available: int, key: str) -> int:
    if asked > available:
        raise ValueError("{} is {}, but the data set has {}".format(key, asked, available))
    return asked


def _preprocessor(name: str, x_train: Any, dtype: str) -> Any:
    if name == "scale":
        # Pixels are bytes; floating-point data come as the user scaled them.
        divisor = 255 if x_train.dtype == np.uint8 else 1
        # Converted piece by piece on the way: at sixteen times MNIST, a whole copy would be 3 GB more.
        return lambda x: np.divide(x, np.asarray(divisor, dtype), dtype=dtype)
    if name == "standardize":
        mean = x_train.mean(axis=(0, 1, 2), dtype="float64").astype(dtype)
        deviation = x_train.std(axis=(0, 1, 2), dtype="float64").astype(dtype)
        deviation[deviation == 0] = 1
        return lambda x: (np.ascontiguousarray(x, dtype=dtype) - mean) / deviation
    if name == "none":
        return lambda x: np.ascontiguousarray(x, dtype=dtype)
    raise ValueError("preprocessing: expected scale, standardize or none; got {!r}".format(name))


def _layout(x: Any, data_layout: str) -> Any:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if data_layout == "channels_first" else x


def _one_hot(y: Any, num_classes: int, dtype: str) -> Any:
    return np.eye(num_classes, dtype=dtype)[np.asarray(y, "int64")]


def _sparse(y: Any, num_classes: int, dtype: str) -> Any:
    return np.asarray(y, "int32")
