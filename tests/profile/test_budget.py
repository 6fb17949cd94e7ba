"""The parts of a run's wall time: they add up to it, and each second goes where it belongs."""

from __future__ import annotations

import pytest

from bakeoff.profile.budget import Compiled, Part, budget
from bakeoff.profile.profiled import Answer
from bakeoff_worker.records import FirstCall, PhaseEnded, ProfiledEpoch, RunEnded, RunStarted


def test_a_budget_adds_up_to_the_wall_time_by_hand() -> None:
    phases = ("interpreter", "import", "data", "build", "facts", "end")
    records = (
        RunStarted(1, 0.0, "3.11", 2),
        *(PhaseEnded(name, wall_s, wall_s, 0.0) for wall_s, name in enumerate(phases, start=1)),
        FirstCall("training", 200, 12.0, 12.0, 0.0),
        FirstCall("training", 50, 1.0, 1.0, 0.0),
        FirstCall("evaluation", 100, 3.0, 3.0, 0.0),
        # 10 ms an image trained, 5 ms an image evaluated; the first epoch is slower, and no step's measure.
        ProfiledEpoch(1, 450, 3, 100, 0.5, 9.0, 15.0, 3.0, 300),
        ProfiledEpoch(2, 450, 3, 100, 0.5, 4.5, 5.0, 1.0, 60),
        ProfiledEpoch(3, 450, 3, 100, 0.5, 4.5, 2.0, 1.0, 0),
    )
    found = budget(Answer(records, 60.0, RunEnded("ok")))
    assert [found.parts[part] for part in Part] == pytest.approx(
        [1, 2, 3, 4, 10 + 0.5 + 2.5, 18 + 2 + 0.5, 1.5 + 0.5, 5, 6, 3.5]
    )
    assert sum(found.parts.values()) == pytest.approx(60)
    assert found.accounted == pytest.approx(56.5 / 60)
    assert found.compiled == (
        Compiled("training", 200, 10.0),
        Compiled("training", 50, 0.5),
        Compiled("evaluation", 100, 2.5),
    )
    assert found.step_s == pytest.approx(1.5)
    assert (found.cores, found.system_share, found.page_faults) == pytest.approx((27 / 18, 5 / 27, 40.0))


def test_what_the_platform_does_not_tell_is_unknown_not_zero() -> None:
    epoch = ProfiledEpoch(1, 100, 1, 10, 0.1, 2.0, None, None, None)
    found = budget(Answer((epoch,), 2.5, RunEnded("ok")))
    assert (found.cores, found.system_share, found.page_faults) == (None, None, None)


def test_a_first_call_that_is_faster_than_a_steady_one_compiled_nothing() -> None:
    records = (
        FirstCall("training", 100, 1.0, None, None),
        ProfiledEpoch(1, 100, 1, 10, 0.1, 2.0, None, None, None),
    )
    found = budget(Answer(records, 3.1, RunEnded("ok")))
    assert (found.parts[Part.COMPILING], found.parts[Part.STEPS]) == (0.0, 3.0)
