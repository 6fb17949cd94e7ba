"""Which images train and which test: by what splits are called, or drawn where there are none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.datasets.own.raw import Array, listed
from bakeoff.errors import DatasetError

# Of each class, where a source has no test images of its own.
TEST_SHARE = 0.2

_CALLED = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "privatetest"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), "validation"),
}


def split_called(name: str) -> str | None:
    """``train``, ``test`` or ``validation`` where a folder or a cell is called so, in any case."""
    return _CALLED.get(name.strip().lower())


def split_of_file(stem: str) -> str | None:
    """As `split_called`, of a file that has the word in its name: ``train-00000-of-00001``."""
    found = {split for word in re.split(r"[^a-z]+", stem.lower()) if (split := _CALLED.get(word))}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class Roles:
    """Which split of the source trains and which tests. test: None where it has to be drawn."""

    train: str
    test: str | None
    note: str = ""


def roles(label: str, sizes: Mapping[str, int]) -> Roles:
    """What becomes of a source's splits. sizes: images by split, of those that there are.

    Raises:
        DatasetError: none of them trains.
    """
    if "train" not in sizes:
        raise DatasetError(f"{label}: got {listed(sorted(sizes))} and no train, expected train and test")
    if "test" in sizes:
        unused = sizes.get("validation")
        note = f"{unused:,} validation images are left out: nothing trains or tests on them" if unused else ""
        return Roles("train", "test", note)
    if "validation" in sizes:
        return Roles("train", "validation", "the validation images are the test images: there are no others")
    return Roles("train", None)


def drawn(label: str, names: Sequence[str], class_of: Array, class_names: Sequence[str]) -> Array:
    """Whether each image tests (N,) bool: TEST_SHARE of each class, at least one.

    The draw hangs on the images' names alone: those of least SHA-256 test. So it is the same everywhere, and
    an image that is added changes no more than it must.

    Raises:
        DatasetError: a class of a single image.
    """
    is_test = np.zeros(len(names), bool)
    alone = []
    ranks = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in names]
    for number in np.unique(class_of):
        members = np.flatnonzero(class_of == number)
        if len(members) < 2:
            alone.append(str(class_names[number]))
            continue
        chosen = sorted(members, key=ranks.__getitem__)[: max(1, round(TEST_SHARE * len(members)))]
        is_test[chosen] = True
    if alone:
        raise DatasetError(
            f"{label}: has no test images, and one image only of {listed(alone)}; "
            "expected at least two of each class, so that one can test",
            "add images, or give a split of your own: train/<class>/ and test/<class>/ folders",
        )
    return is_test


def drawn_note(is_test: Array) -> str:
    """What to say of a split that was drawn."""
    return (
        f"no test images of its own: {TEST_SHARE:.0%} of each class, {int(is_test.sum()):,} of "
        f"{len(is_test):,} images, test (drawn once, by the images' names)"
    )
