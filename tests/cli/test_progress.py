"""What the user sees while a study runs, from invented runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from bakeoff.cli import progress
from bakeoff.environments import Environment
from bakeoff.execute import Listener
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff_worker.records import Job, RunEnded, RunPaths, RunSpec, RunWarning, TrialSettings

SPECS = tuple(
    RunSpec(TrialSettings(backend, backend, epochs=20), f"{backend} on mnist", 0, 0, place, 1)
    for place, backend in enumerate(("tensorflow", "theano"))
)


def drive(listener: Listener, last: RunEnded | None = None) -> None:
    """Two runs, told as `execute` tells them; the last one ends as given."""
    environment = Environment("fake", Path("python"), {}, "digest", "own", Path())
    for index, spec in enumerate(SPECS):
        listener.run_started(spec, index, len(SPECS))
        listener.recorded(spec, RunWarning("BLAS is slow", "install OpenBLAS"))
        for record in fake.launch(Launch(Job(spec, RunPaths("", None, "", "")), environment, Path())):
            if not isinstance(record, RunEnded):
                listener.recorded(spec, record)
                continue
            listener.run_ended(spec, last if last and spec is SPECS[-1] else record)
    listener.close()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 120 columns that keeps what is written to it."""
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=120, height=40, color_system="standard")
    monkeypatch.setattr(progress, "Console", lambda: terminal)
    return text


def test_live_table_shows_run_epoch_error_and_speed(screen: io.StringIO) -> None:
    drive(progress.LiveTable())
    shown = screen.getvalue()
    for words in (
        "tensorflow on mnist",
        "epoch 7/20",
        "error ",
        "images/s",
        "run 1 of 2 done",
        "ends about",
        "warning",
        "BLAS is slow",
        "first step (compiling)",
    ):
        assert words in shown, words


def test_live_table_keeps_a_line_for_each_contestant(screen: io.StringIO) -> None:
    drive(progress.LiveTable(), RunEnded("timeout", "still running after 5 s"))
    last = screen.getvalue().rpartition("contestant")[2]
    assert "tensorflow on mnist" in last and "theano on mnist" in last
    assert "ok" in last and "timeout" in last
    assert "still running after 5 s" in screen.getvalue()


def test_live_table_leaves_the_terminal_as_it_was(screen: io.StringIO) -> None:
    drive(progress.LiveTable())
    shown = screen.getvalue()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0, "the cursor must be back"


def test_live_table_closes_before_anything_started(screen: io.StringIO) -> None:
    progress.LiveTable().close()
    assert screen.getvalue() == ""


def test_plain_lines_are_about_ten_for_a_long_run(capsys: pytest.CaptureFixture[str]) -> None:
    drive(progress.PlainLines(), RunEnded("failed", "no luck"))
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("[1/2]") and "epoch" in line]) == 10
    assert lines[0] == "[1/2] tensorflow on mnist, repeat 1: started"
    assert lines[-1] == "[2/2] theano on mnist, repeat 1: failed: no luck"


def test_json_lines_hold_every_record(capsys: pytest.CaptureFixture[str]) -> None:
    drive(progress.JsonLines(), RunEnded("failed", "no luck"))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [event["kind"] for event in events if event["event"] == "record"]
    assert kinds.count("epoch") == 40 and kinds.count("warning") == 2
    assert events[0] == {
        "event": "run_started",
        "label": "tensorflow on mnist",
        "trial_id": SPECS[0].trial_id,
        "repeat": 0,
        "index": 0,
        "total": 2,
    }
    assert events[-1]["status"] == "failed" and events[-1]["reason"] == "no luck"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"quiet": True, "as_json": False}, Listener),
        ({"quiet": False, "as_json": True}, progress.JsonLines),
        ({"quiet": False, "as_json": False}, progress.PlainLines),
    ],
)
def test_listener_suits_the_options(
    capsys: pytest.CaptureFixture[str], options: dict[str, bool], expected: Callable[[], Listener]
) -> None:
    assert type(progress.listener(**options)) is expected
