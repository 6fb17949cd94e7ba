"""Append epochs until the disk, here a limit on the size of files, is full; then say so and what is safe."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from store_sample import HERE, epoch, specs, store_run, study

from bakeoff.errors import StoreError
from bakeoff.store.writer import Writer

with Writer(Path(sys.argv[1])) as writer:
    writer.begin_study(study())
    store_run(writer, specs()[0])
    run_id = writer.begin_run(specs()[1], study_digest="d1", condition=HERE, environment={})
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    seq = 0
    try:
        while True:
            writer.append(run_id, seq, epoch(seq + 1))
            seq += 1
    except StoreError as error:
        print(run_id, seq, error.message, error.hint, sep="\n")
