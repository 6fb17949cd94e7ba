"""Looks: what is decided after so many blocks, from frames as the store gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest

from bakeoff import stats, stopping
from bakeoff.races import Evidence
from bakeoff.races.evaluations import Evaluated
from bakeoff.study import Budget, load

RULES = stats.Rules(is_sequential=True)
PAIRS = [("a", "b"), ("a", "c"), ("b", "c")]
LABELS = {name: name.upper() for name in "abc"}


def evidence(
    times: Mapping[str, Sequence[float | None]], errors: Mapping[str, float] | None = None
) -> Evidence:
    """Runs with these seconds, block after block; None: it failed. Their errors are 0.1 unless told."""
    rows = [
        {
            "trial_id": name,
            "label": LABELS[name],
            "block": block,
            "run_id": f"{name}{block}",
            "status": "failed" if train_s is None else "ok",
            "train_s": train_s,
            "wall_s": 360.0,
            "final_validation_error": None if train_s is None else (errors or {}).get(name, 0.1),
        }
        for name, seconds in times.items()
        for block, train_s in enumerate(seconds)
    ]
    frame = pl.DataFrame(rows, schema_overrides={"train_s": pl.Float64, "final_validation_error": pl.Float64})
    return Evidence(frame, pl.DataFrame(), {})


def around(seconds: float, num: int = 8, noise: float = 0.01, seed: int = 0) -> list[float]:
    """Times of `num` blocks."""
    return list(seconds * np.exp(np.random.default_rng(seed).normal(0, noise, num)))


def of_images(number: int) -> dict[str, Evaluated]:
    """Errors of all runs were measured on so many images."""
    return {f"{name}{block}": Evaluated(num_images=number) for name in "abc" for block in range(8)}


CLEAR = {"a": around(1.0), "b": around(1.3, seed=1), "c": around(1.6, seed=2)}


def test_nothing_is_decided_before_block_six_and_everybody_goes_on() -> None:
    for number in range(6):
        look = stopping.look(PAIRS, number, evidence(CLEAR), RULES)
        assert set(look.undecided) == set(PAIRS) and look.active == {"a", "b", "c"}
    look = stopping.look(PAIRS, 6, evidence(CLEAR), RULES)
    assert look.undecided == () and look.active == frozenset()


def test_a_look_sees_no_later_block() -> None:
    """Whatever is in the store already: the verdict after six blocks is that of six blocks."""
    early = evidence({name: seconds[:6] for name, seconds in CLEAR.items()})
    assert stopping.look(PAIRS, 6, evidence(CLEAR), RULES) == stopping.look(PAIRS, 6, early, RULES)


def test_a_verdict_is_that_of_the_statistics() -> None:
    look = stopping.look(PAIRS, 8, evidence(CLEAR), RULES)
    on_others = stats.Pairing.OTHER_IMAGES  # nobody knows on which images these runs were judged
    error = stats.error_difference([0.1] * 8, [0.1] * 8, RULES, pairing=on_others)
    assert look.verdicts["a", "b"] == stats.judge(CLEAR["a"], CLEAR["b"], error, RULES)


def test_a_certified_pair_needs_no_race_for_its_error() -> None:
    known = dataclasses.replace(evidence(CLEAR), evaluated=of_images(100))
    assert set(stopping.look(PAIRS, 6, known, RULES).undecided) == set(PAIRS)
    certified = dataclasses.replace(known, certified=[frozenset("ab")])
    look = stopping.look(PAIRS, 6, certified, RULES)
    assert look.verdicts["a", "b"].on_error is stats.OnError.CERTIFIED
    assert set(look.undecided) == set(PAIRS) - {("a", "b")}


def test_only_contestants_of_open_pairs_go_on() -> None:
    close = {**CLEAR, "b": around(1.0, noise=0.05, seed=1)}
    look = stopping.look(PAIRS, 6, evidence(close), RULES)
    assert look.undecided == (("a", "b"),) and look.active == {"a", "b"}


@pytest.mark.parametrize(
    ("ends", "is_out"),
    [
        ([None, None], False),
        ([None, None, None], True),
        ([None, None, 1.6], False),
        ([1.6, 1.6, None, None, None], True),
        ([None, None, None, 1.6, None], False),
    ],
)
def test_three_failures_running_are_enough(ends: list[float | None], is_out: bool) -> None:
    look = stopping.look(PAIRS, len(ends), evidence({**CLEAR, "c": ends}), RULES)
    assert (set(look.hopeless) == {("a", "c"), ("b", "c")}) == is_out
    assert look.active == ({"a", "b"} if is_out else {"a", "b", "c"})
    if is_out:
        assert look.hopeless["a", "c"] == (stopping.Failing("C", "failed"),)
        words = "C ended badly 3 times running (last: failed)"
        assert words in stopping.report(look, None, LABELS)


def test_a_failed_run_that_was_mended_is_none() -> None:
    found = evidence({**CLEAR, "c": [None, None, None]})
    again = evidence({"c": [1.6]}).runs
    mended = dataclasses.replace(found, runs=pl.concat([found.runs, again]))
    assert stopping.look(PAIRS, 3, mended, RULES).active == {"a", "b", "c"}


def test_a_test_set_that_is_too_small_ends_what_blocks_cannot_decide() -> None:
    """Of 100 images the binomial bound is some 8 points; the difference in time is clear."""
    found = dataclasses.replace(evidence(CLEAR), evaluated=of_images(100))
    look = stopping.look(PAIRS, 6, found, RULES)
    assert set(look.undecided) == set(PAIRS) and look.active == frozenset()
    assert set(look.hopeless.values()) == {()}
    obstacles = {one.obstacle for one in look.verdicts.values()}
    assert obstacles == {stats.Obstacle.TEST_SET_TOO_SMALL}


def test_undecided_on_time_goes_on_whatever_the_test_set() -> None:
    noisy = evidence({"a": around(1.0, noise=0.2), "b": around(1.05, noise=0.2, seed=1)})
    found = dataclasses.replace(noisy, evaluated=of_images(100))
    look = stopping.look([("a", "b")], 8, found, RULES)
    assert look.verdicts["a", "b"].undecided_on == "time" and look.active == {"a", "b"}


def test_hours() -> None:
    """Six blocks of two contestants, six minutes a run: 1.2 hours."""
    found = evidence({"a": around(1.0, 6), "b": around(1.0, 6)})
    assert stopping.hours(found) == pytest.approx(1.2)
    assert not stopping.exceeds(found, None, ["a", "b"])
    assert not stopping.exceeds(found, 1.4, ["a", "b"]) and stopping.exceeds(found, 1.39, ["a", "b"])
    assert not stopping.exceeds(found, 1.0, []), "blocks that are there cost nothing"
    nothing = evidence({"a": []} | {"b": around(1.0, 1)})
    assert not stopping.exceeds(nothing, 0.01, ["a"]), "of a trial that never ran nothing is known"


def test_a_report_says_each_verdict_once() -> None:
    close = {**CLEAR, "b": around(1.0, noise=0.05, seed=1)}
    first, second = (stopping.look(PAIRS, number, evidence(close), RULES) for number in (6, 7))
    lines = stopping.report(first, None, LABELS).split("\n  ")
    assert lines[0] == "after block 6: 2 of 3 comparisons are decided"
    assert lines[1].startswith("A trains ") and "faster than C" in lines[1]
    assert "undecided" in lines[3] and lines[4] == "sitting out: C"
    again = stopping.report(second, first, LABELS)
    assert "faster than C" not in again and "undecided" in again


@pytest.mark.parametrize(
    ("times", "hours", "words"),
    [
        (CLEAR, None, "all is decided after 8 blocks"),
        (
            {**CLEAR, "c": [None] * 8},
            None,
            "2 comparisons are undecided, and more blocks would not help",
        ),
        (
            {name: around(1.0, noise=0.2, seed=seed) for seed, name in enumerate("abc")},
            1.2,
            "3 comparisons are undecided: 1 h of runs, and one more block would go beyond the "
            "budget of 1 h 12 min; --max-hours H raises it",
        ),
    ],
)
def test_a_conclusion(times: Mapping[str, Sequence[float | None]], hours: float | None, words: str) -> None:
    look = stopping.look(PAIRS, 8, evidence(times), RULES)
    assert stopping.conclusion(look, Budget(8 if hours is None else 50, hours), 1.0) == words


def test_the_rules_are_those_of_the_study() -> None:
    study = load("smoke", ["verdicts.until_decided=true", "verdicts.margin=1%"])
    assert stopping.rules_of(study) == stats.Rules(margin=0.01, is_sequential=True)


def test_changed_rules_are_named() -> None:
    assert stopping.changed(RULES, RULES) == ""
    assert stopping.changed(stats.Rules(), stats.Rules(0.01, 0.001, 0.99)) == (
        "1 % margin of times (before: 2 % margin of times), "
        "0.1 points margin of errors (before: 0.25 points margin of errors), "
        "99 % confidence (before: 95 % confidence)"
    )
