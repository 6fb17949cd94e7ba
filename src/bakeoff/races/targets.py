"""Errors that count as reached, for data sets that Bakeoff brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """An error, as a fraction, and why this one."""

    error: float
    why: str


# Within reach of the study's small network, and late enough to be no matter of the first epochs.
BUILT_IN: Mapping[str, Target] = {
    "mnist": Target(0.01, "a small network is below it within ten epochs or so"),
    "fashion_mnist": Target(0.10, "a small network comes to 9 % in 50 epochs"),
    "cifar10": Target(
        0.30, "TensorFlow's tutorial on convolutional networks, of like size, comes to it in 10 epochs"
    ),
}


def target_of(
    dataset: str, own: Mapping[str, float], *, on_all_images: bool, asked: float | None = None
) -> Target | None:
    """The target for a data set: the one asked for now, else the study's, else the built-in one.

    own: the study's, by data set. on_all_images: whether it is trained and evaluated in full; the built-in
    targets mean nothing on subsets.
    """
    if asked is not None:
        return Target(asked, "asked for on the command line")
    if dataset in own:
        return Target(own[dataset], "the study's own")
    return BUILT_IN.get(dataset) if on_all_images else None
