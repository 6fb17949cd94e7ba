"""Contestants that enter more than once, and those that carry a handicap."""

from __future__ import annotations

from collections.abc import Callable

from bakeoff.study import Study
from bakeoff_worker.job import TrialSettings

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

SEVERAL = """
[defaults]
backend = "torch"

[matrix]
entrant = [{ entry = "A" }, { entry = "B" }, { handicap = 0.1 }, { entry = "C", handicap = 0.03 }]
"""


def test_each_entry_is_a_trial_with_a_name_of_its_own(load_text: Load) -> None:
    study = load_text(SEVERAL)
    assert [trial.label for trial in study.trials] == ["A", "B", "handicap 0.1", "C · handicap 0.03"]
    assert len({trial.trial_id for trial in study.trials}) == 4


def test_what_is_trained_is_the_same(load_text: Load) -> None:
    study = load_text(SEVERAL)
    assert len({trial.settings.verified_id for trial in study.trials}) == 1


def test_without_them_a_trial_keeps_the_name_that_it_always_had() -> None:
    settings = TrialSettings("torch", "torch", entry="", handicap=0.0)
    assert settings.trial_id == "cf75d061f91cca77"  # of {"backend":"torch","environment":"torch"} alone


def test_a_handicap_is_a_fraction_and_of_one_process(mistakes: Mistakes) -> None:
    (problem,) = mistakes('[defaults]\nbackend = "torch"\nhandicap = -0.1\n')
    assert problem == "study.toml: $.defaults.handicap: expected at least 0; got `-0.1`"
    (problem,) = mistakes('[defaults]\nbackend = "theano"\ndistribution = "elephas"\nhandicap = 0.1\n')
    assert problem.endswith("$.defaults.handicap: a handicap slows one process down, no cluster: expected 0")
