"""Who learnt nothing, by its errors and its losses; and that nobody is faster than it, or it than anybody."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest

from bakeoff import races, stats
from bakeoff.races import Frames
from bakeoff.races.definitions import Unfit
from bakeoff.races.evaluations import Evaluated
from bakeoff.races.learning import Learning, Outcome, learnings, nothing_learnt
from bakeoff.races.marks import Label, Mark, marks_of

SLOW = (20.0, 22.0, 24.0, 21.0)
# Ten classes, each as often, on 10,000 images: two standard errors of chance are 0.6 points.
TEN = Evaluated("images", 10_000, 10_000, 0.9, math.log(10))


def judged(
    errors: Sequence[float],
    losses: Sequence[float] = (2.0, 1.0),
    validation_loss: float = 1.0,
    evaluated: Evaluated = TEN,
    loss: str = "categorical_crossentropy",
) -> Learning:
    """What is said of runs with these final errors; the losses are those of each run's epochs."""
    ids = [f"run{index}" for index in range(len(errors))]
    runs = pl.DataFrame(
        {"run_id": ids, "trial_id": "a", "final_validation_error": errors, "settings.loss": loss}
    )
    epochs = pl.DataFrame(
        [
            {"run_id": run_id, "epoch": epoch, "train_loss": value, "validation_loss": validation_loss}
            for run_id in ids
            for epoch, value in enumerate(losses, 1)
        ]
    )
    return learnings(runs, epochs, dict.fromkeys(ids, evaluated))["a"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.9, Outcome.AT_CHANCE),
        (0.8945, Outcome.AT_CHANCE),  # within 2 x √(0.9 x 0.1 / 10,000) = 0.006
        (0.8935, Outcome.LEARNT),
        (0.95, Outcome.AT_CHANCE),  # worse than chance is no knowledge
        (0.05, Outcome.LEARNT),
    ],
)
def test_an_error_within_noise_of_chance_shows_no_learning(error: float, expected: Outcome) -> None:
    assert judged([error]).outcome is expected


def test_chance_is_that_of_the_classes_and_its_noise_that_of_the_images() -> None:
    """Of 80 % of one class, an error of 19 % on 10,000 images is something, on 100 images nothing."""
    many = dataclasses.replace(TEN, chance_error=0.2, chance_loss=0.6)
    assert judged([0.19], evaluated=many).outcome is Outcome.LEARNT
    assert judged([0.19], evaluated=dataclasses.replace(many, num_images=100)).outcome is Outcome.AT_CHANCE


def test_a_loss_that_does_not_fall_shows_no_learning_even_at_a_lucky_error() -> None:
    """As with a learning rate of next to nothing, where the initial weights happen to tell classes apart."""
    two = Evaluated("images", 1000, 1000, 0.5, math.log(2))
    assert judged([0.0], (0.690, 0.6899), evaluated=two).outcome is Outcome.LOSS_NOT_FALLING
    # From the first epoch on as low as it gets: learnt, long before.
    assert judged([0.1], (0.4010, 0.4002), evaluated=two).outcome is Outcome.LEARNT


def test_one_epoch_says_nothing_of_a_fall() -> None:
    assert judged([0.5], (2.31,)).outcome is Outcome.LEARNT
    assert judged([0.9], (2.31,)).outcome is Outcome.AT_CHANCE


def test_of_other_losses_the_error_has_to_speak() -> None:
    assert judged([0.3], (0.09, 0.09), loss="mean_squared_error").outcome is Outcome.LEARNT
    assert judged([0.9], (0.09, 0.09), loss="mean_squared_error").outcome is Outcome.LOSS_NOT_FALLING


def test_a_loss_that_is_no_number() -> None:
    assert judged([0.9], validation_loss=math.nan).outcome is Outcome.LOSS_NO_NUMBER
    assert judged([0.9], validation_loss=math.inf).outcome is Outcome.LOSS_NO_NUMBER
    assert judged([0.1], validation_loss=math.inf).outcome is Outcome.LEARNT, "one image may overflow"


def test_where_chance_is_unknown_only_the_loss_speaks() -> None:
    """Runs of older versions did not say what chance is."""
    assert judged([0.9], evaluated=Evaluated()).outcome is Outcome.LEARNT
    assert judged([0.9], (2.3, 2.3), evaluated=Evaluated()).outcome is Outcome.LOSS_NOT_FALLING
    assert judged([0.9], (2.3,), evaluated=Evaluated()).outcome is Outcome.UNKNOWN
    assert judged([0.9], (math.nan, math.nan), evaluated=Evaluated()).outcome is Outcome.LEARNT


def test_most_runs_decide_and_the_others_are_counted() -> None:
    some = judged([0.05, 0.9, 0.06])
    assert (some.outcome, some.num_nothing, some.is_partial) == (Outcome.LEARNT, 1, True)
    most = judged([0.05, 0.9, 0.9])
    assert (most.outcome, most.num_nothing, most.error) == (Outcome.AT_CHANCE, 2, 0.9)
    assert nothing_learnt(most) == (
        "its final error is 90.00 %, and naming one class always has 90.00 % (in 2 of 3 runs)"
    )


def of_ten_classes(frames: Frames) -> Frames:
    chance = {"chance_error": 0.9, "chance_loss": math.log(10)}
    told = [json.dumps({**json.loads(one), **chance}) for one in frames.facts["observed"]]
    return dataclasses.replace(frames, facts=frames.facts.with_columns(observed=pl.Series(told)))


@pytest.fixture
def idle(invented: Callable[..., Frames], entry: Any) -> Frames:
    """TensorFlow trains in half of JAX's time, and has learnt nothing; PyTorch takes three times JAX's."""
    slow = (*SLOW, *SLOW[:2])  # six blocks: with fewer nobody is called faster
    torch = [3 * seconds for seconds in slow]
    fast = [seconds / 2 for seconds in slow]
    entries = entry("jax", slow), entry("tensorflow", fast, error=0.9), entry("torch", torch)
    return of_ten_classes(invented(*entries))


def test_nobody_is_faster_than_who_learnt_nothing_nor_it_than_anybody(idle: Frames) -> None:
    ((section,),) = (races.compose(idle),)
    (race,) = section.races
    for one in race.comparisons:
        if "tensorflow" in (one.first.backend, one.second.backend):
            assert one.refusal and one.refusal.kind is Unfit.NOTHING_LEARNT and not one.is_asked
            assert [who.backend for who in one.refusal.who] == ["tensorflow"]
            assert "are not compared (tensorflow learnt nothing: its final error is 90.00 %" in (
                races.sentence(one)
            )
        else:
            assert one.refusal is None and one.verdict.kind == stats.FASTER
    assert race.ranking is None
    (found,) = (one for one in race.contestants if one.backend == "tensorflow")
    assert (found.plain_name, found.name, found.name.marks) == (
        "tensorflow",
        "tensorflow",
        (Mark.NOTHING_LEARNT,),
    )
    assert found.name.is_warning


def test_marks_are_fields_of_a_label_and_not_looked_for_in_names() -> None:
    label = Label("odd † name ✗")
    assert label == "odd † name ✗" and label.marks == () and not label.is_warning
    both = Label("a", [Mark.SHORT, Mark.NOTHING_LEARNT])
    assert both == "a" and marks_of(["b †", both]) == (Mark.NOTHING_LEARNT, Mark.SHORT)
