"""The records of a job, line by line in a file that its node writes and the submitter reads.

A journal stands where the store's writer does: the store stays with the one who submits. Each line is on the
disk before the run goes on. Every restart of a job has a journal of its own, and whoever finds a newer one
beside its own stops: a node that was given up for dead may still live.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bakeoff.store.writer import Condition, RunRow
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import Record, RunEnded, from_line, to_line

_SHARED = "the node was not this job's alone: ask for it (exclusive = true)"


class Superseded(Exception):
    """The manager began this job anew elsewhere."""


class Journal:
    """Appends what a job records; a context manager. Takes the place of `bakeoff.store.writer.Writer`.

    machine_id: that of the farm, which all of its runs have; each keeps the node's own among its machine's
    details. is_exclusive: whether nobody else may use the node; what was shared counts as disturbed.
    """

    def __init__(self, folder: Path, number: int, machine_id: str, is_exclusive: bool | None) -> None:
        self.folder = folder
        self._number, self._machine_id, self._is_exclusive = number, machine_id, is_exclusive
        self._kept: set[tuple[str, int | None]] = set()
        self.node = ""
        self.command: tuple[str, ...] = ()  # the submitter's, if it isn't that of this process
        self._file = path_of(folder, number).open("ab")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def begin_run(
        self,
        spec: RunSpec,
        *,
        study_digest: str,
        condition: Condition,
        environment: Mapping[str, Any],
        command: tuple[str, ...] = (),
    ) -> str:
        run_id = secrets.token_hex(8)
        begun = {
            "spec": dataclasses.asdict(spec),
            "study_digest": study_digest,
            "condition": {
                **dataclasses.asdict(condition),
                "machine_id": self._machine_id,
                "machine": {**condition.machine, "node": self.node},
            },
            "environment": environment,
            "command": self.command or command,
            "started_unix_s": time.time(),
        }
        self.write(run=run_id, begun=begun)
        return run_id

    def spool_path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.jsonl"

    def append(self, run_id: str, seq: int | None, record: Record) -> None:
        self.write(run=run_id, seq=seq, record=to_line(record))
        self._kept.add((run_id, seq))

    def ingest(self, run_id: str) -> None:
        """Keep the complete records of the run's worker that nobody has taken yet."""
        with suppress(FileNotFoundError):
            *lines, _ = self.spool_path(run_id).read_bytes().split(b"\n")
            for seq, line in enumerate(lines):
                with suppress(ValueError):
                    record = from_line(line.decode())
                    if (run_id, seq) not in self._kept and not isinstance(record, RunEnded):
                        self.append(run_id, seq, record)

    def end_run(
        self,
        run_id: str,
        ended: RunEnded,
        *,
        disturbance: Mapping[str, Any] | None = None,
        wall_s: float | None = None,
    ) -> None:
        if disturbance is not None and self._is_exclusive is False:
            reasons = (*disturbance.get("reasons", ()), _SHARED)
            disturbance = {**disturbance, "disturbed": True, "reasons": reasons}
        self.write(
            run=run_id,
            ended=to_line(ended),
            ended_unix_s=time.time(),
            disturbance=disturbance,
            wall_s=wall_s,
        )
        self.spool_path(run_id).unlink(missing_ok=True)

    def write(self, **line: Any) -> None:
        """One line, on the disk when this returns.

        Raises:
            Superseded: the job was begun anew.
        """
        if path_of(self.folder, self._number + 1).exists():
            raise Superseded
        self._file.write(json.dumps(line, default=str).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@dataclass
class Kept:
    """One journal, read.

    begun: what the job said when it began: ``job_id``, ``node``, ``node_id``, ``is_exclusive``, clocks.
    ended: what it said when all was over; empty if it never did. obstacle: why it could not run anything.
    runs: those that ended. left_open: those that did not, without an end.
    """

    begun: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    obstacle: str = ""
    runs: list[RunRow] = field(default_factory=list)
    left_open: list[RunRow] = field(default_factory=list)


def path_of(folder: Path, number: int) -> Path:
    """The journal of a job's n-th restart."""
    return folder / f"journal.{number}"


def read_all(folder: Path) -> list[Kept]:
    """Every journal of a job, in order: one for each time that the manager began it."""
    numbers = sorted(int(path.suffix[1:]) for path in folder.glob("journal.*"))
    return [_read(folder, number) for number in numbers]


def _read(folder: Path, number: int) -> Kept:
    kept = Kept()
    begun: dict[str, dict[str, Any]] = {}
    records: dict[str, list[tuple[int | None, Record]]] = {}
    for line in _lines(path_of(folder, number)):
        if "begun" in line and "run" in line:
            begun[line["run"]], records[line["run"]] = line["begun"], []
        elif "record" in line:
            records[line["run"]].append((line["seq"], from_line(line["record"])))
        elif "ended" in line and "run" in line:
            run_id, ended = line["run"], from_line(line["ended"])
            assert isinstance(ended, RunEnded)
            row = _row(run_id, begun.pop(run_id), records[run_id], ended, line["ended_unix_s"])
            row = dataclasses.replace(row, disturbance=line["disturbance"], wall_s=line["wall_s"])
            kept.runs.append(row)
        elif "job" in line:
            kept.begun = line["job"]
        elif "obstacle" in line:
            kept.obstacle = line["obstacle"]
        elif "over" in line:
            kept.ended = line["over"]
    for run_id, what in begun.items():
        kept.left_open.append(_left_open(folder, run_id, what, records[run_id]))
    return kept


def _left_open(
    folder: Path, run_id: str, begun: Mapping[str, Any], known: list[tuple[int | None, Record]]
) -> RunRow:
    """A run without an end: what its worker had written, and nobody had copied yet, is kept, too."""
    seen = {seq for seq, _ in known}
    last_unix_s = None
    spool = folder / f"{run_id}.jsonl"
    ended = RunEnded("interrupted", "its job ended before it did")
    if spool.exists():
        last_unix_s = spool.stat().st_mtime
        *lines, _ = spool.read_bytes().split(b"\n")
        for seq, text in enumerate(lines):
            try:
                record = from_line(text.decode())
            except ValueError:
                continue
            if isinstance(record, RunEnded):
                ended = record
            elif seq not in seen:
                known.append((seq, record))
    return _row(run_id, begun, known, ended, last_unix_s)


def _row(
    run_id: str,
    begun: Mapping[str, Any],
    records: list[tuple[int | None, Record]],
    ended: RunEnded,
    ended_unix_s: float | None,
) -> RunRow:
    spec = begun["spec"]
    return RunRow(
        run_id=run_id,
        spec=RunSpec(**{**spec, "settings": TrialSettings(**spec["settings"])}),
        study_digest=begun["study_digest"],
        condition=Condition(**begun["condition"]),
        environment=begun["environment"],
        command=tuple(begun["command"]),
        started_unix_s=begun["started_unix_s"],
        records=tuple(records),
        ended=ended,
        ended_unix_s=ended_unix_s,
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Complete lines; the last one may be torn."""
    for text in path.read_bytes().split(b"\n")[:-1]:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
