"""For each run, for each record: append. The only place where launching and storing meet."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from bakeoff import machine
from bakeoff.environments import Environment
from bakeoff.environments.java import Java
from bakeoff.errors import BakeoffError, StoreError
from bakeoff.inputs import Inputs, relative_names
from bakeoff.launchers.base import Launch, Launcher
from bakeoff.store.writer import Condition, Writer
from bakeoff_worker.records import Job, PhaseEnded, Record, RunEnded, RunInputs, RunPaths, RunSpec


@dataclass(frozen=True)
class Provision:
    """What one run needs besides its spec, made ready before the first run starts.

    dataset: folder of arrays. model_file: the user's model, or None for a built-in one. parquet: folder of
    Parquet files with the training images, where a cluster's executors read them. java: the one that runs
    Spark; None where there is no cluster. content: what the data are, where their name doesn't tell
    (`TrialSettings.content`). code: what the user's model was made from when it was looked at.
    """

    environment: Environment
    dataset: Path
    model_file: Path | None = None
    parquet: Path | None = None
    java: Java | None = None
    content: Mapping[str, str] = field(default_factory=dict)
    code: Inputs | None = None


class Listener:
    """Is told what happens, between runs and while a run waits; never while anything is timed."""

    def run_started(self, spec: RunSpec, index: int, total: int) -> None:
        """Run `index` (from 0) of `total` starts."""

    def recorded(self, spec: RunSpec, record: Record) -> None:
        """A record is safe in the store."""

    def run_ended(self, spec: RunSpec, ended: RunEnded) -> None:
        """A run is over, however it went."""

    def close(self) -> None:
        """Nothing more will happen."""


@dataclass(frozen=True)
class Tally:
    """How the runs of one execution ended: status to count.

    num_undecided: comparisons that a study which runs until decided could not decide within its budget.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    num_undecided: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both executions together."""
        counts = dict(Counter(self.counts) + Counter(other.counts))
        return Tally(counts, self.num_undecided + other.num_undecided)

    @property
    def all_ok(self) -> bool:
        """Whether nothing failed and nothing was skipped."""
        return set(self.counts) <= {"ok"}


def execute(
    specs: Sequence[RunSpec],
    provisions: Mapping[str, Provision | BakeoffError],
    *,
    study_digest: str,
    writer: Writer,
    launcher: Launcher,
    listener: Listener,
) -> Tally:
    """Run the specs in their order, each record stored before the next is asked for.

    provisions: by trial_id; an error there makes the trial's runs fail with that reason, and the others
    go on.

    Raises:
        StoreError: a record could not be stored; the run's child is ended, all before it is safe.
        KeyboardInterrupt: the user stopped us; the run is stored as interrupted.
    """
    counts: Counter[str] = Counter()
    for index, spec in enumerate(specs):
        listener.run_started(spec, index, len(specs))
        provision = provisions[spec.trial_id]
        run_id = writer.begin_run(
            spec,
            study_digest=study_digest,
            condition=condition_of(provision),
            environment=_describe(provision),
            command=(Path(sys.argv[0]).name, *sys.argv[1:]),
        )
        if isinstance(provision, BakeoffError):
            ended = RunEnded("failed", provision.message, provision.hint)
            writer.end_run(run_id, ended)
        else:
            if provision.code:
                writer.append(run_id, None, RunInputs(relative_names(provision.code)))
            ended = _run(run_id, spec, provision, writer, launcher, listener)
        counts[ended.status] += 1
        listener.run_ended(spec, ended)
    return Tally(dict(counts))


def condition_of(provision: Provision | BakeoffError) -> Condition:
    """What runs on that provision share: this machine, its environment, Spark's Java, our way to measure."""
    identity = _identity()
    if isinstance(provision, BakeoffError):
        return Condition(identity["machine_id"], "", identity)
    java = provision.java.build if provision.java else ""
    return Condition(identity["machine_id"], provision.environment.digest, identity, java=java)


def _run(
    run_id: str,
    spec: RunSpec,
    provision: Provision,
    writer: Writer,
    launcher: Launcher,
    listener: Listener,
) -> RunEnded:
    """One run from its start to its stored end."""
    changed = provision.code and provision.code.changed()
    if changed:
        ended = _ended_by_change(changed)
        writer.end_run(run_id, ended)
        return ended
    spool = writer.spool_path(run_id)
    log = spool.with_suffix(".log")
    paths = RunPaths(
        dataset=str(provision.dataset),
        model_file=str(provision.model_file) if provision.model_file else None,
        scratch=str(provision.environment.scratch),
        records=str(spool),
        parquet=str(provision.parquet) if provision.parquet else None,
        java=str(provision.java.home) if provision.java else None,
    )
    before = machine.snapshot()
    started = time.perf_counter()
    cpu_before_s = _own_cpu_s()
    asking_s = 0.0  # what our own question after the training took: no part of the run
    ended = RunEnded("interrupted", "stopped by the user")
    records = launcher(Launch(Job(spec, paths), provision.environment, log))
    try:
        seq = 0
        for record in records:
            if isinstance(record, RunEnded):
                ended = record
                break
            # The child's exit is timed by the launcher; every other record is a line of the child's.
            from_child = not (isinstance(record, PhaseEnded) and record.name == "end")
            if isinstance(record, PhaseEnded) and record.name == "outcomes":
                asking_s = record.wall_s
            writer.append(run_id, seq if from_child else None, record)
            seq += from_child
            listener.recorded(spec, record)
    except ValueError as error:  # the form of a record, but values that none can have
        ended = RunEnded("garbage", str(error))
    finally:
        records.close()  # ends the child, if it still lives
        wall_s = time.perf_counter() - started - asking_s
        disturbance = machine.disturbance(before, machine.snapshot(), _own_cpu_s() - cpu_before_s)
        changed = provision.code and provision.code.changed()
        if changed and ended.status == "ok":
            ended = _ended_by_change(changed)
        if not isinstance(sys.exception(), StoreError):  # what can't be written now is recovered next time
            writer.end_run(run_id, ended, disturbance=asdict(disturbance), wall_s=wall_s)
            log.unlink(missing_ok=True)
    return ended


def _ended_by_change(path: str) -> RunEnded:
    """The end of a run of which nobody can say what it trained."""
    return RunEnded(
        "failed", f"{path} was changed since the study was begun: begin it again, and it is another trial"
    )


@cache
def _identity() -> Mapping[str, Any]:
    return machine.identity()


def _own_cpu_s() -> float:
    """CPU seconds of this process and of all children that have ended: what a run used that was ours."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _describe(provision: Provision | BakeoffError) -> dict[str, str]:
    """The environment as the store keeps it."""
    if isinstance(provision, BakeoffError):
        return {"error": provision.message}
    environment = provision.environment
    described = {"name": environment.name, "kind": environment.kind, "digest": environment.digest}
    return {**described, "java": provision.java.build} if provision.java else described
