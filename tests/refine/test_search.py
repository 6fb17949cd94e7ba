"""Who goes on and who is to be confirmed, on times with known effects."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from bakeoff.errors import MachineError
from bakeoff.refine.search import Fate, is_worse, search
from bakeoff.refine.space import Knob, Option

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import refine_calibration
from benchmarks.refine_calibration import Simulated


def option(name: str, knob: str = "") -> Option:
    return Option(Knob(knob or name, lambda settings, machine: []), {name: True})


A, B, C, D = option("a", "one knob"), option("b", "one knob"), option("c"), option("d")
EFFECTS = {"a = true": -0.5, "b = true": -0.4, "c = true": -0.4, "d = true": 0.6}


def test_what_helps_is_combined_as_far_as_it_fits_together_and_what_is_slow_goes_at_once() -> None:
    race = Simulated(0, EFFECTS)
    found = search((A, B, C, D), race, math.inf, 0.0025)
    assert found.winner is not None and found.winner.name == "a = true + c = true"
    assert [found.fates[one.name] for one in (A, B, C, D)] == [*[Fate.HELPS] * 3, Fate.SLOWER]
    assert len(found.measured["d = true"].logs) == 1
    assert not any("a = true" in name and "b = true" in name for name in found.fates)


def test_nothing_is_to_be_confirmed_where_nothing_seems_to_help() -> None:
    found = search((D,), Simulated(0, EFFECTS), math.inf, 0.0025)
    assert found.winner is None and found.fates == {"d = true": Fate.SLOWER}


def test_a_budget_is_kept_and_what_it_leaves_out_is_said() -> None:
    race = Simulated(0, EFFECTS)
    found = search((A, B, C, D), race, 20.0, 0.0025)  # a run takes a second
    assert race.num_runs <= 12
    assert found.fates["c = true"] is found.fates["d = true"] is Fate.NO_TIME
    with pytest.raises(MachineError, match=r"too small: one run of the default takes 1 s, .* takes 19 s"):
        search((A, B), Simulated(0, EFFECTS), 6.0, 0.0025)


def test_where_not_all_can_be_tried_what_helps_is_combined_all_the_same() -> None:
    race = Simulated(0, EFFECTS)
    found = search((A, C, B, D), race, 38.0, 0.0025)  # a run takes a second, and the search 23 at most
    assert found.winner is not None and found.winner.name == "a = true + c = true" and race.num_runs <= 23
    assert found.fates["b = true"] is found.fates["d = true"] is Fate.NO_TIME


def test_who_goes_at_once_makes_room_for_the_next() -> None:
    slow = [option(f"slow_{number}") for number in range(8)]
    race = Simulated(0, {**{f"slow_{number} = true": 0.6 for number in range(8)}, **EFFECTS})
    found = search((*slow, C, D), race, 75.0, 0.0025)  # places for six at first, and 45 runs
    assert [found.fates[one.name] for one in (*slow, C, D)] == [*[Fate.SLOWER] * 8, Fate.HELPS, Fate.SLOWER]
    assert found.winner is not None and found.winner.name == "c = true" and race.num_runs <= 45


def test_as_long_as_nothing_helps_only_the_shortest_confirmation_is_kept_free() -> None:
    slow = [option(f"slow_{number}") for number in range(40)]
    race = Simulated(0, {f"slow_{number} = true": 0.3 for number in range(40)})
    found = search(slow, race, 60.0, 0.0025)  # of 60 runs, twelve are the confirmation's
    assert found.winner is None and 36 < race.num_runs <= 48
    race = Simulated(0, EFFECTS)
    found = search((A,), race, 19.0, 0.0025)
    assert found.winner is not None and race.num_runs <= 7


def test_a_pruned_candidate_is_worse_in_the_blocks_that_both_have() -> None:
    default = dict.fromkeys(range(9), 0.0)
    assert is_worse({0: 0.1, 1: 0.2, 2: 0.1}, default)
    assert not is_worse({0: 0.1, 1: 0.2, 2: -0.3}, default)
    assert not is_worse({0: 0.1, 1: 0.2}, default)
    assert not is_worse({10: 0.1, 11: 0.2, 12: 0.1}, default)


@pytest.mark.slow
def test_its_own_figures_are_judged_and_told(monkeypatch, capsys) -> None:
    monkeypatch.setattr(refine_calibration, "_EXHAUSTIVE", 1)
    monkeypatch.setattr(sys, "argv", ["bench-refine-calibration", "--searches", "2", "--real", "0"])
    assert refine_calibration.main() == 0
    (last,) = capsys.readouterr().out.splitlines()[-1:]
    assert (
        last.startswith("bench-refine-calibration: 0.0 % false winners in 2 searches")
        and "MISSED" not in last
    )
    monkeypatch.setattr(refine_calibration, "PLANTED", 0.0)
    assert refine_calibration.main() == 1
