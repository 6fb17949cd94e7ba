"""Appends to the store, each record durable before `Writer.append` returns."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from bakeoff.errors import StoreError
from bakeoff.store import lock
from bakeoff.store.database import connect, explained, transaction
from bakeoff.store.schema import TABLES, VERSION, migrate, version_of
from bakeoff_worker.job import MEASUREMENT_VERSION, RunSpec
from bakeoff_worker.records import (
    STATUSES,
    EpochRecord,
    PhaseEnded,
    Record,
    RunEnded,
    from_line,
    kind_of,
    to_line,
)


@dataclass(frozen=True)
class StudyRow:
    """A study as the store keeps it.

    document: the whole study, JSON-plain. specs: every run that it asks for.
    axes: by trial_id, the settings that tell this study's trials apart.
    """

    digest: str
    name: str
    title: str
    document: Mapping[str, Any]
    specs: tuple[RunSpec, ...]
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """What must be the same for two runs to share a mean.

    machine: the machine in full, kept with each run; only machine_id enters the identity. java: the one that
    ran Spark, with its full version; empty where there is no cluster.
    """

    machine_id: str
    environment_digest: str
    machine: Mapping[str, Any] = field(default_factory=dict, compare=False)
    measurement_version: int = MEASUREMENT_VERSION
    java: str = ""

    @property
    def condition_id(self) -> str:
        """16 hex digits that name this condition."""
        identity: list[str | int] = [self.machine_id, self.environment_digest, self.measurement_version]
        identity += [self.java] if self.java else []
        return hashlib.sha256(json.dumps(identity, separators=(",", ":")).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CertificateRow:
    """What may be said of two contestants, as the store keeps it.

    subjects: what of each was verified. verdict: in a word. document: everything else, JSON-plain.
    """

    one_subject: str
    one_environment_digest: str
    other_subject: str
    other_environment_digest: str
    machine_id: str
    verification_version: int
    verdict: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class ProfileRow:
    """Where a contestant's time went, as the store keeps it. document: all that was measured, JSON-plain."""

    trial_id: str
    label: str
    machine_id: str
    environment_digest: str
    profile_version: int
    document: Mapping[str, Any]


@dataclass(frozen=True)
class RunRow:
    """A whole run that was recorded elsewhere, such as on a node of a farm.

    records: with the numbers of their lines in the worker's file, None for those that no worker wrote.
    disturbance, wall_s: as `Writer.end_run` takes them.
    """

    run_id: str
    spec: RunSpec
    study_digest: str
    condition: Condition
    environment: Mapping[str, Any]
    command: tuple[str, ...]
    started_unix_s: float
    records: tuple[tuple[int | None, Record], ...]
    ended: RunEnded
    ended_unix_s: float | None
    disturbance: Mapping[str, Any] | None = None
    wall_s: float | None = None


@dataclass(frozen=True)
class Ingested:
    """What a worker's record file held.

    num_added: records that the store did not have. ended: the run's end, if the file has it.
    complaint: what could not be read, for people; empty if all could.
    """

    num_added: int
    ended: RunEnded | None
    complaint: str


@dataclass(frozen=True)
class Recovered:
    """A run that a dead writer left open, closed now."""

    run_id: str
    label: str
    repeat: int
    num_added: int
    end: RunEnded


def spool_folder(store: Path) -> Path:
    """The folder for the files that workers append their records to."""
    return store.with_name(store.name + ".spool")


class Writer:
    """The one writer of the store at `path`, which is created or migrated as needed.

    A context manager. Every method that stores something commits before it returns.

    Raises:
        StoreError: another writer lives; the file is read-only, damaged, newer, or no store.
            While storing: no space is left, and the store stays as it was before the call; or the file
            is no longer at its path.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self.path: Path = Path(path).expanduser().resolve()  # a link's lock lies beside its target
        self.session: str = secrets.token_hex(8)
        self._now = now
        self._lock = _claim(self.path, self.session)
        try:
            self._connection = _open(self.path)
            self._opened = _files(self.path)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the store go. Runs still open count as interrupted from now on."""
        self._connection.close()
        os.close(self._lock)
        with suppress(OSError):  # files of open runs stay for `recover`
            spool_folder(self.path).rmdir()

    # ---- studies and runs ---------------------------------------------------------------------------

    def begin_study(self, study: StudyRow) -> frozenset[str]:
        """Store a study and what it plans; the trial_ids of all that it plans by now.

        A study stored before is noted as begun again, and may plan more than it did: what follows the
        other runs is known only when these have ended.
        """
        trials = {spec.trial_id: spec for spec in study.specs}
        with self._storing(f"study {study.name}"), transaction(self._connection):
            self._insert("studies", study.digest, study.name, study.title, _json(study.document))
            self._insert("begins", study.digest, self.session, self._now())
            for trial_id, spec in trials.items():
                self._insert("trials", trial_id, _json(dataclasses.asdict(spec.settings)))
                self._insert(
                    "study_trials", study.digest, trial_id, spec.label, _json(study.axes.get(trial_id, {}))
                )
            for spec in study.specs:
                self._insert("planned", study.digest, spec.trial_id, spec.repeat, spec.seed)
            rows = self._connection.execute(
                "SELECT DISTINCT trial_id FROM planned WHERE study_digest = ?", (study.digest,)
            )
            return frozenset(trial_id for (trial_id,) in rows)

    def begin_run(
        self,
        spec: RunSpec,
        *,
        study_digest: str,
        condition: Condition,
        environment: Mapping[str, Any],
        command: tuple[str, ...] = (),
    ) -> str:
        """The run_id of a run that starts now, of a study begun before."""
        run_id = secrets.token_hex(8)
        with self._storing(f"the start of {spec.label}, repeat {spec.repeat}"), transaction(self._connection):
            self._begin(run_id, spec, study_digest, condition, environment, command, self._now())
        return run_id

    def add_run(self, run: RunRow) -> bool:
        """Store a run that was recorded elsewhere, all of it or nothing; whether it was not here before."""
        spec = run.spec
        with self._storing(f"{spec.label}, repeat {spec.repeat}"), transaction(self._connection):
            (is_here,) = self._connection.execute(
                "SELECT count(*) FROM runs WHERE run_id = ?", (run.run_id,)
            ).fetchone()
            if is_here:
                return False
            self._begin(
                run.run_id,
                spec,
                run.study_digest,
                run.condition,
                run.environment,
                run.command,
                run.started_unix_s,
            )
            for seq, record in run.records:
                self._append(run.run_id, self._own_seq(run.run_id) if seq is None else seq, record)
            self._insert_end(run.run_id, run.ended, run.ended_unix_s, run.disturbance, run.wall_s)
        return True

    def spool_path(self, run_id: str) -> Path:
        """Where the run's worker appends its records; the folder exists, the file not yet.

        A file beside it of the same name, but ``.log``, may take what the worker prints: `recover` keeps
        its last lines.
        """
        folder = spool_folder(self.path)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{folder}: can't be made: {error.strerror}", "Make the store's folder writable."
            ) from error
        return folder / f"{run_id}.jsonl"

    def append(self, run_id: str, seq: int | None, record: Record) -> None:
        """Store one record of a run, durably. Storing the same once more changes nothing.

        seq: number of the record's line in the worker's file, from 0, so that `recover` knows what
        it has; None for a record that the worker did not write.

        Raises:
            StoreError: it can't be written, or that seq holds another record.
        """
        epoch = f"epoch {record.epoch}" if isinstance(record, EpochRecord) else kind_of(record)
        with self._storing(f"{epoch} of run {run_id}", run_id):
            self._append(run_id, self._own_seq(run_id) if seq is None else seq, record)

    def end_run(
        self,
        run_id: str,
        ended: RunEnded,
        *,
        disturbance: Mapping[str, Any] | None = None,
        wall_s: float | None = None,
    ) -> None:
        """Store how a run ended, and remove its worker's file.

        disturbance: what else the machine did, JSON-plain, with a key ``disturbed``; None if unknown.
        """
        self._end(run_id, ended, self._now(), disturbance, wall_s)

    def farm_node(self, study_digest: str, block: int, machine_id: str) -> str:
        """The node on which a block's last good run was made on a farm; empty without one."""
        with explained(self.path, f"looking for the node of block {block}"):
            row = self._connection.execute(
                "SELECT json_extract(machine, '$.node') FROM runs JOIN run_ends USING (run_id)"
                " JOIN conditions USING (condition_id) WHERE status = 'ok' AND block = ? AND machine_id = ?"
                " AND (trial_id, repeat, seed) IN"
                " (SELECT trial_id, repeat, seed FROM planned WHERE study_digest = ?)"
                " ORDER BY started_unix_s DESC LIMIT 1",
                (block, machine_id, study_digest),
            ).fetchone()
        return str(row[0] or "") if row else ""

    # ---- certificates, profiles ----------------------------------------------------------------------

    def add_certificates(self, rows: Sequence[CertificateRow]) -> None:
        """Store what was found of pairs of contestants; all of them or none."""
        with self._storing("certificates"), transaction(self._connection):
            for row in rows:
                self._insert(
                    "certificates",
                    secrets.token_hex(8),
                    self._now(),
                    self.session,
                    row.machine_id,
                    row.verification_version,
                    row.one_subject,
                    row.one_environment_digest,
                    row.other_subject,
                    row.other_environment_digest,
                    row.verdict,
                    _json(row.document),
                )

    def add_profile(self, row: ProfileRow) -> None:
        """Store a contestant's profile."""
        with self._storing("a profile"), transaction(self._connection):
            self._insert(
                "profiles",
                secrets.token_hex(8),
                self._now(),
                self.session,
                row.trial_id,
                row.label,
                row.machine_id,
                row.environment_digest,
                row.profile_version,
                _json(row.document),
            )

    # ---- after a crash ------------------------------------------------------------------------------

    def ingest(self, run_id: str) -> Ingested:
        """Store the complete lines of the run's worker file that the store does not have yet."""
        try:
            *lines, torn = self.spool_path(run_id).read_bytes().split(b"\n")
        except FileNotFoundError:
            return Ingested(0, None, "")
        ended, num_added, garbage = None, 0, []
        with self._storing(f"the records that run {run_id} left", run_id), transaction(self._connection):
            known = {
                seq
                for table in ("epochs", "phases", "records")
                for (seq,) in self._connection.execute(f"SELECT seq FROM {table} WHERE run_id = ?", (run_id,))
            }
            for seq, line in enumerate(lines):
                if seq in known or not line:
                    continue
                try:
                    record = _checked(from_line(line.decode()))
                except ValueError:  # a UnicodeDecodeError is one, too
                    garbage.append(seq + 1)
                    continue
                if isinstance(record, RunEnded):
                    ended = record
                else:
                    self._append(run_id, seq, record)
                    num_added += 1
        complaints = [f"lines {garbage} of its records are garbage"] * bool(garbage)
        complaints += [f"the last line is torn after {len(torn)} bytes"] * bool(torn)
        return Ingested(num_added, ended, "; ".join(complaints))

    def recover(self) -> tuple[Recovered, ...]:
        """Close the runs that a dead writer left open, keeping every complete record of theirs."""
        with explained(self.path, "looking for runs left open"):
            left_open = self._connection.execute(
                "SELECT run_id, label, repeat FROM runs JOIN study_trials USING (study_digest, trial_id)"
                " WHERE session != ? AND run_id NOT IN (SELECT run_id FROM run_ends) ORDER BY started_unix_s",
                (self.session,),
            ).fetchall()
        return tuple(self._recover(run_id, label, repeat) for run_id, label, repeat in left_open)

    def _recover(self, run_id: str, label: str, repeat: int) -> Recovered:
        spool = self.spool_path(run_id)
        last_seen_unix_s = spool.stat().st_mtime if spool.exists() else None
        found = self.ingest(run_id)
        with explained(self.path, f"counting the epochs of run {run_id}"):
            (num_epochs,) = self._connection.execute(_NUM_EPOCHS, (run_id,)).fetchone()
        end = found.ended or RunEnded("interrupted", f"Bakeoff itself was stopped; epochs kept: {num_epochs}")
        if found.complaint:
            end = dataclasses.replace(end, reason="; ".join(filter(None, (end.reason, found.complaint))))
        log = spool.with_suffix(".log")  # what the worker printed
        if end.status != "ok" and log.exists():
            tail = log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "backslashreplace")
            end = dataclasses.replace(
                end, last_lines=end.last_lines or "\n".join(tail.splitlines()[-_LOG_LINES:])
            )
        self._end(run_id, end, last_seen_unix_s, None, None)
        log.unlink(missing_ok=True)
        return Recovered(run_id, label, repeat, found.num_added, end)

    # ---- results from elsewhere ---------------------------------------------------------------------

    def merge(self, other: Path) -> int:
        """Add the rows of a resting store of this version that are not here yet; how many runs that brought.

        Rows that are here stay as they are; identities are kept, so foreign conditions stay foreign.
        """
        count = "SELECT count(*) FROM runs"
        with self._storing(f"what {other.name} holds"):
            self._connection.execute(
                "ATTACH ? AS other", (f"{other.absolute().as_uri()}?mode=ro&immutable=1",)
            )
            try:
                with transaction(self._connection):
                    (before,) = self._connection.execute(count).fetchone()
                    for table in TABLES:
                        self._connection.execute(
                            f"INSERT INTO main.{table} SELECT * FROM other.{table} WHERE true"
                            " ON CONFLICT DO NOTHING"
                        )
                    (after,) = self._connection.execute(count).fetchone()
            finally:
                self._connection.execute("DETACH other")
        return int(after - before)

    # ---- details ------------------------------------------------------------------------------------

    def _begin(
        self,
        run_id: str,
        spec: RunSpec,
        study_digest: str,
        condition: Condition,
        environment: Mapping[str, Any],
        command: tuple[str, ...],
        started_unix_s: float,
    ) -> None:
        self._insert(
            "conditions",
            condition.condition_id,
            condition.machine_id,
            condition.environment_digest,
            condition.measurement_version,
        )
        (num_before,) = self._connection.execute(
            "SELECT count(*) FROM runs WHERE trial_id = ? AND repeat = ? AND seed = ? AND condition_id = ?",
            (spec.trial_id, spec.repeat, spec.seed, condition.condition_id),
        ).fetchone()
        self._insert(
            "runs",
            run_id,
            study_digest,
            spec.trial_id,
            spec.repeat,
            spec.block,
            spec.position,
            num_before + 1,
            spec.seed,
            condition.condition_id,
            _json(condition.machine),
            _json(environment),
            _json(list(command)),
            started_unix_s,
            self.session,
        )

    def _append(self, run_id: str, seq: int, record: Record) -> None:
        table, columns, row = _row(_checked(record))
        row = (run_id, seq, *row)
        if not self._insert(table, *row):
            stored = self._connection.execute(
                f"SELECT {', '.join(columns)} FROM {table} WHERE run_id = ? AND seq = ?", (run_id, seq)
            ).fetchone()
            if stored != row[2:]:
                raise StoreError(
                    f"{self.path}: run {run_id} already has another record {seq}: {stored}, got {row[2:]}"
                )

    def _insert(self, table: str, *values: Any) -> bool:
        """Add a row unless its key is there; whether it was added. All other constraints hold."""
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING"
        return self._connection.execute(sql, values).rowcount == 1

    def _own_seq(self, run_id: str) -> int:
        """A number below zero, where no line of the worker's can be."""
        (lowest,) = self._connection.execute(
            "SELECT min(seq) FROM (SELECT seq FROM epochs WHERE run_id = :run UNION ALL"
            " SELECT seq FROM phases WHERE run_id = :run UNION ALL"
            " SELECT seq FROM records WHERE run_id = :run)",
            {"run": run_id},
        ).fetchone()
        return min(lowest or 0, 0) - 1

    def _end(
        self,
        run_id: str,
        ended: RunEnded,
        ended_unix_s: float | None,
        disturbance: Mapping[str, Any] | None,
        wall_s: float | None,
    ) -> None:
        with self._storing(f"the end of run {run_id}", run_id):
            self._insert_end(run_id, ended, ended_unix_s, disturbance, wall_s)
        self.spool_path(run_id).unlink(missing_ok=True)

    def _insert_end(
        self,
        run_id: str,
        ended: RunEnded,
        ended_unix_s: float | None,
        disturbance: Mapping[str, Any] | None,
        wall_s: float | None,
    ) -> None:
        _checked(ended)
        noise = None if disturbance is None else _json(disturbance)
        texts = (ended.status, _text(ended.reason), _text(ended.last_lines))
        self._connection.execute(
            "INSERT INTO run_ends VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run_id, *texts, ended_unix_s, wall_s, noise),
        )

    @contextmanager
    def _storing(self, what: str, run_id: str | None = None) -> Iterator[None]:
        """If storing fails, say what was lost and what is safe.

        SQLite goes on writing to a file that has no name any more; hence the look before and after.
        """
        self._check_in_place(what)
        try:
            with explained(self.path, f"storing {what}"):
                yield
        except StoreError as error:
            self._check_in_place(what)
            raise StoreError(error.message, f"{self._safe(run_id)} {error.hint}".strip()) from error.__cause__
        self._check_in_place(what)

    def _check_in_place(self, what: str) -> None:
        """Pass if the store, with its log, is still the file that was opened.

        Raises:
            StoreError: it was deleted, moved or replaced; with what it held.
        """
        if _files(self.path) == self._opened:
            return
        held = "what it held"
        with suppress(sqlite3.Error):  # its pages are there for as long as we have it open
            (runs,) = self._connection.execute("SELECT count(*) FROM run_ends").fetchone()
            (epochs,) = self._connection.execute("SELECT count(*) FROM epochs").fetchone()
            held = f"finished runs: {runs}, epochs: {epochs}"
        raise StoreError(
            f"{self.path}: storing {what}: the store was deleted, moved or replaced while it was written",
            f"Lost with it, unless it was moved: {held}. What is at its path now was not touched; "
            "the same command runs what is missing there.",
        )

    def _safe(self, run_id: str | None) -> str:
        """One sentence on what the store holds; empty if it can't be asked."""
        with suppress(sqlite3.Error):
            (runs,) = self._connection.execute("SELECT count(*) FROM run_ends").fetchone()
            (epochs,) = self._connection.execute(_NUM_EPOCHS, (run_id,)).fetchone()
            here = f"; epochs of this run: {epochs}" if run_id else ""
            return f"Safe in the store: finished runs: {runs}{here}."
        return ""


def _files(path: Path) -> list[tuple[int, int] | None]:
    """Device and inode of the store and of its log; None for one that is not there."""
    found: list[tuple[int, int] | None] = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


def _claim(path: Path, session: str) -> int:
    """The lock of a store that may not exist yet."""
    if path.is_dir():
        raise StoreError(
            f"{path}: is a folder; expected a file", f"Name a file in it: {path / 'bakeoff.sqlite'}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path}: its folder can't be made: {error.strerror}",
            "Name a store in a folder that you may write.",
        ) from error
    return lock.acquire(path, session)


def _open(path: Path) -> sqlite3.Connection:
    """A connection that commits to the disk, to a store of the newest version."""
    with explained(path, "opening to write"):
        connection = connect(path, "rwc")
        try:
            version_of(connection, path)  # before anything is changed
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if journal != "wal":
                raise StoreError(
                    f"{path}: this file system can't share a file between writer and readers",
                    "Name a store on a local disk (network shares lack what SQLite needs).",
                )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
            connection.execute("PRAGMA foreign_keys = ON")
            migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version = {VERSION}")  # a read-only file is found now, not later
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
    return connection


_LOG_LINES, _LOG_BYTES = 20, 16_384
_NUM_EPOCHS = "SELECT count(*) FROM epochs WHERE run_id = ?"
_TABLE_OF = {EpochRecord: "epochs", PhaseEnded: "phases"}
_VALUES: Mapping[Any, tuple[type, ...]] = {
    int: (int,),
    float: (float, int),
    str: (str,),
    Optional[int]: (int, type(None)),  # noqa: UP045  (the keys are the annotations of records.py)
    Optional[float]: (float, int, type(None)),  # noqa: UP045
}


def _checked(record: Record) -> Record:
    """The record, if its fields have the types that it declares; else a ValueError."""
    for declared in dataclasses.fields(record):
        value = getattr(record, declared.name)
        if not isinstance(value, _VALUES.get(declared.type, (object,))):
            raise ValueError(f"{kind_of(record)}.{declared.name}: expected {declared.type}; got {value!r}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"{kind_of(record)}.{declared.name}: {value} does not fit in 64 bits")
    if isinstance(record, RunEnded) and record.status not in STATUSES:
        raise ValueError(f"run_ended.status: expected one of {', '.join(STATUSES)}; got {record.status!r}")
    return record


def _row(record: Record) -> tuple[str, tuple[str, ...], tuple[Any, ...]]:
    """Table, columns and values of a record, beside its run_id and seq."""
    if isinstance(record, RunEnded):
        raise TypeError("a RunEnded is stored by end_run")
    table = _TABLE_OF.get(type(record))
    if table is None:
        return "records", ("kind", "line"), (kind_of(record), to_line(record))
    names = tuple(declared.name for declared in dataclasses.fields(record))
    values = (getattr(record, name) for name in names)
    plain = tuple(
        _text(value) if isinstance(value, str) else None if value != value else value for value in values
    )  # SQLite has no NaN
    return table, names, plain


def _text(text: str) -> str:
    """Text that UTF-8 can hold: undecodable output of a worker arrives as lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
