"""What a contestant computed, as its worker wrote it down (see `bakeoff_worker.verification.evidence`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Where contestants are compared: with noise on images and weights, and as a run starts.
GENERAL, AS_TRAINED = "general", "as_trained"
SCENES = (GENERAL, AS_TRAINED)
NUM_COMMON = 3  # batches whose gradients are there at the weights of the start, which contestants share


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a model: its name, class, whether Keras's own, and configuration as JSON holds it.

    inner: the layers that it holds, each named by its path within it.
    """

    name: str
    kind: str
    is_keras: bool
    config: Mapping[str, Any]
    inner: tuple[LayerInfo, ...] = ()


@dataclass(frozen=True)
class WeightInfo:
    """One weight: its layer's place (-1: the model's own), its path within it, and whether it is trained.

    own_draw: its initial value is the framework's own. initializer, regularizer: as declared, with their
    ``class_name`` and ``config``; None where there is none.
    """

    layer: int
    name: str
    trainable: bool
    own_draw: bool
    initializer: Mapping[str, Any] | None = None
    regularizer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Call:
    """One call of a layer: its place, tensors in (0: the images; None: from elsewhere), and the tensor out.

    is_random: it gives something else each time. draws: what it drew through Keras, which was switched off.
    """

    layer: int
    inputs: tuple[int | None, ...]
    output: int
    is_random: bool = False
    draws: tuple[str, ...] = ()


class Evidence:
    """Arrays and descriptions of one contestant, read when asked for. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = np.load(path, allow_pickle=False)
        self._read: dict[str, Array] = {}
        about = self._json("about")
        self.backend: str = about["backend"]
        self.precision: str = about["precision"]
        self.num_steps: int = about["num_steps"]
        self.batch_size: int = about["batch_size"]
        self.version: int = about["version"]
        # Products whose factors its device was seen to round to TF32; older workers didn't look.
        self.tf32: tuple[str, ...] = tuple(about.get("tf32", ()))
        self.loss: str = about["loss"]
        self.from_logits: bool = about.get("from_logits", False)
        self.optimizer: str = about["optimizer"]
        self.optimizer_options: Mapping[str, Any] = about["optimizer_options"]
        self.loss_options: Mapping[str, Any] = about.get("loss_options", {})
        self.layers: tuple[LayerInfo, ...] = tuple(_layer(one) for one in about["layers"])
        self.weights: tuple[WeightInfo, ...] = tuple(WeightInfo(**one) for one in about["weights"])

    def __enter__(self) -> Evidence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        self.forget()
        self._file.close()

    def forget(self) -> None:
        """Let go of what was read so far; it is read again when asked for."""
        self._read.clear()

    @property
    def is_inspected(self) -> bool:
        """Whether only losses and weights are known, of a contestant without Keras."""
        return not self.layers

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The layers' calls, in order; the same in every scene."""
        return tuple(
            Call(
                one["layer"], tuple(one["inputs"]), one["output"], one["random"], tuple(one.get("draws", ()))
            )
            for one in self._json(f"{GENERAL}/calls")
        )

    def images(self, scene: str, step: int) -> Array:
        """(N, H, W, C) of one step, from 0."""
        return self._array(f"{scene}/x/{step}")

    def labels(self, scene: str, step: int) -> Array:
        """(N, num_classes) or (N,) of one step."""
        return self._array(f"{scene}/y/{step}")

    def activation(self, scene: str, call: int) -> Array:
        """What a call gave on the first step's images, channels last."""
        return self._array(f"{scene}/activations/{call}")

    def tensor(self, scene: str, number: int) -> Array:
        """A tensor by its number: the images, or what a call gave."""
        if number == 0:
            return self.images(scene, 0)
        place = next(place for place, call in enumerate(self.calls) if call.output == number)
        return self.activation(scene, place)

    def shared(self, call: int) -> Array | None:
        """What a call gave on inputs that all contestants share; None where it takes no such inputs."""
        name = f"{GENERAL}/shared/{call}"
        return self._array(name) if name in self._file.files else None

    def losses(self, scene: str) -> Array:
        """(num_steps,) the loss before each step."""
        return self._array(f"{scene}/losses")

    def weights_after(self, scene: str, step: int) -> list[Array]:
        """All weights after so many steps; 0: before the first."""
        return [self._array(f"{scene}/weights/{step}/{place}") for place in range(len(self.weights))]

    def weights_after_epoch(self, scene: str) -> list[Array]:
        """All weights after the same batches as one epoch."""
        return [self._array(f"{scene}/epoch/{place}") for place in range(len(self.weights))]

    def gradients(self, scene: str, step: int) -> list[Array | None]:
        """Of the loss before a step, from 0, by each weight; None for those that are not trained."""
        return [
            self._array(f"{scene}/gradients/{step}/{place}") if weight.trainable else None
            for place, weight in enumerate(self.weights)
        ]

    def start_gradients(self, scene: str, batch: int) -> list[Array | None]:
        """As `gradients`, of one of the first `NUM_COMMON` batches, at the weights before the first step."""
        if batch == 0:
            return self.gradients(scene, 0)
        return [
            self._array(f"{scene}/start_gradients/{batch}/{place}") if weight.trainable else None
            for place, weight in enumerate(self.weights)
        ]

    def probe(self) -> tuple[Array, Array]:
        """The optimizer alone: gradients (steps, n) given, weights (steps + 1, n) before and after."""
        return self._array("optimizer/gradients"), self._array("optimizer/weights")

    def name_of(self, place: int) -> str:
        """A weight's name for people: ``dense/kernel``."""
        weight = self.weights[place]
        return f"{self.layers[weight.layer].name}/{weight.name}" if weight.layer >= 0 else weight.name

    def key_of(self, place: int) -> tuple[int, str]:
        """A weight by the first call of its layer, which contestants share, and its own name."""
        info = self.weights[place]
        call = next((index for index, one in enumerate(self.calls) if one.layer == info.layer), -1)
        return call, info.name

    def _json(self, name: str) -> Any:
        return json.loads(str(self._file[name]))

    def _array(self, name: str) -> Array:
        if name not in self._read:
            self._read[name] = self._file[name]
        return self._read[name]


def _layer(about: Mapping[str, Any]) -> LayerInfo:
    inner = tuple(_layer({**one, "name": one["path"]}) for one in about.get("inner", ()))
    return LayerInfo(about["name"], about["class"], about["is_keras"], about["config"], inner)
