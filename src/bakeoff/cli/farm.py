"""``bakeoff farm``: the jobs that are not collected yet, and their end."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.text import Text

from bakeoff import farm, study
from bakeoff.cli.console import console, table
from bakeoff.study import FarmRequest


def main(arguments: argparse.Namespace) -> int:
    """List jobs, or cancel them; 0."""
    request, name = study.user_farm(), arguments.study
    if name is not None and (name.endswith(".toml") or name in study.builtin_names()):
        chosen = study.load(name)
        request, name = chosen.farm, chosen.name
    homes = sorted(home for home in farm.folder_of(request).glob("*-*") if home.is_dir())
    jobs = [job for home in homes for job in farm.jobs_in(home) if name in (None, job.work.study)]
    if not jobs:
        print("[]" if arguments.json else "no jobs: all that was submitted is collected")
        return 0
    cluster = farm.connect(arguments.farm, FarmRequest())
    if arguments.action == "cancel":
        cluster.end(jobs)
        if not arguments.json:
            said = f"jobs cancelled: {len(jobs)}. `bakeoff run STUDY --farm slurm` stores what they have run"
            console().print(Text(said))
            return 0
    rows = [_row(job, cluster) for job in jobs]
    if arguments.json:
        print(json.dumps(rows))
        return 0
    listed = table("study", "block", "job", "state", "node", "runs", right=("block",))
    for row in rows:
        where = row["node"] or row["reason"]
        runs = f"{row['num_ended']} of {row['num_runs']}"
        listed.add_row(row["study"], str(row["block"]), row["job_id"], row["state"], where, runs)
    console().print(listed)
    return 0


def _row(job: farm.Job, cluster: farm.Farm) -> dict[str, Any]:
    """One job as it is now."""
    state = cluster.state_of(job)
    return {
        "study": job.work.study,
        "block": job.work.block + 1,
        "job_id": job.job_id,
        "state": str(state.state),
        "node": state.node,
        "reason": state.reason,
        "num_ended": sum(len(kept.runs) for kept in farm.read_all(job.folder)),
        "num_runs": len(job.work.specs),
    }
