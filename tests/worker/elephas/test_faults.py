"""What goes wrong on a cluster becomes a status with its reason, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import bakeoff_worker
from bakeoff import environments
from bakeoff_worker.records import PhaseEnded, StageProgress

pytestmark = pytest.mark.slow


def descendants(driver: int, word: str) -> list[psutil.Process]:
    """The driver's descendants with that word in their command."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word in part for part in process.cmdline()):
                found.append(process)
    return found


class Once:
    """Does something to the cluster once, when its training has begun."""

    def __init__(self, deed):
        self.deed, self.done = deed, False

    def __call__(self, record, driver):
        if isinstance(record, StageProgress) and not self.done:
            self.done = True
            self.deed(driver)


def test_an_executor_killed_in_training_is_replaced_and_counted(spread):
    strike = Once(lambda driver: descendants(driver, "CoarseGrainedExecutorBackend")[0].kill())
    found = spread("tensorflow", options={"mode": "synchronous"}, epochs=2, watch=strike)
    assert strike.done
    assert found.ended.status == "ok", found.ended
    assert found.samples.num_trained == 2 * 1000, "what the lost executor had begun was trained again"
    lost = [one for one in found.executors if one.removed_s is not None]
    assert len(lost) == 1
    assert lost[0].removed_reason
    assert any(task.status == "ExecutorLostFailure" for task in found.training)
    assert any("lost 1 executor" in message for message in found.warnings)


def test_a_python_worker_without_memory(spread):
    options = {"mode": "synchronous", "layout": "1x1", "python_memory_mib": 200}
    found = spread("tensorflow", options=options, epochs=1)
    assert found.ended.status in ("out_of_memory", "failed"), found.ended
    assert "200" in found.ended.reason or "Memory" in found.ended.reason or found.ended.last_lines
    assert found.ended.status == "out_of_memory", (found.ended.reason, found.ended.last_lines[:3000])
    assert any(task.status != "ok" for task in found.training), "Spark's own retries are in the records"


@pytest.mark.exhaustive
def test_a_driver_without_memory_for_what_it_sends(spread, dataset, tmp_path):
    """Its scheduler's thread dies of it; the rest of the JVM would wait for ever."""
    large = tmp_path / "large"
    shutil.copytree(dataset, large)
    for name in ("x_train", "y_train"):
        few = np.load(large / f"{name}.npy")
        np.save(large / f"{name}.npy", np.concatenate([few] * 60))
    options = {"mode": "synchronous", "driver_memory_mib": 600}
    found = spread("tensorflow", options=options, data=large, epochs=1)
    assert found.ended.status == "out_of_memory", (found.ended.reason, found.ended.last_lines[:3000])
    assert "driver_memory_mib" in found.ended.reason


def test_a_lost_parameter_server(spread):
    def strike(driver: int) -> None:
        server = [
            process
            for process in psutil.Process(driver).children()
            if process.cmdline() == psutil.Process(driver).cmdline()
        ]
        assert len(server) == 1
        server[0].kill()

    found = spread(
        "tensorflow", options={"mode": "asynchronous", "layout": "1x1"}, epochs=2, watch=Once(strike)
    )
    assert found.ended.status == "failed", found.ended
    assert "refused" in found.ended.reason, found.ended.reason


@pytest.mark.exhaustive
@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a disk that is full")
def test_a_full_disk_on_an_executor(spread, tmp_path):
    from bakeoff import datasets

    mounted: list[Path] = []

    def fill(record, driver):
        if isinstance(record, PhaseEnded) and record.name == "cluster":
            local = Path(psutil.Process(driver).cwd()) / "spark" / "node-0" / "local"
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", local], check=False)
            if done.returncode == 0:
                mounted.append(local)

    prepared = datasets.ensure("mnist")
    try:
        found = spread(
            "tensorflow",
            options={"mode": "synchronous", "layout": "1x1", "data_source": "parquet"},
            data=prepared.path,
            parquet=datasets.parquet_files(prepared),
            train_images=2000,
            evaluation_images=100,
            epochs=1,
            watch=fill,
        )
    finally:
        for local in mounted:
            subprocess.run(["umount", "-l", local], check=False)
    if not mounted:
        pytest.skip("this machine lets nobody mount a file system")
    assert found.ended.status == "failed", found.ended
    assert "No space left on device" in found.ended.reason, found.ended.reason


# What the guardian does then: tests/worker/spark/test_guardian.py.
@pytest.mark.exhaustive
def test_a_driver_that_dies_leaves_nothing(spread):
    folder: list[Path] = []

    def strike(driver: int) -> None:
        folder.append(Path(psutil.Process(driver).cwd()))
        psutil.Process(driver).kill()

    found = spread(
        "tensorflow", options={"mode": "synchronous", "layout": "1x1"}, epochs=2, watch=Once(strike)
    )
    assert found.ended.status == "killed", found.ended
    deadline = time.monotonic() + 10
    while folder[0].exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder[0].exists()


def test_a_master_that_is_not_there_is_said_within_seconds(spread):
    started = time.monotonic()
    found = spread("tensorflow", options={"mode": "synchronous", "master": "spark://127.0.0.1:1"}, epochs=1)
    assert found.ended.status == "failed"
    assert "no Spark master answers at 127.0.0.1:1" in found.ended.reason
    assert not found.epochs
    assert time.monotonic() - started < 60, "most of it the import of the framework"


def test_a_users_own_cluster_serves_and_a_layout_that_does_not_fit_it_is_said(
    spread, tmp_path, framework, monkeypatch
):
    found = framework("tensorflow_spark")
    root = Path(bakeoff_worker.__file__).parents[1]
    script = root.parent / "benchmarks" / "bare" / "standalone.py"
    java = environments.java.find("tensorflow_spark").home
    process = subprocess.Popen(
        [found.python, script, "2", "1", tmp_path / "cluster", java],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(root)},
        text=True,
    )
    try:
        master = json.loads(process.stdout.readline())["master"]
        monkeypatch.setenv(
            "SPARK_CONF_DIR", str(tmp_path / "cluster" / "conf")
        )  # the user's, with the secret
        monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        options = {"mode": "synchronous", "master": master}
        fits = spread("tensorflow", options={**options, "layout": "2x1"}, epochs=1)
        too_large = spread("tensorflow", options={**options, "layout": "5x4"}, epochs=1)
    finally:
        process.communicate()
    assert fits.ended.status == "ok", fits.ended
    assert "cluster" not in fits.phases
    assert fits.samples.num_trained == 1000
    assert fits.facts.observed["spark"]["master"] == master
    assert too_large.ended.status == "failed"
    assert "the layout doesn't fit the cluster: 5 executors of 4 cores" in too_large.ended.reason
    assert "there is room for 0: 2 × 1 cores and " in too_large.ended.reason
    assert not too_large.epochs


def test_what_a_release_can_not_do_is_declined(spread):
    found = spread("tensorflow", options={"mode": "synchronous", "merge": "averaged"}, epochs=1)
    assert found.ended.status == "skipped"
    assert "averages by itself" in found.ended.reason
