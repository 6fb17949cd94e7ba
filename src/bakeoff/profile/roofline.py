"""How far layers are from this machine's limits: operations a second against operations for each byte moved.

Source: Williams, Waterman, Patterson: "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.profile.arithmetic import arithmetic
from bakeoff.profile.layers import layers
from bakeoff.profile.profiled import Answer
from bakeoff_worker.records import Ceilings, VariantTimed


@dataclass(frozen=True)
class Point:
    """A layer that multiplies, over a training step.

    intensity: floating-point operations for each byte that must be moved at least: inputs and outputs once in
    each pass, weights three times. flops_per_s, low, high: operations a second, by the layer's share of the
    step and its interval; high is None where the layer may take no time at all.
    """

    layer: str
    intensity: float
    flops_per_s: float
    low: float
    high: float | None


@dataclass(frozen=True)
class Roofline:
    """Points below what the machine attains at its best in the same library, with the same threads."""

    ceilings: Ceilings
    points: tuple[Point, ...]

    @property
    def peak(self) -> float:
        """Floating-point operations a second of the better of a matrix product and a convolution."""
        return max(self.ceilings.product_flops, self.ceilings.convolution_flops)

    def roof(self, intensity: float) -> float:
        """Operations a second that are possible at most at this intensity."""
        return min(self.peak, intensity * self.ceilings.copy_bytes_per_s)

    @property
    def ridge(self) -> float:
        """The intensity from which on operations, and no longer bytes, are the limit."""
        return self.peak / self.ceilings.copy_bytes_per_s


def roofline(answer: Answer) -> Roofline | None:
    """Of a job's records; None where no ceiling was measured or no layer's operations are known."""
    found, ceilings = layers(answer), next(iter(answer.of(Ceilings)), None)
    if found is None or ceilings is None:
        return None
    num_images = answer.of(VariantTimed)[0].num_images
    points = []
    for index, layer in enumerate(found.layers):
        counted = arithmetic(layer.layer, is_first=not index)
        if counted is None or not counted.training or layer.both.value <= 0 or layer.both.high <= 0:
            continue
        operations = num_images * counted.training
        weights = sum(math.prod(shape) for shape in layer.layer.weight_shapes)
        moved = (2 * num_images * counted.values + 3 * weights) * ceilings.value_bytes
        rate = [
            operations / (share * found.step_s) if share > 0 else None
            for share in (layer.both.value, layer.both.high, layer.both.low)
        ]
        points.append(Point(layer.layer.name, operations / moved, rate[0] or 0.0, rate[1] or 0.0, rate[2]))
    return Roofline(ceilings, tuple(points)) if points else None
