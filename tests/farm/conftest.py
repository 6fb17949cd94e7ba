"""A real Slurm of two nodes on this machine, once for all tests of a process that ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


@contextmanager
def running_slurm(*arguments: str) -> Iterator[Path]:
    """The path of its slurm.conf, while it runs; skips where this machine can't have one."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"no {', '.join(missing)}: scripts/system-packages slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons run as root")
    with subprocess.Popen(
        [str(SCRIPT), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        line = process.stdout.readline().strip()
        assert line, "Slurm did not come up; it says why above"
        yield Path(line)
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture(scope="session")
def slurm_conf() -> Iterator[Path]:
    """A Slurm of two nodes that counts memory, with a partition `short` of two minutes at most."""
    short = "PartitionName=short Nodes=ALL MaxTime=2 DefaultTime=1 State=UP"
    memory = "JobAcctGatherParams=OverMemoryKill"
    with running_slurm("--nodes", "2", "--cpus", "2", short, memory) as configuration:
        yield configuration


@pytest.fixture
def slurm(slurm_conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as this test's own processes find it."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf))
    return slurm_conf
