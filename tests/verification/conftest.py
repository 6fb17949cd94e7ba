"""Contestants to examine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # invented.py serves several modules here

from invented import Contestant

from bakeoff.verification.evidence import Evidence


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
