"""Plans: deterministic, complete, stable under growth; estimates that say what they don't know."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import plan
from bakeoff.study import Study, Trial, load
from bakeoff_worker.records import TrialSettings


def study_of(num_trials: int, repeats: int, seed: int) -> Study:
    trials = tuple(
        Trial(f"batch {size}", TrialSettings("fake", "fake", global_batch_size=size), {})
        for size in range(1, num_trials + 1)
    )
    return Study("s", "s", "", repeats, seed, trials, {}, (), {}, "")


studies = st.builds(study_of, st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**40))


@given(studies)
def test_every_block_has_every_trial_once_in_places_from_zero(study: Study) -> None:
    specs = plan.expand(study)
    assert len(specs) == len(study.trials) * study.repeats
    size = len(study.trials)
    for block in range(study.repeats):
        members = specs[block * size : (block + 1) * size]
        assert {spec.block for spec in members} == {spec.repeat for spec in members} == {block}
        assert [spec.position for spec in members] == list(range(size))
        assert {spec.trial_id for spec in members} == {trial.trial_id for trial in study.trials}


@given(studies)
def test_a_plan_is_the_same_each_time_and_whatever_the_order_of_trials(study: Study) -> None:
    assert plan.expand(study) == plan.expand(study)
    assert plan.expand(replace(study, trials=study.trials[::-1])) == plan.expand(study)


@given(studies, st.integers(1, 4))
def test_more_repeats_leave_the_earlier_blocks_alone(study: Study, more: int) -> None:
    longer = plan.expand(replace(study, repeats=study.repeats + more))
    assert longer[: len(plan.expand(study))] == plan.expand(study)


@given(studies.filter(lambda study: len(study.trials) > 1))
def test_a_new_trial_leaves_seeds_and_relative_order_of_the_others(study: Study) -> None:
    fewer = replace(study, trials=study.trials[:-1])
    new = study.trials[-1].trial_id
    kept = [(s.trial_id, s.repeat, s.seed) for s in plan.expand(study) if s.trial_id != new]
    assert kept == [(s.trial_id, s.repeat, s.seed) for s in plan.expand(fewer)]


@given(studies)
def test_one_seed_a_repeat_in_31_bits(study: Study) -> None:
    seeds: dict[int, set[int]] = {}
    for spec in plan.expand(study):
        seeds.setdefault(spec.repeat, set()).add(spec.seed)
    assert all(len(found) == 1 and 0 <= min(found) < 2**31 for found in seeds.values())
    assert len(set.union(*seeds.values())) == study.repeats


def test_seeds_never_change_between_releases() -> None:
    """Golden: a release that plans other seeds would measure everything again."""
    assert [plan.run_seed(1, repeat) for repeat in range(3)] == [416735690, 624792847, 1496945263]


def test_blocks_are_ordered_differently() -> None:
    orders = {
        tuple(spec.label for spec in plan.expand(study_of(5, 30, 7)) if spec.block == block)
        for block in range(30)
    }
    assert len(orders) > 20


def test_each_trial_comes_first_about_as_often() -> None:
    firsts = [spec.label for spec in plan.expand(study_of(4, 400, 3)) if spec.position == 0]
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert all(65 < firsts.count(label) < 135 for label in set(firsts))
    assert len(set(firsts)) == 4


@given(studies, st.randoms(use_true_random=False))
def test_missing_and_done_make_up_the_plan(study: Study, chance: random.Random) -> None:
    specs = plan.expand(study)
    done = {(s.trial_id, s.repeat) for s in specs if chance.random() < 0.5}
    left = plan.missing(specs, done)
    assert [s for s in specs if s in left] == list(left)
    assert {(s.trial_id, s.repeat) for s in left} | done == {(s.trial_id, s.repeat) for s in specs}
    assert not {(s.trial_id, s.repeat) for s in left} & done


# ---- estimates ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Past:
    settings: TrialSettings
    wall_s: float | None = 130.0
    num_epochs: int = 2
    num_images: int = 120_000
    train_s: float = 110.0
    evaluation_s: float = 10.0


ASKED = TrialSettings("jax", "jax", epochs=2)


def study_with(*settings: TrialSettings, repeats: int = 3) -> Study:
    trials = tuple(Trial(f"trial {index}", one, {}) for index, one in enumerate(settings))
    return Study("s", "s", "", repeats, 0, trials, {}, (), {}, "")


def estimate_of(settings: TrialSettings, *history: Past) -> plan.Estimate:
    return plan.estimate(plan.expand(study_with(settings)), history)


def test_nothing_known_claims_nothing() -> None:
    estimate = estimate_of(ASKED)
    assert (estimate.total_s, estimate.low_s, estimate.high_s) == (None, None, None)
    assert estimate.num_unknown == 3
    assert list(estimate.basis.values()) == ["unknown"]


def test_a_measured_trial_takes_its_median_again() -> None:
    estimate = estimate_of(ASKED, Past(ASKED, 100), Past(ASKED, 130), Past(ASKED, 400))
    assert estimate.total_s == pytest.approx(3 * 130)
    assert estimate.low_s == pytest.approx(3 * 100 * 0.8)
    assert estimate.high_s == pytest.approx(3 * 400 * 1.25)
    assert list(estimate.basis.values()) == ["measured"]


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({"epochs": 4}, 10 + 240),
        ({"train_images": 6000}, 10 + 12),
        ({"epochs": 4, "dataset": "fashion_mnist"}, 10 + 240),
        ({"evaluation_split": "validation"}, 10 + 108),
    ],
)
def test_other_epochs_and_images_scale_all_but_the_start_up(
    change: dict[str, object], seconds: float
) -> None:
    estimate = estimate_of(replace(ASKED, **change), Past(ASKED))
    assert estimate.total_s == pytest.approx(3 * seconds)
    assert list(estimate.basis.values()) == ["scaled"]


def test_other_settings_widen_the_range() -> None:
    asked = replace(ASKED, global_batch_size=50)
    estimate = estimate_of(asked, Past(ASKED))
    assert list(estimate.basis.values()) == ["scaled from other settings"]
    assert estimate.low_s == pytest.approx(estimate.total_s * 0.3)
    assert estimate.high_s == pytest.approx(estimate.total_s * 3)


def test_the_nearest_past_runs_are_the_ones_scaled() -> None:
    asked = replace(ASKED, global_batch_size=50, epochs=4)
    near = Past(replace(ASKED, global_batch_size=50), 1010, train_s=1000, evaluation_s=0)
    assert estimate_of(asked, Past(ASKED), near).total_s == pytest.approx(3 * 2010)


@pytest.mark.parametrize(
    "change",
    [
        {"backend": "torch"},
        {"environment": "gpu"},
        {"device": "gpu"},
        {"dataset": "cifar10"},
        {"model": "lenet5"},
    ],
)
def test_what_is_not_alike_is_not_scaled(change: dict[str, str]) -> None:
    assert estimate_of(replace(ASKED, **change), Past(ASKED)).total_s is None


def test_what_is_unknown_is_left_out_and_counted() -> None:
    other = replace(ASKED, backend="torch", environment="torch")
    estimate = plan.estimate(plan.expand(study_with(ASKED, other)), [Past(ASKED)])
    assert estimate.total_s == pytest.approx(3 * 130)
    assert estimate.num_unknown == 3
    assert sorted(estimate.basis.values()) == ["measured", "unknown"]


def test_own_data_take_their_size_from_a_run_on_all_of_them() -> None:
    own = replace(ASKED, dataset="/data/mine.npz", content={"dataset": "abc"})
    assert estimate_of(replace(own, epochs=4), Past(own)).total_s == pytest.approx(3 * 250)
    edited = replace(own, content={"dataset": "def"})
    assert estimate_of(edited, Past(own)).total_s is None


def test_no_run_outlasts_its_time_limit() -> None:
    estimate = estimate_of(replace(ASKED, epochs=200, time_limit_s=60), Past(ASKED))
    assert (estimate.low_s, estimate.total_s, estimate.high_s) == (180, 180, 180)


def test_a_run_of_unknown_length_is_of_no_use() -> None:
    assert estimate_of(ASKED, Past(ASKED, wall_s=None)).total_s is None


def test_the_quick_study_has_24_runs() -> None:
    assert len(plan.expand(load("quick"))) == 24
