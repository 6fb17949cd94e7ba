"""For each run, for each record: append. The only place where launching and storing meet."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import psutil

from bakeoff import cards, machine
from bakeoff.environments import Environment
from bakeoff.environments.java import Java
from bakeoff.errors import BakeoffError, MachineError, StoreError
from bakeoff.events import Listener, Recorded, RunBegan
from bakeoff.inputs import Inputs, relative_names
from bakeoff.launchers.base import Launch, Launcher, TurnAwaited
from bakeoff.store.writer import Condition
from bakeoff_worker.job import Job, RunPaths, RunSpec
from bakeoff_worker.records import EpochRecord, PhaseEnded, Record, RunEnded, RunInputs, TurnsTaken


@dataclass(frozen=True)
class Provision:
    """What one run needs besides its spec, made ready before the first run starts.

    dataset: folder of arrays. model_file: the user's model, or None for a built-in one. parquet: folder of
    Parquet files with the training images, where a cluster's executors read them. java: the one that runs
    Spark; None where there is no cluster. content: what the data are, where their name doesn't tell
    (`TrialSettings.content`). code: what the user's contestant or model was
    made from when it was looked at.
    """

    environment: Environment
    dataset: Path
    model_file: Path | None = None
    parquet: Path | None = None
    java: Java | None = None
    content: Mapping[str, str] = field(default_factory=dict)
    code: Inputs | None = None


class Recorder(Protocol):
    """What takes a run's records, each safe when its method returns: the store's writer, a job's journal."""

    def begin_run(
        self,
        spec: RunSpec,
        *,
        study_digest: str,
        condition: Condition,
        environment: Mapping[str, Any],
        command: tuple[str, ...] = (),
    ) -> str: ...
    def spool_path(self, run_id: str) -> Path: ...
    def append(self, run_id: str, seq: int | None, record: Record) -> None: ...
    def ingest(self, run_id: str) -> object: ...
    def end_run(
        self,
        run_id: str,
        ended: RunEnded,
        *,
        disturbance: Mapping[str, Any] | None = None,
        wall_s: float | None = None,
    ) -> None: ...


def own_command() -> tuple[str, ...]:
    """How this program was called: what repeats its runs."""
    return (Path(sys.argv[0]).name, *sys.argv[1:])


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
    writer: Recorder,
    launcher: Launcher,
    listener: Listener,
) -> Tally:
    """Run the specs in their order, each record stored before the next is asked for.

    Where contestants alternate, those of a race (a block's, with one data set and model) are started one
    after the other, each to its first turn; then they train a slice each in turn, round by round, until the
    last one is over.

    provisions: by trial_id; an error there makes the trial's runs fail with that reason, and the others
    go on.

    Raises:
        StoreError: a record could not be stored; the run's child is ended, all before it is safe.
        KeyboardInterrupt: the user stopped us; the run is stored as interrupted.
    """
    counts: Counter[str] = Counter()
    for together in _together(specs):
        with ExitStack() as unfinished:
            runs = []
            num_live = sum(isinstance(provisions[spec.trial_id], Provision) for _, spec in together)
            for index, spec in together:
                listener(RunBegan(spec, index, len(specs)))
                run = _Run(spec, provisions[spec.trial_id], num_live, study_digest, writer, listener)
                runs.append(unfinished.enter_context(run))
                run.start(launcher)
            number = 0
            while live := [run for run in runs if run.ended is None]:
                for run in turns(live, number):
                    run.advance()
                number += 1
        counts.update(run.ended.status for run in runs if run.ended)
    return Tally(dict(counts))


def _together(specs: Sequence[RunSpec]) -> Iterator[list[tuple[int, RunSpec]]]:
    """Specs, with their places in the plan, that live at the same time.

    Where they alternate, those of a block with the same data set and model, which the plan has side by side.
    """

    def group(numbered: tuple[int, RunSpec]) -> Hashable:
        index, spec = numbered
        return (spec.block, spec.settings.problem) if spec.settings.alternates else index

    for _, members in itertools.groupby(enumerate(specs), group):
        yield list(members)


def turns(live: Sequence[_Run], number: int) -> list[_Run]:
    """Who is on in round `number`, in which order: at random, and every second round the other way round.

    So everybody's mean place is the same after two rounds, and a machine that slows down slows all alike. A
    digest decides, as for blocks: whoever drops out leaves the others' order as it is.
    """
    pair, mirrored = divmod(number, 2)

    def place(run: _Run) -> str:
        return hashlib.sha256(f"{run.spec.seed}/{pair}/{run.spec.trial_id}".encode()).hexdigest()

    return sorted(live, key=place, reverse=bool(mirrored))


def check_memory(specs: Sequence[RunSpec], peak_bytes: Mapping[str, int]) -> None:
    """Pass if contestants that alternate fit into this machine's memory together, as far as is known.

    peak_bytes: by trial_id, the most that an earlier run of it took; those without one count nothing.

    Raises:
        MachineError: they don't.
    """
    free = machine.snapshot().available_memory_bytes
    for together in _together(specs):
        needed = sum(peak_bytes.get(spec.trial_id, 0) for _, spec in together)
        if len(together) > 1 and needed > free:
            raise MachineError(
                f"the {len(together)} contestants of a race would live at the same time and need "
                f"{needed / 2**30:.1f} GiB, by their earlier runs; {free / 2**30:.1f} GiB are free",
                "Close other programs, or run one after the other: `--set order=sequential`.",
            )


def condition_of(provision: Provision | BakeoffError) -> Condition:
    """What runs on that provision share: this machine, its environment, Spark's Java, our way to measure."""
    identity = _identity()
    if isinstance(provision, BakeoffError):
        return Condition(identity["machine_id"], "", identity)
    java = provision.java.build if provision.java else ""
    return Condition(identity["machine_id"], provision.environment.digest, identity, java=java)


class _Run:
    """One run from its start to its stored end, turn by turn; a context that, left before, interrupts it."""

    def __init__(
        self,
        spec: RunSpec,
        provision: Provision | BakeoffError,
        num_contestants: int,
        study_digest: str,
        writer: Recorder,
        listener: Listener,
    ) -> None:
        self.spec = spec
        self.ended: RunEnded | None = None
        self._provision, self._num_contestants = provision, num_contestants
        self._writer, self._listener = writer, listener
        self._records: Generator[Record | TurnAwaited, None, None] | None = None
        self._seq = self._num_turns = 0
        self._card: cards.Card | None = None
        self._card_states: list[cards.State] = []  # before it, and at the end of each epoch
        self._own_s = 0.0  # what it took itself, without the others' turns
        self._run_id = writer.begin_run(
            spec,
            study_digest=study_digest,
            condition=condition_of(provision),
            environment=_describe(provision),
            command=own_command(),
        )

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self.ended is None:
            self._end(RunEnded("interrupted", "stopped by the user"), error)

    def start(self, launcher: Launcher) -> None:
        """Start it, and take it to its first turn; without turns, to its end."""
        provision = self._provision
        if isinstance(provision, BakeoffError):
            self._end(RunEnded("failed", provision.message, provision.hint))
            return
        if provision.code:
            self._writer.append(self._run_id, None, RunInputs(relative_names(provision.code)))
        changed = provision.code and provision.code.changed()
        if changed:
            self._end(_ended_by_change(changed))
            return
        spool = self._writer.spool_path(self._run_id)
        paths = RunPaths(
            dataset=str(provision.dataset),
            model_file=str(provision.model_file) if provision.model_file else None,
            scratch=str(provision.environment.scratch),
            records=str(spool),
            parquet=str(provision.parquet) if provision.parquet else None,
            java=str(provision.java.home) if provision.java else None,
        )
        self._log = spool.with_suffix(".log")
        if self.spec.settings.device == "gpu":
            usable = cards.usable()[self.spec.settings.gpu :]
            self._card = usable[0] if usable else None
            self._look_at_card()
        self._before, self._cpu_before_s = machine.snapshot(), _own_cpu_s()
        self._records = launcher(Launch(Job(self.spec, paths), provision.environment, self._log))
        self.advance()

    def advance(self) -> None:
        """Let it train on until it awaits its turn again, or is over."""
        began = time.perf_counter()
        try:
            ended = self._to_turn()
        finally:
            self._own_s += time.perf_counter() - began
        if ended is not None:
            self._end(ended)

    def _to_turn(self) -> RunEnded | None:
        """Store each record before the next is asked for; how the run ended, None if it awaits its turn."""
        assert self._records is not None
        try:
            for record in self._records:
                if isinstance(record, TurnAwaited):
                    self._num_turns += 1
                    return None
                if isinstance(record, RunEnded):
                    return record
                # The launcher itself times the child's exit and stops; all else is a line of the child's.
                from_child = not (isinstance(record, PhaseEnded) and record.name in ("end", "stopped"))
                if isinstance(record, PhaseEnded) and record.name == "outcomes":
                    self._own_s -= record.wall_s  # our own question after the training: no part of the run
                self._writer.append(self._run_id, self._seq if from_child else None, record)
                self._seq += from_child
                if isinstance(record, EpochRecord):
                    self._look_at_card()
                self._listener(Recorded(self.spec, record))
        except ValueError as error:  # the form of a record, but values that none can have
            return RunEnded("garbage", str(error))
        return RunEnded("interrupted", "stopped by the user")

    def _look_at_card(self) -> None:
        """Note how its GPU is; no clock runs, since the child waits for our answer or is not there."""
        if self._card:
            self._card_states.append(cards.state(self._card))

    def _end(self, ended: RunEnded, error: BaseException | None = None) -> None:
        """End the child, if it still lives, and store how the run ended.

        error: what goes on its way past us; what can't be written now is recovered next time.
        """
        if self._records is None:
            self._writer.end_run(self._run_id, ended)
        else:
            began = time.perf_counter()
            self._records.close()
            wall_s = self._own_s + time.perf_counter() - began
            gpu = None
            if self._card:
                before, *epochs = self._card_states
                after = cards.state(self._card)
                gpu = cards.use(self._card, before, epochs, after)
                if after.is_lost and ended.status != "ok":
                    lost = f"the GPU ({self._card.name}) no longer answers its driver (NVML: GPU is lost)"
                    ended = dataclasses.replace(ended, reason=f"{lost}. {ended.reason}")
            disturbance = machine.disturbance(
                self._before, machine.snapshot(), _own_cpu_s() - self._cpu_before_s, gpu
            )
            assert isinstance(self._provision, Provision)
            changed = self._provision.code and self._provision.code.changed()
            if changed and ended.status == "ok":
                ended = _ended_by_change(changed)
            if not isinstance(error, StoreError):
                if ended.status == "interrupted":  # perhaps between two of its records
                    self._writer.ingest(self._run_id)
                if self._num_turns:
                    taken = TurnsTaken(self._num_contestants, self._num_turns)
                    self._writer.append(self._run_id, None, taken)
                self._writer.end_run(self._run_id, ended, disturbance=asdict(disturbance), wall_s=wall_s)
                self._log.unlink(missing_ok=True)
        self.ended = ended
        if error is None:
            self._listener(Recorded(self.spec, ended))


def _ended_by_change(path: str) -> RunEnded:
    """The end of a run of which nobody can say what it trained."""
    return RunEnded(
        "failed", f"{path} was changed since the study was begun: begin it again, and it is another trial"
    )


@cache
def _identity() -> Mapping[str, Any]:
    return machine.identity()


def _own_cpu_s() -> float:
    """CPU seconds of this process, its children that have ended, and runs that still live: what was ours."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    for child in psutil.Process().children():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(child.pid) != child.pid:  # a run leads a session; anything else is not ours
                continue
            total += sum(child.cpu_times()[:4])  # user, system, and both of its own children that have ended
    return total


def _describe(provision: Provision | BakeoffError) -> dict[str, str]:
    """The environment as the store keeps it."""
    if isinstance(provision, BakeoffError):
        return {"error": provision.message}
    environment = provision.environment
    described = {"name": environment.name, "kind": environment.kind, "digest": environment.digest}
    return {**described, "java": provision.java.build} if provision.java else described
