"""From the store's runs to passed or failed, by the rules in docs/calibration.md."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bakeoff import calibration, machine, session, study
from bakeoff.calibration.entries import entries
from bakeoff.events import Handler
from bakeoff.launchers import fake
from bakeoff.store.reader import Reader

MACHINE = "f" * 16


def logs(sd: float = 0.02, num_blocks: int = 12, num_entries: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, (num_blocks, num_entries))


def slowed(handicap: float, sd: float = 0.02, num_blocks: int = 12, seed: int = 9) -> np.ndarray:
    return math.log1p(handicap) + np.random.default_rng(seed).normal(0, sd, num_blocks)


def test_a_sound_machine_passes(invent) -> None:
    runs = invent(logs(), {0.01: slowed(0.01), 0.1: slowed(0.1)})
    found = calibration.assess(runs, MACHINE)
    assert found is not None
    assert found.passed and found.failures == ()
    assert (found.num_entries, found.num_blocks, found.num_runs, found.num_failed) == (8, 12, 120, 0)
    assert [one.handicap for one in found.found] == [0.01, 0.1]
    assert found.sentence().startswith(
        "this machine passed its calibration (calibrated on 2026-11-01 with torch on"
    )
    assert "10 % slower found in 8 of 8" in found.sentence()
    assert json.loads(json.dumps(found.document()))["passed"] is True


def test_entries_that_differ_fail_it(invent) -> None:
    plain = logs()
    plain[:, :2] += 0.1
    found = calibration.assess(invent(plain, {0.1: slowed(0.1)}), MACHINE)
    assert found is not None and not found.passed
    assert any("identical entries differ more than noise explains" in one for one in found.failures)
    assert any("told apart" in one for one in found.failures)
    assert found.sentence().startswith("this machine failed its calibration")


def test_noise_that_hides_ten_per_cent_fails_it(invent) -> None:
    found = calibration.assess(invent(logs(0.15), {0.1: slowed(0.1, 0.15)}), MACHINE)
    assert found is not None
    (failure,) = found.failures
    assert failure.startswith("an entry that is 10 % slower was found so in ")
    assert found.noise.log_sd == pytest.approx(0.15 * math.sqrt(2), rel=0.2)
    assert f"too noisy ({100 * found.noise.log_sd:.1f} % per block)" in failure


def test_too_few_runs_say_nothing(invent) -> None:
    assert calibration.assess(invent(logs(num_blocks=5)), MACHINE) is None
    assert calibration.assess(invent(logs(num_entries=2)), MACHINE) is None
    assert calibration.assess(invent(logs()), "another") is None
    assert calibration.assess(invent(logs()).with_columns(status=pl.lit("failed")), MACHINE) is None


def test_a_block_counts_if_all_plain_entries_ended_well(invent) -> None:
    plain, slow = logs(), slowed(0.1)
    runs = invent(plain, {0.1: slow})
    trial, block = pl.col("trial_id"), pl.col("block")
    failed = ((trial == "plain3") & (block == 4)) | ((trial == "slow0.1") & (block == 7))
    runs = runs.with_columns(status=pl.when(failed).then(pl.lit("failed")).otherwise("status"))
    found = calibration.assess(runs, MACHINE)
    assert found is not None
    assert (found.num_blocks, found.num_failed) == (11, 2)
    assert found.found[0].num_blocks == 10
    kept = entries(runs.filter(status="ok"))
    assert kept.plain == pytest.approx(np.delete(plain, 4, axis=0))
    assert np.isnan(kept.handicapped[0.1]).sum() == 1


def test_of_several_conditions_the_last_counts_and_of_several_attempts_the_last(invent) -> None:
    first, second = invent(logs(seed=1)), invent(logs(seed=2))
    later = pl.col("started_at", "ended_at").dt.offset_by("1d")
    second = second.with_columns(later, condition_id=pl.lit("c2"))
    found = calibration.assess(pl.concat([second, first]), MACHINE)
    assert found is not None and found.condition_id == "c2" and found.num_runs == 96
    again = second.with_columns(condition_id=pl.lit("c1"))
    assert entries(pl.concat([first, again])).plain == pytest.approx(logs(seed=2))


def test_a_store_has_its_machines_last_calibration(tmp_path: Path) -> None:
    store = tmp_path / "results.sqlite"
    entrants = "matrix.entrant=[{entry='A'}, {entry='B'}, {entry='C'}, {handicap=0.1}]"
    for seed, blocks in ((1, 6), (2, 2)):  # the second one is too short to count
        chosen = study.load("calibration", ["backend=fake", f"repeats={blocks}", f"seed={seed}", entrants])
        session.run(chosen, store, listener=Handler(), launcher=fake.launch, verify=False)
    with Reader(store) as reader:
        found = calibration.latest(reader, machine.identity()["machine_id"])
        assert calibration.latest(reader, "another") is None
    assert found is not None
    assert (found.num_entries, found.num_blocks) == (3, 6)
    assert found.found[0].handicap == 0.1
    assert found.found[0].ratio.ratio == pytest.approx(1.1, abs=0.05)
    assert found.contestant == "fake on mnist"


def test_a_store_without_one_has_none(tmp_path: Path) -> None:
    store = tmp_path / "results.sqlite"
    chosen = study.load("smoke")
    session.run(chosen, store, listener=Handler(), launcher=fake.launch, verify=False)
    with Reader(store) as reader:
        assert calibration.latest(reader, machine.identity()["machine_id"]) is None
