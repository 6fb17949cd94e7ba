"""What the user sees while a study runs, from invented runs."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bakeoff.cli import console, progress
from bakeoff.environments import Environment
from bakeoff.events import Handler
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings
from bakeoff_worker.records import (
    EpochRecord,
    ExecutorRecord,
    PhaseEnded,
    Record,
    RunEnded,
    RunStarted,
    RunWarning,
    SamplesAccounted,
    StageProgress,
    TaskRecord,
)

SPECS = tuple(
    RunSpec(TrialSettings(backend, backend, epochs=20), f"{backend} on mnist", 0, 0, place, 1)
    for place, backend in enumerate(("tensorflow", "theano"))
)

ENVIRONMENT = Environment("fake", Path("python"), {}, "digest", "own", Path())


def drive(listener: Handler, last: RunEnded | None = None) -> None:
    """Two runs, told as `execute` tells them; the last one ends as given."""
    for index, spec in enumerate(SPECS):
        listener.run_began(spec, index, len(SPECS))
        listener.recorded(spec, RunWarning("BLAS is slow", "install OpenBLAS"))
        for record in fake.launch(Launch(Job(spec, RunPaths("", None, "", "")), ENVIRONMENT, Path())):
            if not isinstance(record, RunEnded):
                listener.recorded(spec, record)
                continue
            listener.run_ended(spec, last if last and spec is SPECS[-1] else record)
    listener.close()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 120 columns that keeps what is written to it."""
    text = io.StringIO()
    options = {"file": text, "force_terminal": True, "width": 120, "height": 40, "color_system": "standard"}
    made = console._Console
    monkeypatch.setattr(console, "_Console", lambda **ours: made(**ours | options))
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
    lines = capsys.readouterr().err.splitlines()
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
        ({"quiet": True, "as_json": False}, Handler),
        ({"quiet": False, "as_json": True}, progress.JsonLines),
        ({"quiet": False, "as_json": False}, progress.PlainLines),
    ],
)
def test_listener_suits_the_options(
    capsys: pytest.CaptureFixture[str], options: dict[str, bool], expected: Callable[[], Handler]
) -> None:
    assert type(progress.listener(**options)) is expected


def test_a_table_is_drawn_where_standard_error_is_a_terminal(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(progress.listener(quiet=False, as_json=False)) is progress.LiveTable


def test_users_texts_are_shown_as_they_are(screen: io.StringIO) -> None:
    words = "[bold]x[/] [/] [0] \\[ :smile:"
    spec = replace(SPECS[0], label=words)
    table = progress.LiveTable()
    table.run_began(spec, 0, 1)
    table.recorded(spec, RunWarning(f"of {words}", words))
    table.run_ended(spec, RunEnded("failed", f"why {words}"))
    table.close()
    shown = words_on(screen)
    assert f"warning {words}: of {words}" in shown and f"failed {words}: why {words}" in shown
    assert words in shown.rpartition("last status")[2]


# ---- a cluster ------------------------------------------------------------------------------------

OPTIONS = {"master": "embedded", "executors": "warm", "layout": "2x1"}
SPREAD = RunSpec(
    TrialSettings("theano", "theano_spark", epochs=4, distribution="elephas", distribution_options=OPTIONS),
    *("theano on 2x1", 0, 0, 0, 1),
)
NUM_TASKS = 300


def task(number: int) -> TaskRecord:
    return TaskRecord(4, 0, number, 0, number, "training", "0", "here", "ok", 0.0, 1.0)


def cluster_run(num_trained: int = 8000) -> list[Record]:
    """The records of one run on a cluster: two rounds of two epochs, a failed task in the second."""
    phases = [PhaseEnded(name, 12.3, 1.0, 0.1) for name in ("interpreter", "import", "data", "build")]
    phases += [PhaseEnded(name, 12.3, 1.0, 0.1) for name in ("cluster", "context", "parallelize", "warm_up")]
    epochs = [EpochRecord(epoch, 4000, 20.0, 1.0, 1.0, 0.5, 1.0, 0.25, None, None, None) for epoch in (2, 4)]
    return [
        RunStarted(1, 0.0, "3.11.0", 1),
        *phases,
        StageProgress(3, 0, 0, 2),
        StageProgress(3, 1, 0, 2),
        epochs[0],
        StageProgress(4, 0, 0, 2),
        StageProgress(4, 0, 1, 2),
        StageProgress(4, 1, 1, 2),
        epochs[1],
        PhaseEnded("training", 40.0, 1.0, 0.1),
        PhaseEnded("application", 60.0, 1.0, 0.1),
        *(task(number) for number in range(NUM_TASKS)),
        *(ExecutorRecord(str(number), "here", 1, 0.0) for number in range(NUM_TASKS)),
        SamplesAccounted(8000, num_trained, 2, 0, 8000 - num_trained, 0, 1000, 1000),
        PhaseEnded("cluster_end", 1.0, 0.0, 0.0),
        RunEnded("ok"),
    ]


def drive_cluster(listener: Handler, records: list[Record]) -> None:
    listener.run_began(SPREAD, 0, 1)
    for record in records:
        if isinstance(record, RunEnded):
            listener.run_ended(SPREAD, record)
        else:
            listener.recorded(SPREAD, record)
    listener.close()


def words_on(screen: io.StringIO) -> str:
    """All that was shown, one after the other, without colours and line breaks."""
    return " ".join(re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen.getvalue()).split())


def test_live_table_shows_how_far_a_cluster_is(screen: io.StringIO) -> None:
    drive_cluster(progress.LiveTable(), cluster_run())
    shown = words_on(screen)
    wanted = [
        "starting the cluster",
        "cluster up, starting the Spark application",
        "handing out the data",
        "warming up",
        "stage 3",
        "1 of 2 tasks done",
        "epoch 2/4",
        "error 25.00 %",
        "stage 4",
        "1 failed",
        "reading Spark's accounts",
    ]
    places = [shown.find(words) for words in wanted]
    assert -1 not in places, dict(zip(wanted, places, strict=True))
    assert places == sorted(places)
    assert "\x1b[31m, 1 failed" in screen.getvalue(), "failed tasks are red"
    assert "not trained" not in shown


def test_live_table_expects_the_end_from_all_epochs_of_a_round(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two epochs took 21 s together, so that the two that are left take as long, not twice as long."""
    left: list[float] = []
    monkeypatch.setattr(progress, "_clock", lambda seconds: left.append(seconds) or "then")
    drive_cluster(progress.LiveTable(), cluster_run())
    assert max(left) == pytest.approx(21.0)


def test_live_table_is_not_drawn_for_each_task(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    table, drawn = progress.LiveTable(), []
    draw = table._draw
    monkeypatch.setattr(table, "_draw", lambda spec: drawn.append(spec) or draw(spec))
    drive_cluster(table, cluster_run())
    assert 10 < len(drawn) < 30


def test_samples_that_were_left_out_stand_beside_the_status(
    screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    drive_cluster(progress.LiveTable(), cluster_run(num_trained=7000))
    shown = words_on(screen)
    assert "1,000 of 8,000 samples not trained: theano on 2x1" in shown
    assert "1,000 of 8,000 samples not trained" in shown.rpartition("last status")[2]
    drive_cluster(progress.PlainLines(), cluster_run(num_trained=7000))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "[1/1] theano on 2x1, repeat 1: ok; 1,000 of 8,000 samples not trained"


def test_a_run_that_trained_all_does_not_inherit_the_mark(
    screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for listener in (progress.LiveTable(), progress.PlainLines()):
        for records in (cluster_run(num_trained=7000), cluster_run()):
            drive_cluster(listener, records)
    assert "not trained" not in screen.getvalue().rpartition("last status")[2]
    assert capsys.readouterr().err.endswith("theano on 2x1, repeat 1: ok\n")


def test_plain_lines_tell_the_cluster_and_its_failures(capsys: pytest.CaptureFixture[str]) -> None:
    drive_cluster(progress.PlainLines(now=lambda: 0.0), cluster_run())
    lines = [line.partition("repeat 1: ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "started",
        "cluster up after 12.3 s",
        "epoch 2/4, 20.00 s, error 25.00 %, 200 images/s",
        "stage 4: 0 of 2 tasks done, 1 failed",
        "epoch 4/4, 20.00 s, error 25.00 %, 200 images/s",
        "ok",
    ]


def test_plain_lines_tell_a_long_stage_from_time_to_time(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 100_000, 2))
    listener = progress.PlainLines(now=lambda: float(next(clock)))
    listener.run_began(SPREAD, 0, 1)
    for done in range(100):
        listener.recorded(SPREAD, StageProgress(7, done, 0, 100))
    lines = capsys.readouterr().err.splitlines()[1:]
    assert 5 < len(lines) < 20
    assert lines[-1].partition("repeat 1: ")[2].startswith("stage 7: ") and "of 100 tasks done" in lines[-1]


@pytest.mark.parametrize(
    ("master", "words"),
    [("embedded", "starting the cluster"), ("spark://far:7077", "starting the Spark application")],
)
def test_ones_own_cluster_is_not_started(screen: io.StringIO, master: str, words: str) -> None:
    spec = replace(
        SPREAD, settings=replace(SPREAD.settings, distribution_options={**OPTIONS, "master": master})
    )
    table = progress.LiveTable()
    table.run_began(spec, 0, 1)
    table.recorded(spec, PhaseEnded("build", 1.0, None, None))
    table.close()
    assert words in screen.getvalue()


@pytest.mark.parametrize("kind", [progress.PlainLines, progress.LiveTable])
def test_runs_that_take_turns_are_told_apart(
    kind: type[Handler], screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = kind()
    for index, spec in enumerate(SPECS):
        listener.run_began(spec, index, len(SPECS))
    launch = Launch(Job(SPECS[0], RunPaths("", None, "", "")), ENVIRONMENT, Path())
    epochs = [record for record in fake.launch(launch) if isinstance(record, EpochRecord)]
    for number in (0, 1):
        for spec in SPECS:
            listener.recorded(spec, epochs[number])
    listener.run_ended(SPECS[1], RunEnded("killed", "told to"))
    listener.recorded(SPECS[0], epochs[-1])
    listener.run_ended(SPECS[0], RunEnded("ok"))
    listener.close()
    shown = screen.getvalue() + capsys.readouterr().err
    if kind is progress.PlainLines:
        for head in ("[1/2] tensorflow on mnist, repeat 1", "[2/2] theano on mnist, repeat 1"):
            assert f"{head}: epoch 2/20" in shown
        assert "[1/2] tensorflow on mnist, repeat 1: epoch 20/20" in shown
        assert "[2/2] theano on mnist, repeat 1: killed: told to" in shown
    else:
        assert "in turns with 1 other of its race" in shown and "run 1 of 2 done" in shown
        assert "killed" in shown
