"""What doctor finds, on this machine and on made-up ones."""

import os
from pathlib import Path

import pytest

from bakeoff import doctor, environments


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))


def finding(subject: str) -> doctor.Check:
    return {check.subject: check for check in doctor.diagnose()}[subject]


def test_every_subject_has_one_finding_and_every_trouble_a_remedy(tmp_path: Path) -> None:
    checks = doctor.diagnose()
    subjects = [check.subject for check in checks]
    assert len(subjects) == len(set(subjects))
    assert {f"environment {name}" for name in environments.catalogue()} <= set(subjects)
    assert {"bakeoff", "uv", "g++", "Python 3.11", "Python 3.7", "GPU", "disk", "data set mnist"} <= set(
        subjects
    )
    assert {"Java for Spark 3.5.9", "Java for Spark 3.4.4"} <= set(subjects)
    assert {"processor", "memory", "load", "steal", "clock", "frequency", "npm", "browser"} <= set(subjects)
    assert [check for check in checks if check.state != "ok" and not check.remedy] == []
    assert not (tmp_path / "cache").exists()  # looking makes nothing


def test_an_environment_not_made_yet_is_no_trouble() -> None:
    check = finding("environment jax")
    assert check.state == "ok"
    assert "bakeoff env create jax" in check.detail


def test_without_compiler_theano_is_missing_and_tensorflow_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert finding("g++").state == "missing"
    theano = finding("environment theano")
    assert theano.state == "missing"
    assert "g++" in theano.detail + theano.remedy
    assert finding("environment tensorflow").state == "ok"
    assert finding("npm").state == "warning"
    assert "install npm" in finding("npm").remedy


def fake_java(home: Path, version: str) -> None:
    (home / "bin").mkdir(parents=True)
    lines = f"    java.home = {home}\\n    java.specification.version = {version}\\n"
    (home / "bin" / "java").write_text(f"#!/bin/sh\nprintf '{lines}' >&2\n")
    (home / "bin" / "java").chmod(0o755)


def test_each_spark_is_told_its_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "jdk", "21")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "jdk" / "bin"))
    newer, older = finding("Java for Spark 3.5.9"), finding("Java for Spark 3.4.4")
    assert (newer.state, newer.detail) == (
        "ok",
        f"21 from PATH, {tmp_path / 'jdk'}; for theano_spark, tensorflow_spark",
    )
    assert older.state == "ok"
    assert "`bakeoff env create java`" in older.detail
    assert "is Java 21; Spark 3.4.4 takes 8, 11 or 17" in older.detail


def test_a_java_home_that_does_not_fit_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "jdk", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert finding("Java for Spark 3.5.9").state == "ok"
    older = finding("Java for Spark 3.4.4")
    assert older.state == "missing"
    assert "Spark 3.4.4 takes Java 8, 11 or 17; wanted by vintage_spark" in older.detail
    assert "unset it" in older.remedy


def test_a_processor_that_saves_power_is_warned_of(tmp_path: Path) -> None:
    governor = tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("powersave\n")
    source = tmp_path / "devices/system/clocksource/clocksource0/current_clocksource"
    source.parent.mkdir(parents=True)
    source.write_text("hpet\n")
    checks = {check.subject: check for check in doctor._quiet(tmp_path)}
    assert checks["frequency"].state == "warning"
    assert "cpupower" in checks["frequency"].remedy
    assert checks["clock"].state == "warning"
    governor.write_text("performance\n")
    source.write_text("tsc\n")
    checks = {check.subject: check for check in doctor._quiet(tmp_path)}
    assert (checks["frequency"].state, checks["clock"].state) == ("ok", "ok")


def test_energy_counters_that_only_root_may_read_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._energy(tmp_path).state == "ok"
    assert "no counter" in doctor._energy(tmp_path).detail
    counter = tmp_path / "class/powercap/intel-rapl:0/energy_uj"
    counter.parent.mkdir(parents=True)
    counter.write_text("17\n")
    assert doctor._energy(tmp_path) == doctor.Check(
        "energy", "ok", "counters of processors and memory can be read"
    )
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # to root, who may run this, all is readable
    found = doctor._energy(tmp_path)
    assert found.state == "warning"
    assert found.remedy == f"sudo chmod a+r {tmp_path}/class/powercap/intel-rapl:*/energy_uj"
