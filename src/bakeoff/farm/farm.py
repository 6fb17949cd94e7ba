"""Blocks submitted, awaited and collected into the store, by its one writer."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.errors import BakeoffError, MachineError, UsageError
from bakeoff.events import Listener, Recorded, RunBegan, tell
from bakeoff.execute import Provision, Tally, condition_of, own_command
from bakeoff.farm import journal, ledger, staging
from bakeoff.farm.job import run as run_here
from bakeoff.farm.ledger import Job, Work, folder_of
from bakeoff.farm.managers import MANAGERS, Here, JobState, Manager, ManagerSilent, State, manager
from bakeoff.launchers.base import Launcher
from bakeoff.launchers.local import last_lines
from bakeoff.store.writer import Condition, RunRow, Writer
from bakeoff.study import FarmRequest, Study
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import FarmJob, Record, RunEnded

__all__ = ["Farm", "Job", "connect", "folder_of", "jobs_in"]

# How often a job's folder is looked at, and the manager asked, which all of a cluster's users ask.
_LOOK_S, _ASK_S = 0.25, 5.0
_LEAVES_S = 10.0  # how long a job whose runs are over may take until the manager has closed its account
_WHOLE_S = 1.0  # to which managers' clocks are read
_Instants = tuple[float | None, float | None]
_TRIES = 3  # of a block in one call, where preemption or a dead node ended it
# Without a time limit of the user's: the long end of the estimate, half as much again, and for starting.
_SLACK, _STARTING_MIN = 1.5, 10
# Submitit's words on a node that waited for the folder's files in vain.
_NOT_SEEN = "could not find submitted jobs"
# How a run ended whose job was ended by the manager; and what is said of it.
_ENDS: Mapping[State, tuple[str, str]] = {
    State.TIMEOUT: ("timeout", "the job reached its time limit{limit}: farm.time asks for more"),
    State.OUT_OF_MEMORY: ("out_of_memory", "the job was killed for memory: farm.memory asks for more"),
    State.CANCELLED: ("interrupted", "the job was cancelled"),
    State.PREEMPTED: ("interrupted", "the job was preempted"),
    State.NODE_FAILED: ("interrupted", "the node failed"),
    State.FAILED: ("killed", "the job failed"),
    State.GONE: ("interrupted", "the job is gone, and the manager knows nothing of it any more"),
    State.DONE: ("killed", "the job ended before its runs did"),
}


@dataclass(frozen=True)
class Order:
    """What a study wants run, of a plan's blocks.

    specs: what is missing. whole: all of these blocks. ahead: blocks that may be wanted next, and are not
    collected now. in_turn: whether blocks are collected only when they are asked for, as in studies that run
    until decided. time_min: minutes that a block's job may take; None: the partition's default.
    """

    specs: Sequence[RunSpec]
    whole: Sequence[RunSpec]
    ahead: Sequence[RunSpec] = ()
    in_turn: bool = False
    time_min: int | None = None


def connect(name: str, request: FarmRequest) -> Farm:
    """The farm behind a manager, if it answers and has what jobs will ask for.

    Raises:
        UsageError: there is no manager of that name.
        MachineError: it does not answer, or lacks the partition or the time.
    """
    if name not in MANAGERS:
        raise UsageError(f"no resource manager {name}; expected one of {', '.join(MANAGERS)}")
    speaker = manager(name)
    speaker.check(request)
    kind = [name, speaker.cluster(), request.partition, request.cpus, request.gres, request.exclusive]
    machine_id = hashlib.sha256(json.dumps(["farm", *kind]).encode()).hexdigest()[:16]
    return Farm(speaker, request, machine_id)


@dataclass(frozen=True)
class Farm:
    """A cluster as a study's jobs see it.

    machine_id: what runs on it have in place of a machine's: manager, cluster, partition and what is asked of
    a node. Its nodes may differ: a block's runs share one, and are compared with one another.
    """

    manager: Manager
    request: FarmRequest
    machine_id: str

    def condition_of(self, provision: Provision | BakeoffError) -> Condition:
        """What runs on that provision share here."""
        return dataclasses.replace(condition_of(provision), machine_id=self.machine_id)

    def minutes(self, low_s: float | None, high_s: float | None, listener: Listener) -> int | None:
        """How long a block's job may take, given how long its runs are estimated to; None: the default.

        Raises:
            MachineError: farm.time is less than the shortest that was estimated.
        """
        asked = self.request.time_min
        if low_s is None or high_s is None:
            return asked
        if asked is None:
            longest = self.manager.longest_min(self.request)
            wanted = _STARTING_MIN + math.ceil(_SLACK * high_s / 60)
            return wanted if longest is None else min(wanted, longest)
        if 60 * asked < low_s:
            raise MachineError(
                f"farm.time gives a block {asked} minutes; it is estimated to take {low_s / 60:.0f} to "
                f"{high_s / 60:.0f}",
                f"Nothing was submitted. Ask for --set farm.time={_STARTING_MIN + math.ceil(high_s / 60)}",
            )
        if 60 * asked < high_s:
            tell(
                listener,
                f"farm.time gives a block {asked} minutes, and it may take up to {high_s / 60:.0f}: its last "
                "runs may be cut short",
            )
        return asked

    def execute(
        self,
        order: Order,
        study: Study,
        provisions: Mapping[str, Provision | BakeoffError],
        *,
        writer: Writer,
        launcher: Launcher,
        listener: Listener,
    ) -> Tally:
        """Submit what is missing and not submitted yet, and store every run of each job that ends.

        Jobs of an earlier call are found and collected, too. Left before the end, it leaves them running.

        Raises:
            MachineError: the manager refuses a job, or its folder can't be written.
            KeyboardInterrupt: the user stopped us; jobs go on.
        """
        collection = _Collection(self, order, study, provisions, writer, launcher, listener)
        try:
            return collection.run()
        except KeyboardInterrupt:
            if waiting := [job for job in collection.open.values() if job.job_id]:
                tell(
                    listener,
                    f"jobs that go on: {len(waiting)}. The same command collects them; "
                    f"`bakeoff farm cancel {study.name}` ends them",
                )
            raise

    def drop(self, study: Study, store: Path) -> int:
        """Cancel and forget the study's jobs that are not collected; how many there were."""
        return self.cancel(list(jobs_in(self.home(study, store))))

    def state_of(self, job: Job) -> JobState:
        """A job as the manager sees it now."""
        job_id = job.job_id or self.manager.find(job.name)
        return self.manager.state(job_id) if job_id else JobState(State.GONE)

    def end(self, jobs: Sequence[Job]) -> None:
        """Cancel these jobs; what they have run is there to be collected."""
        self.manager.cancel(job_id for job in jobs if (job_id := job.job_id or self.manager.find(job.name)))

    def cancel(self, jobs: Sequence[Job]) -> int:
        """Cancel and forget these jobs; how many there were."""
        self.end(jobs)
        for job in jobs:
            job.remove()
        return len(jobs)

    def home(self, study: Study, store: Path) -> Path:
        """The folder of a study's jobs."""
        return ledger.study_folder(self.request, study.name, study.digest, store)


def jobs_in(home: Path) -> Iterator[Job]:
    """The jobs in a folder of jobs that are not collected yet."""
    return ledger.jobs(home)


@dataclass
class _Collection:
    """One call's work: jobs by folder's name, until all are collected."""

    farm: Farm
    order: Order
    study: Study
    provisions: Mapping[str, Provision | BakeoffError]
    writer: Writer
    launcher: Launcher
    listener: Listener
    open: dict[str, Job] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    tries: Counter[int] = field(default_factory=Counter)
    num_begun: int = 0
    archives: dict[str, Path] | None = None

    @property
    def manager(self) -> Manager:
        return self.farm.manager

    def run(self) -> Tally:
        wanted = _by_block(self.order.specs)
        self._adopt(wanted)
        taken = {job.work.block for job in self.open.values()}
        for block, specs in wanted.items():
            if block not in taken:
                self._submit(block, specs)
        for block, specs in _by_block(self.order.ahead).items():
            if block not in {job.work.block for job in self._known()}:
                self._submit(block, specs, is_ahead=True)
        self._await()
        return Tally(dict(self.counts))

    def _known(self) -> Iterator[Job]:
        return ledger.jobs(self.farm.home(self.study, self.writer.path))

    def _adopt(self, wanted: Mapping[int, Sequence[RunSpec]]) -> None:
        """Take over jobs that an earlier call has submitted."""
        for job in self._known():
            block, trials = job.work.block, {spec.trial_id for spec in wanted.get(job.work.block, ())}
            if self.order.in_turn and block not in wanted:
                continue
            if not job.job_id:
                # Killed while submitting: the manager has it, or never got it.
                job_id = self.manager.find(job.name)
                if job_id is None:
                    job.remove()
                    continue
                job = job.noted(job_id=job_id)
            alternates = any(spec.settings.alternates for spec in job.work.specs)
            other = trials != job.work.trials if alternates else not trials <= job.work.trials
            if self.order.in_turn and other:
                self.farm.cancel([job])
                continue
            self.open[job.folder.name] = job
        if self.open and not self.order.in_turn:
            tell(self.listener, f"jobs of an earlier call: {len(self.open)}")

    def _submit(self, block: int, specs: Sequence[RunSpec], *, is_ahead: bool = False) -> None:
        node = "" if is_ahead else self._node_of(block)
        if node and not self.manager.is_up(node):
            tell(self.listener, f"block {block + 1} began on {node}, which is down: all of it runs anew")
            node, specs = "", [spec for spec in self.order.whole if spec.block == block]
        if self.farm.request.staging == "packed" and self.archives is None:
            packed = folder_of(self.farm.request) / "packed"
            self.archives = staging.pack(self.provisions, self.study.environments, packed, self.listener)
        needed = {spec.trial_id: self.provisions[spec.trial_id] for spec in specs}
        work = Work(
            self.study.name,
            self.study.digest,
            block,
            tuple(specs),
            needed,
            self.farm.machine_id,
            self.launcher,
            self.archives,
            own_command(),
        )
        home = self.farm.home(self.study, self.writer.path)
        job = ledger.add(home, work)
        if not work.is_runnable:  # nothing but reasons why: no node is needed to write them down
            run_here(job.folder, Here("", "", 0))
            self._collect(job, JobState(State.DONE))
            return
        running = [other.job_id for other in self._known() if other.job_id]
        limit = self.farm.request.nodes
        after = running[-limit] if limit and len(running) >= limit else ""
        began = time.perf_counter()
        try:
            job_id = self.manager.submit(
                job.folder, job.name, self.farm.request, self.order.time_min, after=after, node=node
            )
        except ManagerSilent:
            raise  # it may have the job all the same: the next call asks for it by its name
        except MachineError:
            job.remove()
            raise
        job = job.noted(
            job_id=job_id,
            submitted_unix_s=time.time(),
            submission_s=time.perf_counter() - began,
            time_min=self.order.time_min,
        )
        if not is_ahead:
            self.open[job.folder.name] = job
        ahead = " (ahead)" if is_ahead else ""
        tell(self.listener, f"block {block + 1}{ahead}: submitted, runs: {len(specs)}, job {job_id}")

    def _node_of(self, block: int) -> str:
        """The node that the block's good runs had, if some are stored: those that are left go there, too."""
        return self.writer.farm_node(self.study.digest, block, self.farm.machine_id)

    # ---- waiting and collecting ----------------------------------------------------------------------

    def _await(self) -> None:
        last_asked = -math.inf
        silent = False
        states: dict[str, JobState] = {}
        over_since: dict[str, float] = {}
        while self.open:
            if time.monotonic() - last_asked >= _ASK_S:
                try:
                    for job in self.open.values():
                        states[job.folder.name] = self._told(job, states.get(job.folder.name))
                    silent = False
                except ManagerSilent as error:
                    if not silent:
                        tell(self.listener, f"{error.message}\n{error.hint}")
                    silent = True
                last_asked = time.monotonic()
            for name, job in list(self.open.items()):
                state = states.get(name, JobState(State.QUEUED))
                if not state.state.is_over:
                    if not _has_ended(job):
                        continue
                    since = over_since.setdefault(name, time.monotonic())
                    with suppress(ManagerSilent):
                        state = self.manager.state(job.job_id)
                    if not state.state.is_over and time.monotonic() - since < _LEAVES_S:
                        continue
                del self.open[name]
                self._collect(job, state)
            if self.open:
                time.sleep(_LOOK_S)

    def _told(self, job: Job, before: JobState | None) -> JobState:
        """A job's state; people are told where it has begun."""
        state = self.manager.state(job.job_id)
        if state.state is State.RUNNING and (before is None or before.state is State.QUEUED):
            tell(self.listener, f"block {job.work.block + 1}: runs on {state.node}, job {job.job_id}")
        if state.is_stuck and not (before and before.is_stuck):
            tell(
                self.listener,
                f"block {job.work.block + 1}: job {job.job_id} waits for what may never come, as the manager "
                f"has it: {state.reason}\n`bakeoff farm cancel {self.study.name}` ends it",
            )
        return state

    def _collect(self, job: Job, state: JobState) -> None:
        """Store what a job has left, run by run, and forget it; submit again what nobody is to blame for."""
        all_kept = journal.read_all(job.folder)
        is_complete = bool(all_kept and all_kept[-1].ended)
        collected_unix_s = time.time()
        wanted = {spec.trial_id for spec in self.order.specs if spec.block == job.work.block}
        rows = []
        for number, kept in enumerate(all_kept):
            is_last = number == len(all_kept) - 1
            cut = kept.left_open
            if is_last and not is_complete and not cut and kept.runs[-1:]:
                cut = kept.runs[-1:]  # asked to leave, it could still say how the run ended
            rows += [row for row in kept.runs if row not in cut]
            rows += [self._as_ended_by(job, state, row) if is_last else row for row in cut]
        begun = {row.spec.trial_id for row in rows}
        missing = [spec for spec in job.work.specs if spec.trial_id not in begun]
        rows += [self._never_begun(job, state, spec, all_kept) for spec in missing] if not is_complete else []
        if self.order.in_turn:  # a block ahead may have had contestants that have nothing left to decide
            rows = [row for row in rows if row.spec.trial_id in wanted]
        told = self._account(job, state, all_kept, collected_unix_s) if job.job_id and all_kept else None
        for row in rows:
            self._store(row, told)
        last = {row.spec.trial_id: row.ended.status for row in rows}
        job.remove()
        again = [spec for spec in job.work.specs if last.get(spec.trial_id) == "interrupted"]
        self.tries[job.work.block] += 1
        if again and state.state.is_nobodys_fault and self.tries[job.work.block] < _TRIES:
            tell(self.listener, f"block {job.work.block + 1}: {state.state}; submitted again")
            for spec in again:
                del last[spec.trial_id]
            self._submit(job.work.block, again)
        self.counts.update(last.values())

    def _as_ended_by(self, job: Job, state: JobState, row: RunRow) -> RunRow:
        """A run that its job's end has ended: by the manager's word."""
        if row.ended.status not in ("interrupted", "failed", "killed"):
            return row
        return dataclasses.replace(row, ended=self._end(job, state, row.ended))

    def _end(self, job: Job, state: JobState, known: RunEnded | None = None) -> RunEnded:
        limit = f" of {job.time_min} minutes" if job.time_min else ""
        status, words = _ENDS.get(state.state, _ENDS[State.DONE])
        reason = f"{_where(job, state)}: {words.format(limit=limit)}"
        said = known.last_lines if known and known.last_lines else _said(job)
        if state.state in (State.FAILED, State.NODE_FAILED):
            why = [state.reason, *said.splitlines()[-1:]] if state.state is State.FAILED else [state.reason]
            reason += f" ({': '.join(filter(None, why))})" if any(why) else ""
        return RunEnded(status, reason, said)

    def _never_begun(self, job: Job, state: JobState, spec: RunSpec, kept: Sequence[journal.Kept]) -> RunRow:
        """A run that its job never came to: stored, so that it is known why it is missing."""
        ended = self._end(job, state)
        has_seen = bool(kept) or (bool(ended.last_lines) and _NOT_SEEN not in ended.last_lines)
        if kept and kept[-1].obstacle:
            ended = RunEnded("failed", kept[-1].obstacle)
        elif not has_seen and state.state in (State.FAILED, State.DONE, State.GONE):
            ended = RunEnded(
                "failed",
                f"{_where(job, state)} left nothing in {job.folder}: do nodes see that folder? "
                "--set farm.folder=PATH names one that they share; Bakeoff's own Python has to be in one",
            )
        else:
            ended = RunEnded("interrupted", f"never begun: {ended.reason}", ended.last_lines)
        provision = job.work.provisions[spec.trial_id]
        run_id = hashlib.sha256(f"{job.folder.name} {spec.trial_id}".encode()).hexdigest()[:16]
        return RunRow(
            run_id=run_id,
            spec=spec,
            study_digest=self.study.digest,
            condition=dataclasses.replace(self.farm.condition_of(provision), machine={"node": state.node}),
            environment={},
            command=job.work.command,
            started_unix_s=job.submitted_unix_s or time.time(),
            records=(),
            ended=ended,
            ended_unix_s=state.ended_unix_s,
        )

    def _store(self, row: RunRow, job: FarmJob | None) -> None:
        records: tuple[tuple[int | None, Record], ...] = row.records
        if job is not None:
            records = (*records, (None, job))
        if self.writer.add_run(dataclasses.replace(row, records=records)):
            self.num_begun += 1
            total = max(len(self.order.specs), self.num_begun)
            self.listener(RunBegan(row.spec, self.num_begun - 1, total))
            for _, record in row.records:
                self.listener(Recorded(row.spec, record))
            self.listener(Recorded(row.spec, row.ended))

    def _account(
        self, job: Job, state: JobState, all_kept: Sequence[journal.Kept], collected_unix_s: float
    ) -> FarmJob:
        """Where a job's time went: the manager's account beside ours."""
        kept = all_kept[-1]
        begun, over = kept.begun, kept.ended
        script, began = begun.get("script_unix_s"), begun.get("began_unix_s")
        started, submitted = state.started_unix_s, state.submitted_unix_s
        ended = over.get("ended_unix_s")
        usage = over.get("usage")
        with suppress(MachineError):  # what is kept of a job that is over is more than it could see itself
            if (counted := self.manager.usage(job.job_id)) is not None:
                usage = dataclasses.asdict(counted)
        usage = usage or {"cpu_s": None, "peak_bytes": None, "source": ""}
        offset = clock_offset(
            starts=[(started, script), (job.submitted_unix_s, began)],
            ends=[(ended, state.ended_unix_s), (ended, collected_unix_s)],
        )
        elapsed = None
        if state.state.is_over and started is not None and state.ended_unix_s is not None:
            elapsed = state.ended_unix_s - started
        return FarmJob(
            manager=self.manager.name,
            job_id=job.job_id,
            node=str(begun.get("node", state.node)),
            node_id=str(begun.get("node_id", "")),
            is_exclusive=begun.get("is_exclusive"),
            state=str(state.state if not over or state.state.is_over else State.DONE),
            num_restarts=len(all_kept) - 1,
            submission_s=job.submission_s,
            queue_s=_between(submitted, started),
            prolog_s=None if offset else _between(started, script),
            startup_s=_between(script, began),
            staging_s=over.get("staging_s"),
            runs_s=over.get("runs_s"),
            collection_s=None if offset else _between(ended, collected_unix_s),
            manager_s=elapsed,
            manager_cpu_s=usage["cpu_s"],
            manager_peak_bytes=usage["peak_bytes"],
            cpu_s=over.get("cpu_s"),
            accounting=usage["source"],
            clock_offset_s=offset,
        )


def clock_offset(starts: Sequence[_Instants], ends: Sequence[_Instants]) -> float:
    """How far a node's clock is ahead of the others (below 0: behind), at least, in s; 0 where none shows it.

    starts: pairs of what came first, by the manager's or the submitter's clock, and then by the node's; ends:
    by the node's, then by theirs. None: unknown. Whole seconds, in which managers count, show nothing.
    """
    ahead = max((a - b for a, b in ends if a is not None and b is not None), default=0.0)
    behind = max((a - b for a, b in starts if a is not None and b is not None), default=0.0)
    if max(ahead, behind) <= _WHOLE_S:
        return 0.0
    return ahead if ahead > behind else -behind


def _where(job: Job, state: JobState) -> str:
    return f"job {job.job_id}" + (f" on {state.node}" if state.node else "")


def _between(before: float | None, after: float | None) -> float | None:
    """Seconds; 0 where clocks that are not the same, or count whole seconds, have it the other way round."""
    return None if before is None or after is None else max(0.0, after - before)


def _by_block(specs: Sequence[RunSpec]) -> dict[int, list[RunSpec]]:
    blocks: dict[int, list[RunSpec]] = {}
    for spec in specs:
        blocks.setdefault(spec.block, []).append(spec)
    return blocks


def _has_ended(job: Job) -> bool:
    """Whether the newest journal says that all is over, by a look at its last line."""
    newest = max(job.folder.glob("journal.*"), key=lambda path: int(path.suffix[1:]), default=None)
    if newest is None:
        return False
    with newest.open("rb") as file:
        file.seek(max(0, newest.stat().st_size - 2000))
        return b'{"over"' in file.read()


def _said(job: Job) -> str:
    """The last lines that the job printed."""
    logs = sorted((job.folder / "submitit").glob("*_log.out"))
    return last_lines(logs[-1]) if logs else ""
