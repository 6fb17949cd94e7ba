"""Arrays of one run: read, split, preprocessed, and put in each epoch's order.

All randomness is NumPy's legacy generator, whose streams are the same in every NumPy from 1.18 on, so
that every contestant of a repeat sees the same images in the same order.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from bakeoff_worker.job import TrialSettings

# Offsets that keep the streams of one seed apart.
_SPLIT, _ORDER = 1, 1000
# Of the draw of evaluation images: no run's, so that all runs of all studies are judged on the same ones.
_EVALUATION_SEED = 20231


@dataclass(frozen=True)
class Evaluation:
    """On which images a run is judged.

    split: ``test`` or ``validation``. rows: their places in the images that they are taken from, (N,);
    labels: their class numbers, (N,). num_pool: images that they were drawn from; with the split
    ``validation`` each repeat draws anew.
    """

    split: str
    rows: Any
    labels: Any
    num_pool: int

    def facts(self) -> Dict[str, Any]:
        """What a run reports of it: which images these are, and what an error on them is that knows nothing.

        evaluation_sha256: equal where the images are the same ones in the same order. chance_error: error of
        always naming the most frequent class, a fraction. chance_loss: cross-entropy of naming each class as
        often as it comes, in nats.
        """
        digest = hashlib.sha256(self.split.encode())
        for part in (self.rows, self.labels):
            digest.update(np.asarray(part, "<i8").tobytes())
        shares = np.unique(self.labels, return_counts=True)[1] / float(len(self.labels))
        return {
            "evaluation_sha256": digest.hexdigest(),
            "num_evaluation_pool": self.num_pool,
            "chance_error": 1.0 - float(shares.max()),
            "chance_loss": float(abs(sum(share * math.log(share) for share in shares))),
        }


@dataclass(frozen=True)
class Arrays:
    """What a run trains and is judged on.

    x_train (N, H, W, C) or (N, C, H, W) floats; y_train (N, num_classes) one-hot floats, or (N,) int32
    for sparse losses; x_evaluation, y_evaluation likewise; num_classes; evaluation: which images these are;
    class_weights: factor on the loss of each class's images, if there are any.
    """

    x_train: Any
    y_train: Any
    x_evaluation: Any
    y_evaluation: Any
    num_classes: int
    evaluation: Evaluation
    class_weights: Optional[List[float]]

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.x_train.shape[1:])

    def for_outputs(self, num_outputs: Optional[int]) -> "Arrays":
        """The same, labelled for a model that gives so many numbers for an image, see `labels_for`."""
        labels = (labels_for(y, num_outputs) for y in (self.y_train, self.y_evaluation))
        return replace(self, **dict(zip(("y_train", "y_evaluation"), labels)))


@dataclass(frozen=True)
class Source:
    """A run's images before they are prepared: raw values, in files as far as they can be.

    x_train (all rows, H, W, C), y_train (all rows,); order: rows to train on, in their order;
    x_evaluation, y_evaluation; num_classes; prepare: (x, y) raw to (x, y) as a backend takes them;
    evaluation: which images are evaluated; class_weights: as `Arrays` has them.
    """

    x_train: Any
    y_train: Any
    order: Any
    x_evaluation: Any
    y_evaluation: Any
    num_classes: int
    prepare: "Preparation"
    evaluation: Evaluation
    class_weights: Optional[List[float]]


def load(folder: str, settings: TrialSettings, seed: int) -> Arrays:
    """The arrays of one run.

    Raises:
        ValueError: the data set is smaller than the settings ask for.
    """
    source = find(folder, settings, seed)
    x_train, y_train = source.prepare(source.x_train[source.order], source.y_train[source.order])
    x_evaluation, y_evaluation = source.prepare(source.x_evaluation, source.y_evaluation)
    return Arrays(
        *(x_train, y_train, x_evaluation, y_evaluation),
        source.num_classes,
        source.evaluation,
        source.class_weights,
    )


def find(folder: str, settings: TrialSettings, seed: int) -> Source:
    """What `load` makes the arrays from, nothing of the training images read yet.

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
        x_evaluation, y_evaluation, rows = x_train[held_out], y_train[held_out], held_out
        num_pool = len(x_train) // settings.data_scale
    else:
        x_evaluation, y_evaluation, rows, num_pool = x_test, y_test, np.arange(len(x_test)), len(x_test)
    if settings.evaluation_images is not None:
        limit = _available(settings.evaluation_images, len(rows), "evaluation_images")
        drawn = stratified(y_evaluation, limit)
        x_evaluation, y_evaluation, rows = x_evaluation[drawn], y_evaluation[drawn], rows[drawn]
    num_classes = int(about["num_classes"])
    prepare = Preparation(settings, x_train, order, num_classes)
    evaluation = Evaluation(settings.evaluation_split, rows, y_evaluation, num_pool)
    factors = class_weights(settings, y_train[order], num_classes)
    return Source(
        *(x_train, y_train, order, x_evaluation, y_evaluation), num_classes, prepare, evaluation, factors
    )


def class_weights(settings: TrialSettings, labels: Any, num_classes: int) -> Optional[List[float]]:
    """Factor on the loss of each class's images, (num_classes,); None: all alike. labels: for training, (N,).

    ``balanced``: N / (num_classes · images of the class), as scikit-learn has it; 1 for a class without any.

    Raises:
        ValueError: the study gives another number of them.
    """
    if settings.class_weights is None:
        return None
    if settings.class_weights == "balanced":
        counts = np.bincount(np.asarray(labels, "int64"), minlength=num_classes)
        return [float(len(labels)) / (num_classes * count) if count else 1.0 for count in counts.tolist()]
    found = [float(class_weight) for class_weight in settings.class_weights]
    if len(found) != num_classes:
        raise ValueError("class_weights has {} numbers, the data {} classes".format(len(found), num_classes))
    return found


def stratified(labels: Any, num_images: int) -> Any:
    """Places (num_images,) of a random subset of images with these labels (N,), in ascending order.

    Each class has its share, by largest remainders (Hare's quota); of equal remainders, the first in a random
    order of the classes. The draw depends on the labels and `num_images` alone, on no run's seed: all
    contestants, repeats and studies are judged on the same images.
    """
    random = np.random.RandomState(_EVALUATION_SEED)
    classes, counts = np.unique(np.asarray(labels, "int64"), return_counts=True)
    quotas, remainders = np.divmod(num_images * counts.astype("int64"), len(labels))
    first = np.lexsort((random.permutation(len(classes)), -remainders))
    quotas[first[: num_images - int(quotas.sum())]] += 1
    drawn = [
        random.permutation(np.flatnonzero(np.asarray(labels) == name))[:quota]
        for name, quota in zip(classes, quotas)
    ]
    return np.sort(np.concatenate(drawn))


class Preparation:
    """Raw images and labels to what a backend takes; can be pickled, so that executors do the very same.

    x_train, order: the training images, whose statistics ``standardize`` needs.

    Raises:
        ValueError: there is no such preprocessing.
    """

    def __init__(self, settings: TrialSettings, x_train: Any, order: Any, num_classes: int) -> None:
        self.dtype = "float64" if settings.precision == "float64" else "float32"
        self.channels_first = settings.data_layout == "channels_first"
        self.sparse = settings.loss.startswith("sparse")
        self.num_classes = num_classes
        self.num_outputs: Optional[int] = None  # as `labels_for` has it, once the model is built
        self.mean = self.deviation = self.divisor = None
        if settings.preprocessing == "scale":
            # Pixels are bytes; floating-point data come as the user scaled them.
            self.divisor = np.asarray(255 if x_train.dtype == np.uint8 else 1, self.dtype)
        elif settings.preprocessing == "standardize":
            images = x_train[order]
            self.mean = images.mean(axis=(0, 1, 2), dtype="float64").astype(self.dtype)
            self.deviation = images.std(axis=(0, 1, 2), dtype="float64").astype(self.dtype)
            self.deviation[self.deviation == 0] = 1
        elif settings.preprocessing != "none":
            raise ValueError(
                "preprocessing: expected scale, standardize or none; got {!r}".format(settings.preprocessing)
            )

    def __call__(self, x: Any, y: Any) -> Tuple[Any, Any]:
        """x (N, H, W, C) raw, y (N,) class numbers; floats in the run's layout, labels in the loss's form."""
        return self._images(x), self._labels(y)

    def _images(self, x: Any) -> Any:
        if self.divisor is not None:
            # Converted piece by piece on the way: at sixteen times MNIST, a whole copy would be 3 GB more.
            x = np.divide(x, self.divisor, dtype=self.dtype)
        else:
            x = np.ascontiguousarray(x, dtype=self.dtype)
            if self.deviation is not None:
                x = (x - self.mean) / self.deviation
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if self.channels_first else x

    def _labels(self, y: Any) -> Any:
        if self.sparse:
            return np.asarray(y, "int32")
        return labels_for(
            np.eye(self.num_classes, dtype=self.dtype)[np.asarray(y, "int64")], self.num_outputs
        )


def labels_for(y: Any, num_outputs: Optional[int]) -> Any:
    """Labels in the form of the model's outputs: for one, whether an image is of the second class, (N, 1)."""
    return np.ascontiguousarray(y[:, 1:]) if num_outputs == 1 else y


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


def slices(order: Any, settings: TrialSettings) -> List[Any]:
    """An epoch's order in the parts that are trained in a turn each: one, unless turns are shorter.

    All but the last are whole batches, so that the steps are those of the epoch in one piece.
    """
    if settings.turn_steps is None:
        return [order]
    num_images = settings.turn_steps * settings.global_batch_size
    return [order[first : first + num_images] for first in range(0, len(order), num_images)]


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
