"""A synchronous round against its stated arithmetic: invented ones, and real ones on a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff import environments, plan, study, verification
from bakeoff.environments.java import Java
from bakeoff.errors import EnvironmentFailure
from bakeoff.execute import Provision
from bakeoff.launchers.local import launch
from bakeoff.store.reader import Reader
from bakeoff.store.writer import StudyRow, Writer
from bakeoff.verification import Agreement, judge_round
from bakeoff.verification.rounds import VerifiedRound, rounds, verify_round
from bakeoff.verification.words import lines_of_round
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import RunEnded

AUGMENTED = """
def build(input_shape, num_classes):
    from keras import layers, models

    return models.Sequential([
        layers.Input(shape=input_shape),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.Conv2D(3, 3, activation="relu"),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ])
"""
SIZES = (24, 23, 8, 21)  # the third is a batch and no more
SYNCHRONOUS = {**DISTRIBUTIONS["elephas"], "mode": "synchronous"}


def shown(merge="mean", stated="mean", alter=lambda arrays: None):
    """What a round shows that merges in one way and says that it merges in another."""
    generator = np.random.default_rng(7)
    start = [generator.normal(size=shape).astype("float32") for shape in ((5, 4), (4,))]
    arrays, first = {}, 0
    for one, size in enumerate(SIZES):
        arrays[f"shard/{one}/rows"] = np.arange(first, first + size)
        first += size
        for place, weight in enumerate(start):
            change = 0.01 * generator.normal(size=weight.shape).astype("float32") * (size > 8)
            arrays[f"shard/{one}/change/{place}"] = change
            if size > 8:
                arrays[f"shard/{one}/alone/{place}"] = change
    weights = {
        "sum": [1, 1, 1, 1],
        "mean": [1 / 4] * 4,
        "mean of the trained": [1 / 3] * 4,
        "weighted": [size / sum(SIZES) for size in SIZES],
        "otherwise": [1, 0.5, 0, 0.25],
    }[merge]
    for place, weight in enumerate(start):
        end = weight.copy()
        for one, share in enumerate(weights):
            end -= np.float32(share) * arrays[f"shard/{one}/change/{place}"]
        arrays[f"start/{place}"], arrays[f"end/{place}"] = weight, end
    about = {
        "merge": stated,
        "arithmetic": ["as stated"],
        "batch_size": 8,
        "num_rows": sum(SIZES),
        "partitions": [0, 1, 2, 3],
        "precision": "float32",
        "weights": ["dense/kernel", "dense/bias"],
    }
    arrays["about"] = np.array(json.dumps(about))
    alter(arrays)
    return arrays


@pytest.mark.parametrize("way", ["sum", "mean"])
def test_a_round_that_does_as_stated(way):
    judged = judge_round(shown(way, way))
    assert (judged.verdict, judged.skipped, judged.sizes, judged.findings) == (Agreement.SAME, 1, SIZES, ())
    assert 0 <= judged.merged < 1e-5 and judged.shards == 0
    assert judged.words.startswith(f"one round is the {way} of its 4 shards' changes, 1 of them skipped")


@pytest.mark.parametrize(
    ("merge", "stated", "words"),
    [
        ("sum", "mean", "by their mean (dense/"),
        ("sum", "mean", "relative), but by their sum"),
        ("mean", "sum", "relative), but by their mean"),
        ("mean of the trained", "mean", "but by the mean of those that trained, skipped shards not counted"),
        ("weighted", "mean", "but by their mean, each weighed by its rows"),
        ("otherwise", "mean", "relative)"),
    ],
)
def test_how_it_is_merged_instead_is_named(merge, stated, words):
    judged = judge_round(shown(merge, stated))
    assert judged.verdict == Agreement.DIFFERENT
    (finding,) = judged.findings
    assert words in finding and ("but" in finding) == (merge != "otherwise")


def set_to(name, value):
    def alter(arrays):
        arrays[name] = value(arrays[name])

    return alter


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (
            set_to("shard/1/alone/0", lambda one: 1.001 * one),
            "a shard of 23 rows changes dense/kernel otherwise",
        ),
        (set_to("shard/2/change/1", lambda one: one + 1e-3), "8 rows, no more than a batch, sent a change"),
        (set_to("shard/0/rows", lambda rows: rows[:-1]), "1 of 76 rows reached no shard"),
        (set_to("shard/3/rows", lambda rows: np.append(rows, 0)), "1 rows reached more than one shard"),
        (set_to("shard/3/rows", lambda rows: np.append(rows, -1)), "1 rows arrived that nobody had sent"),
        (set_to("end/0", lambda one: one + np.float32(np.nan)), "the weights did not change by their mean"),
    ],
)
def test_whatever_else_is_amiss(alter, words):
    judged = judge_round(shown(alter=alter))
    assert judged.verdict == Agreement.DIFFERENT
    assert any(words in finding for finding in judged.findings), judged.findings


def trial(backend="tensorflow", environment="tensorflow_spark", **options):
    return TrialSettings(
        backend, environment, distribution="elephas", distribution_options={**SYNCHRONOUS, **options}
    )


def test_trials_share_a_round_if_its_arithmetic_is_the_same():
    trials = [
        ("5x4", trial()),
        ("4x5", trial(layout="4x5", batch_size_per_task=50, master="spark://host:7077")),
        ("longer", replace(trial(), epochs=50, train_images=1000)),
        ("summed", trial(merge="averaged")),
        ("asynchronous", trial(mode="asynchronous")),
        ("alone", TrialSettings("tensorflow", "tensorflow")),
    ]
    found = rounds(trials)
    assert [one.label for one in found] == ["5x4", "summed", "asynchronous"]
    assert found[0].trial_ids == tuple(settings.trial_id for _, settings in trials[:3])
    small = found[0].settings.distribution_options
    assert (small["layout"], small["master"], small["mode"]) == ("2x2", "embedded", "synchronous")
    assert found[0].settings.global_batch_size == small["batch_size_per_task"] == 8


def test_a_round_that_fails_is_not_compared(tmp_path):
    def fails(request):
        assert request.job.paths.evidence and request.job.paths.java == "/java"
        assert request.job.paths.scratch == str(tmp_path), "runs find what was compiled here"
        yield RunEnded("skipped", "an asynchronous round has no one result")

    (one,) = rounds([("a", trial())])
    environment = environments.Environment("e", Path("python"), {}, "digest", "managed", tmp_path)
    provision = Provision(environment, tmp_path, java=Java(Path("/java"), 17, "PATH"))
    found = verify_round(one, provision, seed=1, launcher=fails)
    assert not found.all_same and found.judged.declined and found.environment_digest == "digest"
    assert (found.judged.verdict, found.judged.words) == (
        Agreement.NOT_COMPARED,
        "skipped: an asynchronous round has no one result",
    )
    unmade = verify_round(one, EnvironmentFailure("no index", ""), seed=1, launcher=fails)
    assert (unmade.judged.verdict, unmade.judged.words) == (Agreement.NOT_COMPARED, "no index")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "name", "options", "merge"),
    [
        ("tensorflow", "tensorflow_spark", {}, "mean"),
        ("theano", "theano_spark", {"merge": "averaged"}, "mean"),
        pytest.param("theano", "theano_spark", {}, "sum", marks=pytest.mark.exhaustive),
        pytest.param("tensorflow1", "vintage_spark", {}, "sum", marks=pytest.mark.exhaustive),
    ],
)
def test_releases_of_elephas_do_as_they_are_said_to(
    dataset, framework, backend, name, options, merge, tmp_path
):
    made, java = framework(name), environments.java.find(name)
    settings, file = trial(backend, name, **options), None
    if backend == "tensorflow":  # what draws in Keras 3 is switched off on the nodes, too
        file = tmp_path / "augmented.py"
        file.write_text(AUGMENTED)
        settings = replace(settings, model=str(file), content={"model": "augmented"})
    else:
        settings = replace(settings, model_options={"filters": [], "dense": [9, 7]})
    (one,) = rounds([("a", settings)])
    found = verify_round(one, Provision(made, dataset, file, java=java), seed=1, launcher=launch)
    assert found.all_same, found.judged
    assert found.judged.merge == merge
    assert len(found.judged.sizes) == 4 and sum(found.judged.sizes) == 76


def test_verify_looks_at_rounds_after_contestants(tmp_path, monkeypatch):
    (tmp_path / "spread.toml").write_text(SPREAD)
    environment = environments.Environment("e", Path("python"), {}, "digest", "managed", tmp_path)
    provision = Provision(environment, tmp_path, java=Java(Path("/java"), 17, "PATH"))
    monkeypatch.setattr(
        verification, "prepare", lambda _, specs, **__: {spec.trial_id: provision for spec in specs}
    )
    asked = []

    def launch(request):
        settings = request.job.spec.settings
        asked.append(settings.distribution)
        if settings.distribution == "single":
            yield RunEnded("failed", "not of interest here")
        else:
            np.savez(request.job.paths.evidence, **shown("mean", "mean"))
            yield RunEnded("ok")

    spread, store = study.load(tmp_path / "spread.toml"), tmp_path / "store.sqlite"
    found = verification.verify(spread, store, launcher=launch)
    assert asked == ["single", "elephas"]  # one contestant, and one round for both layouts
    assert isinstance(found[1], VerifiedRound) and found[1].all_same
    assert lines_of_round(found[1]) == [
        f"{found[1].round.label}: stated: as stated",
        f"{found[1].round.label}: {found[1].judged.words}",
    ]
    assert json.loads(json.dumps(found[1].document()))["sizes"] == list(SIZES)
    with Writer(store) as writer:
        specs = plan.expand(spread)
        writer.begin_study(StudyRow(spread.digest, spread.name, "", {}, specs))
    with Reader(store) as reader:
        rows = reader.certificates("spread").filter(kind="round")
    assert rows["one_trial"].to_list() == [one.trial_id for one in spread.trials]
    assert set(rows["words"]) == {found[1].judged.words}


SPREAD = """
name = "spread"
[defaults]
backend = "tensorflow"
environment = "tensorflow_spark"
distribution = "elephas"
[defaults.distribution_options]
mode = "synchronous"
[matrix]
"distribution_options.layout" = ["2x1", "1x2"]
"""
