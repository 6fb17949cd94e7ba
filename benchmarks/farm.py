"""``make bench-farm``: what a resource manager adds to a block, and what is lost by kills.

A real Slurm of two nodes on this machine (`scripts/slurm`). Each block is run directly and through Slurm, one
after the other, in an order drawn by lot; overhead and training times are paired by block. Then the
submitting process, a job and a node's daemon are killed by turns, and the same command is given again until
the study is complete.
"""

from __future__ import annotations

import argparse
import atexit
import math
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

from bakeoff import session, study
from bakeoff.farm.journal import read_all
from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

MAX_OVERHEAD_S, MAX_RATIO = 5.0, 1.01
SCRIPT = Path(__file__).parents[1] / "scripts" / "slurm"
PAIRED = """
name = "farm-pairs"
repeats = {blocks}
defaults = {{ backend = "{backend}", train_images = 6000, evaluation_images = 1000, epochs = 3 }}
matrix = {{ learning_rate = [0.001, 0.002] }}
"""
KILLED = """
name = "farm-kills"
repeats = 1
seed = {seed}
defaults = { backend = "fake", train_images = 2000, evaluation_images = 500, epochs = 150 }
matrix = { learning_rate = [0.001, 0.002] }
"""
STRUCK = ("parent", "job", "node daemon")


@dataclass
class Losses:
    """What kills cost: epochs that were on the disk and are not stored, things left, blocks counted twice."""

    epochs: int = 0
    leftovers: int = 0
    twice: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=6, help="pairs of a block (default: 6)")
    parser.add_argument("--backend", default="torch", help="who trains in them (default: torch)")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakeoff-bench-farm-") as name, slurm():
        folder, chance = Path(name), random.Random(asked.seed)
        overheads, ratios, apart = pairs(folder, asked.blocks, asked.backend, chance)
        print("overheads", [f"{one:.1f} s" for one in overheads], "ratios", [f"{one:.3f}" for one in ratios])
        losses = Losses()
        for number in range(asked.kills):
            strike(folder / str(number), STRUCK[number % len(STRUCK)], chance, losses)
            print(f"kill {number + 1} ({STRUCK[number % len(STRUCK)]}): {losses}", flush=True)
    overhead, ratio = statistics.median(overheads), math.exp(statistics.median(map(math.log, ratios)))
    figures = [
        Figure(
            f"overhead of a block {overhead:.1f} s", f"≤ {MAX_OVERHEAD_S:g} s", overhead <= MAX_OVERHEAD_S
        ),
        Figure(f"training times ÷ direct {ratio:.3f}", f"≤ {MAX_RATIO:g}", ratio <= MAX_RATIO),
        Figure(f"the manager's account less ours {apart:+.1f} s a job"),
        Figure(f"{asked.kills} kills: epochs lost {losses.epochs}", "0", losses.epochs == 0),
        Figure(f"leftovers {losses.leftovers}", "0", losses.leftovers == 0),
        Figure(f"blocks counted twice {losses.twice}", "0", losses.twice == 0),
    ]
    return conclude("farm", figures)


@contextmanager
def slurm() -> Iterator[None]:
    """Two nodes, for the commands of this process."""
    command = [str(SCRIPT), "--nodes", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        os.environ["SLURM_CONF"] = process.stdout.readline().strip()
        try:
            yield
        finally:
            process.stdin.close()
            process.wait()


def pairs(
    folder: Path, blocks: int, backend: str, chance: random.Random
) -> tuple[list[float], list[float], float]:
    """Three answers: seconds that each block took longer through Slurm, less queueing; each run's training
    time ÷ direct; by how much the manager's account of a job is longer than ours, in the middle."""
    file = folder / "pairs.toml"
    stores = {way: folder / f"{way}.sqlite" for way in ("", "slurm")}
    for block in range(blocks):
        file.write_text(PAIRED.format(blocks=block + 1, backend=backend))
        asked = study.load(file, (f"farm.folder='{folder / 'jobs'}'",))
        for way in chance.sample(["", "slurm"], 2):
            tally = session.run(asked, stores[way], verify=False, farm=way)
            assert tally.all_ok, tally
            print(f"block {block + 1} of {blocks}, {way or 'direct'}", flush=True)
    with Reader(stores[""]) as reader:
        direct = reader.runs().select("trial_id", "block", "wall_s", "train_s")
    with Reader(stores["slurm"]) as reader:
        through = reader.runs().select("run_id", "trial_id", "block", "train_s")
        jobs = reader.farm_jobs().unique("job_id")
    both = direct.join(through, on=["trial_id", "block"], suffix="_farm")
    ratios = (both["train_s_farm"] / both["train_s"]).to_list()
    parts = ("submission_s", "prolog_s", "startup_s", "staging_s", "runs_s", "collection_s")
    took = jobs.select("block", took=pl.sum_horizontal(*parts))
    alone = direct.group_by("block").agg(pl.col("wall_s").sum())
    overheads = took.join(alone, on="block").select(pl.col("took") - pl.col("wall_s"))["took"].to_list()
    ours = jobs.select(pl.sum_horizontal("prolog_s", "startup_s", "staging_s", "runs_s")).to_series()
    return overheads, ratios, float((jobs["manager_s"] - ours).median() or 0.0)  # type: ignore[arg-type]


def strike(folder: Path, whom: str, chance: random.Random, losses: Losses) -> None:
    """One study, one kill while its job runs, and the same command until all is stored."""
    folder.mkdir()
    jobs, store = folder / "jobs", folder / "store.sqlite"
    (folder / "s.toml").write_text(KILLED.replace("{seed}", str(chance.randrange(10**6))))
    command = [
        sys.executable,
        "-m",
        "bakeoff",
        "run",
        str(folder / "s.toml"),
        "--store",
        str(store),
        "--farm",
    ]
    command += ["slurm", "--no-verify", "--no-report", "--quiet", "--set", f"farm.folder='{jobs}'"]
    scratch = folder / "tmp"  # jobs have the submitter's variables
    scratch.mkdir()
    environ = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, env=environ) as parent:
        until(lambda: any(jobs.glob("*/*/*.jsonl")))
        node = node_of_job()  # known now: the blow may come when the job has just ended
        time.sleep(chance.uniform(0, 3))
        on_disk = epochs_on_disk(jobs)
        if whom == "parent":
            parent.kill()
        elif whom == "job":
            for process in of_job(jobs):
                process.kill()
        else:
            restart_daemon(node)
    for _ in range(3):
        if subprocess.run(command, env=environ).returncode == 0:
            break
    with closing(sqlite3.connect(store)) as connection:
        stored = dict(connection.execute("SELECT run_id, count(*) FROM epochs GROUP BY run_id"))
        counted = connection.execute(
            "SELECT count(*) FROM runs JOIN run_ends USING (run_id) WHERE status = 'ok'"
            " GROUP BY trial_id, repeat"
        ).fetchall()
    losses.epochs += sum(max(0, num - stored.get(run_id, 0)) for run_id, num in on_disk.items())
    losses.epochs += 150 * (2 - len(counted))
    losses.twice += sum(num > 1 for (num,) in counted)
    left = [*scratch.iterdir(), *jobs.glob("*/*"), *of_job(jobs)]
    losses.leftovers += len(left)
    if left:
        print(f"left: {left}")


def epochs_on_disk(jobs: Path) -> dict[str, int]:
    """By run_id, epochs that its journal or its worker's file has."""
    found: dict[str, int] = {}
    for home in jobs.glob("*/*"):
        for kept in read_all(home):
            for run in (*kept.runs, *kept.left_open):
                found[run.run_id] = sum(type(record).__name__ == "EpochRecord" for _, record in run.records)
    return found


def of_job(jobs: Path) -> list[psutil.Process]:
    """The processes of jobs that lie there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(jobs) in line and "submitit" in line:
            found.append(process)
    return found


def node_of_job() -> str:
    """The node that has a job."""
    return subprocess.run(["squeue", "-h", "-o", "%N"], capture_output=True, text=True).stdout.split()[0]


def restart_daemon(node: str) -> None:
    """Kill a node's daemon, and start another in its place, which ends with us."""
    command = ["slurmd", "-D", "-N", node]
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == command:
            process.kill()
    time.sleep(1.0)
    atexit.register(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).kill)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
