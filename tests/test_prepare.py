"""What runs need, made ready for each trial, or found wanting for that trial alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakeoff import environments
from bakeoff.datasets import augment
from bakeoff.errors import BakeoffError, EnvironmentFailure, MachineError
from bakeoff.execute import Provision
from bakeoff.prepare import prepare
from bakeoff.study import load
from bakeoff_worker.job import RunSpec, TrialSettings


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def java(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java for environments without Spark, as the invented backend's is."""
    found = environments.java.Java(Path("/opt/java"), 17, "PATH")
    monkeypatch.setattr(environments.java, "find", lambda spark, tell: found)
    return found.home


@pytest.fixture
def plain(tmp_path: Path) -> TrialSettings:
    """A trial on ten images of one's own."""
    images, labels = np.arange(10 * 36, dtype=np.uint8).reshape(10, 6, 6), np.arange(10) % 2
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    return TrialSettings("fake", "fake", dataset=str(tmp_path / "mine.npz"))


def spread(settings: TrialSettings, data_source: str) -> TrialSettings:
    return replace(settings, distribution="elephas", distribution_options={"data_source": data_source})


def provisions(*settings: TrialSettings) -> list[Provision | BakeoffError]:
    """For each of these trials, what its runs are given."""
    specs = [RunSpec(one, one.trial_id, 0, 0, place, 1) for place, one in enumerate(settings)]
    made = prepare(load("smoke"), specs)
    return [made[spec.trial_id] for spec in specs]


def test_each_scale_has_a_folder_of_its_own(cache: Path, plain: TrialSettings) -> None:
    one, four, again = provisions(plain, replace(plain, data_scale=4), replace(plain, data_scale=4, epochs=2))
    assert isinstance(one, Provision) and isinstance(four, Provision) and isinstance(again, Provision)
    lengths = [len(np.load(made.dataset / "x_train.npy")) for made in (one, four)]
    assert lengths == [10, 40]
    assert four.dataset == again.dataset and four.dataset.is_relative_to(cache)


def test_java_is_for_clusters_and_its_lack_is_the_reason_of_their_trials_alone(
    cache: Path, plain: TrialSettings, java: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, cluster = provisions(plain, spread(plain, "driver"))
    assert isinstance(alone, Provision) and isinstance(cluster, Provision)
    assert alone.java is None and cluster.java and cluster.java.home == java

    def fail(spark: str, tell: object) -> None:
        raise EnvironmentFailure("JAVA_HOME is /old, Java 7")

    monkeypatch.setattr(environments.java, "find", fail)
    alone, cluster = provisions(plain, spread(plain, "driver"))
    assert isinstance(alone, Provision)
    assert isinstance(cluster, EnvironmentFailure) and "Java 7" in cluster.message


def test_parquet_is_made_for_the_trials_alone_that_read_it(cache: Path, plain: TrialSettings) -> None:
    scaled = replace(plain, data_scale=3)
    alone, driver, small, large = provisions(
        plain, spread(plain, "driver"), spread(plain, "parquet"), spread(scaled, "parquet")
    )
    assert isinstance(alone, Provision) and isinstance(driver, Provision)
    assert alone.parquet is None and driver.parquet is None
    for made, num_rows in ((small, 10), (large, 30)):
        assert isinstance(made, Provision) and made.parquet is not None
        assert json.loads((made.parquet / "_about.json").read_text())["num_rows"] == num_rows
    assert len(list((cache / "parquet").iterdir())) == 2


def test_no_parquet_without_a_trial_that_reads_it(cache: Path, plain: TrialSettings) -> None:
    provisions(plain, spread(plain, "driver"))
    assert not (cache / "parquet").exists()


def test_parquet_that_cannot_be_written_is_the_reason_of_the_trials_that_need_it(
    cache: Path, plain: TrialSettings
) -> None:
    cache.mkdir()
    (cache / "parquet").write_text("not a folder")
    driver, parquet = provisions(spread(plain, "driver"), spread(plain, "parquet"))
    assert isinstance(driver, Provision)
    assert isinstance(parquet, MachineError) and "can't be written" in parquet.message


def test_a_scale_that_cannot_be_had_is_the_reason_of_its_trials_alone(
    cache: Path, plain: TrialSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vast = replace(plain, data_scale=augment.MAX_SCALE + 1)
    one, two, three = provisions(plain, vast, spread(vast, "parquet"))
    assert isinstance(one, Provision)
    for refused in (two, three):
        assert isinstance(refused, BakeoffError)
        assert refused.message.startswith(f"data_scale: got {augment.MAX_SCALE + 1}, expected 1 to")

    def full(*whatever: object) -> None:
        raise MachineError("no room")

    monkeypatch.setattr(augment.disk, "require", full)
    one, four = provisions(plain, replace(plain, data_scale=4))
    assert isinstance(one, Provision)
    assert isinstance(four, MachineError) and four.message == "no room"
