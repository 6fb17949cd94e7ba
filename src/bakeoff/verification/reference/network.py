"""A whole network, run call by call along the trace of a contestant's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bakeoff.verification.evidence import Call, LayerInfo, WeightInfo
from bakeoff.verification.reference.activations import Array
from bakeoff.verification.reference.layers import Result, Unknown, apply
from bakeoff.verification.reference.losses import loss
from bakeoff.verification.reference.semantics import Semantics


@dataclass(frozen=True)
class Network:
    """What is called in which order, and the loss of what the last call gives; see `Evidence`."""

    layers: tuple[LayerInfo, ...]
    weights: tuple[WeightInfo, ...]
    calls: tuple[Call, ...]
    loss: str
    from_logits: bool = False

    def loss_of(self, labels: Array, outputs: Array, options: Mapping[str, Any]) -> tuple[float, Array]:
        """Mean over the batch, penalties left out, and its gradient by `outputs`; see `losses.loss`."""
        return loss(self.loss, labels, outputs, options, from_logits=self.from_logits)

    def config(self, place: int, semantics: Semantics) -> dict[str, Any]:
        """A layer's configuration, with what the semantics change of it."""
        return {**self.layers[place].config, **semantics.layers.get(place, {})}

    def call(
        self,
        call: Call,
        inputs: Sequence[Array],
        weights: Sequence[Array],
        semantics: Semantics,
        tipped: Collection[int] = (),
    ) -> Result:
        """One layer's result; `tipped`: decisions that it takes the other way.

        Raises:
            Unknown: the reference has no such layer.
        """
        own = {
            info.name: np.asarray(array, "float64")
            for info, array in zip(self.weights, weights, strict=True)
            if info.layer == call.layer
        }
        layer = self.layers[call.layer]
        if not layer.is_keras:
            raise Unknown(f"layer {layer.kind}, which is not Keras's")
        try:
            config = {**self.config(call.layer, semantics), "tipped": tuple(tipped)}
            with np.errstate(divide="ignore", invalid="ignore"):  # a guess may be one that nobody can compute
                return apply(layer.kind, config, inputs, own, semantics)
        except (
            KeyError,
            ValueError,
        ) as error:  # a weight or key that we don't expect, or shapes that don't fit
            raise Unknown(f"layer {layer.kind} of this form ({error})") from error

    def forward(self, images: Array, weights: Sequence[Array], semantics: Semantics) -> Pass:
        """All calls on a batch, in training mode.

        Raises:
            Unknown: a layer that the reference doesn't have, or a tensor that comes from elsewhere.
        """
        tensors: dict[int, Array] = {0: np.asarray(images, "float64")}
        results = []
        for call in self.calls:
            result = self.call(call, _inputs(call, tensors), weights, semantics)
            tensors[call.output] = result.output
            results.append(result)
        return Pass(self, tensors, results, [np.asarray(weight, "float64") for weight in weights], semantics)

    def penalty(self, weights: Sequence[Array], semantics: Semantics) -> float:
        """What all penalties on weights add to the loss."""
        return sum(value for _, value, _ in self.penalties(weights, semantics))

    def penalties(self, weights: Sequence[Array], semantics: Semantics) -> Iterator[tuple[int, float, Array]]:
        """(weight's place, penalty on it, gradient of that).

        Raises:
            Unknown: a penalty of a kind that isn't known here.
        """
        for place, (info, array) in enumerate(zip(self.weights, weights, strict=True)):
            if not info.trainable:
                continue
            l1, l2 = penalty(info)
            l2 += float(semantics.loss.get("l2", 0.0)) * info.name.endswith("kernel")
            if l1 or l2:
                value = l1 * float(np.abs(array).sum()) + l2 * float((array**2).sum())
                yield place, value, l1 * np.sign(array) + 2 * l2 * array


def _inputs(call: Call, tensors: Mapping[int, Array]) -> list[Array]:
    if any(number is None for number in call.inputs):
        raise Unknown("what is computed between layers")
    return [tensors[number] for number in call.inputs if number is not None]


@dataclass(frozen=True)
class Pass:
    """One batch, forward. tensors: by number, the images first; results: of each call."""

    network: Network
    tensors: Mapping[int, Array]
    results: list[Result]
    weights: list[Array]
    semantics: Semantics

    @property
    def activations(self) -> list[Array]:
        """What each call gave."""
        return [result.output for result in self.results]

    def tipped(self, call: int, decisions: Collection[int]) -> Pass:
        """The same, but for decisions of one call that are taken the other way on the way back."""
        again = self.network.call(
            self.network.calls[call],
            _inputs(self.network.calls[call], self.tensors),
            self.weights,
            self.semantics,
            decisions,
        )
        return replace(self, results=[*self.results[:call], again, *self.results[call + 1 :]])

    def loss(self, labels: Array) -> float:
        """The loss, penalties included."""
        value, _ = self.network.loss_of(labels, self.results[-1].output, self.semantics.loss)
        return value + self.network.penalty(self.weights, self.semantics)

    def gradients(self, labels: Array) -> list[Array]:
        """Of the loss, penalties included, by every weight (zero where there is none)."""
        return self.backward(labels).gradients

    def backward(self, labels: Array) -> Backward:
        """All the way back."""
        _, g = self.network.loss_of(labels, self.results[-1].output, self.semantics.loss)
        last = len(self.network.calls) - 1
        found, sizes, arriving = self._back({self.network.calls[-1].output: g}, last, 0)
        options = self.semantics.loss
        for place, _, gradient in self.network.penalties(self.weights, self.semantics):
            found[place] = found.get(place, 0.0) + gradient
        if options.get("l2_gradient"):
            for place, (info, array) in enumerate(zip(self.network.weights, self.weights, strict=True)):
                if info.name.endswith("kernel"):
                    found[place] = found.get(place, 0.0) + 2 * options["l2_gradient"] * array
        scale = float(options.get("gradient_scale", 1.0))
        gradients = [scale * found.get(place, np.zeros_like(one)) for place, one in enumerate(self.weights)]
        return Backward(gradients, {place: scale * size for place, size in sizes.items()}, arriving)

    def part_of_gradients(self, below: Backward, start: int, end: int) -> dict[int, Array]:
        """By place, the gradients of the weights of calls from `start` back to `end`, penalties left out.

        below: another way back, the same as this one down to `start`.
        """
        found, _, _ = self._back(dict(below.arriving[start]), start, end)
        return found

    def _back(
        self, pending: dict[int, Array], start: int, end: int
    ) -> tuple[dict[int, Array], dict[int, Array], dict[int, dict[int, Array]]]:
        """From call `start` to `end`: gradients and sizes by the weight's place; what arrived at each."""
        network = self.network
        found: dict[int, Array] = {}
        sizes: dict[int, Array] = {}
        arriving = {}
        for index in range(start, end - 1, -1):
            call, result = network.calls[index], self.results[index]
            arriving[index] = dict(pending)
            if call.output not in pending:
                continue
            to_inputs, to_weights = result.backward(pending.pop(call.output))
            for number, gradient in zip(call.inputs, to_inputs, strict=True):
                if number:  # neither the images nor a tensor from elsewhere
                    pending[number] = pending[number] + gradient if number in pending else gradient
            for place, info in enumerate(network.weights):
                if info.layer == call.layer and info.name in to_weights:
                    found[place] = found.get(place, 0.0) + to_weights[info.name]
                    if f"|{info.name}|" in to_weights:
                        sizes[place] = sizes.get(place, 0.0) + to_weights[f"|{info.name}|"]
        return found, sizes, arriving


@dataclass(frozen=True)
class Backward:
    """One batch, backward.

    gradients: by every weight. sizes: by place, of those that are plain sums, the sum without signs.
    arriving: at each call, gradients of tensors by number.
    """

    gradients: list[Array]
    sizes: Mapping[int, Array]
    arriving: Mapping[int, Mapping[int, Array]]


def penalty(weight: WeightInfo) -> tuple[float, float]:
    """The l1 and l2 that a layer puts on its weight.

    Raises:
        Unknown: a penalty of another kind.
    """
    given = weight.regularizer
    if not given:
        return 0.0, 0.0
    if given.get("class_name") not in ("L1", "L2", "L1L2"):
        raise Unknown(f"regularizer {given.get('class_name')} of {weight.name}")
    factors = given.get("config", {})
    return float(factors.get("l1") or 0.0), float(factors.get("l2") or 0.0)
