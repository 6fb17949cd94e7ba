"""Studies through a real Slurm: what is stored, and what becomes of kills, dead nodes and refusals."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from bakeoff import farm, session, study
from bakeoff.errors import MachineError
from bakeoff.events import messages
from bakeoff.launchers import fake
from bakeoff.store.reader import Reader
from bakeoff.study import Study

pytestmark = pytest.mark.slow

TINY = """
name = "tiny"
repeats = 3
defaults = { backend = "fake", train_images = 2000, evaluation_images = 500, epochs = 2 }
matrix = { learning_rate = [0.001, 0.01] }
"""


@pytest.fixture
def tiny(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    """A study of two contestants and three blocks whose jobs lie in this test's own folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tiny.toml").write_text(TINY)

    def load(*overrides: str) -> Study:
        return study.load(tmp_path / "tiny.toml", (f"farm.folder='{tmp_path / 'jobs'}'", *overrides))

    return load


def test_blocks_run_as_jobs_and_are_stored_once(tiny: Callable[..., Study], tmp_path: Path) -> None:
    asked, store = tiny("farm.nodes=2"), tmp_path / "store.sqlite"
    for expected in ({"ok": 6}, {}):
        tally = session.run(asked, store, launcher=fake.launch, verify=False, farm="slurm")
        assert tally.counts == expected
    with Reader(store) as reader:
        runs, jobs = reader.runs(), reader.farm_jobs()
    assert sorted(runs.select("block", "label").rows()) == sorted(
        (block, f"rate {rate}") for block in range(3) for rate in ("0.001", "0.01")
    )
    assert runs["num_epochs"].to_list() == [2] * 6
    (command,) = set(runs["command"])
    assert json.loads(command) == [Path(sys.argv[0]).name, *sys.argv[1:]], "the submitter's, not the job's"
    assert (
        jobs.group_by("block")
        .agg(pl.col("node").n_unique(), pl.col("job_id").n_unique())
        .select("node", "job_id")
        .rows()
        == [(1, 1)] * 3
    )
    assert set(jobs["node"]) == {"node1", "node2"} and jobs["is_exclusive"].all()
    for phase in ("submission_s", "queue_s", "prolog_s", "startup_s", "staging_s", "runs_s", "collection_s"):
        assert (jobs[phase] >= 0).all(), phase
    # The manager counts whole seconds, from the allocation to the end of the script.
    ours = jobs["prolog_s"] + jobs["startup_s"] + jobs["staging_s"] + jobs["runs_s"]
    assert ((jobs["manager_s"] - ours).abs() < 4).all()
    assert set(jobs["state"]) == {"done"} and set(jobs["accounting"]) == {"sstat"}
    assert not (tmp_path / "jobs").exists() or not list((tmp_path / "jobs").iterdir())


@pytest.mark.exhaustive
def test_what_was_shared_is_a_disturbance(tiny: Callable[..., Study], tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    asked = tiny("farm.exclusive=false", "farm.memory='500M'", "repeats=1")
    session.run(asked, store, launcher=fake.launch, verify=False, farm="slurm")
    with Reader(store) as reader:
        assert reader.farm_jobs()["is_exclusive"].to_list() == [False, False]
        assert reader.runs()["disturbance"].str.contains("not this job's alone").all()


def test_killed_while_jobs_run_the_same_command_collects_them(
    tiny: Callable[..., Study], tmp_path: Path
) -> None:
    store, overrides = tmp_path / "store.sqlite", ["--set", "epochs=150", "--set", "repeats=2"]
    command = [sys.executable, "-m", "bakeoff", "run", str(tmp_path / "tiny.toml"), "--farm", "slurm"]
    command += ["--store", str(store), "--no-verify", "--no-report", "--quiet", *overrides]
    command += ["--set", f"farm.folder='{tmp_path / 'jobs'}'"]
    with subprocess.Popen(command) as process:
        _until(lambda: any((tmp_path / "jobs").glob("*/*/journal.0")))
        process.kill()
    asked = tiny("epochs=150", "repeats=2")
    lines: list[str] = []
    tally = session.run(asked, store, verify=False, farm="slurm", listener=messages(lines.append))
    assert tally.counts == {"ok": 4} and any("jobs of an earlier call" in line for line in lines)
    with Reader(store) as reader:
        assert reader.runs()["status"].to_list() == ["ok"] * 4
        assert reader.epochs().group_by("run_id").len()["len"].to_list() == [150] * 4


def test_a_node_that_dies_has_its_block_run_anew_on_another(
    tiny: Callable[..., Study], tmp_path: Path
) -> None:
    store, asked = tmp_path / "store.sqlite", tiny("epochs=300", "repeats=1")

    def kill() -> str:
        """Slurm begins a job of a dead node anew after two minutes, or when it is told to."""
        journals = (tmp_path / "jobs").glob
        _until(lambda: any(r"\"epoch\"" in path.read_text() for path in journals("*/*/journal.0")))
        job, node = _squeue("running").split()
        _scontrol("update", f"nodename={node}", "state=down", "reason=test")
        _scontrol("update", f"nodename={node}", "state=drain", "reason=test")  # or it comes back by itself
        _until(lambda: _squeue("pending") != "")
        _scontrol("update", f"jobid={job}", "starttime=now")
        return node

    with ThreadPoolExecutor() as pool:
        dead = pool.submit(kill)
        tally = session.run(asked, store, verify=False, farm="slurm")
    _scontrol("update", f"nodename={dead.result()}", "state=undrain")
    assert tally.counts == {"ok": 2}
    with Reader(store) as reader:
        runs, jobs = reader.runs(), reader.farm_jobs()
    good = jobs.filter(status="ok")
    assert set(good["node"]) == {"node1", "node2"} - {dead.result()} and len(good) == 2
    assert set(good["num_restarts"]) == {1}
    cut = runs.filter(pl.col("status") == "interrupted")
    assert len(cut) == 1 and cut["num_epochs"][0] > 0, "the epochs of the run that was cut off are kept"


@pytest.mark.exhaustive
def test_a_cancelled_job_is_recorded_and_the_study_goes_on(
    tiny: Callable[..., Study], tmp_path: Path
) -> None:
    store, asked = tmp_path / "store.sqlite", tiny("epochs=900", "repeats=2")
    cancelled: list[str] = []

    def listen(line: str) -> None:
        if "block 1: runs on" in line:
            _until(lambda: any((tmp_path / "jobs").glob("*/1-*/*.jsonl")))
            cancelled.append(line.split("job ")[1])
            subprocess.run(["scancel", cancelled[0]], check=True)

    tally = session.run(asked, store, verify=False, farm="slurm", listener=messages(listen))
    lost = tally.counts["interrupted"]  # a fast machine may have ended the block's first run by then
    assert lost in (1, 2) and tally.counts == {"ok": 4 - lost, "interrupted": lost}
    with Reader(store) as reader:
        reasons = reader.runs().filter(block=0, status="interrupted")["reason"].to_list()
    assert len(reasons) == lost
    assert all(f"job {cancelled[0]}" in reason and "cancelled" in reason for reason in reasons)
    assert session.run(asked, store, launcher=fake.launch, verify=False, farm="slurm").counts == {"ok": lost}


@pytest.mark.exhaustive
def test_a_controller_that_falls_silent_is_named_once_and_its_jobs_are_collected(
    tiny: Callable[..., Study], slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent to us alone, behind a port that nobody listens at: jobs find theirs."""
    elsewhere, lines = tmp_path / "slurm.conf", []
    port = re.compile(r"^SlurmctldPort=.*$", re.MULTILINE)
    elsewhere.write_text(port.sub("SlurmctldPort=1", slurm.read_text()) + "MessageTimeout=1\n")

    def listen(line: str) -> None:
        lines.append(line)
        if "block 1: submitted" in line:
            monkeypatch.setenv("SLURM_CONF", str(elsewhere))

    store = tmp_path / "store.sqlite"
    tally = session.run(
        tiny("repeats=1"),
        store,
        launcher=fake.launch,
        verify=False,
        farm="slurm",
        listener=messages(listen),
    )
    assert tally.counts == {"ok": 2}
    assert sum("controller does not answer" in line for line in lines) == 1
    with Reader(store) as reader:
        assert set(reader.farm_jobs()["state"]) == {"done"}


@pytest.mark.exhaustive
def test_a_disk_that_is_full_ends_a_block_with_its_reason(tiny: Callable[..., Study], tmp_path: Path) -> None:
    store, asked = tmp_path / "store.sqlite", tiny("repeats=1", "epochs=200")
    (tmp_path / "jobs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "none", str(tmp_path / "jobs")]
    subprocess.run(mount, check=True)
    try:
        tally = session.run(asked, store, verify=False, farm="slurm")
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path / "jobs")], check=True)
    with Reader(store) as reader:
        runs = reader.runs()
    # Who is next finds the disk full, or is never come to, as it happens.
    ends = {"failed": 1, "killed": 1}, {"interrupted": 1, "killed": 1}
    assert tally.counts in ends, runs["reason"].to_list()
    assert runs["reason"].str.contains("No space left on device").all(), runs["reason"].to_list()
    assert runs["num_epochs"].max() > 0
    assert session.run(asked, store, verify=False, farm="slurm").counts == {"ok": 2}


@pytest.mark.exhaustive
def test_a_job_that_takes_too_much_memory_says_so(tiny: Callable[..., Study], tmp_path: Path) -> None:
    """By Slurm's own count: it has a state for that only where its nodes have cgroups.

    It says so of the job where it counts between two steps, and of the step where that is over its limit.
    """
    store, asked = (
        tmp_path / "store.sqlite",
        tiny("farm.exclusive=false", "farm.memory='40M'", "repeats=1", "epochs=900"),
    )
    counts = session.run(asked, store, verify=False, farm="slurm").counts
    with Reader(store) as reader:
        reasons = reader.runs()["reason"].to_list()
    says = re.compile("exceeded (job )?memory limit", re.IGNORECASE)
    assert len(reasons) == 2 and all(says.search(reason) for reason in reasons), reasons
    assert "interrupted" in counts and counts.keys() <= {"killed", "interrupted"}, counts


def test_until_decided_takes_the_blocks_that_it_would_take_alone(
    tiny: Callable[..., Study], tmp_path: Path
) -> None:
    overrides = ("verdicts.until_decided=true", "verdicts.max_blocks=9")
    plain = session.run(tiny(*overrides), tmp_path / "plain.sqlite", launcher=fake.launch, verify=False)
    lines: list[str] = []
    asked = tiny(*overrides, "farm.nodes=2")
    on_farm = session.run(
        asked,
        tmp_path / "farm.sqlite",
        launcher=fake.launch,
        verify=False,
        farm="slurm",
        listener=messages(lines.append),
    )
    assert on_farm == plain
    assert any("(ahead)" in line for line in lines)
    frames = []
    for name in ("plain", "farm"):
        with Reader(tmp_path / f"{name}.sqlite") as reader:
            frames.append(sorted(reader.runs().select("label", "block", "train_s").rows()))
    assert frames[0] == frames[1]
    assert not list(farm.jobs_in(tmp_path / "jobs"))


def test_refusals_come_before_anything_runs(tiny: Callable[..., Study], tmp_path: Path) -> None:
    for override, words in (
        ("farm.partition='night'", "no partition night; it has main, short"),
        ("farm.time=120", "the partition grants 60 at most"),
        ("farm.memory='99G'", "Slurm refused the job: .*Requested node configuration"),
    ):
        with pytest.raises(MachineError, match=words):
            session.run(
                tiny(override), tmp_path / "store.sqlite", launcher=fake.launch, verify=False, farm="slurm"
            )
        assert not list((tmp_path / "jobs").glob("*/*"))


@pytest.mark.exhaustive
def test_a_folder_that_nodes_do_not_see_is_named(
    tiny: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without this test's folder: its processes see another file system there."""
    asked, store = tiny("repeats=1"), tmp_path / "store.sqlite"
    hidden = f'unshare --mount sh -c \'mount -t tmpfs none {tmp_path} && exec "$0" "$@"\''
    script = tmp_path.parent / "python-elsewhere"
    script.write_text(f'#!/bin/sh\nexec {hidden} {sys.executable} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    tally = session.run(asked, store, launcher=fake.launch, verify=False, farm="slurm")
    assert tally.counts == {"failed": 2}
    with Reader(store) as reader:
        assert all("do nodes see that folder?" in reason for reason in reader.runs()["reason"])


def _squeue(state: str) -> str:
    """Ids and nodes of jobs in that state."""
    command = ["squeue", "--noheader", f"--states={state}", "--format=%i %N"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _scontrol(*arguments: str) -> None:
    subprocess.run(["scontrol", *arguments], check=True, capture_output=True)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
