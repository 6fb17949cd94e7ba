"""A contestant of one's own that breaks the contract is told which line mends it, before it is timed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff_worker.backends import own
from bakeoff_worker.backends.base import ContestantError
from bakeoff_worker.job import RunPaths, TrialSettings

SOURCE = (Path(__file__).parents[1] / "contestants" / "regression.py").read_text()
SOURCE = SOURCE.replace("from rate import RATE\n", "RATE = 0.5\n")
SHAPE, NUM_CLASSES = (6, 6, 1), 4

# What is written instead of what; what is said of it.
FAULTS = {
    "no class": (
        "class Backend(Inspectable)",
        "class Trainer(Inspectable)",
        "write one, and `from bakeoff_wo",
    ),
    "no contract": ("class Backend(Inspectable)", "class Backend", "no `class Backend(Inspectable)`"),
    "no module": (
        "import numpy as np",
        "import numpy as np, nowhere",
        "can't be imported: ModuleNotFoundErr",
    ),
    "lacking": ("def silence(self)", "def quiet(self)", "lacks silence; add\n    def silence(self): ..."),
    "arguments": (
        "def wrong(self, x, y)",
        "def wrong(self, x)",
        "first_step of mine.py raised TypeError: Backend.wrong()",
    ),
    "list": ("return {", "return [] and {", "got list []; expected a dict of arrays by name"),
    "no copies": ("self.kernel.copy()", "self.kernel", "undo the step, and let `weights` give copies"),
    "not undone": (
        "def start",
        "def first_step(self, x, y):\n        self.kernel += 1\n\n    def start",
        "undo the st",
    ),
    "no training": ("RATE *", "0 *", "the same before and after training"),
    "array": (
        "return float(loss), float",
        "return np.array(loss), float",
        "return float(loss), float(accuracy)",
    ),
    "per cent": ("float(1 - ", "float(101 - ", "; expected a fraction in [0, 1]"),
    "classes": (
        "!= y.argmax(axis=1)",
        "- y.argmax(axis=1)",
        "type int64; expected a NumPy array of bool, shape",
    ),
    "forgets": (
        "self.kernel, self.bias = (np.array(one)",
        "self.kernel, self.bias = (0.9 * np.array(one)",
        "changed",
    ),
}


def examine(file: Path, **settings: object) -> None:
    asked = replace(TrialSettings("mine", "fake", model="own", contestant=str(file)), **settings)
    backend = own.load(str(file))(asked, RunPaths("", None, "", ""))
    backend.start()
    backend.build(None, SHAPE, NUM_CLASSES, 1)
    own.examine(backend, SHAPE, NUM_CLASSES)


def test_one_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    examine(file)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_what_mends_it(tmp_path: Path, fault: str) -> None:
    right, wrong, said = FAULTS[fault]
    assert right in SOURCE
    file = tmp_path / "mine.py"
    file.write_text(SOURCE.replace(right, wrong))
    with pytest.raises(ContestantError) as told:
        examine(file)
    assert "mine.py" in str(told.value) and said in str(told.value)


def test_weights_of_the_studys_network_that_are_turned_are_told_how_to_turn_back(tmp_path: Path) -> None:
    """As PyTorch has them: (out, in, height, width)."""
    shapes = "{'k': (4, 1, 3, 2)}"
    file = tmp_path / "mine.py"
    file.write_text(
        re.sub(r"return \{.*\}", f"return {{n: np.zeros(s) for n, s in {shapes}.items()}}", SOURCE)
    )
    options = {"filters": [4], "kernel_sizes": [3], "dense": []}
    with pytest.raises(
        ContestantError, match=r"k as \(4, 1, 3, 2\); expected conv_0/kernel as \(3, 3, 1, 4\)$"
    ):
        examine(file, model="study_cnn", model_options=options)
    file = tmp_path / "turned.py"
    file.write_text((tmp_path / "mine.py").read_text().replace("3, 2)", "3, 3)"))
    with pytest.raises(ContestantError) as told:
        examine(file, model="study_cnn", model_options=options)
    order = tuple(map(int, re.search(r"`\.transpose\((.*)\)` mends it", str(told.value))[1].split(",")))
    assert np.zeros((4, 1, 3, 3)).transpose(order).shape == (3, 3, 1, 4)
