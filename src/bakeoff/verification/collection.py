"""Jobs that show what contestants compute, each in its own environment."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bakeoff.environments import Environment
from bakeoff.events import Listener, ignore, tell
from bakeoff.launchers.base import Launch, Launcher
from bakeoff.verification.contestants import Contestant
from bakeoff.verification.evidence import Evidence
from bakeoff_worker.job import Job, RunPaths, RunSpec
from bakeoff_worker.records import RunEnded

# Theano's first compilation of a deep network takes a quarter of that on a busy machine.
_TIME_LIMIT_S = 3600.0
_REMINDER_S = 300.0


@dataclass(frozen=True)
class Needs:
    """What a job needs. dataset: folder of arrays; model_file: the user's, if any; java: Spark's."""

    environment: Environment
    dataset: Path
    model_file: Path | None = None
    java: Path | None = None


@dataclass(frozen=True)
class Collected:
    """One contestant's evidence, or why there is none.

    environment_digest: of what it ran in. declined: it can't be looked into and never could, rather than that
    something went wrong.
    """

    contestant: Contestant
    environment_digest: str
    evidence: Evidence | None
    reason: str = ""
    declined: bool = False


def collect(
    contestant: Contestant,
    needs: Needs,
    *,
    seed: int,
    folder: Path,
    launcher: Launcher,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
) -> Collected:
    """Run one job; its evidence lies in `folder` as long as that exists. stop: as in `Launch`."""
    settings = dataclasses.replace(contestant.settings, time_limit_s=_TIME_LIMIT_S)
    if settings.precision.startswith("mixed"):
        reason = f"precision {settings.precision}: too coarse to tell a difference from rounding"
        return Collected(contestant, needs.environment.digest, None, reason, declined=True)
    tell(listener, f"{contestant.label}: computing in {settings.precision}")
    spec = RunSpec(settings, contestant.label, 0, 0, 0, seed)
    stem = folder / f"{contestant.verified_id}-{settings.precision}"
    with _reminders(contestant.label, listener):
        shown = show(spec, needs, stem, launcher, stop)
    if shown.path is None:
        tell(listener, f"{contestant.label}: {shown.reason}")
        return Collected(contestant, needs.environment.digest, None, shown.reason, shown.declined)
    return Collected(contestant, needs.environment.digest, Evidence(shown.path))


@contextmanager
def _reminders(label: str, listener: Listener) -> Iterator[None]:
    """Say every few minutes who is still computing: a kernel may hang, and nobody would know whose."""
    over = threading.Event()

    def remind() -> None:
        for number in itertools.count(1):
            if over.wait(_REMINDER_S):
                return
            minutes, limit = number * _REMINDER_S / 60, _TIME_LIMIT_S / 60
            tell(listener, f"{label}: still computing after {minutes:.0f} min; stopped after {limit:.0f}")

    thread = threading.Thread(target=remind, name="bakeoff-reminders", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Shown:
    """The file that one job wrote its evidence to, or why there is none, and whether there never could be."""

    path: Path | None
    reason: str = ""
    declined: bool = False


def show(
    spec: RunSpec, needs: Needs, stem: Path, launcher: Launcher, stop: threading.Event | None = None
) -> Shown:
    """Run one job that shows what it computes. stem: of its files."""
    evidence = stem.with_suffix(".npz")
    paths = RunPaths(
        dataset=str(needs.dataset),
        model_file=str(needs.model_file) if needs.model_file else None,
        scratch=str(needs.environment.scratch),
        records=str(stem.with_suffix(".jsonl")),
        java=str(needs.java) if needs.java else None,
        evidence=str(evidence),
    )
    records = launcher(Launch(Job(spec, paths), needs.environment, stem.with_suffix(".log"), stop))
    ended = RunEnded("interrupted", "stopped by the user")
    try:
        for record in records:
            if isinstance(record, RunEnded):
                ended = record
    finally:
        records.close()
    if ended.status != "ok":
        return Shown(None, f"{ended.status}: {ended.reason}", declined=ended.status == "skipped")
    return Shown(evidence) if evidence.exists() else Shown(None, "failed: it left no evidence")
