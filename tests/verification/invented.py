"""Contestants that compute in NumPy what we tell them, and write it down as a worker does.

What they do otherwise is put into them by the reference's own semantics; that the reference is right is shown
in ``reference/`` by hand, and by real frameworks in ``test_frameworks.py``.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.verification.evidence import NUM_COMMON, SCENES, Call, Evidence, LayerInfo, WeightInfo
from bakeoff.verification.reference.network import Network
from bakeoff.verification.reference.optimizers import Optimizer
from bakeoff.verification.reference.semantics import Semantics

NUM_STEPS, BATCH_SIZE, LAST_BATCH, NUM_CLASSES = 10, 8, 5, 10
ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False, "learning_rate": 1e-3}

CONV = {
    "filters": 4,
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "padding": "valid",
    "activation": "relu",
    "use_bias": True,
    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
}
DENSE = {"units": NUM_CLASSES, "activation": "softmax", "use_bias": True}
POOL = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
NORM = {"momentum": 0.9, "epsilon": 1e-3, "center": True, "scale": True}

Layers = Sequence[tuple[str, dict[str, Any]]]
PLAIN: Layers = (("Conv2D", CONV), ("MaxPooling2D", POOL), ("Flatten", {}), ("Dense", DENSE))
NORMALIZED: Layers = (
    ("Conv2D", {**CONV, "activation": "linear"}),
    ("BatchNormalization", NORM),
    ("Activation", {"activation": "relu"}),
    ("AveragePooling2D", POOL),
    ("Flatten", {}),
    ("Dense", DENSE),
)


@dataclasses.dataclass(frozen=True)
class Contestant:
    """What it is made of, what it does otherwise, and what it says of itself.

    does: how it computes. says: layers as it declares them, if not as it is made. batches_lost: at the end of
    an epoch. images: from a generator to a batch. start_scale: factor on its initial kernels. reported: from
    a loss and a batch's size to what it reports. late: by step, how far its step counter is ahead.
    is_single: its layers compute in single precision whatever it says. random: places of layers that draw at
    random. unknown: kinds of layers that are not Keras's, which the reference doesn't know. penalty: as a
    weight named kernel declares it. draws: of its first layer. added_loss: by layers of its own.
    extra_gradient: factor on all gradients. tf32: what its device was seen to round. loss_options: that it is
    asked for. shrinks_first: its optimizer multiplies weights by 1 - rate x decay, then adds the step, each
    rounded. is_inspected: it shows its losses and weights alone, as one without Keras does.
    """

    layers: Layers = PLAIN
    does: Semantics = dataclasses.field(default_factory=Semantics)
    says: Layers | None = None
    optimizer: str = "adam"
    options: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(ADAM))
    loss: str = "categorical_crossentropy"
    batches_lost: int = 0
    images: Callable[[np.random.RandomState, int], np.ndarray] | None = None
    start_scale: float = 1.0
    reported: Callable[[float, int], float] = lambda value, size: value
    unknown: tuple[str, ...] = ()
    random: tuple[int, ...] = ()
    draws: tuple[str, ...] = ()
    penalty: dict[str, Any] | None = None
    added_loss: float = 0.0
    extra_gradient: float = 1.0
    backend: str = "invented"
    precision: str = "float32"
    late: Callable[[int], int] | None = None
    own_draws: bool = False
    tf32: tuple[str, ...] = ()
    is_single: bool = False
    shrinks_first: bool = False
    is_inspected: bool = False
    loss_options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def evidence(self, path: Path) -> Evidence:
        """Compute everything, write it down, and open it."""
        arrays = _Computed(self).arrays()
        np.savez(path, **arrays)
        return Evidence(path)


class _Computed:
    def __init__(self, contestant: Contestant) -> None:
        asked = {**contestant.loss_options, **contestant.does.loss}
        contestant = dataclasses.replace(contestant, does=dataclasses.replace(contestant.does, loss=asked))
        self.contestant = contestant
        self.dtype = np.dtype(contestant.precision)
        self.layers = tuple(
            LayerInfo(f"{kind.lower()}_{place}", kind, True, config)
            for place, (kind, config) in enumerate(contestant.layers)
        )
        self.calls = tuple(Call(place, (place,), place + 1) for place in range(len(self.layers)))
        self.weights: list[WeightInfo] = []
        self.start: list[np.ndarray] = []
        self._make_weights()
        self.network = Network(self.layers, tuple(self.weights), self.calls, contestant.loss)
        self.trained = [place for place, info in enumerate(self.weights) if info.trainable]
        self.noise = np.random.RandomState(zlib.crc32(contestant.backend.encode()) % 1000)

    def arrays(self) -> dict[str, Any]:
        found: dict[str, Any] = {"about": json.dumps(self._about())}
        calls = [
            {
                "layer": call.layer,
                "inputs": list(call.inputs),
                "output": call.output,
                "random": call.layer in self.contestant.random,
                "draws": self.contestant.draws if call.layer == 0 else (),
            }
            for call in self.calls
        ]
        for scene in SCENES:
            found[f"{scene}/calls"] = json.dumps(calls)
            found |= self._scene(scene)
        if self.contestant.is_inspected:
            shown = (
                "about",
                *(f"{scene}/{part}" for scene in SCENES for part in ("weights", "losses", "epoch")),
            )
            return {name: array for name, array in found.items() if name.startswith(shown)}
        return found | self._probe()

    def _about(self) -> dict[str, Any]:
        says = self.contestant.says or self.contestant.layers
        return {
            "version": 2,
            "backend": self.contestant.backend,
            "keras": "0",
            "precision": self.contestant.precision,
            "tf32": self.contestant.tf32,
            "num_steps": NUM_STEPS,
            "batch_size": BATCH_SIZE,
            "layers": []
            if self.contestant.is_inspected
            else [
                {
                    "name": f"{kind.lower()}_{place}",
                    "class": kind,
                    "is_keras": kind not in self.contestant.unknown,
                    "config": config,
                }
                for place, (kind, config) in enumerate(says)
            ],
            "weights": [
                {**dataclasses.asdict(info), **({"layer": -1} if self.contestant.is_inspected else {})}
                for info in self.weights
            ],
            "loss": self.contestant.loss,
            "optimizer": self.contestant.optimizer,
            "optimizer_options": self.contestant.options,
            "loss_options": self.contestant.loss_options,
        }

    def _make_weights(self) -> None:
        generator = np.random.RandomState(3)
        shape: tuple[int, ...] = (10, 10, 1)
        for place, (kind, config) in enumerate(self.contestant.layers):
            own: dict[str, tuple[int, ...]] = {}
            if kind == "Conv2D":
                own = {"kernel": (*config["kernel_size"], shape[-1], config["filters"])}
                edge = 0 if config["padding"] == "same" else config["kernel_size"][0] - 1
                shape = (shape[0] - edge, shape[1] - edge, config["filters"])
            elif kind.endswith("Pooling2D"):
                shape = (shape[0] // 2, shape[1] // 2, shape[2])
            elif kind == "Permute":
                shape = tuple(shape[axis - 1] for axis in config["dims"])
            elif kind == "Flatten":
                shape = (int(np.prod(shape)),)
            elif kind == "Dense":
                own = {"kernel": (shape[-1], config["units"])}
                shape = (config["units"],)
            elif kind == "BatchNormalization":
                own = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (shape[-1],))
            if own and config.get("use_bias") and kind != "BatchNormalization":
                own["bias"] = (shape[-1],)
            for name, size in own.items():
                own_draw = self.contestant.own_draws and name == "kernel"
                initializer = config.get(f"{name}_initializer")
                penalty = self.contestant.penalty if name == "kernel" else None
                is_trained = not name.startswith("moving")
                self.weights.append(WeightInfo(place, name, is_trained, own_draw, initializer, penalty))
                if name == "kernel":
                    spread = self.contestant.start_scale / np.sqrt(np.prod(size[:-1]))
                    self.start.append(self._cast(spread * generator.normal(size=size)))
                else:
                    ones = name in ("gamma", "moving_variance")
                    self.start.append(self._cast(np.full(size, 1.0 if ones else 0.0)))

    def _scene(self, scene: str) -> dict[str, Any]:
        contestant, found = self.contestant, {}
        general = scene == "general"
        weights = self.start
        if general:
            shaken = np.random.RandomState(7)
            weights = [self._cast(one + 0.1 * shaken.normal(size=one.shape).clip(-3, 3)) for one in weights]
        optimizer = self._optimizer()
        batches = list(self._batches(general))
        taken = [weights]
        losses = []
        for step, (x, y) in enumerate(batches):
            run = self.network.forward(x, weights, contestant.does)
            losses.append(contestant.reported(run.loss(y), len(x)) + contestant.added_loss)
            gradients = self._gradients(run, y)
            for place in self.trained:
                found[f"{scene}/gradients/{step}/{place}"] = gradients[place]
            if step == 0:
                for index, array in enumerate(run.activations):
                    found[f"{scene}/activations/{index}"] = self._rounded(array)
                if general:
                    found |= self._on_shared_inputs(run, weights)
            if 0 < step < NUM_COMMON:
                at_start = self.network.forward(x, taken[0], contestant.does)
                for place, one in enumerate(self._gradients(at_start, y)):
                    found[f"{scene}/start_gradients/{step}/{place}"] = one
            weights = self._stepped(optimizer, weights, gradients, self._moved(run), step)
            taken.append(weights)
            found[f"{scene}/x/{step}"], found[f"{scene}/y/{step}"] = x, y
        found[f"{scene}/losses"] = np.array(losses)
        end = taken[NUM_STEPS - contestant.batches_lost]
        for step, arrays in enumerate(taken):
            found |= {f"{scene}/weights/{step}/{place}": one for place, one in enumerate(arrays)}
        return found | {f"{scene}/epoch/{place}": one for place, one in enumerate(end)}

    def _gradients(self, run, y) -> list[np.ndarray]:
        return [self._rounded(self.contestant.extra_gradient * one) for one in run.gradients(y)]

    def _on_shared_inputs(self, run, weights) -> dict[str, np.ndarray]:
        found = {}
        for index, call in enumerate(self.calls):
            noise = self._cast(np.random.RandomState(1).normal(size=run.tensors[call.inputs[0]].shape))
            result = self.network.call(call, [np.asarray(noise, "float64")], weights, self.contestant.does)
            found[f"general/shared/{index}"] = self._rounded(result.output)
        return found

    def _stepped(self, optimizer, weights, gradients, moved, step):
        if self.contestant.late:
            optimizer.options["late"] = self.contestant.late(step)
        before = [np.asarray(weights[place], "float64") for place in self.trained]
        changes = optimizer.changes(
            before, [np.asarray(gradients[place], "float64") for place in self.trained]
        )
        after = list(weights)
        for place, one, change in zip(self.trained, before, changes, strict=True):
            after[place] = self._cast(one + change)
        for place, array in moved.items():
            after[place] = self._cast(array)
        return after

    def _moved(self, run) -> dict[int, np.ndarray]:
        return {
            place: result.moved[info.name]
            for call, result in zip(self.calls, run.results, strict=True)
            for place, info in enumerate(self.weights)
            if info.layer == call.layer and info.name in result.moved
        }

    def _optimizer(self) -> Optimizer:
        options = {**self.contestant.options, **self.contestant.does.optimizer}
        return Optimizer(self.contestant.optimizer, options)

    def _batches(self, general: bool):
        generator = np.random.RandomState(11)
        for step in range(NUM_STEPS):
            size = LAST_BATCH if step == NUM_STEPS - 1 else BATCH_SIZE
            labels = np.eye(NUM_CLASSES)[generator.randint(0, NUM_CLASSES, size)]
            if self.contestant.images and not general:
                images = self.contestant.images(generator, size)
            else:
                images = generator.uniform(size=(size, 10, 10, 1))
            yield self._cast(images), self._cast(labels)

    def _probe(self) -> dict[str, Any]:
        generator = np.random.RandomState(5)
        sizes = np.repeat(10.0 ** np.linspace(-10, 1, 30), 3)
        changing = generator.uniform(0.2, 1.0, (NUM_STEPS, 96)) * generator.choice((-1, 1), (NUM_STEPS, 96))
        changing[5:, ::3] *= 1e-3
        given = self._cast(np.concatenate([sizes, np.zeros(6)]) * changing)
        weights = [self._cast(np.array([0.0, 0.25, -0.5] * 32))]
        optimizer = self._optimizer()
        for step, gradient in enumerate(given):
            if self.contestant.late:
                optimizer.options["late"] = self.contestant.late(step)
            before = np.asarray(weights[-1], "float64")
            (change,) = optimizer.changes([before], [np.asarray(gradient, "float64")])
            if self.contestant.shrinks_first:
                shrinkage = float(optimizer.options["learning_rate"]) * optimizer.options["weight_decay"]
                shrunk = self._cast(weights[-1] * self._cast(1 - shrinkage))
                weights.append(self._cast(shrunk + self._cast(change + shrinkage * before)))
            else:
                weights.append(self._cast(before + change))
        return {"optimizer/gradients": given, "optimizer/weights": np.array(weights)}

    def _cast(self, array: np.ndarray) -> np.ndarray:
        return np.asarray(array, self.dtype)

    def _rounded(self, array: np.ndarray) -> np.ndarray:
        """As if summed in another order: off by a rounding or two."""
        eps = np.finfo("float32" if self.contestant.is_single else self.dtype).eps
        scale = np.sqrt(np.mean(np.square(array))) if array.size else 0.0
        return self._cast(array + eps * scale * self.noise.normal(size=array.shape))
