"""What the user sees while a study runs: a live table, plain lines, JSON lines, or nothing.

Everything is drawn when a record arrives, while the contestant waits for its answer. Nothing ticks in
between, since a clock hand that moves during an epoch would cost that epoch CPU time; so the display
tells when a run should end rather than how long is left. A cluster's progress does come while it trains, once
a second where it has changed: a drawing takes some milliseconds of one core.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.console import Group
from rich.control import Control
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bakeoff.cli.console import console, table, tell
from bakeoff.events import Event, Handler, Step
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import (
    EpochRecord,
    PhaseEnded,
    Record,
    RunEnded,
    RunStarted,
    RunWarning,
    SamplesAccounted,
    StageProgress,
    kind_of,
)

_STATUS_STYLES = {"ok": "green", "skipped": "yellow", "interrupted": "yellow"}
_NEXT_PHASE = {
    "interpreter": "importing",
    "import": "reading data",
    "data": "building",
    "build": "first step (compiling)",
    "first_step": "training",
    "cluster": "cluster up, starting the Spark application",
    "context": "application up, handing out the data",
    "warm_up": "training",
    "training": "ending",
    "application": "reading Spark's accounts",
    "accounts": "ending the cluster",
    "cluster_end": "ending",
}
_STAGE_LINES_S = 15.0  # how far apart lines about a stage are where no table is drawn


def listener(*, quiet: bool, as_json: bool) -> Handler:
    """The listener that suits the options and whether standard error is a terminal; to be closed."""
    if as_json:
        return JsonLines(is_quiet=quiet)
    if quiet:
        return Handler()
    return LiveTable() if sys.stderr.isatty() else PlainLines()


class Lines(Handler):
    """Messages as lines, and data that are fetched as a bar on a terminal, else as a line per step.

    A bar ticks: it is gone before anything else is said, and so before anything is timed.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Any event; the bars go when it is none of theirs."""
        if not isinstance(event, Step):
            self._end_bars()
        super().__call__(event)

    def message(self, line: str) -> None:
        """To standard error, so that standard output holds results alone."""
        tell(line)

    def step(self, step: Step) -> None:
        """A bar for each step, or a line where it begins."""
        key, is_seen = (step.name, step.step), (step.name, step.step) in self._tasks
        if not sys.stderr.isatty():
            if not is_seen:
                self._tasks = {key: TaskID(0)}
                tell(str(step))
            return
        if self._bars is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                *(BarColumn(), DownloadColumn(), TransferSpeedColumn()),
            )
            self._bars = Bars(*columns, console=console(stderr=True), transient=True)
            self._bars.start()
        if not is_seen:
            self._tasks[key] = self._bars.add_task(str(step), total=None)
        self._bars.update(self._tasks[key], completed=step.done_bytes, total=step.total_bytes)

    def close(self) -> None:
        """Take the bars away."""
        self._end_bars()

    def _end_bars(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars, self._tasks = None, {}


class JsonLines(Lines):
    """One JSON object per event of a run on standard output."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        super().__init__()
        self._is_quiet = is_quiet

    def message(self, line: str) -> None:
        """To standard error, unless nothing is to be said."""
        if not self._is_quiet:
            super().message(line)

    def step(self, step: Step) -> None:
        """Likewise."""
        if not self._is_quiet:
            super().step(step)

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """``{"event": "run_started", ...}``."""
        self._print("run_started", spec, index=index, total=total)

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """``{"event": "record", "kind": ..., ...}``."""
        self._print("record", spec, kind=kind_of(record), record=asdict(record))

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """``{"event": "run_ended", "status": ..., ...}``."""
        self._print("run_ended", spec, **asdict(ended))

    @staticmethod
    def _print(event: str, spec: RunSpec, **fields: object) -> None:
        head = {"event": event, "label": spec.label, "trial_id": spec.trial_id, "repeat": spec.repeat}
        print(json.dumps(head | fields, default=str), flush=True)


@dataclass
class _Live:
    """What was heard of one run: several live at the same time where contestants alternate.

    num_new_epochs: of its last epoch's record; one of a cluster may close several.
    """

    head: str = ""
    phase: str = "starting"
    epoch: EpochRecord | None = None
    num_new_epochs: int = 1
    num_failed: int = 0
    stage: StageProgress | None = None
    samples: SamplesAccounted | None = None


def _key(spec: RunSpec) -> tuple[str, int]:
    return spec.label, spec.repeat


class PlainLines(Lines):
    """A line when a run starts and ends, and about ten in between; on a cluster also how far a stage is."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._said_at = 0.0
        self._runs: dict[tuple[str, int], _Live] = {}

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """Position, label, repeat."""
        run = _Live(f"[{index + 1}/{total}] {spec.label}, repeat {spec.repeat + 1}")
        self._runs[_key(spec)] = run
        self._say(run, "started")

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Every epoch of a short run, every tenth part of a long one; failed tasks and warnings always."""
        run = self._runs[_key(spec)]
        if isinstance(record, EpochRecord):
            every, before = max(1, spec.settings.epochs // 10), run.epoch.epoch if run.epoch else 0
            if record.epoch // every > before // every or record.epoch == spec.settings.epochs:
                self._say(run, _epoch_words(spec, record))
            run.epoch = record
        elif isinstance(record, StageProgress):
            failed_more = record.num_failed > run.num_failed
            if failed_more or self._now() - self._said_at >= _STAGE_LINES_S:
                self._say(run, f"stage {record.stage}: {_tasks_words(record)}")
            run.num_failed = record.num_failed
        elif isinstance(record, PhaseEnded) and record.name == "cluster":
            self._say(run, f"cluster up after {record.wall_s:.1f} s")
        elif isinstance(record, SamplesAccounted):
            run.samples = record
        elif isinstance(record, RunWarning):
            self._say(run, f"warning: {record.message}")

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """Status and reason, and whether samples were left out."""
        run = self._runs.pop(_key(spec))
        words = ended.status + (f": {ended.reason}" if ended.reason else "")
        self._say(run, "; ".join(filter(None, (words, _untrained(run.samples)))))

    def _say(self, run: _Live, words: str) -> None:
        self._said_at = self._now()
        tell(f"{run.head}: {words}")


class LiveTable(Lines):
    """Study, run and epoch with bars, and one line per contestant with its last figures."""

    def __init__(self) -> None:
        super().__init__()
        self._live = Live(console=console(stderr=True), auto_refresh=False, transient=True)
        self._began = time.monotonic()
        self._index, self._total = 0, 1
        self._runs: dict[tuple[str, int], _Live] = {}
        self._lines: dict[str, tuple[int, EpochRecord | None, Text]] = {}

    def step(self, step: Step) -> None:
        """Before the first run; from then on there is one display."""
        if not self._live.is_started:
            super().step(step)

    def run_began(self, spec: RunSpec, index: int, total: int) -> None:
        """Start the display with the first run."""
        self._total = total
        self._runs[_key(spec)] = _Live()
        if index == 0:
            self._began = time.monotonic()
            self._live.start()
        self._draw(spec)

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """Redraw, while the contestant waits; not for each task of a cluster, which come by the hundred."""
        run = self._runs[_key(spec)]
        if isinstance(record, EpochRecord):
            run.num_new_epochs = record.epoch - (run.epoch.epoch if run.epoch else 0)
            run.epoch = record
        elif isinstance(record, StageProgress):
            run.stage = record
        elif isinstance(record, PhaseEnded):
            run.phase = _next_phase(spec, record.name, run.phase)
            if record.name == "training":
                run.stage = None
        elif isinstance(record, SamplesAccounted):
            run.samples = record
            return
        elif isinstance(record, RunWarning):
            words = f" {spec.label}: {record.message}"
            self._live.console.print(Text.assemble(("warning", "yellow"), words))
        elif not isinstance(record, RunStarted):
            return
        self._draw(spec)

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """Move the run to the contestants' lines."""
        run = self._runs.pop(_key(spec))
        done = self._lines[spec.label][0] if spec.label in self._lines else 0
        status = Text(ended.status, _STATUS_STYLES.get(ended.status, "red"))
        untrained = _untrained(run.samples)
        if ended.status != "ok":
            self._live.console.print(Text.assemble(status, f" {spec.label}: {ended.reason}"))
        if untrained:
            self._live.console.print(Text.assemble((untrained, "yellow"), f": {spec.label}"))
            status = Text.assemble(status, ("; " + untrained, "yellow"))
        self._lines[spec.label] = (done + 1, run.epoch, status)
        self._index += 1
        self._draw(None)

    def close(self) -> None:
        """Take the display away and give the cursor back, also after an interruption.

        One that came in the middle of a drawing leaves rich's console in the middle of its buffer, where
        what it writes stays; the cursor comes back past it.
        """
        super().close()
        screen, drew = self._live.console, self._live.is_started
        try:
            self._live.stop()
        finally:
            if screen.is_terminal and drew:
                screen.file.write(str(Control.show_cursor(True)))
                screen.file.flush()

    def _draw(self, spec: RunSpec | None) -> None:
        grid = Table.grid(padding=(0, 2))
        elapsed_s = time.monotonic() - self._began
        ends = _clock(elapsed_s / self._index * (self._total - self._index)) if self._index else "unknown yet"
        grid.add_row(
            "study",
            _bar(self._index, self._total),
            f"run {self._index} of {self._total} done, {_timer(elapsed_s)} elapsed, ends about {ends}",
        )
        if spec is not None:
            run = self._runs[_key(spec)]
            epochs, done = spec.settings.epochs, run.epoch.epoch if run.epoch else 0
            words = _epoch_words(spec, run.epoch) if run.epoch else run.phase
            if run.epoch and done < epochs and len(self._runs) == 1:
                per_epoch_s = (run.epoch.train_s + run.epoch.evaluation_s) / max(1, run.num_new_epochs)
                words += f", ends about {_clock(per_epoch_s * (epochs - done))}"
            if run.epoch and run.phase != "training":
                words += f", {run.phase}"
            grid.add_row(spec.label, _bar(done, epochs), f"repeat {spec.repeat + 1}: {words}")
            if others := len(self._runs) - 1:
                grid.add_row("", "", f"in turns with {others} other{'s' * (others > 1)} of its race")
            if run.stage is not None:
                failed = f", {run.stage.num_failed} failed" if run.stage.num_failed else ""
                tasks = Text.assemble(_tasks_words(run.stage, with_failed=False), (failed, "red"))
                bar = _bar(run.stage.num_done, run.stage.num_tasks)
                grid.add_row(f"  stage {run.stage.stage}", bar, tasks)
        figures = ("runs", "last error", "images/s")
        lines = table("contestant", *figures, "last status", right=figures)
        for label, (done, epoch, status) in self._lines.items():
            error = f"{100 * epoch.validation_error:.2f} %" if epoch else ""
            speed = f"{epoch.num_images / epoch.train_s:,.0f}" if epoch else ""
            lines.add_row(label, str(done), error, speed, status)
        self._live.update(Group(grid, lines) if self._lines else grid, refresh=True)


def _epoch_words(spec: RunSpec, epoch: EpochRecord) -> str:
    speed = epoch.num_images / epoch.train_s if epoch.train_s else float("inf")
    return (
        f"epoch {epoch.epoch}/{spec.settings.epochs}, {epoch.train_s:.2f} s, "
        f"error {100 * epoch.validation_error:.2f} %, {speed:,.0f} images/s"
    )


def _next_phase(spec: RunSpec, ended: str, now: str) -> str:
    """What a run does after a phase."""
    options = spec.settings.distribution_options
    if ended == "build" and options:
        embedded = options.get("master") == "embedded"
        return "starting the cluster" if embedded else "starting the Spark application"
    if ended == "parallelize":
        return "warming up" if options.get("executors") == "warm" else "training"
    return _NEXT_PHASE.get(ended, now)


def _tasks_words(stage: StageProgress, with_failed: bool = True) -> str:
    failed = f", {stage.num_failed} failed" if with_failed and stage.num_failed else ""
    return f"{stage.num_done} of {stage.num_tasks} tasks done{failed}"


def _untrained(samples: SamplesAccounted | None) -> str:
    """What must stand beside a run that trained less than it was asked to; nothing beside any other."""
    if samples is None or samples.num_trained >= samples.num_asked:
        return ""
    return f"{samples.num_asked - samples.num_trained:,} of {samples.num_asked:,} samples not trained"


def _bar(done: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=24)


def _clock(seconds_from_now: float) -> str:
    then = datetime.fromtimestamp(time.time() + seconds_from_now)
    return then.strftime("%H:%M:%S" if seconds_from_now < 86_400 else "%a %d %b %H:%M")


def _timer(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
