"""Which cards programs may use: through nvidia-ml-py, against a driver of our own (tests/nvml.cpp)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bakeoff.cards import Card, State, every, use

ASK = """
import dataclasses, json
from bakeoff import cards
print(json.dumps([dataclasses.asdict(card) for card in cards.usable()]))
"""


@pytest.fixture
def usable(nvml: Path) -> Any:
    def ask(cards: str, **variables: str) -> list[dict[str, Any]]:
        environ = {**os.environ, "LD_LIBRARY_PATH": str(nvml), "FAKE_NVML_CARDS": cards, **variables}
        done = subprocess.run(
            [sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=True
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return ask


TWO = "NVIDIA A100|40960|8.0|1|0;NVIDIA H100|81559|9.0|0|0"


def test_what_a_driver_tells_of_its_cards(usable: Any) -> None:
    assert usable(TWO, FAKE_NVML_DRIVER="550.1") == [
        {
            "name": "NVIDIA A100",
            "uuid": "GPU-invented-0",
            "driver": "550.1",
            "memory_mib": 40960,
            "capability": [8, 0],
            "has_mig": True,
        },
        {
            "name": "NVIDIA H100",
            "uuid": "GPU-invented-1",
            "driver": "550.1",
            "memory_mib": 81559,
            "capability": [9, 0],
            "has_mig": False,
        },
    ]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("1", ["H100"]),
        ("1,0", ["H100", "A100"]),
        ("GPU-invented-1", ["H100"]),
        ("MIG-invented", ["A100"]),
        ("0,7,1", ["A100"]),  # as CUDA has it: what names no card ends the list
        ("", []),
        ("-1", []),
    ],
)
def test_the_variable_narrows_and_orders(usable: Any, visible: str, found: list[str]) -> None:
    cards = usable(TWO, CUDA_VISIBLE_DEVICES=visible)
    assert [card["name"].removeprefix("NVIDIA ") for card in cards] == found


@pytest.mark.parametrize("variables", [{"FAKE_NVML_INIT": "9"}, {"FAKE_NVML_INIT": "18"}])
def test_a_driver_that_does_not_start_has_none(usable: Any, variables: dict[str, str]) -> None:
    """9: not loaded; 18: its library is of another version, as after an upgrade without a reboot."""
    assert usable(TWO, **variables) == []


def test_without_a_driver_there_are_none() -> None:
    assert every() == () or every()[0].driver


def test_the_use_of_a_card_is_told_from_what_is_known() -> None:
    card = Card("H100", "GPU-1", "580.1", 81559, (9, 0), False)
    unknown = State(is_lost=False)
    found = use(card, unknown, [unknown], State(is_lost=True))
    assert (found.num_others, found.clock_ratio, found.max_power_w, found.slowed_s) == (
        None,
        None,
        None,
        None,
    )
    before, after = State(False, 0, slowed_s=1.0), State(False, 3, slowed_s=1.5)
    epochs = [State(False, 1, clock, 60 + i, 100.0 + i) for i, clock in enumerate((1980, 1485, 1980))]
    found = use(card, before, epochs, after)
    assert (found.num_others, found.clock_ratio, found.min_clock_mhz) == (3, 0.75, 1485)
    assert (found.max_temperature_c, found.max_power_w, found.slowed_s) == (62, 102.0, 0.5)
