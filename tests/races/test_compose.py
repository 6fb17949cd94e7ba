"""What comes of a pair: verdict, other measures, targets, break-even, ranking, certificates."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from bakeoff import races, stats
from bakeoff.races import Comparison, Evidence, Frames
from bakeoff.races.sentences import remarks

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


def of_version_2(frames: Frames, images: Callable[[str], str | None], **facts: Any) -> Frames:
    """The same, of runs that say which images they were judged on. images: by run_id."""
    told = []
    for run_id, observed in frames.facts.select("run_id", "observed").iter_rows():
        which = {"evaluation_sha256": images(run_id)} if images(run_id) else {}
        told.append(json.dumps({**json.loads(observed), **facts, **which}))
    return dataclasses.replace(
        frames,
        runs=frames.runs.with_columns(measurement_version=pl.lit(2)),
        facts=frames.facts.with_columns(observed=pl.Series(told)),
    )


def test_a_subset_that_is_the_same_in_all_blocks_is_paired_image_by_image(
    invented: Callable[..., Frames], entry: Any
) -> None:
    subset = {"evaluation_images": 10_000}
    frames = invented(entry("jax", SLOW, changes=subset), entry(changes=subset))
    # Before version 2 it was the first images of the split; since then the runs say which.
    for known in (frames, of_version_2(frames, lambda run_id: "one digest")):
        error = only(known).verdict.error
        assert error is not None and error.is_paired_by_image


@pytest.mark.parametrize(
    "images",
    [lambda run_id: None, lambda run_id: run_id, lambda run_id: "early" if int(run_id[-1]) < 2 else "late"],
    ids=["not said", "each contestant others", "two kinds of blocks"],
)
def test_images_that_are_not_known_to_be_the_same_are_not_paired(
    pair: Frames, images: Callable[[str], str | None]
) -> None:
    error = only(of_version_2(pair, images)).verdict.error
    assert error is not None and not error.is_paired_by_image
    assert error.test_set_se == pytest.approx(0.0014, rel=0.02)


def test_a_split_that_is_drawn_anew_is_paired_within_blocks_and_its_draw_counts_once(
    invented: Callable[..., Frames], entry: Any
) -> None:
    """What differs between blocks has the draw of images in it; of the pool of 100,000 a tenth is drawn."""
    held_out = {"evaluation_split": "validation"}
    frames = invented(entry("jax", SLOW, error=0.012, changes=held_out), entry(changes=held_out))
    told = of_version_2(frames, lambda run_id: f"block {run_id[-1]}", num_evaluation_pool=100_000)
    for known in (frames, told):
        error = only(known).verdict.error
        assert error is not None and error.is_paired_by_image
        # 20 of 10,000 images are got wrong by one of the two alone: √(0.002 / 100,000).
        assert error.test_set_se == pytest.approx(0.00014, rel=0.05)
    bare = only(dataclasses.replace(told, outcomes=told.outcomes.clear())).verdict.error
    assert bare is not None and not bare.is_paired_by_image
    assert bare.test_set_se == pytest.approx(math.sqrt(0.022 / 100_000), rel=0.02)


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


def test_data_sets_stand_in_the_studys_order_whichever_ran_first(
    invented: Callable[..., Frames], entry: Any
) -> None:
    ran = [
        entry(backend, times, changes={"dataset": dataset})
        for dataset in ("cifar10", "fashion_mnist", "mnist")
        for backend, times in (("tensorflow", (10.0,) * 6), ("jax", SLOW))
    ]
    trials = [{"settings": dataclasses.asdict(one.settings)} for one in reversed(ran[2:])]
    titles = [one.title for one in races.compose(invented(*ran, document={"trials": trials}))]
    assert titles == ["mnist", "fashion_mnist", "cifar10"], "one that the study does not name comes last"


@pytest.mark.parametrize("is_sequential", [False, True])
def test_a_verdict_needs_six_blocks(invented: Callable[..., Frames], entry: Any, is_sequential: bool) -> None:
    document = {"rules": {"is_sequential": is_sequential}}
    found = only(invented(entry("jax", SLOW[:4]), entry(), document=document))
    assert found.verdict.kind == stats.TOO_FEW
    assert races.what_would_decide(found) == "a verdict needs at least 2 more blocks"
    assert "no interval, 4 paired blocks" in races.sentence(found)


@pytest.mark.slow
def test_a_quick_study_is_decided_by_the_noise_of_all_its_races(
    invented: Callable[..., Frames], entry: Any
) -> None:
    """Two blocks on three data sets: factors of 2 are told, 20 % are not; one data set lends nothing."""
    seconds = {"tensorflow": 10.0, "jax": 20.0, "torch": 24.0, "theano": 60.0}
    wobbles = [(1.0, 1.15), (1.12, 1.0), (1.0, 0.93), (1.05, 1.0)]

    def study(*datasets: str, **document: Any) -> tuple[races.Section, ...]:
        entries = [
            entry(backend, [one * first, one * second], changes={"dataset": dataset})
            for dataset in datasets
            for (backend, one), (first, second) in zip(seconds.items(), wobbles, strict=True)
        ]
        return races.compose(invented(*entries, document=document))

    sections = study("mnist", "fashion_mnist", "cifar10")
    for section in sections:
        (race,) = section.races
        kinds = {(one.first.backend, one.second.backend): one.verdict.on_time for one in race.comparisons}
        assert kinds.pop(("jax", "torch")) is stats.UNDECIDED
        assert set(kinds.values()) == {stats.FASTER}
        assert race.ranking is not None and len(race.ranking.faster) <= len(kinds)
        first = race.comparisons[0]
        assert first.verdict.undecided_on is stats.Question.ERROR
        assert races.sentence(first).startswith("tensorflow trains ")
        assert "but whether at non-inferior error is undecided (95 % CI" in races.sentence(first)
    words = races.sentences.noise_words(one for section in sections for one in section.races[0].comparisons)
    assert "borrow their noise" in words and "(5 degrees of freedom)" in words
    alone = study("mnist")[0].races[0].comparisons + study("mnist", "cifar10")[1].races[0].comparisons
    until = study("mnist", "fashion_mnist", "cifar10", rules={"is_sequential": True})[0].races[0].comparisons
    for comparison in (*alone, *until):
        assert comparison.verdict.on_time is stats.TOO_FEW
    assert not races.sentences.noise_words(alone)


def test_noise_is_lent_by_what_tells_contestants_apart_not_by_their_names(
    invented: Callable[..., Frames], entry: Any
) -> None:
    """On one data set TF32 makes two races, and stands in the names of contestants on the other alone."""
    seconds = {"jax": [1.0, 1.1, 1.05], "torch": [6.9, 7.3, 7.6]}
    entries = [
        entry(
            backend, times, changes={"dataset": dataset, "tf32": tf32}, label=f"{dataset} · {backend}{tail}"
        )
        for dataset, tf32, tail in (
            ("mnist", None, " · tf32 default"),
            ("mnist", False, " · tf32 off"),
            ("fashion_mnist", None, " · tf32 default"),
        )
        for backend, times in seconds.items()
    ]
    sections = races.compose(invented(*entries))
    found = [one for section in sections for race in section.races for one in race.comparisons]
    assert len(found) == 3
    for comparison in found:
        assert comparison.verdict.on_time is stats.FASTER
        assert comparison.verdict.time.noise.df == 6  # two of its own, four of the other races


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
    assert ("the wider ones that hold at every look" in words) == found.rules.is_sequential


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


def certificate(frames: Frames, verdict: str, **other: str) -> pl.DataFrame:
    """Of the two trials of these frames, in the environments that they ran in."""
    (one, of_one), (two, of_two) = (
        frames.runs.select("trial_id", "environment_digest").unique().sort("trial_id").rows()
    )
    row = {"one_trial": one, "other_trial": two, "verdict": verdict, "words": ""}
    digests = {"one_environment_digest": of_one, "other_environment_digest": of_two}
    return pl.DataFrame([{**row, **digests, **other}])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"global_batch_size": 100}, "batch 200 and 100"),
        ({"early_stopping": 3}, "early stopping never and 3"),
        (
            {"distribution": "elephas", "distribution_options": {"layout": "4x4", "task_cpus": 2}},
            "20 and 8 partitions",
        ),
        ({"distribution": "elephas", "distribution_options": {"layout": "4x5", "task_cpus": 1}}, ""),
        ({"threads": 1}, ""),
    ],
)
def test_a_certificate_of_single_steps_is_none_of_what_it_does_not_look_at(
    invented: Callable[..., Frames], entry: Any, settings: dict[str, Any], words: str
) -> None:
    """Where batches, epochs or partitions differ, the same steps do not train the same thing."""
    plain = {key: value for key, value in settings.items() if key == "distribution"}
    if plain:
        plain["distribution_options"] = {"layout": "5x4", "task_cpus": 1}
    frames = invented(entry(changes=plain), entry("jax", SLOW, changes=settings))
    found = only(dataclasses.replace(frames, certificates=certificate(frames, "same"))).certificate
    assert (found.verdict, found.words) == (races.DIFFERENT if words else races.SAME, words)


def test_a_certificate_answers_for_the_error_that_runs_leave_open(
    invented: Callable[..., Frames], entry: Any
) -> None:
    """Only a full one, of these environments, of equal batches, and if the study lets it; runs come first."""
    asked = {"rules": {"errors": "certified"}}

    def on_error(
        other: Mapping[str, Any], row: Mapping[str, str], document: Mapping[str, Any] = asked
    ) -> Any:
        frames = invented(entry(), entry("jax", SLOW, **other), document=document)
        frames = dataclasses.replace(frames, outcomes=frames.outcomes.clear())  # not image by image
        found = only(dataclasses.replace(frames, certificates=certificate(frames, **row)))
        return found.verdict.on_error, races.sentence(found), list(remarks(found))

    same = {"verdict": "same"}
    answer, words, said = on_error({}, same)
    assert answer is stats.OnError.CERTIFIED and "training the same thing by certificate" in words
    assert any("it covers a few steps on few images" in one for one in said)
    open_ones = [
        on_error({}, {"verdict": "different"}),
        on_error({}, {"verdict": "not compared"}),
        on_error({}, same | {"one_environment_digest": "another"}),
        on_error({}, same, {"rules": {"errors": "measured"}}),
        on_error({}, same, {"rules": {}}),  # of a study that was fixed before certificates could answer
        on_error({"changes": {"global_batch_size": 100}}, same),
        on_error({"changes": {"precision": "mixed_bfloat16"}}, same),
    ]
    assert {one[0] for one in open_ones} == {stats.OnError.OPEN}
    assert on_error({"changes": {"threads": 1}}, same)[0] is stats.OnError.CERTIFIED
    assert on_error({"error": 0.002}, same)[0] is stats.OnError.WORSE, "what was measured comes first"


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
    evaluated = races.evaluations(pair.facts, pair.runs)
    assert {one.num_images for one in evaluated.values()} == {10_000}
    ids = found.first.trial_id, found.second.trial_id
    said = races.verdict(*ids, Evidence(pair.runs, pair.outcomes, evaluated))
    assert (said.kind, said.error) == (found.verdict.kind, found.verdict.error)
    assert said.time.ratio == pytest.approx(found.verdict.time.ratio)
    other = races.verdict(*reversed(ids), Evidence(pair.runs, pair.outcomes, evaluated))
    assert other.inverse.kind == found.verdict.kind
    assert other.inverse.time.ratio == pytest.approx(found.verdict.time.ratio)


def test_a_block_with_a_cold_compile_cache_shares_no_mean_with_warm_ones(
    invented: Callable[..., Frames], entry: Any
) -> None:
    """JAX compiles for 100 s in the first block, and finds it compiled in the other five."""
    frames = invented(entry("jax", SLOW), entry())
    jax = pl.col("backend") == "jax"
    first = jax & (pl.col("block") == 0)
    runs = frames.runs.with_columns(
        (pl.col(name) + pl.when(first).then(100.0).otherwise(0.0)).alias(name)
        for name in ("wall_s", "first_step_s")
    )
    cold = set(runs.filter(first)["run_id"])
    warm = set(runs.filter(jax & (pl.col("block") > 0))["run_id"])
    states = {**dict.fromkeys(cold, "cold"), **dict.fromkeys(warm, "warm")}
    facts = [
        json.dumps({**json.loads(observed), "compile_cache": states.get(run_id)})
        for run_id, observed in frames.facts.select("run_id", "observed").iter_rows()
    ]
    told = frames.facts.with_columns(observed=pl.Series(facts))
    found = only(dataclasses.replace(frames, runs=runs, facts=told))
    assert found.num_compiled_otherwise == 1
    assert found.measures["first_step_s"].num_blocks == 5
    assert found.measures["first_step_s"].ratio == pytest.approx(1.0)
    assert found.measures["cpu_s"].num_blocks == 6, "training includes no compilation"
    assert found.break_even is not None
    assert "1 block is left out of the ratios of total time" in "".join(remarks(found))
    # All cold, or all warm, is one condition.
    same = [json.dumps({**json.loads(one), "compile_cache": "cold"}) for one in facts]
    found = only(dataclasses.replace(frames, runs=runs, facts=told.with_columns(observed=pl.Series(same))))
    assert found.num_compiled_otherwise == 0 and found.measures["first_step_s"].num_blocks == 6


def test_runs_of_an_older_measurement_version_are_left_out_and_not_mixed_in(
    invented: Callable[..., Frames], entry: Any
) -> None:
    frames = invented(entry("jax", SLOW), entry())
    older = frames.runs.filter(pl.col("block") == 0)
    runs = frames.runs.with_columns(
        measurement_version=pl.when(pl.col("block") == 0).then(1).otherwise(2).cast(pl.Int64)
    )
    found = only(dataclasses.replace(frames, runs=runs))
    assert found.verdict.time.num_blocks == 5
    assert {one.run_id for one in found.excluded} == set(older["run_id"])
    assert {one.why for one in found.excluded} == {"under other conditions"}


@pytest.mark.parametrize(
    ("swept", "names"),
    [
        (
            [{}, {"global_batch_size": 50}, {"threads": 1}, {"image_size": 14}],
            ["baseline", "batch 50", "threads 1", "size 14"],
        ),
        ([{}, {"global_batch_size": 50}], ["global batch size 200", "global batch size 50"]),
        (
            [{}, {"threads": 1}, {"global_batch_size": 50}, {"global_batch_size": 50, "threads": 1}],
            [
                "global batch size 200, threads default",
                "global batch size 50, threads default",
                "global batch size 200, threads 1",
                "global batch size 50, threads 1",
            ],
        ),
    ],
)
def test_races_are_called_by_what_they_change_where_each_changes_one_thing(
    invented: Callable[..., Frames],
    entry: Callable[..., Any],
    swept: list[dict[str, Any]],
    names: list[str],
) -> None:
    entries = [entry(backend, changes=changes) for changes in swept for backend in ("tensorflow", "torch")]
    (section,) = races.compose(invented(*entries))
    assert sorted(race.setting for race in section.races) == sorted(names)
    assert section.races[0].setting == names[0]
