"""What is tried of whom, and how it is seen to take effect."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bakeoff import study
from bakeoff.refine import outside
from bakeoff.refine.space import Effect, Knob, Machine, Option, changed, fit_together, options
from bakeoff_worker.job import TrialSettings

MACHINE = Machine(num_cpus=4)
BACKENDS = ("tensorflow", "jax", "torch", "theano", "tensorflow1", "plain_torch")


def of(backend: str, **settings: object) -> TrialSettings:
    return TrialSettings(backend, backend, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_change_is_one_and_is_told_in_a_study(backend: str, tmp_path: Path) -> None:
    settings = of(backend, train_images=4000)
    found = options(settings, MACHINE)
    assert len({one.name for one in found}) == len(found) > 3
    for one in found:
        tuned = changed(settings, one.changes)
        assert tuned.trial_id != settings.trial_id
        text = outside.toml(settings, [one])
        assert tomllib.loads(text)["defaults"].keys() == one.changes.keys()
        (tmp_path / "study.toml").write_text(f'{text}\nbackend = "{backend}"\ntrain_images = 4000\n')
        (trial,) = study.load(tmp_path / "study.toml").trials
        assert all(getattr(trial.settings, key) == getattr(tuned, key) for key in one.changes)


def test_what_the_contestant_is_set_to_is_no_change_and_bfloat16_is_for_processors_that_have_it() -> None:
    plain = {one.name for one in options(of("torch"), MACHINE)}
    kept = {one.name for one in options(of("torch", keep_memory=True), MACHINE)}
    assert plain - kept == {"keep_memory = true"}
    assert not any("bfloat16" in name for name in plain)
    capable = options(of("torch"), Machine(4, has_bfloat16=True))
    assert any("bfloat16" in one.name for one in capable)


def test_releases_are_the_environments_that_bakeoff_makes_for_a_backend() -> None:
    def releases(backend: str, environment: str) -> list[object]:
        found = options(TrialSettings(backend, environment), MACHINE)
        return [one.changes["environment"] for one in found if one.knob.name == "release"]

    assert releases("jax", "jax") == ["jax_0_4"] and releases("jax", "jax_0_4") == ["jax"]
    assert releases("theano", "theano") == ["vintage"] and releases("torch", "torch") == []
    assert releases("jax", "one-of-my-own") == []


def test_the_learning_rate_goes_with_the_batch_by_the_optimizers_rule() -> None:
    rates = {
        optimizer: [
            one.changes["learning_rate"] / 0.001
            for one in options(of("jax", optimizer=optimizer), MACHINE)
            if "learning_rate" in one.changes
        ]
        for optimizer in ("sgd", "adam")
    }
    assert rates["sgd"] == [2, 4] and rates["adam"] == pytest.approx([2**0.5, 2])
    few = options(of("jax", train_images=300), MACHINE)
    assert not any("learning_rate" in one.changes for one in few)


def test_changes_of_one_thing_exclude_each_other_and_flags_of_one_variable_join() -> None:
    found = {one.name: one for one in options(of("jax"), MACHINE)}
    one, many, pinned = (
        found[name] for name in ("threads = 1", "threads = 4", "threads = 1, pin_cpus = true")
    )
    assert not fit_together([one, many]) and not fit_together([one, pinned])
    flags = [option for name, option in found.items() if "XLA_FLAGS" in name]
    assert len(flags) == 2 and fit_together([*flags, one])
    joined = changed(of("jax"), *(option.changes for option in flags)).variables
    assert joined is not None and joined["XLA_FLAGS"].count("--xla_cpu") == 2


def test_an_effect_is_what_a_run_observed_otherwise() -> None:
    seen = Option(Knob("x", lambda settings, machine: [], seen=("execution", "calls")), {"jit": True})
    assert seen.effect({"execution": "XLA"}, {"execution": "XLA"}) is Effect.NO
    assert seen.effect({"execution": "XLA"}, {"execution": "XLA", "calls": ["one"]}) is Effect.YES
    assert seen.effect({}, {}) is Effect.UNKNOWN
