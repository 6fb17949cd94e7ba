"""The simulation behind docs/benchmarks.md, small: every goal is met, and the last line says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.verdicts", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_small_simulation_meets_the_goals() -> None:
    done = run("--studies", "1500")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("bench-verdicts: ") and "MISSED" not in last
    assert "wrong in whole studies" in last and "sitting out spares" in last
    assert "at the worst look" in last and "(goal ≤ 5 %)" in last and "(goal ≥ 90 %)" in last
