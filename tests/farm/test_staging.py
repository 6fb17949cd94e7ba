"""Environments and data unpacked to a node's own disk, and what a node does not see."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import pytest

from bakeoff.environments import Environment
from bakeoff.errors import MachineError
from bakeoff.execute import Provision
from bakeoff.farm.ledger import Work
from bakeoff.farm.staging import staged
from bakeoff.launchers import fake


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A job on an environment that names its own files in a variable, and its archive."""
    home, data = tmp_path / "environment", tmp_path / "data"
    for folder in (home / "bin", home / "scratch", data):
        folder.mkdir(parents=True)
    (home / "bin" / "python").write_text("a python")
    (data / "x_train.npy").write_text("images")
    with tarfile.open(tmp_path / "torch.tar.gz", "w:gz") as archive:
        archive.add(home / "bin", "bin")
    made = Environment(
        "torch",
        home / "bin" / "python",
        {"BLAS": f"{home}/lib/blas.so", "OTHER": "1"},
        "digest",
        "managed",
        home / "scratch",
    )
    archives = {"torch": tmp_path / "torch.tar.gz"}
    return Work("s", "digest", 0, (), {"t": Provision(made, data)}, "farm", fake.launch, archives)


def test_packed_environments_and_data_are_on_the_nodes_disk_and_gone_afterwards(work: Work) -> None:
    before = work.provisions["t"]
    assert isinstance(before, Provision)
    with staged(work) as provisions:
        there = provisions["t"]
        assert isinstance(there, Provision)
        python, home = there.environment.python, there.environment.scratch.parent
        assert python.read_text() == "a python" and python != before.environment.python
        assert there.environment.variables == {"BLAS": f"{home}/lib/blas.so", "OTHER": "1"}
        assert there.environment.digest == "digest"
        assert (there.dataset / "x_train.npy").read_text() == "images" and there.dataset != before.dataset
        assert there.environment.scratch.is_dir()
    assert not home.exists() and before.dataset.exists()


def test_shared_environments_stay_where_they_are(work: Work) -> None:
    with staged(dataclasses.replace(work, archives=None)) as provisions:
        assert provisions == work.provisions


@pytest.mark.parametrize("gone", ["environment/bin/python", "data/x_train.npy"])
def test_what_a_node_does_not_see_is_named(work: Work, tmp_path: Path, gone: str) -> None:
    path = tmp_path / gone
    path.unlink()
    if path.parent.name == "data":
        path = path.parent
        path.rmdir()
    with (
        pytest.raises(MachineError, match=f"this node does not see {path}"),
        staged(dataclasses.replace(work, archives=None)),
    ):
        pass
