"""Stopped at any time, the same command goes on, and nothing that had ended is lost or left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

QUIET = ("--quiet", "--no-report")
SLOW = ("--set", "model_options.epoch_s=0.4", "--set", "epochs=4", "--set", "repeats=1")
Sessions = Callable[[int], list[int]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end(program: Any, sessions: Sessions, number: signal.Signals) -> None:
    process = program.start("run", "tiny.toml", *QUIET, *SLOW)
    worker = program.wait_for_epoch()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == "" and err == "interrupted; the same command goes on with what is missing\n"
    assert sessions(worker) == []
    (run,) = program.runs().rows(named=True)
    assert run["status"] == "interrupted" and run["num_epochs"] >= 1 and "user" in run["reason"]
    _goes_on(program)


def test_ctrl_c_in_a_terminal_gives_the_cursor_back(program: Any) -> None:
    """On a terminal the progress display hides the cursor while it is up."""
    terminal, side = pty.openpty()
    process = program.start("run", "tiny.toml", "--no-report", *SLOW, stdin=side, stdout=side, stderr=side)
    os.close(side)
    program.wait_for_epoch()
    process.send_signal(signal.SIGINT)
    shown = _drain(terminal)
    assert process.wait(120) == 130
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0
    assert "interrupted; the same command goes on" in shown


def test_kill_of_the_parent_keeps_the_epochs_and_leaves_nobody(program: Any, sessions: Sessions) -> None:
    process = program.start("run", "tiny.toml", *QUIET, *SLOW)
    worker = program.wait_for_epoch()
    process.kill()
    process.wait()
    program.wait_for(lambda: sessions(worker) == [])
    (spool,) = program.folder.glob("*.spool/*.jsonl")
    ended = spool.read_text().count('"kind":"epoch"')
    assert program.runs()["status"].to_list() == ["interrupted"], "nobody writes, so the run does not run"

    done = program("run", "tiny.toml", "--no-report", "--json", *SLOW)
    assert "Bakeoff itself was stopped" in done.stderr
    assert program.runs()["num_epochs"][0] == ended
    _goes_on(program)


def test_kill_of_the_parent_ends_all_that_take_turns_and_the_block_goes_on(
    program: Any, sessions: Sessions
) -> None:
    turns = (*QUIET, "--no-verify", *SLOW, "--set", "order=alternating")
    process = program.start("run", "tiny.toml", *turns)
    program.wait_for_epoch()
    spools = [spool.read_text() for spool in program.folder.glob("*.spool/*.jsonl")]
    workers = [int(text.split('"pid":')[1].split(",")[0]) for text in spools]
    assert len(workers) == 2 and all(sessions(worker) for worker in workers)
    process.kill()
    process.wait()
    program.wait_for(lambda: not any(sessions(worker) for worker in workers))
    program("run", "tiny.toml", *turns)
    runs = program.runs()
    assert runs["status"].to_list() == ["interrupted"] * 2 + ["ok"] * 2
    assert runs["num_alternating"].to_list() == [None] * 2 + [2] * 2
    assert runs["stopped_cpu_s"].to_list() == [None] * 2 + [0.0] * 2


def test_an_epoch_that_only_the_workers_file_has_is_recovered(program: Any, sessions: Sessions) -> None:
    """The parent stands still while the worker writes on, and is then killed: the store never heard of it."""
    process = program.start("run", "tiny.toml", *QUIET, *SLOW)
    worker = program.wait_for_epoch()
    (spool,) = program.folder.glob("*.spool/*.jsonl")
    # Not in the middle of storing one, which another process may see only once this one is gone.
    program.wait_for(lambda: len(program.epochs()) == spool.read_text().count('"kind":"epoch"'))
    process.send_signal(signal.SIGSTOP)
    stored = len(program.epochs())
    program.wait_for(lambda: spool.read_text().count('"kind":"epoch"') > stored)
    process.kill()
    process.wait()
    program.wait_for(lambda: sessions(worker) == [])
    written = spool.read_text().count('"kind":"epoch"')
    assert written == stored + 1 and len(program.epochs()) == stored
    program("run", "tiny.toml", *QUIET, *SLOW)
    assert program.runs()["num_epochs"][0] == written


def test_a_killed_worker_is_one_failed_run(program: Any) -> None:
    process = program.start("run", "tiny.toml", *QUIET, *SLOW)
    os.kill(program.wait_for_epoch(), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1
    runs = program.runs()
    assert runs["status"].to_list() == ["killed", "ok"]
    assert runs["num_epochs"][0] >= 1
    _goes_on(program)


def test_a_hangup_of_the_terminal_is_like_a_kill(program: Any, sessions: Sessions) -> None:
    process = program.start("run", "tiny.toml", *QUIET, *SLOW)
    worker = program.wait_for_epoch()
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == -signal.SIGHUP
    program.wait_for(lambda: sessions(worker) == [])
    _goes_on(program)


@pytest.mark.parametrize("pattern", ["bakeoff.sqlite", "bakeoff.sqlite*"])
def test_a_store_that_is_deleted_ends_the_study(program: Any, sessions: Sessions, pattern: str) -> None:
    process = program.start("run", "tiny.toml", "--no-report", *SLOW)
    worker = program.wait_for_epoch()
    for path in program.folder.glob(pattern):
        if path.is_file():
            path.unlink()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 6, err
    assert "error: " in err and "deleted, moved or replaced" in err
    assert re.search(r"finished runs: 0, epochs: [01]\.", err), (
        "the epoch that was written may not be stored yet"
    )
    assert "[2/2]" not in err, "nothing more is run into the void"
    assert out == "" and sessions(worker) == []
    assert not program.store.exists()
    program("run", "tiny.toml", *QUIET, "--set", "repeats=1")
    assert program.runs()["status"].to_list() == ["ok"] * 2, "it begins anew"


def test_a_second_writer_is_refused_and_readers_are_not(program: Any) -> None:
    # Epochs that outlast the start of two more programs, on a busy machine too.
    process = program.start("run", "tiny.toml", *QUIET, "--set", "model_options.epoch_s=4")
    program.wait_for_epoch()
    refused = program("run", "tiny.toml", *QUIET, code=6)
    assert f"process {process.pid} " in refused.stderr and "hint:" in refused.stderr
    assert "running" in program("show", "--runs").stdout
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130


def _goes_on(program: Any) -> None:
    """The same command completes the study: every planned run ok exactly once, and the store is whole."""
    program("run", "tiny.toml", *QUIET, *SLOW)
    ok = program.runs().filter(status="ok")
    assert len(ok) == 2 and ok["trial_id"].n_unique() == 2
    epochs = program.epochs().filter(pl.col("status") == "ok").group_by("run_id").agg("epoch")
    assert epochs["epoch"].to_list() == [[1, 2, 3, 4]] * 2
    connection = sqlite3.connect(program.store)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert not list(Path(program.folder).glob("*.spool/*")), "no file of a run is left"


def _drain(terminal: int) -> str:
    """All that is written to a terminal until everybody has left it."""
    shown = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux's word for the end of a terminal
            chunk = b""
        if not chunk:
            os.close(terminal)
            return shown.decode()
        shown += chunk
