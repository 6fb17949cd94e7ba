"""What each layer takes of a step, by two methods that know nothing of each other."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bakeoff import stats
from bakeoff.profile.arithmetic import arithmetic, of_network
from bakeoff.profile.profiled import Answer
from bakeoff_worker.records import (
    Ceilings,
    LayerDescribed,
    NotShown,
    ProfiledSpan,
    ProfiledSteps,
    VariantTimed,
)

# Where the two methods differ by more, or the interval is wider to either side, nothing is said of a layer.
MAX_DIFFERENCE = 0.10


@dataclass(frozen=True)
class Share:
    """A share of a training step: the median over turns, and the interval that the sign test gives."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LayerTime:
    """What a layer takes of a step.

    forward, backward, both: by substitution: what the layer adds to a network of those before it. backward is
    the rest of a training step, the update of the layer's weights included. profiled: forward and backward
    together, by the framework's own profiler; None: it has none that is read. saved: what the step is shorter
    by with the layer's equivalent in its place; None: there is no equivalent. attained: at most this fraction
    of the machine's best, in operations or bytes; None: nobody can tell.
    """

    layer: LayerDescribed
    forward: Share
    backward: Share
    both: Share
    profiled: float | None
    saved: Share | None
    attained: float | None

    @property
    def is_uncertain(self) -> bool:
        """Whether the methods disagree, or substitution by itself can't tell."""
        too_wide = max(self.both.high - self.both.value, self.both.value - self.both.low) > MAX_DIFFERENCE
        return too_wide or self.disagrees

    @property
    def disagrees(self) -> bool:
        """Whether there are two methods, and they disagree."""
        return self.profiled is not None and abs(self.profiled - self.both.value) > MAX_DIFFERENCE


@dataclass(frozen=True)
class Layers:
    """All layers of a network but the last; what is left is the last one, the loss, calls and the host.

    step_s: a step of the whole network, the median over turns. rest: shares of the step, as of a layer. host:
    what of a step doesn't hang on how many images there are in it; None: a batch is one image.
    profiler: its name, empty if there is none; why_not_profiled: then, why. overhead: of a step under the
    profiler, as a fraction of one without it. moving: the share of a step that the profiler saw spent on
    copies and other layouts; None without one. attained: operations a second of the whole step, as a fraction
    of a large matrix product's; None: unknown.
    """

    step_s: float
    layers: tuple[LayerTime, ...]
    rest: Share
    host: Share | None
    profiler: str
    why_not_profiled: str
    overhead: float | None
    moving: float | None
    attained: float | None


def layers(answer: Answer) -> Layers | None:
    """What a job's records show; None if the network is no chain (`NotShown` says why)."""
    described: list[LayerDescribed] = answer.of(LayerDescribed)
    timings: list[VariantTimed] = answer.of(VariantTimed)
    if not described or not timings:
        return None
    num_images = max(timed.num_images for timed in timings)
    turns: dict[int, dict[tuple[int, str], VariantTimed]] = defaultdict(dict)
    halves: dict[int, VariantTimed] = {}
    for timed in timings:
        if timed.num_images == num_images:
            turns[timed.turn][timed.depth, timed.twin] = timed
        else:
            halves[timed.turn] = timed
    whole = (len(described) - 1, "")
    rounds = [turn for turn in turns.values() if whole in turn]
    all_of = of_network(described)
    step_s = statistics.median(turn[whole].step_s for turn in rounds)
    seen = _by_profiler(next(iter(answer.of(ProfiledSteps)), None), step_s)
    ceiling = next(iter(answer.of(Ceilings)), None)
    found = []
    for depth, layer in enumerate(described[:-1], start=1):
        pairs = [(turn[depth, ""], turn[depth - 1, ""], turn[whole].step_s) for turn in rounds]
        forward = [(one.forward_s - other.forward_s) / step for one, other, step in pairs]
        both = [(one.step_s - other.step_s) / step for one, other, step in pairs]
        twins = [
            1 - turn[whole[0], layer.name].step_s / turn[whole].step_s
            for turn in rounds
            if (whole[0], layer.name) in turn
        ]
        shared = _share(both)
        found.append(
            LayerTime(
                layer,
                forward=_share(forward),
                backward=_share([all_ - part for all_, part in zip(both, forward, strict=True)]),
                both=shared,
                profiled=seen.shares.get(layer.name, 0.0) if seen else None,
                saved=_share(twins) if twins else None,
                attained=_attained(layer, depth == 1, num_images, shared.low * step_s, ceiling),
            )
        )
    return Layers(
        step_s=step_s,
        layers=tuple(found),
        rest=_share([turn[0, ""].step_s / turn[whole].step_s for turn in rounds]),
        host=_share([_host(turns[turn][whole], half) for turn, half in halves.items()]) if halves else None,
        profiler=seen.profiler if seen else "",
        why_not_profiled=next((one.reason for one in answer.of(NotShown) if one.what == "profiler"), ""),
        overhead=seen.overhead if seen else None,
        moving=seen.moving if seen else None,
        attained=None
        if ceiling is None or all_of is None
        else num_images * all_of.training / step_s / ceiling.product_flops,
    )


def _attained(
    layer: LayerDescribed, is_first: bool, num_images: int, at_least_s: float, ceiling: Ceilings | None
) -> float | None:
    """What a layer does a second, as a fraction of what the machine does at best.

    Of a layer that multiplies, operations; of another, bytes, which each pass reads and writes once at least.
    at_least_s: that the layer takes of a step; where that may be nothing, nothing is said.
    """
    counted = arithmetic(layer, is_first=is_first)
    if ceiling is None or counted is None or at_least_s <= 0:
        return None
    if not counted.training:
        moved = 2 * counted.values * ceiling.value_bytes
        return num_images * moved / at_least_s / ceiling.copy_bytes_per_s if moved else None
    is_product = layer.layer_type == "Dense"
    best = ceiling.product_flops if is_product else ceiling.convolution_flops
    return num_images * counted.training / at_least_s / best


def spans(steps: ProfiledSteps) -> list[ProfiledSpan]:
    """The spans of a record, which JSON leaves as lists."""
    return [ProfiledSpan(*span) for span in steps.spans]


@dataclass(frozen=True)
class _Seen:
    """What a profiler saw: shares of a step by layer, and what moving values takes of it."""

    profiler: str
    shares: Mapping[str, float]
    moving: float
    overhead: float


def _by_profiler(steps: ProfiledSteps | None, step_s: float) -> _Seen | None:
    if steps is None:
        return None
    seen = spans(steps)
    seconds = _wall_s(seen, lambda span: span.layer)
    moving_s = _wall_s(seen, lambda span: span.moves).get(True, 0.0)
    whole = max(steps.wall_s, sum(seconds.values()))
    return _Seen(
        steps.profiler,
        {name: one / whole for name, one in seconds.items()},
        moving_s / whole,
        steps.wall_s / steps.num_steps / step_s - 1,
    )


_Key = TypeVar("_Key")


def _wall_s(seen: Sequence[ProfiledSpan], key: Callable[[ProfiledSpan], _Key]) -> dict[_Key, float]:
    """Wall seconds by this key. Of operations at the same time, each counts for its part of that time.

    Where one operation holds another, on the same thread, the inner one runs.
    """
    borders = []
    for number, span in enumerate(seen):
        end_s = span.start_s + span.wall_s
        if end_s <= span.start_s:  # nothing, or too little for a clock that counts from 1970
            continue
        borders += [(span.start_s, 1, -span.wall_s, number), (end_s, 0, span.wall_s, number)]
    running: dict[str, list[int]] = defaultdict(list)  # by thread, operations within each other
    found: dict[_Key, float] = defaultdict(float)
    before_s = 0.0
    for now_s, begins, _, number in sorted(borders):
        at_work = [one[-1] for one in running.values() if one]
        for one in at_work:
            found[key(seen[one])] += (now_s - before_s) / len(at_work)
        within = running[seen[number].thread]
        if begins:
            within.append(number)
        else:
            within.remove(number)
        before_s = now_s
    return found


def _host(whole: VariantTimed, half: VariantTimed) -> float:
    """The share of a step that images don't take: where a line through both comes to with none."""
    image_s = (whole.step_s - half.step_s) / (whole.num_images - half.num_images)
    return min(max(0.0, 1 - whole.num_images * image_s / whole.step_s), 1.0)


def _share(values: Sequence[float]) -> Share:
    low, high, _ = stats.median_interval(values)
    return Share(statistics.median(values), low, high)
