"""Contestants to examine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))  # invented.py serves several modules here

from invented import Contestant

from bakeoff.verification.evidence import Evidence
from bakeoff.verification.examination import examine
from bakeoff.verification.findings import Judgement
from bakeoff.verification.votes import Panel, Voter


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Callable[[Contestant], Evidence]]:
    """Takes a contestant; gives what it computed."""
    files: list[Evidence] = []

    def show(contestant: Contestant) -> Evidence:
        files.append(contestant.evidence(tmp_path / f"{len(files)}.npz"))
        return files[-1]

    yield show
    for one in files:
        one.close()


@pytest.fixture
def examined(shown: Callable[[Contestant], Evidence]) -> Callable[..., Judgement]:
    """Takes a contestant and those that it is examined beside; gives what is found of it."""

    def examine_one(contestant: Contestant, *others: Contestant) -> Judgement:
        voters = [Voter(f"contestant {place}", shown(one)) for place, one in enumerate((contestant, *others))]
        return examine(voters[0].evidence, voters[-1].evidence, Panel(voters))

    return examine_one


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with a black border, so that pixels tie."""
    folder = tmp_path_factory.mktemp("dataset")
    generator = np.random.RandomState(0)
    for name, count in (("train", 200), ("test", 20)):
        images = np.zeros((count, 28, 28, 1), "uint8")
        images[:, 6:22, 6:22] = generator.randint(0, 256, (count, 16, 16, 1))
        np.save(folder / f"x_{name}.npy", images)
        np.save(folder / f"y_{name}.npy", generator.randint(0, 10, count).astype("uint8"))
    (folder / "about.json").write_text(json.dumps({"num_classes": 10}))
    return folder
