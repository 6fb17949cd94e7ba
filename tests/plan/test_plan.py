"""Plans: deterministic, complete, stable under growth; estimates that say what they don't know."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import plan
from bakeoff.study import Study, Trial, load
from bakeoff_worker.job import TrialSettings


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


# ---- what follows ---------------------------------------------------------------------------------

THEN = """
repeats = 3
seed = 5
[defaults]
backend = "fake"
[matrix]
global_batch_size = [100, 200]
learning_rate = [0.001, 0.002]
[follow_up]
choose = "global_batch_size"
set.dataset = "fashion_mnist"
"""


def test_each_branch_of_a_follow_up_is_planned_as_the_study_is(tmp_path: Path) -> None:
    (tmp_path / "then.toml").write_text(THEN)
    study = load(tmp_path / "then.toml")
    assert study.follow_up is not None
    first, second = plan.expand_follow_up(study)
    assert {spec.settings.global_batch_size for spec in first} == {100}
    assert {spec.settings.global_batch_size for spec in second} == {200}
    for specs in (first, second):
        assert len(specs) == 2 * 3
        assert {spec.settings.dataset for spec in specs} == {"fashion_mnist"}
        assert [spec.block for spec in specs] == [0, 0, 1, 1, 2, 2]
        assert [spec.position for spec in specs] == [0, 1] * 3
        assert [spec.seed for spec in specs[::2]] == [plan.run_seed(5, repeat) for repeat in range(3)]
    assert {spec.settings.dataset for spec in plan.expand(study)} == {"mnist"}
    assert plan.num_runs(study) == 4 * 3 + 2 * 3


def test_a_study_without_a_follow_up_has_no_branch() -> None:
    assert plan.expand_follow_up(load("quick")) == ()
    assert plan.num_runs(load("quick")) == 24


# ---- estimates on a cluster -----------------------------------------------------------------------

EMBEDDED = {"layout": "2x1", "master": "embedded", "mode": "synchronous", "rounds": 1}
SPREAD = replace(ASKED, distribution="elephas", distribution_options=EMBEDDED)


def test_one_machine_says_nothing_about_a_cluster_nor_a_cluster_about_one_machine() -> None:
    assert estimate_of(SPREAD, Past(ASKED)).total_s is None
    assert estimate_of(ASKED, Past(SPREAD)).total_s is None
    assert estimate_of(replace(SPREAD, epochs=4), Past(SPREAD)).total_s == pytest.approx(3 * 250)


def test_one_cluster_says_nothing_about_another() -> None:
    theirs = replace(SPREAD, distribution_options=EMBEDDED | {"master": "spark://far:7077"})
    assert estimate_of(theirs, Past(SPREAD)).total_s is None


def test_another_layout_widens_the_range_and_the_nearest_run_counts() -> None:
    asked = replace(SPREAD, distribution_options=EMBEDDED | {"layout": "1x2"})
    assert list(estimate_of(asked, Past(SPREAD)).basis.values()) == ["scaled from other settings"]
    far = replace(asked, distribution_options=EMBEDDED | {"layout": "4x4", "mode": "hogwild"})
    assert estimate_of(asked, Past(far, 9000, train_s=8000), Past(SPREAD)).total_s == pytest.approx(3 * 130)


@pytest.mark.parametrize("settings", [ASKED, SPREAD])
def test_scaled_data_take_as_many_times_longer(settings: TrialSettings) -> None:
    estimate = estimate_of(replace(settings, data_scale=4), Past(settings))
    assert estimate.total_s == pytest.approx(3 * (10 + 480))
    assert list(estimate.basis.values()) == ["scaled"]
    own = replace(settings, dataset="/data/mine.npz", content={"dataset": "abc"})
    past = Past(replace(own, data_scale=2), num_images=240_000, wall_s=250, train_s=220, evaluation_s=20)
    assert estimate_of(own, past).total_s == pytest.approx(3 * 130)


def test_a_subset_of_scaled_data_is_as_large_as_it_says() -> None:
    """`train_images` counts images of the scaled set, copies too."""
    subset = replace(ASKED, train_images=30_000)
    times = {estimate_of(replace(subset, data_scale=scale), Past(ASKED)).total_s for scale in (1, 4)}
    assert len(times) == 1


def test_a_cluster_that_reports_once_a_run_is_scaled_by_its_epochs_too() -> None:
    """Its only record covers all epochs: counting records would take them for one."""
    own = replace(SPREAD, epochs=4, dataset="/data/mine.npz", content={"dataset": "abc"})
    past = Past(own, num_epochs=1, num_images=240_000, wall_s=250, train_s=220, evaluation_s=20)
    assert estimate_of(replace(own, epochs=8), past).total_s == pytest.approx(3 * 490)
