"""Builds for GPUs: which card and driver they fit, and that a run on the CPU never downloads one."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff import cards, environments
from bakeoff.cards import Card
from bakeoff.errors import EnvironmentFailure
from bakeoff.study.definitions import EnvironmentRequest

H100 = Card("NVIDIA H100", "GPU-1", "580.65.06", 81559, (9, 0), False)
RTX_5090 = replace(H100, name="RTX 5090", capability=(12, 0))
BUILDS = ("tensorflow_gpu", "jax_gpu", "torch_gpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one: nothing is made yet."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))


def obstacles(monkeypatch: pytest.MonkeyPatch, *found: Card, gpu: int = 0) -> dict[str, EnvironmentFailure]:
    """By build, what is in its way on a machine with these cards."""
    monkeypatch.setattr(cards, "usable", lambda: found)
    raised = {}
    for name in BUILDS:
        try:
            environments.check_device(name, device="gpu", gpu=gpu)
        except EnvironmentFailure as failure:
            raised[name] = failure
    return raised


@pytest.mark.parametrize(
    ("card", "unfit", "message"),
    [
        (H100, (), ""),
        (replace(H100, driver="575.57"), ("torch_gpu",), "(CUDA 13.0) needs NVIDIA's driver 580 or newer"),
        (replace(H100, driver="525.60.13"), ("torch_gpu",), "this machine has 525.60.13"),
        (replace(H100, driver="470.82"), BUILDS, "needs NVIDIA's driver"),
        (RTX_5090, ("tensorflow_gpu",), "cards of compute capability 7.5 to 9.x; the RTX 5090 has 12.0"),
        (replace(H100, capability=(8, 9)), (), ""),
        (replace(H100, capability=(7, 5)), (), ""),
        (replace(H100, capability=(7, 0)), BUILDS, "serves cards of compute capability 7.5 to"),
        (replace(H100, capability=(12, 1)), ("tensorflow_gpu",), "has 12.1"),
        (replace(H100, capability=(13, 0)), BUILDS, "has 13.0"),
        (replace(H100, capability=None, driver="unknown"), (), ""),
    ],
)
def test_driver_and_card_must_fit(
    monkeypatch: pytest.MonkeyPatch, card: Card, unfit: tuple[str, ...], message: str
) -> None:
    found = obstacles(monkeypatch, card)
    assert tuple(found) == unfit
    assert all(message in failure.message for failure in found.values())
    fitting = ", ".join(name for name in BUILDS if name not in unfit)
    assert all((f"What fits: {fitting}." in failure.hint) == bool(fitting) for failure in found.values())


def test_the_card_that_is_asked_for_is_the_one_that_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not obstacles(monkeypatch, H100, RTX_5090)
    assert tuple(obstacles(monkeypatch, H100, RTX_5090, gpu=1)) == ("tensorflow_gpu",)
    assert "gpu is 2, but there are 2" in obstacles(monkeypatch, H100, RTX_5090, gpu=2)["jax_gpu"].message
    assert "this machine shows none" in obstacles(monkeypatch)["jax_gpu"].message


def test_a_build_for_cpus_is_none_for_a_gpu() -> None:
    """Backends without a build for GPUs pass: they say themselves why they decline."""
    with pytest.raises(EnvironmentFailure, match="environment torch is for CPUs; got device gpu") as raised:
        environments.check_device("torch", backend="torch", device="gpu")
    assert "Use environment torch_gpu" in raised.value.hint
    environments.check_device("theano", backend="theano", device="gpu")
    environments.check_device("torch", backend="plain_torch", device="gpu")


def test_other_systems_have_no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    found = obstacles(monkeypatch, H100)
    assert tuple(found) == BUILDS
    assert "is for Linux on x86-64; this is Linux on aarch64" in found["torch_gpu"].message


def test_a_run_on_the_cpu_never_downloads_cuda(tmp_path: Path) -> None:
    """Plain torch from PyPI brings gigabytes, which a lock of one's own may do by accident."""
    with pytest.raises(
        EnvironmentFailure, match=r"torch_gpu would download 2\.8 GB of CUDA for a run on"
    ) as ours:
        environments.check_device("torch_gpu")
    assert "Use torch, or device" in ours.value.hint
    lock = tmp_path / "own.txt"
    for package in ("nvidia-cublas==13.1.1.3", "jax-cuda12-plugin==0.10.2"):
        lock.write_text(f"numpy==2.4.6 --hash=sha256:00\n{package} --hash=sha256:00\n")
        own = EnvironmentRequest("own", lock=lock)
        with pytest.raises(EnvironmentFailure, match=r"own would download gigabytes .* for a run on the CPU"):
            environments.check_device("own", request=own)
        with pytest.raises(EnvironmentFailure, match=r"own: gigabytes .* and nobody was asked"):
            environments.ensure("own", request=own)
    lock.write_text("numpy==2.4.6 --hash=sha256:00\n")
    environments.check_device("own", request=own)
    for name in ("torch", "jax", "tensorflow", "vintage"):
        environments.check_device(name)
    assert environments.download(("torch", "jax", "tensorflow", "vintage"), {}) is None


def test_what_builds_share_is_downloaded_once() -> None:
    single = [environments.download([name], {}) for name in BUILDS]
    together = environments.download(BUILDS, {})
    assert together is not None and together.names == BUILDS
    assert [one and one.size for one in (*single, together)] == ["3.4 GB", "3.4 GB", "2.8 GB", "6.8 GB"]
