"""What comes of a pair: verdict, other measures, targets, break-even, ranking, certificates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from bakeoff import races, stats
from bakeoff.races import Comparison, Frames

SLOW = (20.0, 22.0, 24.0, 21.0, 23.0, 20.4)


def only(frames: Frames, **options: Any) -> Comparison:
    """The comparison of a study that has one."""
    (section,) = races.compose(frames, **options)
    (race,) = section.races
    (comparison,) = race.comparisons
    return comparison


@pytest.fixture
def pair(invented: Callable[..., Frames], entry: Any) -> Frames:
    """TensorFlow takes half of JAX's time in each block at the same error, and four times as long before."""
    return invented(entry("jax", SLOW, once_s=5.0), entry("tensorflow", once_s=20.0))


def test_the_faster_comes_first_whoever_was_entered_first(pair: Frames) -> None:
    found = only(pair)
    assert (found.first.backend, found.second.backend) == ("tensorflow", "jax")
    assert found.verdict.kind == stats.FASTER and found.verdict.time.ratio == pytest.approx(0.5)
    assert len(found.run_ids) == 12 and found.command == "bakeoff run invented"
    assert found.excluded == () and not found.hinges


def test_errors_are_compared_image_by_image_where_all_runs_say_which(pair: Frames) -> None:
    error = only(pair).verdict.error
    assert error is not None and error.is_paired_by_image and error.difference == 0.0
    fewer = dataclasses.replace(pair, outcomes=pair.outcomes.head(11))
    error = only(fewer).verdict.error
    assert error is not None and not error.is_paired_by_image
    assert error.test_set_se == pytest.approx(0.0014, rel=0.02)  # √2 x the binomial one of 1 % on 10,000


@pytest.mark.parametrize(
    "changes",
    [{"evaluation_images": 10_000}, {"evaluation_split": "validation"}],
    ids=["subset", "held out"],
)
def test_images_that_each_repeat_draws_anew_are_not_one_test_set(
    invented: Callable[..., Frames], entry: Any, changes: dict[str, Any]
) -> None:
    found = only(invented(entry("jax", SLOW, changes=changes), entry(changes=changes)))
    assert found.verdict.error is not None and not found.verdict.error.is_paired_by_image


def test_faster_to_a_worse_error_is_no_victory(invented: Callable[..., Frames], entry: Any) -> None:
    found = only(invented(entry("jax", SLOW), entry(error=0.02)))
    assert found.verdict.kind == stats.FASTER_AT_WORSE_ERROR
    assert "but at worse error (95 % CI" in races.sentence(found)
    assert "error difference +1.00 pp" in races.sentence(found)


def test_rules_are_the_studys_unless_others_are_given(invented: Callable[..., Frames], entry: Any) -> None:
    times = [10.0 * 1.04 * wobble for wobble in (1.001, 0.999, 1.0, 1.001, 1.0, 0.999)]
    entries = entry("jax", times), entry(times=(10.0,) * 6)
    assert only(invented(*entries)).verdict.kind == stats.FASTER
    frames = invented(*entries, document={"rules": {"margin": 0.1, "comparisons": [], "confidence": 0.9}})
    found = only(frames)
    assert (found.verdict.kind, found.verdict.rules.confidence) == (stats.PRACTICALLY_EQUAL, 0.9)
    assert only(frames, rules=stats.Rules(margin=0.0)).verdict.kind == stats.FASTER


@pytest.mark.parametrize("is_sequential", [False, True])
def test_a_verdict_needs_six_blocks(invented: Callable[..., Frames], entry: Any, is_sequential: bool) -> None:
    document = {"rules": {"is_sequential": is_sequential}}
    found = only(invented(entry("jax", SLOW[:4]), entry(), document=document))
    assert found.verdict.kind == stats.TOO_FEW
    assert races.what_would_decide(found) == "at least 2 more blocks would be needed to tell"
    assert "no interval, 4 paired blocks" in races.sentence(found)


def planned(frames: Frames, now: int, before: list[int]) -> Frames:
    """The frames of a study that plans so many blocks; run block by block for studies that planned others."""
    begun_for = pl.col("block").replace_strict(dict(enumerate(before)), return_dtype=pl.Int64)
    runs = frames.runs.with_columns(planned_blocks=pl.lit(now), begun_for_blocks=begun_for)
    return dataclasses.replace(frames, runs=runs)


@pytest.mark.parametrize(
    ("now", "before", "schedule"),
    [
        (6, [6] * 6, stats.Schedule.FIXED),
        (6, [3] * 3 + [6] * 3, stats.Schedule.CHANGED),  # three were looked at, three were added
        (6, [0] * 6, stats.Schedule.CHANGED),  # begun until decided, and called fixed afterwards
        (6, [8] * 6, stats.Schedule.CHANGED),  # stopped early, and called planned so
        (8, [8] * 6, stats.Schedule.UNFINISHED),
    ],
)
def test_blocks_added_after_a_look_are_judged_at_every_look(
    pair: Frames, now: int, before: list[int], schedule: stats.Schedule
) -> None:
    found = only(planned(pair, now, before)).verdict
    assert found.schedule is schedule
    assert found.rules.is_sequential == (schedule is not stats.Schedule.FIXED)
    words = "; ".join(races.sentences.remarks(only(planned(pair, now, before))))
    assert ("intervals are those that hold at every look" in words) == found.rules.is_sequential


def test_a_run_that_failed_is_no_block_that_is_missing(invented: Callable[..., Frames], entry: Any) -> None:
    frames = invented(entry("jax", (*SLOW, None)), entry(times=(*(one / 2 for one in SLOW), 11.0)))
    assert only(planned(frames, 7, [7] * 7)).verdict.schedule is stats.Schedule.FIXED


def test_a_ranking_holds_at_every_look_where_its_pairs_do(pair: Frames) -> None:
    def ends(frames: Frames) -> stats.TimeRatio:
        ranking = races.compose(frames)[0].races[0].ranking
        assert ranking is not None
        return ranking.ratios[0, 1]

    noisy = dataclasses.replace(
        pair,
        runs=pair.runs.with_columns(
            train_s=pl.col("train_s") * (1 + 0.01 * pl.col("train_s").hash(3).mod(5))
        ),
    )
    fixed, added = ends(planned(noisy, 6, [6] * 6)), ends(planned(noisy, 6, [3] * 3 + [6] * 3))
    assert fixed.low is not None and added.low is not None and added.low < fixed.low


def test_other_measures_are_ratios_of_the_same_runs(pair: Frames) -> None:
    found = only(pair).measures
    assert set(found) == {"epoch_s", "throughput_images_per_s", "total_s", "first_step_s", "cpu_s"}
    assert found["epoch_s"].ratio == pytest.approx(0.5)
    assert found["throughput_images_per_s"].ratio == pytest.approx(2.0)
    assert found["first_step_s"].ratio == pytest.approx(4.0)
    assert found["total_s"].num_blocks == 6 and found["total_s"].ratio == pytest.approx(31.9 / 27.7, rel=0.01)
    with_energy = dataclasses.replace(
        pair, runs=pair.runs.with_columns(energy_j=pl.when(backend="jax").then(300.0).otherwise(100.0))
    )
    assert only(with_energy).measures["energy_j"].ratio == pytest.approx(1 / 3)


def test_break_even_by_hand(pair: Frames) -> None:
    """20 s once and 2.5 s an epoch, against 5 s and 5 s: equal at 6 epochs (in the first block)."""
    found = only(pair).break_even
    assert found is not None and found.at == pytest.approx(6.0, rel=0.1)
    assert found.ratios[0] == pytest.approx(22.5 / 10.0, rel=0.1)
    assert found.ratios[-1] == pytest.approx(520 / 1005, rel=0.1)
    without = only(dataclasses.replace(pair, phases=pair.phases.filter(pl.col("phase") != "build")))
    assert without.break_even is None


def test_targets_are_the_users_the_studys_or_built_in(invented: Callable[..., Frames], entry: Any) -> None:
    entries = entry("jax", SLOW), entry()
    found = only(invented(*entries))  # on all of MNIST: 1 %, which the last epoch reaches
    assert found.target is not None and found.target_error == 0.01
    assert found.target.verdict == stats.FASTER and found.target.num_reached == (6, 6)
    own = invented(*entries, document={"target_error": {"mnist": 0.02}})
    assert only(own).target_error == 0.02
    assert only(own, target_error=0.001).target.num_reached == (0, 0)  # type: ignore[union-attr]
    subset = [dataclasses.replace(one, changes={"train_images": 600}) for one in entries]
    assert only(invented(*subset)).target is None


def test_a_race_is_ranked_all_at_once(invented: Callable[..., Frames], entry: Any) -> None:
    twins = [10.0, 10.2, 9.9, 10.1, 10.0, 10.1], [10.1, 10.0, 10.0, 10.05, 10.1, 10.0]
    (section,) = races.compose(invented(entry("torch", twins[0]), entry("jax", SLOW), entry(times=twins[1])))
    (race,) = section.races
    assert race.ranking is not None
    names = [race.contestants[index].backend for index in race.ranking.order]
    assert names[2] == "jax" and race.ranking.ranks[race.ranking.order[2]] == (3, 3)
    assert {len(group) for group in race.ranking.groups} == {1, 2}


def test_certificates_hold_in_the_environments_that_they_were_made_in(pair: Frames) -> None:
    assert only(pair).certificate.verdict == races.UNCERTIFIED
    ids = dict(pair.runs.select("backend", "trial_id").iter_rows())
    row = {
        "one_trial": ids["jax"],
        "other_trial": ids["tensorflow"],
        "verdict": "different",
        "words": "tensorflow: optimizer",
        "one_environment_digest": "d-jax",
        "other_environment_digest": "d-tensorflow",
    }
    older = row | {"verdict": "same", "words": ""}
    found = only(dataclasses.replace(pair, certificates=pl.DataFrame([row, older])))
    assert (found.certificate.verdict, found.certificate.words) == ("different", "tensorflow: optimizer")
    elsewhere = pl.DataFrame([row | {"one_environment_digest": "another"}, older])
    assert only(dataclasses.replace(pair, certificates=elsewhere)).certificate.is_same


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["/x/bin/bakeoff", "run", "a b.toml"], "bakeoff run 'a b.toml'"),
        (["/x/bakeoff/__main__.py", "run", "quick"], "bakeoff run quick"),  # python -m bakeoff
        ([], ""),
    ],
)
def test_a_command_is_shown_as_one_would_type_it(pair: Frames, typed: list[str], shown: str) -> None:
    runs = pair.runs.with_columns(command=pl.lit(json.dumps(typed)))
    assert only(dataclasses.replace(pair, runs=runs)).command == shown


def test_one_function_says_it_everywhere(pair: Frames) -> None:
    found = only(pair)
    images = races.evaluation_images(pair.facts, pair.runs)
    assert set(images.values()) == {10_000}
    ids = found.first.trial_id, found.second.trial_id
    said = races.verdict(*ids, pair.runs, pair.outcomes, images)
    assert (said.kind, said.error) == (found.verdict.kind, found.verdict.error)
    assert said.time.ratio == pytest.approx(found.verdict.time.ratio)
    other = races.verdict(*reversed(ids), pair.runs, pair.outcomes, images)
    assert other.inverse.kind == found.verdict.kind
    assert other.inverse.time.ratio == pytest.approx(found.verdict.time.ratio)
