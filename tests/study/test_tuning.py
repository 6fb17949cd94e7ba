"""Settings of how a backend runs: variables, steps in one call, equivalent layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bakeoff.study import Study
from bakeoff_worker.job import TrialSettings

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

SEVERAL = """
[defaults]
backend = "jax"

[matrix]
variables = [{}, { XLA_FLAGS = "--xla_cpu_enable_fast_math=true", OMP_NUM_THREADS = "1" }]
"""


def test_variables_are_an_axis_and_an_empty_table_is_the_default(load_text: Load) -> None:
    plain, flagged = load_text(SEVERAL).trials
    assert plain.settings == load_text('[defaults]\nbackend = "jax"\n').trials[0].settings
    assert flagged.settings.variables == {
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
        "OMP_NUM_THREADS": "1",
    }
    assert flagged.label == "variables XLA_FLAGS=--xla_cpu_enable_fast_math=true OMP_NUM_THREADS=1"
    assert flagged.trial_id != plain.trial_id


def test_what_is_verified_knows_flags_and_equivalents_but_not_steps_in_a_call() -> None:
    plain = TrialSettings("jax", "jax")
    assert TrialSettings("jax", "jax", steps_per_execution=8).verified_id == plain.verified_id
    for other in ({"equivalent_layers": True}, {"variables": {"XLA_FLAGS": "x"}}):
        assert TrialSettings("jax", "jax", **other).verified_id != plain.verified_id


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("{ XLA_FLAGS = 1 }", "expected each value in quotes, as text; got XLA_FLAGS = `1`"),
        ('{ PATH = "/bin" }', "expected no `PATH`, which Bakeoff sets itself for every run"),
        ('{ BAKEOFF_CACHE = "x" }', "expected no `BAKEOFF_CACHE`"),
        ('{ xla = "x" }', "expected names of capital letters"),
        ('"XLA_FLAGS=x"', "expected a table of environment variables"),
    ],
)
def test_variables_that_cannot_be_set_are_refused(mistakes: Mistakes, variables: str, expected: str) -> None:
    (problem,) = mistakes(f'[defaults]\nbackend = "jax"\nvariables = {variables}\n')
    assert problem.startswith("study.toml: $.defaults.variables: ") and expected in problem


def test_on_a_cluster_there_are_none(mistakes: Mistakes) -> None:
    (problem,) = mistakes(
        '[defaults]\nbackend = "theano"\ndistribution = "elephas"\nvariables = { OMP_DYNAMIC = "true" }\n'
    )
    assert "`variables` is for trials on one machine: expected none here" in problem
