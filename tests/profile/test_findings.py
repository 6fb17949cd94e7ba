"""Planted problems are named, each with the command that acts on it; a sound contestant has none."""

from __future__ import annotations

from typing import Any

import pytest

from bakeoff.profile import words
from bakeoff.profile.findings import Kind, findings
from bakeoff.profile.profiled import Answer, Profiled
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import (
    Ceilings,
    Facts,
    LayerDescribed,
    ProfiledEpoch,
    ProfiledSpan,
    ProfiledSteps,
    RunEnded,
    VariantTimed,
)


def profiled(
    asked: dict[str, Any] | None = None,
    observed: dict[str, Any] | None = None,
    *,
    system_s: float = 0.1,
    page_faults: int = 10,
    half_s: float = 0.55,
    twin_s: float = 1.0,
    convolution_flops: float = 5e10,
    backend: str = "torch",
    steps_s: float = 1.0,
    moving_s: float = 0.0,
    **settings: Any,
) -> Profiled:
    """A contestant whose step takes a second, 40 % of which is max-pooling. steps_s: one of `fit`.

    moving_s: what its profiler sees copied in it.
    """
    seen = {"threads": 2, "cpus": [0, 1], "precision": "float32", "jit": False} | (observed or {})
    wall_s = 10 * steps_s
    epoch = ProfiledEpoch(1, 100, 10, 10, 0.1, wall_s, 10.0, system_s, 10 * page_faults)
    budget = Answer((Facts(asked or {}, {}, seen), epoch), wall_s + 0.2, RunEnded("ok"))
    network = [
        LayerDescribed(name, kind, [], [], [], {"pool_size": [2, 2]})
        for name, kind in (("conv", "Conv2D"), ("pool", "MaxPooling2D"), ("dense", "Dense"))
    ]
    turns = [
        VariantTimed(depth, twin, turn, 200, step_s, 0.01)
        for turn in range(12)
        for depth, twin, step_s in ((0, "", 0.1), (1, "", 0.6), (2, "", 1.0), (2, "pool", twin_s))
    ]
    turns += [VariantTimed(2, "", turn, 100, half_s, 0.01) for turn in range(12)]
    ceilings = Ceilings(1e11, convolution_flops, 1e10, 4)
    spans = [
        ProfiledSpan("copy", "conv", "forward", 0.0, moving_s, moving_s, "1", True),
        ProfiledSpan("convolve", "conv", "forward", moving_s, 1 - moving_s, 1 - moving_s, "1"),
    ]
    seen = ProfiledSteps("tracer", 1, 1.0, [list(span) for span in spans])
    layers = Answer((*network, *turns, ceilings, seen), 1.0, RunEnded("ok"))
    return Profiled("one", TrialSettings(backend, backend, **settings), {"budget": budget, "layers": layers})


def test_a_sound_contestant_has_no_findings() -> None:
    assert findings(profiled({"threads": 2, "jit": False})) == ()


@pytest.mark.parametrize(
    ("problem", "kind", "evidence", "remedy"),
    [
        ({"twin_s": 0.7}, Kind.EQUIVALENT, "pool takes 40 % (40 to 40) of the step", "keras.ops.max"),
        ({"half_s": 0.8}, Kind.HOST, "60 % of a step is the host's", "global_batch_size"),
        (
            {"system_s": 5.0, "page_faults": 20_000},
            Kind.PAGE_FAULTS,
            "20,000 page faults",
            "keep_memory=true",
        ),
        ({"observed": {"threads": 1}}, Kind.ONE_THREAD, "one thread", "threads=N"),
        ({"observed": {"precision": "float64"}}, Kind.DOUBLE_PRECISION, "float64", 'precision="float32"'),
        (
            {"backend": "tensorflow", "steps_s": 1.6},
            Kind.INPUT,
            "38 % of an epoch is not its steps",
            "autotune_input=false",
        ),
        (
            {"moving_s": 0.3},
            Kind.MOVING,
            "copies and changes of layout take 30 % of the step",
            'data_layout="channels_first"',
        ),
        (
            {"moving_s": 0.3, "data_layout": "channels_first"},
            Kind.MOVING,
            "take 30 % of the step",
            'data_layout="channels_last"',
        ),
        (
            {"convolution_flops": 2e9},
            Kind.CONVOLUTION,
            "convolutions take 50 % of the step; a large one attains 2 % of a large matrix product",
            "another build",
        ),
        (
            {"asked": {"jit": True}},
            Kind.NO_EFFECT,
            "jit is True in the study, but False runs",
            "leave jit out",
        ),
    ],
)
def test_a_planted_problem_is_the_one_finding(
    problem: dict[str, Any], kind: Kind, evidence: str, remedy: str
) -> None:
    (found,) = findings(profiled(**problem))
    assert found.kind is kind
    assert evidence in words.evidence(found) and remedy in words.remedy(found, "mine.toml")


def test_what_concerns_most_of_a_step_comes_first() -> None:
    found = findings(profiled(twin_s=0.7, system_s=5.0, page_faults=20_000, observed={"threads": 1}))
    assert [one.kind for one in found] == [Kind.PAGE_FAULTS, Kind.EQUIVALENT, Kind.ONE_THREAD]


@pytest.mark.parametrize(
    "given",
    [
        {"backend": "torch"},
        {"backend": "tensorflow", "autotune_input": False},
        {"backend": "tensorflow", "steps_per_execution": 8},
    ],
)
def test_where_no_tuner_runs_none_is_blamed(given: dict[str, Any]) -> None:
    assert findings(profiled(steps_s=1.6, **given)) == ()


def test_memory_that_is_kept_already_is_not_advised() -> None:
    assert findings(profiled(system_s=5.0, page_faults=20_000, keep_memory=True)) == ()
