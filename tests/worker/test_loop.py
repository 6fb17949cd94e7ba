"""The loop through the real launcher, with the backend that trains nothing."""

import math
import re

import numpy as np
import pytest

from bakeoff.launchers.base import TurnAwaited
from bakeoff_worker import data
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import (
    EnergyUsed,
    EpochRecord,
    Facts,
    Outcomes,
    PhaseEnded,
    RunEnded,
    RunStarted,
    RunWarning,
)


def test_records_come_in_the_order_in_which_things_happen(run):
    found = run("fake", epochs=3, model_options={"epoch_s": 0.05, "error": 0.1})
    told = [record for record in found.records if not isinstance(record, EnergyUsed)]  # where it can be read
    names = [record.name if isinstance(record, PhaseEnded) else type(record) for record in told]
    assert names == [
        RunStarted, "interpreter", "import", "data", "build", "first_step", Facts,
        EpochRecord, EpochRecord, EpochRecord, "training", "evaluation",
        Outcomes, "outcomes", "end", RunEnded,
    ]  # fmt: skip
    assert found.ended == RunEnded("ok")


def test_epochs_say_what_happened(run):
    found = run("fake", epochs=3, model_options={"epoch_s": 0.05, "error": 0.1}, train_images=700)
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3]
    for epoch in found.epochs:
        assert epoch.num_images == 700
        assert 0.05 <= epoch.train_s < 1
        assert epoch.evaluation_s < 0.05
        assert epoch.validation_error == pytest.approx(0.1 + 0.4 / epoch.epoch)
        assert epoch.peak_memory_bytes > 10_000_000
        assert epoch.device_s is None
    training = found.phases["training"]
    assert training.wall_s == pytest.approx(sum(epoch.train_s for epoch in found.epochs))
    assert training.user_s == pytest.approx(sum(epoch.user_s for epoch in found.epochs))


def test_facts_keep_asked_resolved_and_observed_apart(run):
    facts = run("fake", threads=1, precision="float64").facts
    assert facts.asked["threads"] == 1
    assert facts.asked["precision"] == "float64"
    assert facts.resolved["variables"]["OMP_NUM_THREADS"] == "1"
    assert facts.observed["versions"]["numpy"]
    assert len(facts.observed["initial_weights_sha256"]) == 64
    assert facts.observed["input_shape"] == [28, 28, 1]


def test_a_handicap_makes_training_slower_by_as_much_and_is_said(run):
    found = run("fake", epochs=2, handicap=0.5, model_options={"epoch_s": 0.4})
    for epoch in found.epochs:
        assert epoch.train_s >= 0.6
        assert epoch.evaluation_s < 0.2
    assert found.facts.asked["handicap"] == 0.5
    (warning,) = found.of(RunWarning)
    assert warning.message == "made slower on purpose, by 50 %"


def test_early_stopping_ends_a_run_and_says_what_it_cost(run):
    asked = {"epochs": 9, "early_stopping": 2, "evaluation_split": "validation"}
    found = run("fake", model_options={"best_epoch": 3, "epoch_s": 0.05}, **asked)
    assert found.ended == RunEnded("ok")
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3, 4, 5]
    (warning,) = (record for record in found.records if isinstance(record, RunWarning))
    assert "ended the training after epoch 5 of 9; epoch 3 has the lowest" in warning.message
    cost = re.search(r"evaluating took (\S+) s, .*; training after epoch 3 took (\S+) s", warning.remedy)
    assert float(cost[1]) == pytest.approx(sum(one.evaluation_s for one in found.epochs), rel=0.01)
    assert float(cost[2]) == pytest.approx(sum(one.train_s for one in found.epochs[3:]), rel=0.01)
    (outcomes,) = (record for record in found.records if isinstance(record, Outcomes))
    assert outcomes.epoch == 5
    found = run("fake", model_options={"best_epoch": 9}, **asked)
    assert len(found.epochs) == 9


def test_an_entry_is_said_and_changes_nothing(run):
    plain, entered = run("fake", epochs=1), run("fake", epochs=1, entry="B")
    assert entered.facts.asked == {**plain.facts.asked, "entry": "B", "handicap": 0.0}
    assert entered.facts.observed["initial_weights_sha256"] == plain.facts.observed["initial_weights_sha256"]
    assert entered.of(RunWarning) == []


def test_pinning_leaves_as_many_cpus_as_threads(run):
    assert len(run("fake", threads=1, pin_cpus=True).facts.observed["cpus"]) == 1


def test_keeping_memory_is_seen(run):
    kept = run("fake", epochs=1, keep_memory=True).facts
    assert kept.asked["keep_memory"] is True
    assert kept.observed["keep_memory"] is True
    assert "keep_memory" not in run("fake", epochs=1).facts.observed


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("raise", "failed", "RuntimeError: told to raise"),
        ("memory", "out_of_memory", "no more memory"),
        ("gpu_memory", "out_of_memory", "the GPU had no more memory: RuntimeError: RESOURCE_EXHAUSTED: told"),
        ("exit", "failed", "exit code 3"),
        ("segfault", "failed", "SIGSEGV"),
        ("garbage", "garbage", "this is no record"),
        ("skip", "skipped", "told to skip"),
        ("nan", "failed", "the training loss is nan in epoch 1"),
    ],
)
def test_every_fault_is_recorded_and_earlier_epochs_survive(run, fault, status, reason):
    options = {"fault": fault, "fault_epoch": 2, "epoch_s": 0.0}
    device = "gpu" if fault == "gpu_memory" else "cpu"
    found = run("fake", epochs=4, model_options=options, device=device)
    assert found.ended.status == status
    assert reason in found.ended.reason
    survivors = 0 if fault == "skip" else 1
    assert [epoch.epoch for epoch in found.epochs] == list(range(1, survivors + 1))
    if fault == "nan":
        assert math.isnan(found.epochs[-1].train_loss)
    if fault in ("raise", "segfault"):
        assert "fake/backend.py" in found.ended.last_lines, "where it happened"


def test_a_run_stands_if_it_can_not_tell_which_images_it_got_wrong(run):
    found = run("fake", epochs=2, model_options={"fault": "outcomes"})
    assert found.ended == RunEnded("ok")
    assert len(found.epochs) == 2
    assert found.of(Outcomes) == []
    (warning,) = found.warnings
    assert warning.message == "which images were got wrong is not known: RuntimeError: told to raise"


def test_a_hanging_run_ends_at_its_time_limit(run):
    found = run("fake", epochs=3, time_limit_s=2.0, model_options={"fault": "hang", "fault_epoch": 2})
    assert found.ended.status == "timeout"
    assert len(found.epochs) == 1


def test_a_data_set_that_is_too_small_is_a_clear_failure(run):
    ended = run("fake", train_images=2_000).ended
    assert ended.status == "failed"
    assert "train_images is 2000, but the data set has 1000" in ended.reason


def test_an_epoch_in_slices_is_one_epoch(run):
    """Of 700 images in turns of 3 batches: 300, 300 and 100; the fake's loss is 1 over its calls."""
    options = {"epoch_s": 0.05, "error": 0.1}
    settings = {"epochs": 2, "train_images": 700, "global_batch_size": 100, "model_options": options}
    found = run("fake", order="alternating", turn_steps=3, **settings)
    assert found.ended == RunEnded("ok")
    first, second = found.epochs
    assert first.num_images == second.num_images == 700
    assert first.train_loss == pytest.approx((300 * 1 + 300 / 2 + 100 / 3) / 700)
    assert first.train_s >= 0.15 and found.phases["training"].wall_s >= 0.3
    assert found.phases["stopped"].user_s == 0.0
    with_turns = [type(record) for record in found.records].count(TurnAwaited)
    assert with_turns == 6


def test_slices_are_whole_batches_in_the_epochs_order():
    settings = TrialSettings("fake", "fake", global_batch_size=10, turn_steps=2)
    order = data.epoch_order(45, 1, 1)
    slices = data.slices(order, settings)
    assert [len(one) for one in slices] == [20, 20, 5]
    assert np.concatenate(slices).tolist() == order.tolist()
