"""Shares of a step by layer, from invented turns: what is right, and what is said where nobody can tell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest

from bakeoff.profile.layers import Layers, _wall_s, layers
from bakeoff.profile.profiled import Answer
from bakeoff_worker.records import (
    Ceilings,
    LayerDescribed,
    NotShown,
    ProfiledSpan,
    ProfiledSteps,
    Record,
    RunEnded,
    VariantTimed,
)

NETWORK = tuple(
    LayerDescribed(name, kind, [], [], [], {"pool_size": [2, 2]})
    for name, kind in (("conv2d", "Conv2D"), ("pool", "MaxPooling2D"), ("dense", "Dense"))
)


def turns(
    steps: Sequence[float], forwards: Sequence[float], twin: float, paces: Sequence[float]
) -> list[Record]:
    """Turns of every variant: seconds by depth, and with the pooling replaced, on a machine of that pace."""
    records: list[Record] = []
    for turn, pace in enumerate(paces):
        for depth, (step_s, forward_s) in enumerate(zip(steps, forwards, strict=True)):
            records.append(VariantTimed(depth, "", turn, 100, step_s * pace, forward_s * pace))
        records.append(VariantTimed(len(steps) - 1, "pool", turn, 100, twin * pace, 1.0))
    return records


def shown(*records: Record, profiled: Mapping[str, float] | None = None) -> Layers:
    """What these records show; profiled: seconds by layer, of three steps that took 36 s."""
    more: list[Record] = [NotShown("profiler", "there is none")]
    if profiled is not None:
        ends = list(itertools.accumulate(profiled.values()))
        spans = [
            ProfiledSpan("op", name, "forward", end - own, own, own, "1")
            for (name, own), end in zip(profiled.items(), ends, strict=True)
        ]
        more = [ProfiledSteps("tracer", 3, 36.0, [list(span) for span in spans])]
    found = layers(Answer((*NETWORK, *more, *records), 1.0, RunEnded("ok")))
    assert found is not None
    return found


def test_a_layer_takes_what_it_adds_to_the_network_before_it() -> None:
    found = shown(*turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12))
    conv, pool = found.layers
    assert (conv.both.value, conv.forward.value, conv.backward.value) == pytest.approx((0.6, 0.2, 0.4))
    assert (pool.both.value, pool.forward.value, pool.backward.value) == pytest.approx((0.3, 0.05, 0.25))
    assert found.rest.value == pytest.approx(0.1) and found.step_s == 10.0
    assert conv.saved is None and pool.saved is not None and pool.saved.value == pytest.approx(0.2)
    assert not conv.is_uncertain and conv.profiled is None and found.why_not_profiled == "there is none"


def test_a_machine_that_slows_down_changes_no_share() -> None:
    steady = shown(*turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12))
    slowing = shown(*turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0 + 0.1 * n for n in range(12)]))
    for one, other in zip(steady.layers, slowing.layers, strict=True):
        assert one.both.value == pytest.approx(other.both.value)


def test_noise_that_hides_a_layer_makes_it_uncertain() -> None:
    # The network without the pooling is 5 s or 9 s, in turn: the layer's share lies anywhere from 10 to 50 %.
    records: list[Record] = []
    for turn, without in zip(range(12), itertools.cycle((5.0, 9.0)), strict=False):
        for depth, step_s in enumerate((1.0, without, 10.0)):
            records.append(VariantTimed(depth, "", turn, 100, step_s, 0.1))
    found = shown(*records)
    assert all(layer.is_uncertain and not layer.disagrees for layer in found.layers)
    assert (found.layers[1].both.low, found.layers[1].both.high) == pytest.approx((0.1, 0.5))


@pytest.mark.parametrize(("pool_s", "disagrees"), [(36 * 0.39, False), (36 * 0.41, True)])
def test_two_methods_agree_within_ten_points(pool_s: float, disagrees: bool) -> None:
    steady = turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12)
    found = shown(*steady, profiled={"conv2d": 36 * 0.55, "pool": pool_s, "": 0.1})
    conv, pool = found.layers
    assert pool.profiled == pytest.approx(pool_s / 36) and pool.disagrees is disagrees
    assert pool.is_uncertain is disagrees and not conv.is_uncertain
    assert found.overhead == pytest.approx(0.2)


def test_operations_that_overlap_do_not_add_up_to_more_than_a_step() -> None:
    steady = turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12)
    found = shown(*steady, profiled={"conv2d": 45.0, "pool": 18.0, "": 9.0})
    assert [one.profiled for one in found.layers] == pytest.approx([45 / 72, 18 / 72])


def test_a_network_with_branches_has_no_layers_to_show() -> None:
    assert layers(Answer((NotShown("layers", "add takes two"),), 1.0, RunEnded("ok"))) is None


def test_what_a_layer_attains_is_bounded_by_what_it_takes_at_least() -> None:
    # 100 images a step of 10 s. The convolution takes 6 s, the pooling 3 s, the rest 1 s.
    conv = LayerDescribed("conv2d", "Conv2D", [3, 3, 1], [2, 2, 5], [[2, 2, 1, 5]], {})
    pool = LayerDescribed("pool", "MaxPooling2D", [2, 2, 5], [1, 1, 5], [], {})
    dense = LayerDescribed("dense", "Dense", [5], [2], [[5, 2]], {})
    steady = turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12)
    found = layers(
        Answer((conv, pool, dense, Ceilings(1000.0, 2000.0, 5000.0, 4), *steady), 1.0, RunEnded("ok"))
    )
    assert found is not None
    # 2 x 4 x 20 operations an image forward, twice that in training as the first layer; 25 values, read and
    # written in both passes; the dense layer does 20 operations forward.
    assert found.layers[0].attained == pytest.approx(100 * 320 / 6 / 2000)
    assert found.layers[1].attained == pytest.approx(100 * 2 * 25 * 4 / 3 / 5000)
    assert found.attained == pytest.approx(100 * (320 + 60) / 10 / 1000)


def test_operations_at_the_same_time_share_it_and_the_inner_one_runs() -> None:
    """Two threads: `outer` from 0 to 4 s with `inner` from 1 to 2, beside `other` from 3 to 6."""
    spans = [
        ProfiledSpan("op", "outer", "forward", 0.0, 4.0, 3.0, "1"),
        ProfiledSpan("op", "inner", "forward", 1.0, 1.0, 1.0, "1"),
        ProfiledSpan("op", "other", "forward", 3.0, 3.0, 3.0, "2"),
        ProfiledSpan("op", "nothing", "forward", 3.0, 0.0, 0.0, "2"),
        ProfiledSpan("op", "too little", "forward", 1.8e9, 1e-9, 1e-9, "2"),
    ]
    by_layer = _wall_s(spans, lambda span: span.layer)
    assert by_layer == pytest.approx({"outer": 2.5, "inner": 1.0, "other": 2.5})


@pytest.mark.parametrize(("half_s", "host"), [(5.0, 0.0), (7.5, 0.5), (10.0, 1.0), (4.0, 0.0)])
def test_the_host_takes_what_half_a_batch_does_not_save(half_s: float, host: float) -> None:
    halves = [VariantTimed(2, "", turn, 50, half_s, 0.1) for turn in range(12)]
    found = shown(*turns((1.0, 7.0, 10.0), (0.5, 2.5, 3.0), 8.0, [1.0] * 12), *halves)
    assert found.host is not None and found.host.value == pytest.approx(host)
