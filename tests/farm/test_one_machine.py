"""The Slurm that tests run on: it runs jobs, and leaves nothing behind, whatever still runs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil
from tests.farm.conftest import running_slurm


def test_a_slurm_runs_jobs_and_leaves_nothing(tmp_path: Path) -> None:
    said, pid = tmp_path / "said", tmp_path / "pid"
    with running_slurm() as configuration:
        environ = {**os.environ, "SLURM_CONF": str(configuration)}
        script = f"(setsid sleep 1000 & echo $! > {pid}); hostname > {said}; sleep 1000"
        command = ["sbatch", "--output=/dev/null", f"--wrap={script}"]
        subprocess.run(command, env=environ, check=True, capture_output=True)
        deadline = time.monotonic() + 30
        while not said.exists() or not said.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        daemons = [one for one in psutil.process_iter() if configuration.parent.name in " ".join(_line(one))]
        assert daemons
    assert not psutil.pid_exists(int(pid.read_text()))
    assert not any(daemon.is_running() for daemon in daemons)
    assert not configuration.parent.exists()


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
