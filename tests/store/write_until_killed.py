"""Run a study like a parent does, saying what is safe after each record, until somebody kills us."""

from __future__ import annotations

import sys
from pathlib import Path

from store_sample import HERE, epoch, specs, study

from bakeoff.store.writer import Writer
from bakeoff_worker.records import RunEnded, to_line

with Writer(Path(sys.argv[1])) as writer:
    writer.recover()
    writer.begin_study(study())
    print("ready", flush=True)
    while True:
        for spec in specs():
            run_id = writer.begin_run(spec, study_digest="d1", condition=HERE, environment={})
            with writer.spool_path(run_id).open("a", buffering=1) as spool:
                for seq in range(20):
                    spool.write(to_line(epoch(seq + 1)) + "\n")
                    print("written", run_id, seq, flush=True)
                    writer.append(run_id, seq, epoch(seq + 1))
                    print("stored", run_id, seq, flush=True)
            writer.end_run(run_id, RunEnded("ok"))
            print("ended", run_id, 0, flush=True)
