"""Under which conditions two contestants meet, and when they may not be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from bakeoff import races
from bakeoff.races import Comparison, Frames
from bakeoff.races.definitions import Unfit
from bakeoff.races.sentences import certified

SLOW = (20.0, 22.0, 24.0, 21.0)


@pytest.fixture
def meet(invented: Callable[..., Frames], entry: Any) -> Callable[..., Comparison]:
    """JAX and another backend, with settings that are asked of each and what is seen to run."""

    def compared(
        jax: dict[str, Any],
        other: dict[str, Any],
        backend: str = "tensorflow",
        seen: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
    ) -> Comparison:
        entries = entry("jax", SLOW, changes=jax, seen=seen[0]), entry(backend, changes=other, seen=seen[1])
        (comparison,) = races.compose(invented(*entries))[0].races[0].comparisons
        return comparison

    return compared


def test_where_nothing_is_asked_it_is_out_of_the_box(meet: Callable[..., Comparison]) -> None:
    found = meet({}, {})
    assert (found.track, found.refusal) == (races.OUT_OF_THE_BOX, None)
    assert found.differing == ("compilation off and on",)  # TensorFlow's 0 threads stand for both CPUs


def test_what_is_asked_and_seen_alike_is_matched(meet: Callable[..., Comparison]) -> None:
    asked = {"threads": 1, "jit": True}
    found = meet(asked, asked, seen=({"threads": 1}, {"threads": 1, "jit": True}))
    assert (found.track, found.differing, found.refusal) == (races.MATCHED, (), None)


def test_what_is_asked_alike_but_runs_otherwise_is_not_matched(meet: Callable[..., Comparison]) -> None:
    asked = {"threads": 1, "jit": True}
    found = meet(asked, asked, seen=({"threads": 2}, {"threads": 1, "jit": True}))
    assert (found.track, found.differing) == (races.TUNED, ("threads 1 and 2",))


def test_a_backend_without_a_choice_of_compiling_can_be_matched(meet: Callable[..., Comparison]) -> None:
    found = meet({"threads": 2}, {"threads": 2}, backend="theano")
    assert (found.track, found.differing) == (races.MATCHED, ())


def test_tuned_each_in_its_own_way(meet: Callable[..., Comparison]) -> None:
    found = meet({"threads": 2}, {"jit": True}, seen=({}, {"jit": True, "threads": 1}))
    assert (found.track, found.refusal) == (races.TUNED, None) and found.differing == ("threads 1 and 2",)


def test_mixed_tracks_are_refused(meet: Callable[..., Comparison]) -> None:
    found = meet({"jit": True}, {})
    assert found.refusal and found.refusal.words == (
        "mixed tracks: jax was set (compilation on), and tensorflow runs as its users get it"
    )
    assert races.sentence(found) == f"tensorflow and jax are not compared ({found.refusal.words})"
    assert found.break_even is None and races.what_would_decide(found) == ""


def test_nobody_is_ranked_where_somebody_may_not_be_compared(
    invented: Callable[..., Frames], entry: Any
) -> None:
    entries = entry("jax", SLOW, changes={"jit": True}), entry("torch"), entry("tensorflow")
    (race,) = races.compose(invented(*entries))[0].races
    assert race.ranking is None and sum(bool(one.refusal) for one in race.comparisons) == 2


def test_different_work_is_refused(meet: Callable[..., Comparison]) -> None:
    cases = (
        ({}, {"epochs": 2}, "different work: epochs 2 and 4"),
        ({"device": "gpu"}, {}, "different work: devices cpu and gpu"),
    )
    for jax, other, words in cases:
        refusal = meet(jax, other).refusal
        assert refusal and (refusal.kind, refusal.words) == (Unfit.UNLIKE, words)


def test_one_backend_under_several_settings_is_what_is_compared(
    invented: Callable[..., Frames], entry: Any
) -> None:
    entries = (
        entry("jax", SLOW, label="a"),
        entry("jax", changes={"threads": 1}, label="b", seen={"threads": 1}),
    )
    (comparison,) = races.compose(invented(*entries))[0].races[0].comparisons
    assert (comparison.track, comparison.refusal) == (races.SETTINGS, None)
    assert comparison.differing == ("threads 1 and 2",)


def test_one_backend_in_two_releases_is_compared_however_each_was_set(
    invented: Callable[..., Frames], entry: Any
) -> None:
    for asked, track in (({}, races.OUT_OF_THE_BOX), ({"threads": 1}, races.SETTINGS)):
        entries = entry("jax", SLOW), entry("jax", changes={"environment": "jax_0_4", **asked})
        (comparison,) = races.compose(invented(*entries))[0].races[0].comparisons
        assert (comparison.track, comparison.refusal) == (track, None)
        assert comparison.first.environment == "jax_0_4"


def test_one_backends_different_work_says_how_cost_grows(invented: Callable[..., Frames], entry: Any) -> None:
    entries = (
        entry("jax", SLOW, label="much", changes={"data_scale": 4}),
        entry("jax", label="little"),
    )
    frames = invented(*entries)
    ids = frames.runs["trial_id"].unique().to_list()
    row = {"one_trial": ids[0], "other_trial": ids[1], "verdict": "same", "words": ""}
    digests = {f"{one}_environment_digest": None for one in ("one", "other")}
    frames = dataclasses.replace(frames, certificates=pl.DataFrame([{**row, **digests}]))
    (race,) = races.compose(frames)[0].races
    (found,) = race.comparisons
    assert (found.track, found.refusal, found.growth) == (races.SETTINGS, None, "data scale 1 and 4")
    said = races.sentence(found)
    assert said.startswith("much takes ")
    assert "× as long as little (growth of cost with data scale 1 and 4: " in said
    assert "faster" not in said
    assert certified(found) == "certified: both take the same steps"
    assert not found.is_asked and race.ranking is None
    assert found.break_even is None and races.what_would_decide(found) == ""


def test_a_device_is_a_setting_and_no_work(invented: Callable[..., Frames], entry: Any) -> None:
    entries = entry("jax", SLOW, label="a"), entry("jax", changes={"device": "gpu"}, label="b")
    (found,) = races.compose(invented(*entries))[0].races[0].comparisons
    assert (found.track, found.refusal, found.growth) == (races.SETTINGS, None, "")


def test_what_a_gpu_rounds_is_disclosed_and_not_matched(meet: Callable[..., Comparison]) -> None:
    asked = {"device": "gpu", "jit": True, "threads": 1, "tf32": True}
    seen = {"device": "gpu", "jit": True, "threads": 1}
    both, one = {"convolution": True, "matrix product": True}, {"convolution": True, "matrix product": False}
    found = meet(asked, asked, seen=({**seen, "tf32": both}, {**seen, "tf32": one}))
    assert (found.track, found.differing) == (
        races.TUNED,
        ("TF32 convolution and convolution + matrix product",),
    )
    found = meet(asked, asked, seen=({**seen, "tf32": both}, {**seen, "tf32": both}))
    assert (found.track, found.differing) == (races.MATCHED, ())
