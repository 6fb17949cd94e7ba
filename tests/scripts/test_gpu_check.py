"""The prepared GPU race, as far as it goes without a card: its steps, and the arithmetic of its check."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def gpu_busy():
    spec = importlib.util.spec_from_file_location("gpu_busy", SCRIPTS / "gpu_busy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        ([(0, 1e6), (2e6, 1e6)], 2.0),
        ([(0, 2e6), (1e6, 2e6)], 3.0),  # overlapping streams count once
        ([(0, 4e6), (1e6, 1e6)], 4.0),  # one inside another
        ([(5e6, 1e6), (0, 1e6)], 2.0),  # in any order
        ([], None),
    ],
)
def test_a_device_is_busy_while_anything_runs_on_it(gpu_busy, intervals, seconds):
    assert gpu_busy.union_s(intervals) == seconds


def test_the_race_runs_from_set_up_to_bundle(tmp_path):
    (tmp_path / "wheels").mkdir()
    study = Path(__file__).parents[2] / "src" / "bakeoff" / "studies" / "smoke.toml"
    command = [SCRIPTS / "gpu-check", "--device", "cpu", "--study", study, "--no-busy", "--no-verify"]
    folders = ["--wheels", tmp_path / "wheels", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, *command, *folders, "--blocks", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "BAKEOFF_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "gpu.bundle.zip").exists()
    assert "gpu-check: run: exit status 0" in done.stdout
