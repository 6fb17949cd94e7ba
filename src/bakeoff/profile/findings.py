"""What in a profile is worth a person's time: each finding a value, its words made at the edge (`words`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from bakeoff.profile.budget import Budget, budget
from bakeoff.profile.layers import Layers, LayerTime, layers
from bakeoff.profile.profiled import Profiled
from bakeoff_worker.records import Ceilings, Facts

# From here on something is worth saying: shares of a training step.
_MIN_SAVED, _MIN_HOST, _MIN_SYSTEM, _MIN_MOVING = 0.05, 0.5, 0.15, 0.1
_MIN_PAGE_FAULTS = 1000
# Of an epoch of `fit`, what its steps do not take that are called one by one. Processes differ by a tenth.
_MIN_WAITING = 0.25
# Large convolutions that attain less of a large matrix product are computed by plain loops.
_MAX_OF_PRODUCT = 0.1
# Settings whose observed value says whether they did anything.
_OBSERVED = ("threads", "jit", "precision", "data_layout", "deterministic")


class Kind(Enum):
    """What was found.

    EQUIVALENT: a layer whose equivalent makes the step shorter. HOST: most of a step has nothing to do with
    the images in it. PAGE_FAULTS: the kernel hands out memory anew in each step. ONE_THREAD: of several
    processors one is used. INPUT: an epoch waits for TensorFlow's input pipeline. MOVING: values are copied
    and their layouts turned, and nothing computed meanwhile. CONVOLUTION: this library
    convolves by plain loops. DOUBLE_PRECISION: everything is computed in float64. NO_EFFECT: a setting was
    asked for, and something else runs.
    """

    EQUIVALENT = auto()
    HOST = auto()
    PAGE_FAULTS = auto()
    ONE_THREAD = auto()
    INPUT = auto()
    MOVING = auto()
    CONVOLUTION = auto()
    DOUBLE_PRECISION = auto()
    NO_EFFECT = auto()


@dataclass(frozen=True)
class Finding:
    """One finding. share: of a step that it concerns, None where that isn't known.

    Beside EQUIVALENT stands the layer; beside HOST, PAGE_FAULTS and INPUT the budget; beside CONVOLUTION as
    observed the fraction of a matrix product's operations a second, beside MOVING the data layout; beside the
    others the setting, what was asked of it and what was observed.
    """

    kind: Kind
    share: float | None = None
    layer: LayerTime | None = None
    budget: Budget | None = None
    setting: str = ""
    asked: Any = None
    observed: Any = None


def findings(profiled: Profiled) -> tuple[Finding, ...]:
    """All findings, those that concern most of a step first, those of unknown share last."""
    found: list[Finding] = []
    by_layer = layers(profiled.answers["layers"]) if profiled.has("layers") else None
    if by_layer is not None:
        found += _of_layers(by_layer)
        found += _of_moving(profiled, by_layer)
        found += _of_convolutions(by_layer, profiled.answers["layers"].of(Ceilings))
    if profiled.has("budget"):
        answer = profiled.answers["budget"]
        found += _of_memory(profiled, budget(answer))
        if by_layer is not None:
            found += _of_input(profiled, budget(answer), by_layer)
        for facts in answer.of(Facts):
            found += _of_settings(facts)
    return tuple(sorted(found, key=lambda finding: -(finding.share or 0.0)))


def _of_layers(by_layer: Layers) -> Iterator[Finding]:
    for layer in by_layer.layers:
        if layer.saved is not None and layer.saved.low > 0 and layer.saved.value >= _MIN_SAVED:
            yield Finding(Kind.EQUIVALENT, layer.saved.value, layer=layer)
    if by_layer.host is not None and by_layer.host.low >= _MIN_HOST:
        yield Finding(Kind.HOST, by_layer.host.value)


def _of_moving(profiled: Profiled, by_layer: Layers) -> Iterator[Finding]:
    if by_layer.moving is not None and by_layer.moving >= _MIN_MOVING:
        yield Finding(Kind.MOVING, by_layer.moving, observed=profiled.settings.data_layout)


def _of_memory(profiled: Profiled, spent: Budget) -> Iterator[Finding]:
    share, faults = spent.system_share, spent.page_faults
    if share is None or faults is None or profiled.settings.keep_memory:
        return
    if share >= _MIN_SYSTEM and faults >= _MIN_PAGE_FAULTS:
        yield Finding(Kind.PAGE_FAULTS, share, budget=spent)


def _of_input(profiled: Profiled, spent: Budget, by_layer: Layers) -> Iterator[Finding]:
    """The steps that are called one by one take no input pipeline."""
    settings = profiled.settings
    if settings.backend != "tensorflow" or not settings.autotune_input or settings.steps_per_execution > 1:
        return
    share = 1 - by_layer.step_s / spent.step_s
    if share >= _MIN_WAITING:
        yield Finding(Kind.INPUT, share, budget=spent)


def _of_convolutions(by_layer: Layers, ceilings: Sequence[Ceilings]) -> Iterator[Finding]:
    of_layers = [layer.both.value for layer in by_layer.layers if layer.layer.layer_type.startswith("Conv")]
    for ceiling in ceilings:
        attained = ceiling.convolution_flops / ceiling.product_flops
        if of_layers and attained < _MAX_OF_PRODUCT:
            yield Finding(Kind.CONVOLUTION, sum(of_layers), observed=attained)


def _of_settings(facts: Facts) -> Iterator[Finding]:
    observed = facts.observed
    cpus = len(observed.get("cpus") or ())
    if observed.get("threads") == 1 and cpus > 1:
        yield Finding(Kind.ONE_THREAD, setting="threads", asked=facts.asked.get("threads"), observed=1)
    if observed.get("precision") == "float64":
        yield Finding(Kind.DOUBLE_PRECISION, setting="precision", asked="float64", observed="float64")
    for name in _OBSERVED:
        asked = facts.asked.get(name)
        if asked is not None and observed.get(name) is not None and observed[name] != asked:
            yield Finding(Kind.NO_EFFECT, setting=name, asked=asked, observed=observed[name])
