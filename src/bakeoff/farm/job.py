"""What a job does on its node: its block, one contestant after the other, into its journal."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from bakeoff import machine
from bakeoff.errors import BakeoffError
from bakeoff.events import ignore
from bakeoff.execute import execute
from bakeoff.farm.journal import Journal, Superseded, read_all
from bakeoff.farm.ledger import Work
from bakeoff.farm.managers import Here, ManagerSilent, Usage, manager
from bakeoff.farm.staging import staged
from bakeoff_worker.job import RunSpec


def main(folder: str, manager_name: str) -> None:
    """Run the job in that folder, as the manager began it on this node."""
    speaker = manager(manager_name)
    here, is_exclusive = speaker.here(), None
    with suppress(ManagerSilent):
        is_exclusive = speaker.state(here.job_id).is_exclusive
    # Asked to leave (cancelled, preempted, out of time): children die and what is known is kept.
    signal.signal(signal.SIGTERM, _leave)

    def usage() -> Usage | None:
        with suppress(BakeoffError):
            return speaker.usage(here.job_id)
        return None

    with suppress(KeyboardInterrupt, Superseded):
        run(Path(folder), here, is_exclusive, usage)


def run(
    folder: Path,
    here: Here,
    is_exclusive: bool | None = None,
    usage: Callable[[], Usage | None] = lambda: None,
) -> None:
    """Run what the job's earlier starts have left, into a journal of this start's own.

    usage: what the manager has counted of the job so far.
    """
    began_unix_s, before_s = time.time(), _cpu_s()
    work: Work = pickle.loads((folder / "work.pkl").read_bytes())
    specs = _left(work, folder, here.node)
    with Journal(folder, here.num_restarts, work.machine_id, is_exclusive) as journal:
        journal.node, journal.command = here.node, work.command
        began = os.environ.get("BAKEOFF_JOB_BEGAN", "")
        journal.write(
            job={
                "job_id": here.job_id,
                "node": here.node,
                "node_id": machine.identity()["machine_id"],
                "is_exclusive": is_exclusive,
                "script_unix_s": float(began) if began else None,
                "began_unix_s": began_unix_s,
            }
        )
        ready = time.perf_counter()
        try:
            with staged(work) as provisions:
                staging_s, ready = time.perf_counter() - ready, time.perf_counter()
                execute(
                    specs,
                    provisions,
                    study_digest=work.study_digest,
                    writer=journal,
                    launcher=work.launcher,
                    listener=ignore,
                )
                runs_s = time.perf_counter() - ready
        except BakeoffError as error:
            journal.write(obstacle=f"{error.message}. {error.hint}")
            return
        counted = usage()
        journal.write(
            over={
                "ended_unix_s": time.time(),
                "staging_s": staging_s,
                "runs_s": runs_s,
                "cpu_s": _cpu_s() - before_s,
                "usage": None if counted is None else asdict(counted),
            }
        )


def _left(work: Work, folder: Path, node: str) -> list[RunSpec]:
    """What this start has to run: all of it on another node than before, so that no pair is of two nodes."""
    done: set[str] = set()
    for kept in read_all(folder):
        if kept.begun.get("node") != node:
            done.clear()
            continue
        done |= {run.spec.trial_id for run in kept.runs if run.ended.status != "interrupted"}
    return [spec for spec in work.specs if spec.trial_id not in done]


def _cpu_s() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
