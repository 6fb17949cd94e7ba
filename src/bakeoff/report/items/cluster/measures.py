"""What is known of each distributed run: totals, tasks, memory, and where its time went; one row a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from bakeoff.races.frames import Frames
from bakeoff.report.items.cluster import budget

# Phases of which a run on a cluster has a total, beside those of every run.
PHASES = (
    "cluster",
    "context",
    "parallelize",
    "warm_up",
    "training",
    "evaluation",
    "application",
    "cluster_end",
)
PART_COLUMNS: Mapping[str, str] = {part.name: f"part.{part.name}" for part in budget.PARTS}

_COLUMNS: Mapping[str, Any] = {
    "run_id": pl.String,
    **{f"{name}_phase_s": pl.Float64 for name in PHASES},
    # Cores that are really there, and tasks that can run at once.
    "num_cpus": pl.Int64,
    "slots": pl.Int64,
    # Training tasks that ended well.
    "num_tasks": pl.Int64,
    "num_stages": pl.Int64,
    "median_task_s": pl.Float64,
    "stage_medians_s": pl.Float64,
    "gc_mean_s": pl.Float64,
    "gc_median_s": pl.Float64,
    # All tasks.
    "num_failed": pl.Int64,
    "num_lost": pl.Int64,
    "run_s": pl.Float64,
    "python_s": pl.Float64,
    "python_cpu_s": pl.Float64,
    "jvm_cpu_s": pl.Float64,
    "training_cpu_s": pl.Float64,
    "result_bytes": pl.Int64,
    "shuffle_bytes": pl.Int64,
    "worker_start_s": pl.Float64,
    "import_s": pl.Float64,
    "build_s": pl.Float64,
    "driver_alone_s": pl.Float64,
    # Highest of any executor, and of the driver.
    "executor_jvm_bytes": pl.Int64,
    "executor_python_bytes": pl.Int64,
    "driver_jvm_bytes": pl.Int64,
    "driver_python_bytes": pl.Int64,
    **dict.fromkeys(PART_COLUMNS.values(), pl.Float64),
}


def measures(runs: pl.DataFrame, frames: Frames, spark: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """A row for each of the runs: `run_id`, and what the store holds of its tasks, executors and phases.

    runs: distributed ones, with the column ``settings.distribution_options``. spark: by run_id, what was
    observed of Spark. Null: not known. ``part.*`` are the core-seconds of `budget.spent`, null where the
    application's total is unknown; ``stage_medians_s`` is the sum over training stages of the median time
    of their tasks; ``training_cpu_s`` the CPU seconds of training tasks' Python.
    """
    tasks, executors = _by_run(frames.tasks), _by_run(frames.executors)
    phases: dict[str, dict[str, float]] = {}
    if len(frames.phases):
        for run_id, name, wall_s in frames.phases.select("run_id", "phase", "wall_s").iter_rows():
            seconds = phases.setdefault(run_id, {})
            seconds[name] = seconds.get(name, 0.0) + wall_s
    rows = []
    columns = ("run_id", "settings.distribution_options", "peak_memory_bytes")
    for run_id, options, own_bytes in runs.select(columns).iter_rows():
        row = {f"{name}_phase_s": phases.get(run_id, {}).get(name) for name in PHASES}
        asked = json.loads(options) if options else {}
        row |= {"run_id": run_id, "slots": slots(asked, spark.get(run_id, {}))}
        row["num_cpus"] = spark.get(run_id, {}).get("physical_cpus")
        row |= _of_run(row, tasks.get(run_id), executors.get(run_id), asked)
        # Spark does not poll the Python that started it, which is the run's own process.
        row["driver_python_bytes"] = row.get("driver_python_bytes") or own_bytes
        rows.append(row)
    return pl.DataFrame([dict.fromkeys(_COLUMNS) | row for row in rows], schema=dict(_COLUMNS))


def slots(asked: Mapping[str, Any], spark: Mapping[str, Any]) -> int | None:
    """Tasks that can run at once: by what Spark was seen to have, else by the layout asked for."""
    cpus = int(asked.get("task_cpus") or 1)
    nodes, cores = spark.get("num_executors"), spark.get("cores_per_executor")
    if not (nodes and cores):
        nodes, _, cores = str(asked.get("layout", "")).partition("x")
    try:
        return int(nodes) * (int(cores) // cpus)
    except ValueError:
        return None


def _by_run(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return (
        {str(key[0]): part for key, part in frame.partition_by("run_id", as_dict=True).items()}
        if len(frame)
        else {}
    )


def _of_run(
    row: Mapping[str, Any],
    tasks: pl.DataFrame | None,
    executors: pl.DataFrame | None,
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if executors is not None:
        found |= _of_executors(executors)
    if tasks is None:
        return found
    found |= _of_tasks(tasks)
    wall_s, places = row["application_phase_s"], row["slots"]
    if wall_s is not None and places:
        found["driver_alone_s"] = budget.driver_alone_s(tasks, wall_s)
        parts = budget.spent(
            tasks,
            executors if executors is not None else pl.DataFrame(),
            slots=places,
            wall_s=wall_s,
            task_cpus=int(asked.get("task_cpus") or 1),
        )
        found |= {PART_COLUMNS[name]: core_s for name, core_s in parts.items()}
    return found


def _of_tasks(tasks: pl.DataFrame) -> dict[str, Any]:
    good = tasks.filter(pl.col("task_status") == "ok")
    training = good.filter(pl.col("purpose") == "training").with_columns(
        length=pl.col("finished_s") - pl.col("launched_s")
    )
    by_stage = training.group_by("stage").agg(pl.col("length").median())
    inside = good.filter(pl.col("python_s").is_not_null())
    cpu = pl.col("python_user_s") + pl.col("python_system_s")
    return {
        "num_tasks": len(training),
        "num_stages": len(by_stage),
        "median_task_s": training["length"].median(),
        "stage_medians_s": by_stage["length"].sum() if len(by_stage) else None,
        "gc_mean_s": training["gc_s"].mean(),
        "gc_median_s": training["gc_s"].median(),
        "num_failed": len(tasks) - len(good),
        # Spark's clock and ours, of the same tasks.
        "run_s": _sum(inside["run_s"]),
        "python_s": _sum(inside["python_s"]),
        "python_cpu_s": _sum(good.select(cpu).to_series()),
        "training_cpu_s": _sum(training.select(cpu).to_series()),
        "jvm_cpu_s": _sum(good["jvm_cpu_s"]),
        "result_bytes": _sum(good["result_bytes"]),
        "shuffle_bytes": _sum(good["shuffle_read_bytes"]),
        "worker_start_s": _sum(training.select(budget.WORKER_START).to_series()),
        **{name: _sum(training[name]) for name in ("import_s", "build_s")},
    }


def _of_executors(executors: pl.DataFrame) -> dict[str, Any]:
    driver = executors.filter(pl.col("executor") == "driver")
    others = executors.filter(pl.col("executor") != "driver")
    found: dict[str, Any] = {"num_lost": int(others["removed_s"].is_not_null().sum())}
    for who, frame in (("executor", others), ("driver", driver)):
        for what in ("jvm", "python"):
            found[f"{who}_{what}_bytes"] = frame[f"{what}_peak_bytes"].max()
    return found


def _sum(values: pl.Series) -> Any:
    """Their sum; None where there is none to add."""
    return values.sum() if values.count() else None
