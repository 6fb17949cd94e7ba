"""Optimizers on lists of arrays, as Keras 3 defines them, and in the other forms that go by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"momentum": 0.0, "nesterov": False},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    "adamax": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7},
}
# AdamW is Adam whose weights decay (Loshchilov & Hutter 2019).
SAME: Mapping[str, str] = {"adamw": "adam"}


def is_known(name: str) -> bool:
    """Whether the reference has it."""
    return SAME.get(name, name) in DEFAULTS


class Optimizer:
    """One optimizer with its state.

    options: hyperparameters by Keras's names, and
        ``name``: another optimizer than `name`;
        ``epsilon_at``: ``beside_root`` (added to the root), ``under_root``, or ``corrected`` (Adam as in
            Kingma & Ba 2015, algorithm 1: added to the root of the corrected second moment);
        ``late``: steps by which the step counter is ahead, or ``any``: see `changes`;
        ``single_powers``: Adam's bias correction takes betas rounded to single precision;
        ``bias_correction``: False leaves it out;
        ``weight_decay``: share of the learning rate by which weights shrink each step (Loshchilov & Hutter
            2019); ``decay_in_gradient``: True adds it to the gradient instead;
        ``schedule``: shares of the learning rate, step by step; ``ahead``: steps by which they come early;
        ``dampening``: share of each gradient that momentum leaves out;
        ``clipnorm``, ``global_clipnorm``, ``clipvalue``: bounds on gradients;
        ``frozen``: indices of weights that are left alone.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name: str = str(options.get("name", SAME.get(name, name)))
        if self.name not in _STEPS:
            raise KeyError(self.name)
        self.options: dict[str, Any] = {**DEFAULTS[self.name], **options}
        self._states: list[dict[str, Array]] = []
        self._step = 0

    def changes(
        self, weights: Sequence[Array], gradients: Sequence[Array], seen: Sequence[Array] | None = None
    ) -> list[Array]:
        """What is added to each weight in the next step, the state moved on.

        seen: what was added in truth; where ``late`` is ``any``, the step that comes nearest is taken.
        """
        self._step += 1
        before = self._states or [{} for _ in weights]
        gradients = self._clipped(gradients)
        late = self.options.get("late", 0)
        tried = [self._advance(weights, gradients, before, 0 if late == "any" else int(late))]
        if late == "any" and seen is not None:
            tried.append(self._advance(weights, gradients, before, 1))
            tried.sort(
                key=lambda one: sum(
                    float(np.linalg.norm(change - true)) for change, true in zip(one[0], seen, strict=True)
                )
            )
        changes, self._states = tried[0]
        return changes

    def _advance(
        self,
        weights: Sequence[Array],
        gradients: Sequence[Array],
        states: Sequence[dict[str, Array]],
        late: int,
    ) -> tuple[list[Array], list[dict[str, Array]]]:
        options, rate = self.options, self._rate()
        decay = float(options.get("weight_decay") or 0.0)
        changes, after = [], []
        for place, (weight, gradient, before) in enumerate(zip(weights, gradients, states, strict=True)):
            state = dict(before)
            if options.get("decay_in_gradient"):
                gradient = gradient + decay * weight
            change = _STEPS[self.name](gradient, state, self._step + late, rate, options)
            if not options.get("decay_in_gradient"):
                change = change - rate * decay * weight
            changes.append(np.zeros_like(change) if place in options.get("frozen", ()) else change)
            after.append(state)
        return changes, after

    def _rate(self) -> float:
        rate, schedule = float(self.options["learning_rate"]), self.options.get("schedule")
        if not schedule:
            return rate
        return rate * float(schedule[min(self._step - 1 + self.options.get("ahead", 0), len(schedule) - 1)])

    def _clipped(self, gradients: Sequence[Array]) -> list[Array]:
        bound = self.options.get("clipvalue")
        if bound:
            return [np.clip(gradient, -bound, bound) for gradient in gradients]
        norms = [float(np.linalg.norm(gradient)) for gradient in gradients]
        if self.options.get("clipnorm"):
            return [
                one * min(1.0, self.options["clipnorm"] / norm) if norm else one
                for one, norm in zip(gradients, norms, strict=True)
            ]
        if self.options.get("global_clipnorm"):
            total = float(np.linalg.norm(norms))
            return [
                gradient * min(1.0, self.options["global_clipnorm"] / total) if total else gradient
                for gradient in gradients
            ]
        return list(gradients)


def _sgd(g: Array, state: dict[str, Array], step: int, rate: float, options: Mapping[str, Any]) -> Array:
    momentum = float(options["momentum"])
    if not momentum:
        return -rate * g
    first = 0.0 if "velocity" not in state else float(options.get("dampening", 0.0))
    velocity = momentum * state.get("velocity", np.zeros_like(g)) - rate * (1 - first) * g
    state["velocity"] = velocity
    return momentum * velocity - rate * g if options["nesterov"] else velocity


def _adam(g: Array, state: dict[str, Array], step: int, rate: float, options: Mapping[str, Any]) -> Array:
    beta_1, beta_2, epsilon = (float(options[key]) for key in ("beta_1", "beta_2", "epsilon"))
    mean = state["mean"] = beta_1 * state.get("mean", np.zeros_like(g)) + (1 - beta_1) * g
    square = state["square"] = beta_2 * state.get("square", np.zeros_like(g)) + (1 - beta_2) * g**2
    if options["amsgrad"]:
        square = state["largest"] = np.maximum(state.get("largest", np.zeros_like(g)), square)
    powers = [float(np.float32(beta)) if options.get("single_powers") else beta for beta in (beta_1, beta_2)]
    correct = options.get("bias_correction", True)
    first, second = (1 - power**step if correct else 1.0 for power in powers)
    bound: Array
    match options.get("epsilon_at", "beside_root"):
        case "corrected":
            bound = np.sqrt(square / second) + epsilon
        case "under_corrected_root":
            bound = np.sqrt(square / second + epsilon)
        case "under_root":
            bound = np.sqrt((square + epsilon) / second)
        case _:
            bound = (np.sqrt(square) + epsilon) / np.sqrt(second)
    return -rate * (mean / first) / bound


def _adamax(g: Array, state: dict[str, Array], step: int, rate: float, options: Mapping[str, Any]) -> Array:
    beta_1, beta_2, epsilon = (float(options[key]) for key in ("beta_1", "beta_2", "epsilon"))
    mean = state["mean"] = beta_1 * state.get("mean", np.zeros_like(g)) + (1 - beta_1) * g
    largest = state["largest"] = np.maximum(beta_2 * state.get("largest", np.zeros_like(g)), np.abs(g))
    change: Array = -rate / (1 - beta_1**step) * mean / (largest + epsilon)
    return change


def _rmsprop(g: Array, state: dict[str, Array], step: int, rate: float, options: Mapping[str, Any]) -> Array:
    rho, epsilon = float(options["rho"]), float(options["epsilon"])
    square = state["square"] = rho * state.get("square", np.zeros_like(g)) + (1 - rho) * g**2
    under = options.get("epsilon_at", "under_root") == "under_root"
    bound: Array = np.sqrt(square + epsilon) if under else np.sqrt(square) + epsilon
    return -rate * g / bound


_STEPS: dict[str, Callable[[Array, dict[str, Array], int, float, Mapping[str, Any]], Array]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamax": _adamax,
    "rmsprop": _rmsprop,
}
