"""Noise is measured as it was put in, and each source is named with its figure and what helps."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bakeoff.calibration.entries import Entries, entries
from bakeoff.calibration.noise import noise, sources


def table(plain: np.ndarray, cpu: np.ndarray | None = None, seed: int = 1) -> Entries:
    random = np.random.default_rng(seed)
    positions = np.array([random.permutation(plain.shape[1]) for _ in plain], dtype=float)
    cpu = plain.copy() if cpu is None else cpu
    return Entries(plain, cpu, np.zeros_like(plain), positions, {})


def normal(sd: float, seed: int = 0, shape: tuple[int, int] = (60, 10)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, shape)


def test_a_worked_case() -> None:
    # Residuals ±0.01 in a 2 x 2 layout: sum of squares 4e-4 over 1 degree of freedom, so 0.02 a run.
    seen = noise(table(np.array([[0.01, -0.01], [0.19, 0.21]])))
    assert seen.log_sd == pytest.approx(math.sqrt(2) * 0.02)
    assert seen.drift == pytest.approx(0.2)


def test_what_a_ratio_varies_by_is_found_whatever_the_machine_does() -> None:
    plain = normal(0.03) + np.linspace(0, 1, 60)[:, None] + 0.1 * np.arange(10)
    seen = noise(table(plain))
    assert seen.log_sd == pytest.approx(0.03 * math.sqrt(2), rel=0.1)
    assert seen.drift == pytest.approx(1.0, abs=0.05)
    assert seen.block_sd == pytest.approx(np.linspace(0, 1, 60).std(ddof=1), abs=0.02)


def test_a_quiet_machine_has_no_source(invent) -> None:
    plain = normal(0.01, shape=(12, 6))
    runs = invent(plain)
    assert sources(noise(entries(runs)), runs) == ()


def test_the_place_in_a_block_shows() -> None:
    without = table(normal(0.02))
    with_effect = replace(without, plain=without.plain + 0.05 * without.positions / 9)
    assert abs(noise(without).order_effect) < 4 * noise(without).order_se
    seen = noise(with_effect)
    assert seen.order_effect == pytest.approx(0.05, abs=4 * seen.order_se)
    assert seen.order_effect > 3 * seen.order_se


def test_outliers_are_counted() -> None:
    plain = normal(0.01)
    plain[[3, 20, 41], [1, 5, 9]] += 0.3
    assert noise(table(plain)).num_outliers == 3
    assert noise(table(normal(0.01))).num_outliers == 0


def test_two_lengths_are_seen() -> None:
    plain = np.log(np.where(np.random.default_rng(3).random((20, 8)) < 0.5, 0.8, 1.3)) + normal(
        0.01, 2, (20, 8)
    )
    assert noise(table(plain)).two_valued == pytest.approx((0.8, 1.3), rel=0.02)
    moods = np.log(np.where(np.arange(20) < 10, 0.8, 1.3))[:, None] + normal(0.01, 2, (20, 8))
    assert noise(table(moods)).two_valued is None, "the machine is of two minds, not the runs"
    assert noise(table(normal(0.05))).two_valued is None


@pytest.mark.parametrize(("share", "name"), [(1.0, "slower work"), (0.0, "waiting")])
def test_slow_runs_work_longer_or_wait(invent, share: float, name: str) -> None:
    plain = normal(0.05, shape=(12, 6))
    cpu = share * plain + normal(0.01, 5, (12, 6))
    runs = invent(plain, cpu=cpu, details={"hypervisor": True})
    named = {one.name: one for one in sources(noise(entries(runs)), runs)}
    assert name in named
    assert ("host" in named[name].remedy) == (name == "waiting")


@pytest.mark.parametrize(
    ("change", "name", "seen"),
    [
        ({"others_cpu_share": 0.2}, "load", "other programs used 20 % of the CPU (median) in 72 of 72 runs"),
        ({"steal_share": 0.1}, "steal", "the hypervisor took 10 % of the CPU time (median) in 72 of 72 runs"),
        ({"frequency_ratio": 0.7}, "frequency", "the clock fell to 70 % within a run"),
        ({"num_throttled": 2}, "heat", "heat slowed a core 144 times"),
        ({"reasons": ["only 0.5 GiB of memory were free (limit 5% of all)"]}, "memory", "72 of 72"),
    ],
)
def test_the_machines_own_account_is_named(invent, change: dict[str, object], name: str, seen: str) -> None:
    runs = invent(normal(0.01, shape=(12, 6)), disturbance=change)
    (one,) = sources(noise(entries(runs)), runs)
    assert one.name == name
    assert seen in one.seen
    assert one.remedy


def test_memory_is_told_by_the_words_of_the_machines_module() -> None:
    import dataclasses

    from bakeoff.machine import Snapshot, disturbance

    before = Snapshot(0, 0, 0, 1.0, None, None, 1 << 28, 16 << 30, 0.0)
    told = dataclasses.asdict(disturbance(before, before, None))
    assert any("of memory were free" in reason for reason in json.loads(json.dumps(told))["reasons"])


def test_a_governor_that_saves_power_is_named(invent) -> None:
    runs = invent(normal(0.01, shape=(12, 6)), details={"governor": "powersave"})
    (one,) = sources(noise(entries(runs)), runs)
    assert (one.name, one.seen) == ("frequency", "the governor is powersave")


def test_unknown_cpu_time_explains_nothing(invent) -> None:
    plain = normal(0.05, shape=(12, 6))
    runs = invent(plain).with_columns(user_s=None, system_s=None).cast({"user_s": float, "system_s": float})
    seen = noise(entries(runs))
    assert seen.cpu_explains is None
    assert {one.name for one in sources(seen, runs)} <= {"outliers", "order"}


@pytest.mark.parametrize("keeps", [False, True])
def test_slow_runs_for_which_the_system_works_longer(invent, keeps: bool) -> None:
    system = 0.25 + normal(0.05, 3, (12, 6))
    plain = np.log(1 + system - 0.25) + normal(0.005, 4, (12, 6))
    runs = invent(plain, cpu=plain, system=system, keep_memory=keeps)
    seen = noise(entries(runs))
    assert seen.system_share == pytest.approx(0.25, abs=0.02)
    assert seen.system_explains == pytest.approx(0.99, abs=0.02)
    (source,) = sources(seen, runs)
    assert source.name == "system time"
    assert "25 % of the training time" in source.seen
    assert ("keep_memory = true" in source.remedy) != keeps


def test_a_little_of_the_systems_time_explains_nothing(invent) -> None:
    plain = normal(0.05, 3, (12, 6))
    runs = invent(plain, cpu=plain, system=0.02 + 0.1 * plain.clip(-0.15, 0.15))
    seen = noise(entries(runs))
    assert seen.system_explains == 0
    names = [one.name for one in sources(seen, runs)]
    assert "slower work" in names
    assert "system time" not in names
