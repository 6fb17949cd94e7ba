"""Frames: their columns, their rows, and which runs belong to a study."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from store_sample import CERTIFICATE, EXECUTOR, HERE, NOISE, SAMPLES, epoch, specs, store_run, study, task

from bakeoff.errors import StoreError
from bakeoff.results import open_results
from bakeoff.store.database import transaction
from bakeoff.store.reader import Reader
from bakeoff.store.writer import CertificateRow, Condition, Writer
from bakeoff_worker.job import RunSpec
from bakeoff_worker.outcomes import pack
from bakeoff_worker.records import EnergyUsed, Outcomes, PhaseEnded, RunEnded, RunWarning, to_line

CLUSTER = ("tasks", "executors", "samples")
DOCS = Path(__file__).parents[2] / "docs" / "store.md"


def test_runs_have_their_settings_end_and_totals(full: Path) -> None:
    with Reader(full) as reader:
        run = reader.runs("pair").row(1, named=True)
    spec = specs()[1]
    expected = {
        "study": "pair",
        "label": "Beta",
        "trial_id": spec.trial_id,
        "backend": "beta",
        "environment": "env-beta",
        "repeat": 0,
        "block": 0,
        "position": 1,
        "attempt": 1,
        "seed": 100,
        "condition_id": HERE.condition_id,
        "status": "ok",
        "num_epochs": 3,
        "num_images": 1800,
        "train_s": 6.0,
        "evaluation_s": 1.5,
        "first_step_s": 1.5,
        "user_s": 9.0,
        "system_s": 0.75,
        "device_s": None,
        "throughput_images_per_s": 300.0,
        "peak_memory_bytes": 1003,
        "final_validation_error": 0.5 / 3,
        "wall_s": 20.0,
        "disturbed": NOISE["disturbed"],
        "machine": "2 cores",
        "settings.epochs": 3,
        "settings.threads": None,
        "settings.model_options": "{}",
        "settings.learning_rate": 0.001,
    }
    assert {name: run[name] for name in expected} == expected
    assert run["started_at"].isoformat() == "2023-11-14T22:13:23+00:00"
    assert (run["ended_at"] - run["started_at"]).total_seconds() == 1


def test_epochs_and_phases_come_in_order(full: Path) -> None:
    with Reader(full) as reader:
        epochs, phases, runs = reader.epochs("pair"), reader.phases("pair"), reader.runs("pair")
    assert epochs["run_id"].unique(maintain_order=True).to_list() == runs["run_id"].to_list()
    assert epochs["epoch"].to_list() == [1, 2, 3] * 4
    first = epochs.row(0, named=True)
    assert {name: first[name] for name in dataclasses.asdict(epoch(1))} == dataclasses.asdict(epoch(1))
    assert phases["phase"].to_list() == ["first_step", "training"] * 4
    assert phases["system_s"].to_list() == [None, 0.75] * 4


def test_what_a_run_said_beside_its_epochs(full: Path) -> None:
    with Reader(full) as reader:
        assert reader.facts("pair").select("asked", "observed").row(0) == (
            '{"threads":null}',
            '{"versions":{"keras":"3"}}',
        )
        assert reader.warnings()["remedy"].to_list() == ["install OpenBLAS"] * 4


def test_outcomes_are_a_bit_per_image(full: Path) -> None:
    wrong = np.arange(10) % 3 == 0
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, 0, Outcomes(3, 10, pack(wrong)))
    with Reader(full) as reader:
        (row,) = reader.outcomes("pair").iter_rows(named=True)
        assert reader.outcomes().schema["wrong"] == pl.Binary
    assert (row["run_id"], row["label"], row["epoch"], row["num_images"]) == (run_id, "Alpha", 3, 10)
    assert np.unpackbits(np.frombuffer(row["wrong"], "uint8"), count=10).tolist() == wrong.tolist()


def test_a_run_on_a_cluster_has_tasks_executors_and_samples(full: Path) -> None:
    failed = task(8, status="ExecutorLostFailure", attempt=2, python_s=None, pid=None)
    records = [task(7, python_s=math.nan, gc_s=math.inf), EXECUTOR, failed, SAMPLES]
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        for record in (*records, epoch(50)):
            writer.append(run_id, None, record)
    with Reader(full) as reader:
        tasks, executors, samples = (getattr(reader, name)("pair") for name in CLUSTER)
        runs = reader.runs("pair")
        assert len(reader.facts("pair")) == 4 and len(reader.tasks()) == 2
    names = {"attempt": "task_attempt", "status": "task_status"}
    for frame, expected in ((tasks, records[0]), (executors, EXECUTOR), (samples, SAMPLES)):
        row = frame.row(0 if frame is not tasks else -1, named=True)  # own numbers run backwards
        who = (row["run_id"], row["status"], row["attempt"], row["label"])
        assert who == (run_id, "interrupted", 2, "Alpha")
        for field, value in dataclasses.asdict(expected).items():
            found = row[names.get(field, field)]
            assert found == value or (found != found and value != value), field
    last = tasks.row(0, named=True)
    assert (last["task_status"], last["task_attempt"], last["python_s"]) == ("ExecutorLostFailure", 2, None)
    assert [str(dtype) for dtype in tasks.select("stage", "gc_s", "task_status").dtypes] == [
        "Int64",
        "Float64",
        "String",
    ]
    counts = runs.select("samples_asked", "samples_trained", "samples_skipped", "num_epochs").rows()
    assert counts == [(None, None, None, 3)] * 4 + [(1800, 1650, 150, 50)]


def test_energy_stands_beside_the_times_of_the_run_that_used_it(full: Path) -> None:
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, None, epoch(1))
        writer.append(run_id, None, EnergyUsed(packages_j=812.5, device_j=None))
    with Reader(full) as reader:
        energy = reader.runs("pair").select("run_id", "energy_j", "device_energy_j")
    assert energy.row(-1) == (run_id, 812.5, None)
    assert energy["energy_j"].to_list()[:-1] == [None] * 4


def test_a_store_without_a_cluster_has_their_columns_and_no_rows(full: Path) -> None:
    with Reader(full) as reader:
        assert [len(getattr(reader, name)()) for name in CLUSTER] == [0, 0, 0]
        assert reader.tasks().schema["gc_s"] == pl.Float64


@pytest.mark.slow
def test_a_hundred_thousand_tasks_are_read_in_seconds(writer: Writer) -> None:
    run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
    before, after = to_line(task(123456)).split("123456")
    lines = ((run_id, number, "task", f"{before}{number}{after}") for number in range(100_000))
    with transaction(writer._connection):
        writer._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", lines)
    with Reader(writer.path) as reader:
        started = time.process_time()
        tasks = reader.tasks("pair")
        spent_s = time.process_time() - started
    assert tasks["task_id"].to_list() == list(range(100_000))
    assert spent_s < 15  # about 1 s; CPU time, since tests run beside others


def test_nan_is_not_missing(writer: Writer) -> None:
    run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
    writer.append(run_id, 0, epoch(1))
    writer.append(run_id, 1, epoch(2, train_loss=math.nan, validation_error=math.nan, user_s=None))
    with Reader(writer.path) as reader:
        epochs, run = reader.epochs(), reader.runs().row(0, named=True)
    assert epochs["train_loss"].is_nan().to_list() == [False, True]
    assert epochs["user_s"].to_list() == [3.0, None]
    assert math.isnan(run["final_validation_error"])
    assert run["user_s"] is None and run["system_s"] == 0.5  # no sum of what is known only in part


def test_a_run_without_epochs_has_no_totals(writer: Writer) -> None:
    run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
    writer.append(run_id, 0, PhaseEnded("first_step", 0.25, None, None))
    writer.end_run(run_id, RunEnded("failed", "no compiler", "g++: not found"))
    with Reader(writer.path) as reader:
        run = reader.runs().row(0, named=True)
    assert (run["status"], run["reason"], run["last_lines"]) == ("failed", "no compiler", "g++: not found")
    assert (run["num_epochs"], run["train_s"], run["final_validation_error"]) == (0, None, None)
    assert (run["first_step_s"], run["throughput_images_per_s"], run["disturbed"]) == (0.25, None, None)


def test_a_study_adopts_the_runs_that_it_plans(full: Path) -> None:
    longer = study(specs(repeats=3), digest="d2-longer")
    other_seed = tuple(dataclasses.replace(spec, seed=7) for spec in specs())
    ticks = iter(range(1_800_000_000, 1_900_000_000))
    with Writer(full, now=lambda: float(next(ticks))) as writer:
        writer.begin_study(longer)
        store_run(writer, longer.specs[-1], digest="d2-longer")
        writer.begin_study(study(other_seed, digest="e", name="seeds"))
        store_run(writer, other_seed[0], digest="e")
    with Reader(full) as reader:
        assert reader.runs("pair").height == 5
        assert set(reader.runs("pair")["study_digest"]) == {"d2-longer"}
        assert reader.runs("d1").height == 4
        assert reader.epochs("d2").height == 15
        assert reader.runs("seeds")["seed"].to_list() == [7]
        assert reader.runs().height == 6
        counts = reader.studies().select("study", "digest", "num_trials", "num_planned", "num_ok").rows()
    assert counts == [("seeds", "e", 2, 4, 1), ("pair", "d2-longer", 2, 6, 5), ("pair", "d1", 2, 4, 4)]


def test_unknown_study(full: Path) -> None:
    with Reader(full) as reader:
        with pytest.raises(StoreError, match="got `pairs`") as caught:
            reader.runs("pairs")
        assert caught.value.hint == "Did you mean `pair`?"
        with pytest.raises(StoreError, match="got ``"):
            reader.epochs("")


def test_done_asks_for_seed_condition_and_a_good_end(full: Path) -> None:
    planned = specs(repeats=3)
    here = {spec.trial_id: HERE.condition_id for spec in planned}
    alpha, beta = planned[0].trial_id, planned[1].trial_id
    with Writer(full) as writer:
        writer.begin_study(study(planned, digest="d2"))
        for number, status in ((4, "failed"), (5, "interrupted")):
            run_id = writer.begin_run(planned[number], study_digest="d2", condition=HERE, environment={})
            writer.end_run(run_id, RunEnded(status))
    with Reader(full) as reader:
        assert reader.done(planned, here) == {(alpha, 0), (beta, 0), (alpha, 1), (beta, 1)}
        newer = Condition(HERE.machine_id, "environment-2").condition_id
        assert reader.done(planned, {**here, alpha: newer}) == {(beta, 0), (beta, 1)}
        assert reader.done((dataclasses.replace(spec, seed=9) for spec in planned), here) == set()


def test_condition_names_machine_environment_and_measurement() -> None:
    same = dataclasses.replace(HERE, machine={"kernel": "6.2"})
    assert same.condition_id == HERE.condition_id
    changes = ({"machine_id": "x"}, {"environment_digest": "x"}, {"measurement_version": 99})
    assert (
        len({HERE.condition_id} | {dataclasses.replace(HERE, **change).condition_id for change in changes})
        == 4
    )


def test_history_is_what_ended_well(full: Path) -> None:
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, 0, epoch(1))
        writer.end_run(run_id, RunEnded("failed", "no"))
    with Reader(full) as reader:
        history = reader.history()
    assert len(history) == 4
    assert history[0].settings == specs()[0].settings
    assert (history[0].wall_s, history[0].train_s, history[0].num_epochs, history[0].first_step_s) == (
        20,
        6,
        3,
        1.5,
    )


def test_settings_of_another_version_are_read(full: Path) -> None:
    with Writer(full) as writer:
        writer._connection.execute(
            "UPDATE trials SET settings = json_remove(json_set(settings, '$.later', 1), '$.jit')"
        )
    with Reader(full) as reader:
        assert reader.runs()["settings.jit"].to_list() == [None] * 4
        assert reader.history()[0].settings == specs()[0].settings


def test_results_for_notebooks(full: Path) -> None:
    results = open_results(str(full))
    with Reader(full) as reader:
        assert results.certificates("pair").equals(reader.certificates("pair"))
        assert results.certificates().equals(reader.certificates()) and len(results.certificates()) > 0
        assert results.warnings("pair").equals(reader.warnings("pair")) and len(results.warnings()) > 0
    with Writer(full) as writer:
        run_id = writer.begin_run(specs()[0], study_digest="d1", condition=HERE, environment={})
        writer.append(run_id, None, RunWarning("slow"))
        assert results.runs("pair")["status"].to_list() == ["ok"] * 4 + ["running"]
    assert results.epochs().height == 12 and results.phases("pair").height == 8
    assert results.studies()["num_ok"].to_list() == [4]
    with pytest.raises(StoreError, match="no store there"):
        open_results(full.parent / "none.sqlite")


def test_certificates_come_back_the_last_first(full: Path) -> None:
    later = dataclasses.replace(CERTIFICATE, verdict="different")
    with Writer(full) as writer:
        writer.add_certificates([later])
    with Reader(full) as reader:
        frame = reader.certificates()
    assert frame["verdict"].to_list() == ["different", "same"]
    found = frame.row(1, named=True)
    names = [field.name for field in dataclasses.fields(CERTIFICATE) if field.name != "document"]
    assert {name: found[name] for name in names} == {name: getattr(CERTIFICATE, name) for name in names}
    assert json.loads(found["document"]) == CERTIFICATE.document
    assert frame["made_at"][0] > frame["made_at"][1]


def test_trials_find_their_certificates_whichever_study_they_were_verified_for(tmp_path: Path) -> None:
    alpha, beta = (spec.settings for spec in specs(1))
    longer = dataclasses.replace(alpha, epochs=9)  # another trial that alpha's verification serves
    trials = [RunSpec(one, name, 0, 0, 0, 1) for one, name in ((longer, "longer"), (alpha, "a"), (beta, "b"))]
    first = CertificateRow(
        alpha.verified_id, "e1", beta.verified_id, "e2", "here", 1, "different", {"words": "another loss"}
    )
    path, ticks = tmp_path / "store.sqlite", itertools.count(1)
    with Writer(path, now=lambda: float(next(ticks))) as writer:
        writer.begin_study(study(tuple(trials)))
        writer.add_certificates([first])
        # The other way round, and of another environment: the former replaces, the latter adds.
        again = CertificateRow(
            beta.verified_id, "e2", alpha.verified_id, "e1", "here", 1, "same", {"words": "agree"}
        )
        elsewhere = dataclasses.replace(first, one_environment_digest="e3", document={})
        writer.add_certificates([again, elsewhere])
    with Reader(path) as reader:
        frame = reader.certificates("pair")
        assert reader.certificates()["one_trial"].to_list() == [None, None, None]
    assert set(frame["kind"]) == {"pair"}
    a, b, long, alike = alpha.trial_id, beta.trial_id, longer.trial_id, frame["words"][-1]
    columns = ("one_trial", "other_trial", "verdict", "words", "one_environment_digest")
    assert frame.select(columns).rows() == [
        (long, b, "different", "", "e3"),
        (a, b, "different", "", "e3"),
        (b, long, "same", "agree", "e2"),
        (b, a, "same", "agree", "e2"),
        (long, a, "same", alike, None),
    ]
    assert "the same network" in alike


def test_a_round_s_certificate_is_that_of_one_trial(tmp_path: Path) -> None:
    options = {"mode": "synchronous", "layout": "5x4"}
    (alpha, beta), path = (spec.settings for spec in specs(1)), tmp_path / "store.sqlite"
    spread = [
        dataclasses.replace(alpha, distribution="elephas", distribution_options={**options, **more})
        for more in ({}, {"layout": "4x5"}, {"merge": "averaged"})
    ]
    trials = [RunSpec(one, str(place), 0, 0, 0, 1) for place, one in enumerate((beta, *spread))]
    with Writer(path) as writer:
        writer.begin_study(study(tuple(trials)))
        writer.add_certificates(
            [
                CertificateRow(
                    spread[0].verified_round_id, "e1", "", "", "here", 1, "same", {"words": "the mean"}
                )
            ]
        )
    with Reader(path) as reader:
        found = reader.certificates("pair").filter(kind="round")
    assert found.select("one_trial", "other_trial", "verdict", "words").rows() == [
        (spread[0].trial_id, None, "same", "the mean"),
        (spread[1].trial_id, None, "same", "the mean"),
    ]
    assert beta.verified_round_id == "" and len({one.verified_round_id for one in spread}) == 2


def test_every_column_is_documented(full: Path) -> None:
    sections = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)
    documented = {
        section.split("\n", 1)[0].strip("`"): set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))
        for section in sections
    }
    results = open_results(full)
    for name in (
        *("runs", "epochs", "phases", "outcomes", "studies", "facts", "warnings", "certificates"),
        *CLUSTER,
    ):
        frame: pl.DataFrame = getattr(results, name)()
        of_run = name not in ("studies", "certificates")
        described = documented[name] | (documented["Every frame"] if of_run else set())
        columns = {c if not c.startswith("settings.") else "settings.*" for c in frame.columns}
        assert columns == described, name
