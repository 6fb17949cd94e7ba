"""What a job records on its node."""

from __future__ import annotations

import json
from pathlib import Path

from bakeoff.farm.journal import Journal, path_of
from bakeoff_worker.records import EpochRecord, RunEnded, to_line


def test_an_interrupted_job_keeps_what_its_worker_has_written(tmp_path: Path) -> None:
    first, second = (
        EpochRecord(number, 600, 1.0, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 0.1, 1000) for number in (1, 2)
    )
    with Journal(tmp_path, 0, "farm", None) as journal:
        lines = [to_line(first), to_line(second), to_line(RunEnded("ok")), to_line(first)[:20]]
        journal.spool_path("r").write_text("\n".join(lines))
        journal.append("r", 0, first)
        journal.ingest("r")
        journal.ingest("nobody's")
    kept = [json.loads(line) for line in path_of(tmp_path, 0).read_text().splitlines()]
    assert [(one["seq"], one["record"]) for one in kept] == [(0, to_line(first)), (1, to_line(second))]
