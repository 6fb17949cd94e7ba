"""``bakeoff refine``, through the real program: what it refuses, and why."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def test_a_label_that_the_study_does_not_have(program) -> None:
    said = program("refine", "tiny.toml", "--trial", "batch 30", code=3).stderr
    assert "has no contestant 'batch 30'" in said and "batch 10, batch 20" in said


def test_a_budget_that_is_no_time_or_too_little_of_it(program) -> None:
    said = program("refine", "tiny.toml", "--budget", "20", code=2).stderr
    assert "expected a time such as 90s, 20m or 3h; got '20'" in said
    said = program("refine", "tiny.toml", "--trial", "batch 20", "--budget", "0.5s", code=7).stderr
    assert "is too small: one run of the default takes" in said and "--budget 1m" in said
    assert len(program.runs()) == 1


def test_a_contestant_that_fails_is_no_default(program) -> None:
    shown = program(
        "refine", "tiny.toml", "--trial", "batch 20", "--set", "model_options.fault=raise", code=1
    )
    assert "its first run ended otherwise than well: failed: RuntimeError: told to raise" in shown.stdout
