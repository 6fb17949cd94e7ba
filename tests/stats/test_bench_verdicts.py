"""The simulation behind docs/benchmarks.md, small: goals are met but for those that are known not to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.verdicts", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.exhaustive
def test_a_small_simulation_meets_the_goals() -> None:
    """But for noise of one contestant alone that a few blocks can't show: said, and exit status 1."""
    done = run("--studies", "1500")
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    met, known = last.split("of one that is skewed, sticky, autocorrelated or rarely slow: ")
    known, rest = known.split(", coverage ", 1)
    rest, of_few = rest.split("one alone skewed or sticky: ")
    of_few, last_ones = of_few.split(", 20 % at noise")
    rest += last_ones
    assert met.startswith("bench-verdicts: ") and "MISSED" not in met + rest
    assert "MISSED" in known and "MISSED" in of_few
    assert "blocks added after a look" in rest and "error's interval misses" in rest
    assert "wrong in whole studies" in last and "sitting out spares" in last
    assert "at the worst look" in last and "(goal ≤ 5 %)" in last and "(goal ≥ 88 %)" in last
