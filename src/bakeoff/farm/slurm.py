"""Slurm. Jobs are submitted through submitit; scontrol tells their states, or sacct where it is kept.

submitit's own watcher asks sacct alone, which has nothing on clusters without an accounting database.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from bakeoff.errors import MachineError
from bakeoff.farm.managers import Here, JobState, ManagerSilent, State, Usage
from bakeoff.study import FarmRequest

_ANSWER_S = 30.0
# slurm.h, enum job_states, as scontrol and sacct spell them; what is not here runs, or is about to end.
_STATES: Mapping[str, State] = {
    "PENDING": State.QUEUED,
    "REQUEUED": State.QUEUED,
    "REQUEUE_FED": State.QUEUED,
    "REQUEUE_HOLD": State.QUEUED,
    "SPECIAL_EXIT": State.QUEUED,
    "COMPLETED": State.DONE,
    "FAILED": State.FAILED,
    "BOOT_FAIL": State.NODE_FAILED,
    "LAUNCH_FAILED": State.NODE_FAILED,
    "NODE_FAIL": State.NODE_FAILED,
    "OUT_OF_MEMORY": State.OUT_OF_MEMORY,
    "TIMEOUT": State.TIMEOUT,
    "DEADLINE": State.TIMEOUT,
    "CANCELLED": State.CANCELLED,
    "REVOKED": State.CANCELLED,
    "PREEMPTED": State.PREEMPTED,
}
# slurm.h, enum job_state_reason: what comes if one waits. Whatever else keeps a job is worth a line.
_PASSING = (
    *("", "None", "Priority", "Resources", "Dependency", "BeginTime", "Reservation", "Cleaning", "Prolog"),
    *("JobArrayTaskLimit", "Nodes_required_for_job_are_DOWN", "RequeueHold", "SchedDefer"),
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_UNKNOWN_JOB = "Invalid job id specified"
_NO_ACCOUNTING = "accounting storage is disabled"
# What sbatch says of a request that can't be met, and what to do about it.
_REFUSALS: Mapping[str, str] = {
    "partition": "`sinfo` lists partitions; set it with --set farm.partition=NAME or in [farm]: {partitions}",
    "account": "`sacctmgr show associations user=$USER` lists yours; --set farm.account=NAME",
    "time limit": "Ask for less: --set farm.time=MINUTES; `sinfo -o '%P %l'` lists the limits.",
    "node configuration": "No node has so many cpus, that memory or those gres: `sinfo -o '%P %c %m %G'`.",
    "gres": "`sinfo -o '%P %G'` lists what nodes have.",
}


class Manager:
    """See `bakeoff.farm.managers.Manager`."""

    name = "slurm"

    def cluster(self) -> str:
        found = re.search(r"^ClusterName\s*=\s*(\S+)", _ask("scontrol", "show", "config"), re.MULTILINE)
        return found[1] if found else "slurm"

    def check(self, request: FarmRequest) -> None:
        partitions = _partitions()
        if request.partition and request.partition not in partitions:
            raise MachineError(
                f"Slurm has no partition {request.partition}; it has {', '.join(sorted(partitions))}",
                "Name one of them: --set farm.partition=NAME, or in the table [farm].",
            )
        limit = self.longest_min(request)
        if request.time_min and limit is not None and request.time_min > limit:
            raise MachineError(
                f"farm.time asks for {request.time_min} minutes; the partition grants {limit} at most",
                "Ask for less, or for another partition: `sinfo -o '%P %l'` lists the limits.",
            )

    def longest_min(self, request: FarmRequest) -> int | None:
        partitions = _partitions()
        wanted = request.partition or next(
            (name for name, values in partitions.items() if values.get("Default") == "YES"), ""
        )
        return _minutes(partitions.get(wanted, {}).get("MaxTime", "UNLIMITED"))

    def submit(
        self, folder: Path, name: str, request: FarmRequest, time_min: int | None, *, after: str, node: str
    ) -> str:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from bakeoff.farm import job

        memory = request.memory.removesuffix("B") or ("0" if request.exclusive else "")  # 0: all of a node's
        asked = {
            "partition": request.partition,
            "account": request.account,
            "gres": request.gres,
            "cpus_per_task": request.cpus,
            "exclusive": request.exclusive,
            "dependency": f"afterany:{after}" if after else "",
            "nodelist": node,
            "additional_parameters": {"mem": memory} if memory else {},
        }
        executor = submitit.SlurmExecutor(folder=folder / "submitit")
        executor.update_parameters(
            job_name=name,
            time=time_min,
            # Nobody signals us before the limit: submitit would raise an exception amid what is timed.
            use_srun=False,
            stderr_to_stdout=True,
            setup=["export BAKEOFF_JOB_BEGAN=$(date +%s.%N)", *request.setup],
            **{key: value for key, value in asked.items() if value},
        )
        try:
            return str(executor.submit(job.main, str(folder), self.name).job_id)
        except (FailedJobError, FailedSubmissionError) as error:
            raise _refusal(str(error)) from error

    def find(self, name: str) -> str | None:
        found = _ask("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%i").split()
        return found[0] if found else None

    def state(self, job_id: str) -> JobState:
        try:
            shown = _ask("scontrol", "show", "job", "--oneliner", job_id)
        except _Refused as refused:
            if _UNKNOWN_JOB not in refused.message:
                raise
            return _from_accounting(job_id)
        return read_job(shown)

    def usage(self, job_id: str) -> Usage | None:
        for program, columns in (("sacct", "TotalCPU,MaxRSS"), ("sstat", "AveCPU,MaxRSS")):
            arguments = ["--noheader", "--parsable2", f"--format={columns}", "-j", f"{job_id}.batch"]
            try:
                lines = _ask(program, *arguments).splitlines()
            except MachineError:
                continue
            if lines and (cells := lines[0].split("|")) and len(cells) == 2:
                return Usage(_seconds(cells[0]), _bytes(cells[1]), program)
        return None

    def cancel(self, job_ids: Iterable[str]) -> None:
        if wanted := list(job_ids):
            _ask("scancel", *wanted)

    def is_up(self, node: str) -> bool:
        words = _ask("sinfo", "--noheader", "--Node", f"--nodes={node}", "--format=%T").split()
        return any(re.match(r"idle|alloc|mix|comp|resv|plan", word) and "*" not in word for word in words)

    def here(self) -> Here:
        return Here(
            os.environ.get("SLURM_JOB_ID", ""),
            os.environ.get("SLURMD_NODENAME", socket.gethostname()),
            int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        )


class _Refused(MachineError):
    """A program of Slurm's ended with an error of its own."""


def read_job(shown: str) -> JobState:
    """What ``scontrol show job --oneliner`` says; times as SLURM_TIME_FORMAT=%s has them."""
    # Only names of keys precede `=` after a blank; a job's name or command may hold anything.
    values = dict(re.findall(r"(?:^|\s)([A-Za-z:/]+)=(\S*)", shown))
    word = values.get("JobState", "").split("+")[0]
    state, reason = _STATES.get(word, State.RUNNING), values.get("Reason", "")
    return JobState(
        state,
        node="" if values.get("NodeList") in (None, "(null)") else values["NodeList"],
        reason="" if reason == "None" else reason,
        is_exclusive={"NO": True, "EXCLUSIVE": True, "OK": False, "YES": False}.get(
            values.get("OverSubscribe", "")
        ),
        submitted_unix_s=_instant(values.get("SubmitTime")),
        started_unix_s=_instant(values.get("StartTime")),
        ended_unix_s=_instant(values.get("EndTime")),
        num_restarts=int(values.get("Restarts") or 0),
        is_stuck=state is State.QUEUED and reason.split(",")[0] not in _PASSING,
    )


def _from_accounting(job_id: str) -> JobState:
    """What sacct has of a job that the controller has forgotten."""
    columns = "State,NodeList,Submit,Start,End"
    try:
        lines = _ask(
            "sacct", "--noheader", "--parsable2", "--allocations", f"--format={columns}", "-j", job_id
        )
    except _Refused:
        return JobState(State.GONE)
    cells = lines.splitlines()[0].split("|") if lines.strip() else []
    if len(cells) != 5:
        return JobState(State.GONE)
    word, node, submitted, started, ended = cells
    return JobState(
        _STATES.get(word.split()[0], State.RUNNING),
        node=node,
        submitted_unix_s=_instant(submitted),
        started_unix_s=_instant(started),
        ended_unix_s=_instant(ended),
    )


def _partitions() -> dict[str, dict[str, str]]:
    """By name, what scontrol says of each partition."""
    lines = _ask("scontrol", "show", "partition", "--oneliner").splitlines()
    each = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]
    return {values["PartitionName"]: values for values in each if "PartitionName" in values}


def _ask(program: str, *arguments: str) -> str:
    """What a program of Slurm's prints.

    Raises:
        ManagerSilent: the controller does not answer.
        MachineError: there is no Slurm here, or it refuses.
    """
    if shutil.which(program) is None:
        raise MachineError(
            f"no program {program} here: --farm slurm submits from a machine with Slurm's commands",
            "Run it on a login node of the cluster; `module load slurm` there, if it takes that.",
        )
    environ = {**os.environ, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, *arguments], env=environ, capture_output=True, text=True, timeout=_ANSWER_S
        )
    except subprocess.TimeoutExpired as error:
        raise _silent(f"{program} took more than {_ANSWER_S:g} s") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip() or f"{program} left with exit code {done.returncode}"
    if re.search(r"contact slurm controller|Unable to establish|Connection refused|Socket timed out", said):
        raise _silent(said.splitlines()[-1])
    if re.search(r"configuration source|slurm\.conf|fetch_config", said):
        raise MachineError(
            f"{program} finds no cluster: {said.splitlines()[-1].split('fatal:')[-1].strip()}",
            "Run it on a login node of the cluster, or name the cluster's slurm.conf in SLURM_CONF.",
        )
    raise _Refused(said)


def _silent(said: str) -> ManagerSilent:
    return ManagerSilent(
        f"Slurm's controller does not answer: {said}",
        "Jobs that run go on. `scontrol ping` shows when it is back; the same command goes on then.",
    )


def _refusal(said: str) -> MachineError:
    """The error for what sbatch said."""
    lines = [line for line in said.splitlines() if "error:" in line] or said.splitlines()[-1:]
    words = lines[-1].split("error:")[-1].strip()
    if re.search(r"contact slurm controller|Socket timed out", said):
        return _silent(words)
    hints = [hint for what, hint in _REFUSALS.items() if what in said.lower()]
    names = ", ".join(sorted(_partitions())) if hints and "{" in hints[0] else ""
    return MachineError(f"Slurm refused the job: {words}", hints[0].format(partitions=names) if hints else "")


def _instant(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d+(\.\d+)?", text) else None


def _minutes(text: str) -> int | None:
    """``1-00:30:00`` in minutes; None for UNLIMITED."""
    seconds = _seconds(text)
    return None if seconds is None else int(seconds // 60)


def _seconds(text: str) -> float | None:
    """``[days-][hours:]minutes:seconds`` in seconds; None for anything else."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds


def _bytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text.strip())
    return None if match is None else int(float(match[1]) * _UNITS[match[2]])
