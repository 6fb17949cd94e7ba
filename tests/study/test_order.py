"""One run after the other, or in turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bakeoff.study import Study
from bakeoff_worker.job import TrialSettings

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

PLAIN = '[matrix]\nbackend = ["torch", "jax"]\n'


def test_one_after_the_other_is_the_default_and_changes_no_name(load_text: Load) -> None:
    plain, said = load_text(PLAIN), load_text(f'order = "sequential"\nturn_steps = "epoch"\n{PLAIN}')
    assert said.digest == plain.digest and said.trials == plain.trials
    assert TrialSettings("torch", "torch").trial_id == "cf75d061f91cca77"


def test_runs_in_turns_are_other_trials_that_are_verified_alike(load_text: Load) -> None:
    forms = [
        load_text(PLAIN, *overrides)
        for overrides in ((), ("order=alternating",), ("order=alternating", "turn_steps=20"))
    ]
    assert len({study.digest for study in forms}) == 3
    firsts = [study.trials[0] for study in forms]
    assert len({trial.trial_id for trial in firsts}) == 3
    assert len({trial.settings.verified_id for trial in firsts}) == 1
    assert {trial.label for trial in firsts} == {firsts[0].label}
    assert [one.settings.alternates for one in firsts] == [False, True, True]
    assert [one.settings.turn_steps for one in firsts] == [None, None, 20]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"order = 'alternate'\n{PLAIN}", "$.order: expected one of `sequential`, `alternating`; got `alter"),
        (f"turn_steps = 3\n{PLAIN}", "$.turn_steps: goes with contestants that take turns: `order = "),
        (f"order = 'alternating'\nturn_steps = 0\n{PLAIN}", '$.turn_steps: expected at least 1 or "epoch"'),
        ("[defaults]\nbackend = 'torch'\norder = 'alternating'", "it belongs at the top of the file"),
        (
            "order = 'alternating'\n[defaults]\nbackend = 'theano'\ndistribution = 'elephas'",
            "$.order: `alternating` is for trials on one machine; a cluster's processes can't be stopped",
        ),
        (
            f"order = 'alternating'\n[defaults]\ndevice = 'gpu'\n{PLAIN}",
            "$.order: `alternating` is for trials on CPUs; on a GPU a stopped framework keeps the memory",
        ),
    ],
)
def test_mistakes_are_said_with_the_way_on(mistakes: Mistakes, text: str, problem: str) -> None:
    (found,) = mistakes(text)
    assert problem in found
