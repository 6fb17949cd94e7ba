import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff import stats
from bakeoff.errors import ReportError
from bakeoff.races.frames import select
from bakeoff.report import Frames
from bakeoff.report.contents import compose, error_table


def changed(frames: Frames, where: pl.Expr, **columns: Any) -> Frames:
    """The frames with other values in some runs."""
    new = [pl.when(where).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in columns.items()]
    return Frames(frames.study, frames.runs.with_columns(new), frames.epochs, frames.facts)


def test_sections_are_data_sets_in_the_order_in_which_they_ran(race: Callable[..., Frames]) -> None:
    contents = compose(race(datasets=("mnist", "cifar10")))
    assert [section.title for section in contents.sections] == ["mnist", "cifar10"]


def test_names_leave_out_what_the_section_says(race: Callable[..., Frames]) -> None:
    (section,) = compose(race()).sections
    assert [one.name for one in section.contestants] == ["theano", "tensorflow", "jax", "torch"]


def test_equal_names_stay_whole(invented: Callable[..., Frames], trial: Any) -> None:
    frames = invented([trial("jax", label="mnist · a"), trial("torch", label="a")])
    (section,) = compose(frames).sections
    assert [one.name for one in section.contestants] == ["mnist · a", "a"]


def test_comparisons_are_paired_by_block(race: Callable[..., Frames]) -> None:
    frames = race(backends=("tensorflow", "jax"), repeats=6)
    (comparison,) = compose(frames).sections[0].races[0].comparisons
    wide = frames.runs.pivot("backend", index="block", values=["train_s", "final_validation_error"])
    wrong = {
        (backend, block): np.unpackbits(np.frombuffer(bits, np.uint8), count=num)
        for backend, block, num, bits in frames.outcomes.select(
            "backend", "block", "num_images", "wrong"
        ).iter_rows()
    }
    tables = ([wrong[backend, block] for block in range(6)] for backend in ("tensorflow", "jax"))
    difference = stats.error_difference_by_image(*tables)
    expected = stats.judge(wide["train_s_tensorflow"], wide["train_s_jax"], difference)
    assert comparison.first.name == "tensorflow"
    assert comparison.verdict == expected
    assert comparison.verdict.error is not None and comparison.verdict.error.is_paired_by_image
    assert comparison.run_ids == tuple(frames.runs.sort("block", "trial_id")["run_id"])


def test_a_block_that_one_contestant_lacks_does_not_count(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = spoil(race(backends=("tensorflow", "jax"), repeats=4), 3, "failed", "no memory")
    (comparison,) = compose(frames).sections[0].races[0].comparisons
    assert comparison.verdict.time.num_blocks == 3


@pytest.mark.parametrize("change", [{"machine_id": "m2"}, {"measurement_version": 2}])
def test_other_conditions_are_left_out(race: Callable[..., Frames], change: dict[str, Any]) -> None:
    frames = changed(race(repeats=5), pl.col("repeat") > 2, condition_id="other", **change)
    contents = compose(frames)
    assert set(contents.selection.ok["repeat"]) == {0, 1, 2}
    assert set(contents.selection.left_out["repeat"]) == {3, 4}
    assert all(one.verdict.time.num_blocks == 3 for one in contents.sections[0].races[0].comparisons)


def test_another_form_of_one_environment_is_left_out(race: Callable[..., Frames]) -> None:
    jax = (pl.col("backend") == "jax") & (pl.col("repeat") > 2)
    contents = compose(changed(race(repeats=5), jax, condition_id="new", environment_digest="new"))
    counts = dict(contents.selection.ok.group_by("backend").len().iter_rows())
    assert counts == {"tensorflow": 5, "torch": 5, "theano": 5, "jax": 3}


def test_runs_on_a_cluster_with_another_java_are_left_out(race: Callable[..., Frames]) -> None:
    """TensorFlow runs on a cluster, JAX on one machine: no Java is theirs to differ in."""
    frames = race(repeats=5, backends=("tensorflow", "jax"))
    spread = pl.when(backend="tensorflow")
    java = (
        pl.when(pl.col("repeat") > 2)
        .then(pl.lit('{"java": "17.0.14"}'))
        .otherwise(pl.lit('{"java": "17.0.13"}'))
    )
    runs = frames.runs.with_columns(
        spread.then(pl.lit("elephas")).otherwise(pl.lit("single")).alias("settings.distribution"),
        spread.then(java).otherwise(pl.lit("{}")).alias("environment_details"),
    )
    selection = select(runs)
    assert sorted(selection.ok["backend"]) == ["jax"] * 5 + ["tensorflow"] * 3
    assert selection.left_out["repeat"].to_list() == [3, 4]


def test_an_environment_that_could_not_be_made_is_a_failure_not_a_condition(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = spoil(race(repeats=2), 0, "failed", "no interpreter")
    first = frames.runs["run_id"][0]
    frames = changed(frames, pl.col("run_id") == first, environment_digest="", condition_id="none")
    contents = compose(frames)
    assert len(contents.selection.left_out) == 0
    assert contents.sections[0].attempts.filter(pl.col("status") == "failed")["run_id"].to_list() == [first]


def test_the_last_of_two_good_attempts_counts(race: Callable[..., Frames]) -> None:
    frames = race(repeats=2)
    again = frames.runs.head(1).with_columns(run_id=pl.lit("again"), attempt=pl.lit(2, pl.Int64), train_s=1e6)
    frames = Frames("", pl.concat([frames.runs, again]), frames.epochs, frames.facts)
    ok = compose(frames).selection.ok
    assert len(ok) == 8
    assert ok.filter(run_id="again")["train_s"].to_list() == [1e6]


def test_a_frame_without_the_needed_columns_is_refused(race: Callable[..., Frames]) -> None:
    with pytest.raises(ReportError, match="machine_id"):
        select(race().runs.drop("machine_id"))


def sweep(invented: Callable[..., Frames], trial: Any, **options: Any) -> Frames:
    """Two backends at a baseline, and with one setting changed at a time."""
    trials = [trial(backend, label=f"{backend} · baseline") for backend in ("jax", "torch")]
    for backend in ("jax", "torch"):
        trials += [
            trial(backend, label=f"{backend} · batch {size}", changes={"global_batch_size": size})
            for size in (100, 400)
        ]
        trials.append(
            trial(backend, label=f"{backend} · filters 8", changes={"model_options": {"filters": [8, 8]}})
        )
    return invented(trials, **options)


def test_a_sweep_races_within_equal_settings_and_the_commonest_come_first(
    invented: Callable[..., Frames], trial: Any
) -> None:
    (section,) = compose(sweep(invented, trial)).sections
    assert dict(section.axes) == {
        "global_batch_size": (100, 200, 400),
        "model_options.filters": (None, [8, 8]),
    }
    assert [race.setting for race in section.races] == [
        "baseline",
        "batch 100",
        "filters 8-8",
        "batch 400",
    ]
    assert [one.short for one in section.races[1].contestants] == ["jax", "torch"]
    assert all(len(race.comparisons) == 1 for race in section.races)


def test_a_swept_axis_holds_all_others_at_the_main_race(invented: Callable[..., Frames], trial: Any) -> None:
    (section,) = compose(sweep(invented, trial)).sections
    swept = section.swept("global_batch_size")
    assert sorted((one.backend, one.axes["global_batch_size"]) for one in swept) == [
        (backend, size) for backend in ("jax", "torch") for size in (100, 200, 400)
    ]
    assert {str(one.axes["model_options.filters"]) for one in swept} == {"None"}


def test_one_backend_under_several_settings_races_itself(invented: Callable[..., Frames], trial: Any) -> None:
    trials = [trial("jax", label=f"threads {n}", changes={"threads": n}) for n in (1, 2, 4)]
    (section,) = compose(invented(trials)).sections
    assert [one.name for one in section.races[0].contestants] == ["threads 1", "threads 2", "threads 4"]
    assert len(section.races[0].comparisons) == 3
    assert len(section.swept("threads")) == 3


def test_what_differs_between_backends_alone_does_not_part_them(
    invented: Callable[..., Frames], trial: Any
) -> None:
    trials = [trial("tensorflow", changes={"jit": True}), trial("jax"), trial("torch")]
    (section,) = compose(invented(trials)).sections
    assert len(section.races) == 1
    assert len(section.races[0].comparisons) == 3


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_no_number(race: Callable[..., Frames], seed: int) -> None:
    frames = race(repeats=3, epochs=2)
    random = np.random.default_rng(seed)
    mixed = Frames(
        frames.study,
        frames.runs[random.permutation(len(frames.runs))],
        frames.epochs[random.permutation(len(frames.epochs))],
        frames.facts[random.permutation(len(frames.facts))],
        outcomes=frames.outcomes[random.permutation(len(frames.outcomes))],
    )
    for old, new in zip(compose(frames).sections, compose(mixed).sections, strict=True):
        assert old.races == new.races


def test_error_tables_have_a_row_per_run_and_a_column_per_epoch(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=3, epochs=11)
    table = error_table(frames.epochs)
    assert table.shape == (3, 11)
    first = frames.epochs.filter(run_id=frames.runs["run_id"][0])
    assert table[0].tolist() == first["validation_error"].to_list()


def test_a_run_with_fewer_epochs_leaves_gaps(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=2, epochs=4)
    last = frames.runs["run_id"][1]
    table = error_table(frames.epochs.filter((pl.col("run_id") != last) | (pl.col("epoch") < 3)))
    assert np.isnan(table[1, 2:]).all() and np.isfinite(table[0]).all()


# ---- notes --------------------------------------------------------------------------------------


def test_dropout_is_explained_wherever_there_are_results(race: Callable[..., Frames]) -> None:
    assert any("dropout" in note for note in compose(race()).notes)


def test_different_initial_weights_are_told(race: Callable[..., Frames]) -> None:
    frames = race(repeats=2)
    run = frames.runs.filter(backend="jax", repeat=1)["run_id"][0]
    other = pl.when(pl.col("run_id") == run).then(pl.lit('{"initial_weights_sha256": "x"}'))
    facts = frames.facts.with_columns(observed=other.otherwise(pl.col("observed")))
    notes = compose(Frames("", frames.runs, frames.epochs, facts)).notes
    assert any("different weights in repeats 1" in note for note in notes)
    assert not any("different weights" in note for note in compose(frames).notes)


@pytest.mark.parametrize(("backend", "told"), [("tensorflow", True), ("jax", False)])
def test_two_valued_epochs_are_told_of_tensorflow_if_the_data_show_them(
    race: Callable[..., Frames], backend: str, told: bool
) -> None:
    frames = race(backends=(backend,), epochs=20)
    assert not any("one of two times" in note for note in compose(frames).notes)
    jumps = np.random.default_rng(2).choice([0.78, 1.3], len(frames.epochs))
    frames = Frames("", frames.runs, frames.epochs.with_columns(train_s=jumps), frames.facts)
    assert any("one of two times" in note for note in compose(frames).notes) == told


@pytest.mark.parametrize(
    ("share", "kept", "told"), [(0.3, False, True), (0.3, True, False), (0.05, False, False)]
)
def test_time_in_the_system_is_told_unless_memory_is_kept(
    race: Callable[..., Frames], share: float, kept: bool, told: bool
) -> None:
    frames = race(backends=("jax",))
    epochs = frames.epochs.with_columns(user_s=pl.lit(1 - share), system_s=pl.lit(share))
    runs = frames.runs.with_columns(pl.lit(kept).alias("settings.keep_memory"))
    notes = compose(Frames("", runs, epochs, frames.facts)).notes
    assert any("in the system: jax on mnist 30 %" in note for note in notes) == told


def test_losses_that_are_no_number_are_told(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=2)
    loss = pl.when(pl.col("epoch") == 3).then(float("nan")).otherwise(pl.col("validation_loss"))
    frames = Frames("", frames.runs, frames.epochs.with_columns(validation_loss=loss), frames.facts)
    assert any("jax has 2 runs with a validation loss" in note for note in compose(frames).notes)


def test_a_subset_that_was_the_first_images_is_said(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax", "torch"))
    subset = pl.lit(500, pl.Int64).alias("settings.evaluation_images")
    old = dataclasses.replace(frames, runs=frames.runs.with_columns(subset))
    (note,) = (one for one in compose(old).notes if "measurement version 1" in one)
    assert note.startswith("On mnist errors were measured on the first 500 images of the split")
    new = dataclasses.replace(old, runs=old.runs.with_columns(measurement_version=pl.lit(2)))
    assert not any("measurement version 1" in one for one in compose(new).notes)
