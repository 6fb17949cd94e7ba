"""The text of a first study file, with a comment for each thing that its reader may want to change."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

# The fewest that say something of three backends on one data set: their pairs lend each other noise.
_REPEATS = 4
_EPOCHS = 5
_LARGE_SIDE = 64


@dataclass(frozen=True)
class DataFacts:
    """What was seen of a data set.

    source: as the study file has it. image_shape: (height, width, channels). class_sizes: training images by
    class. class_names: where the source has them. notes: what was decided when it was read.
    """

    source: str
    image_size: int | None
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    class_sizes: Sequence[int]
    class_names: Sequence[str] | None
    notes: Sequence[str]


def draft(name: str, model: str, data: DataFacts, *, has_one_output: bool | None = None) -> str:
    """TOML that `load` takes: `model` (a built-in name or a file) raced on `data` with three backends.

    has_one_output: whether the network has one output for two classes; None where nobody knows.
    """
    size = [f"image_size = {data.image_size}"] if data.image_size else []
    if not size and max(data.image_shape[:2]) > _LARGE_SIDE:
        size = [f"# image_size = {_LARGE_SIDE}    # squares of this side train faster"]
    lines = [
        f"# Check it:  bakeoff plan {name}.toml       (nothing runs)",
        f"# Run it:    bakeoff run {name}.toml",
        f"title = {json.dumps(name)}",
        f"repeats = {_REPEATS}    # each contestant so many times, from other initial weights each time",
        "",
        "[defaults]",
        *_about(data),
        f"dataset = {json.dumps(data.source, ensure_ascii=False)}",
        *size,
        f"model = {json.dumps(model, ensure_ascii=False)}",
        f"epochs = {_EPOCHS}",
        f"global_batch_size = {_batch_size(data.num_train)}",
        'optimizer = "adam"',
        "learning_rate = 0.001",
        *_loss(len(data.class_sizes), has_one_output),
        "# train_images = 1000    # fewer, for a first look",
        "",
        "[matrix]",
        'backend = ["tensorflow", "jax", "torch"]    # "theano" too, if the model suits Keras 2',
        "# global_batch_size = [32, 128]    # every list here multiplies the trials",
    ]
    return "\n".join(lines) + "\n"


def _about(data: DataFacts) -> list[str]:
    height, width, channels = data.image_shape
    named = f": {', '.join(data.class_names[:8])}" if data.class_names else ""
    named += ", ..." if data.class_names and len(data.class_names) > 8 else ""
    lines = [
        f"# {data.num_train:,} training and {data.num_test:,} test images, {height} x {width} x {channels}",
        f"# {len(data.class_sizes)} classes{named}",
        *(f"# {note}" for note in data.notes),
    ]
    most, least = max(data.class_sizes), min(data.class_sizes)
    if most > 3 * least:
        share = 100 * (1 - most / sum(data.class_sizes))
        lines.append(
            f"# classes of {least:,} to {most:,} images: always saying the largest gives {share:.0f} % error"
        )
    return lines


def _loss(num_classes: int, has_one_output: bool | None) -> list[str]:
    if num_classes != 2 or has_one_output is False:
        return []
    line = 'loss = "binary_crossentropy"    # one output: the probability of the second class, by a sigmoid'
    return [line if has_one_output else f"# {line}"]


def _batch_size(num_train: int) -> int:
    """A power of two up to 128 with ten steps an epoch at least, where there are as many images."""
    return int(2 ** min(7, max(3, math.floor(math.log2(max(1, num_train / 10))))))
