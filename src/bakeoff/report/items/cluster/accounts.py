"""What a cluster did besides: driver and executors, their starts, samples, and what Elephas does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.races.definitions import DIFFERENT, SAME, Certified
from bakeoff.races.frames import short_of_samples
from bakeoff.races.marks import Label, Mark
from bakeoff.report.item import Column, Item, Table, numbers, words
from bakeoff.report.items.cluster import kit, sentences
from bakeoff.report.items.cluster.runs import Cluster
from bakeoff.report.items.words import interval_text, slug

_BESIDE: tuple[tuple[str, str, str], ...] = (
    ("total_s", "Total since launch (s)", "task_s"),
    ("cluster_phase_s", "Cluster started, before launch (s)", "task_s"),
    ("context_phase_s", "Application launched, executors registered (s)", "task_s"),
    ("parallelize_phase_s", "Data handed over (s)", "task_s"),
    ("warm_up_phase_s", "Warm-up (s)", "task_s"),
    ("worker_start_s", "Python workers started, per slot (s)", "task_s"),
    ("import_s", "Imports, per slot (s)", "task_s"),
    ("build_s", "Models built, per slot (s)", "task_s"),
    ("train_s", "Training: the calls of fit, with these three (s)", "task_s"),
    ("evaluation_s", "Evaluation on the driver (s)", "task_s"),
    ("driver_alone_s", "No task running: the driver alone (s)", "task_s"),
    ("cluster_end_phase_s", "Cluster stopped, after the total (s)", "task_s"),
    ("run_s", "Tasks: Spark's run time (s)", "task_s"),
    ("python_in_run", "Tasks: of it inside Python (%)", "share"),
    ("python_cpu_s", "Tasks: CPU of Python (s)", "cpu_s"),
    ("jvm_cpu_s", "Tasks: CPU of the JVM's threads (s)", "cpu_s"),
    ("executor_jvm_bytes", "Executor: peak memory of its JVM (MiB)", "peak_memory_bytes"),
    ("executor_python_bytes", "Executor: peak memory of its Python processes (MiB)", "peak_memory_bytes"),
    ("driver_jvm_bytes", "Driver: peak memory of its JVM (MiB)", "peak_memory_bytes"),
    ("driver_python_bytes", "Driver: peak memory of its Python (MiB)", "peak_memory_bytes"),
    ("result_bytes", "Results sent to the driver (MiB)", "bytes"),
    ("shuffle_bytes", "Shuffled between executors (MiB)", "bytes"),
    ("num_failed", "Attempts that failed", "count"),
    ("num_lost", "Executors lost", "count"),
)


def processes(cluster: Cluster) -> Iterator[Item]:
    """Driver against executors, Python against JVM, cold executors against warm ones."""
    remarks = (*sentences.warmth(cluster), *sentences.retries(cluster))
    yield Item("processes", "Driver, executors, Python, JVM", remarks=remarks, table=beside(cluster))


def samples(cluster: Cluster) -> Iterator[Item]:
    """What was trained of what was asked for."""
    remarks = tuple(sentences.skipped_samples(cluster))
    yield Item("samples", "Samples", remarks=remarks, table=sample_table(cluster))


def elephas(cluster: Cluster) -> Iterator[Item]:
    """What each release does."""
    yield Item("elephas", "What Elephas does", table=disclosure(cluster))


def beside(cluster: Cluster) -> Table:
    """Driver against executors, Python against JVM, memory, retries."""
    runs = cluster.runs.with_columns(
        pl.col("worker_start_s", "import_s", "build_s") / pl.col("slots"),
        python_in_run=pl.when(pl.col("run_s") > 0).then(pl.col("python_s") / pl.col("run_s")),
    )
    rows: list[tuple[str, ...]] = []
    contestants = kit.by_layout(cluster)
    parts = ("mean", "low", "high", "minimum", "maximum")
    for column, heading, metric_name in _BESIDE:
        metric = kit.COUNT if metric_name == "count" else METRICS[metric_name]
        of_trial = (
            runs.filter(trial_id=contestant.contestant.trial_id)[column] for contestant in contestants
        )
        summaries = [kit.summary(values.drop_nulls().to_list(), metric) for values in of_trial]
        if not any(one.maximum for one in summaries):  # nothing known, or nothing but zeros
            continue
        texts = iter(metric.texts([getattr(one, part) for one in summaries for part in parts]))
        for contestant, summary in zip(contestants, summaries, strict=True):
            mean, low, high, least, most = (next(texts) for _ in parts)
            rows.append(
                (
                    heading,
                    contestant.at,
                    str(summary.num),
                    mean,
                    interval_text(low, high),
                    least,
                    most,
                )
            )
    return Table(
        f"beside-{slug(cluster.section.title)}",
        f"Driver and executors, Python and JVM on {cluster.section.title}",
        (*words("Measure", "Contestant"), *numbers("Runs", "Mean", "95 % interval", "Min", "Max")),
        tuple(rows),
        grouped=True,
        remark="Spark's own CPU time counts the JVM's threads alone. Memory: the highest of any executor.",
    )


def sample_table(cluster: Cluster) -> Table:
    """Samples asked for and trained, shards trained and skipped; runs with equal counts share a row."""
    counts = (
        *("num_asked", "num_trained", "num_skipped", "num_partitions", "num_skipped_partitions"),
        *("num_empty_partitions", "smallest_partition", "largest_partition"),
    )
    rows = []
    if len(cluster.samples):
        renamed = cluster.samples.with_columns(
            samples_asked="num_asked", samples_trained="num_trained", samples_skipped="num_skipped"
        )
        short = set(short_of_samples(renamed)["run_id"])
        layout = {contestant.contestant.trial_id: contestant.plain_at for contestant in cluster.contestants}
        grouped = renamed.group_by(["trial_id", *counts], maintain_order=True).agg("run_id", "repeat")
        for row in grouped.sort("trial_id", maintain_order=True).iter_rows(named=True):
            missing = row["run_id"][0] in short
            repeats = ", ".join(str(number) for number in sorted(set(row["repeat"])))
            texts = (kit.WHOLE.text(row[count]) for count in counts)
            rows.append((Label(layout[row["trial_id"]], [Mark.SHORT] * missing), repeats, *texts))
    titles = (
        "Asked",
        "Trained",
        "Skipped",
        "Shards",
        "Skipped shards",
        "Empty shards",
        "Smallest",
        "Largest",
    )
    return Table(
        f"samples-{slug(cluster.section.title)}",
        f"Samples × epochs on {cluster.section.title}, and the shards that they came from",
        (*words("Contestant", "Repeats"), *numbers(*titles)),
        tuple(rows),
        remark="A shard no larger than a batch trains nothing, and still counts in an average.",
    )


def disclosure(cluster: Cluster) -> Table:
    """What each release of Elephas does, as the runs themselves said it."""
    rows = []
    for contestant in cluster.distributed:
        told = contestant.elephas
        does = [str(sentence).rstrip(".") for sentence in told.get("arithmetic") or []]
        cells = (told.get("version"), told.get("mode"), told.get("frequency"), told.get("rounds"))
        rows.append(
            (
                contestant.at,
                *(NO_VALUE if cell is None else str(cell) for cell in cells),
                contestant.variant,
                "; ".join(does) or NO_VALUE,
                _verified(cluster.rounds.get(contestant.contestant.trial_id), told.get("mode")),
            )
        )
    titles = ("Contestant", "Elephas", "Mode", "Every", "Rounds", "Variant", "What it does", "Verified")
    return Table(
        f"elephas-{slug(cluster.section.title)}",
        f"What Elephas does on {cluster.section.title}",
        tuple(Column(title, title == "Rounds") for title in titles),
        tuple(rows),
        remark="As released: nothing changed. Corrected: the library's own later correction (its issue "
        "173) applied to a release that sums; a contestant of its own. Verified: whether one synchronous "
        "round, with dropout off, gave the weights that this arithmetic says, in these environments.",
    )


def _verified(round_: Certified | None, mode: Any) -> str:
    """What verification says of a round; in other modes than synchronous it can say nothing."""
    if round_ is None and mode != "synchronous":
        return "can't be: what a round gives depends on which task comes first"
    if round_ is None:
        return "never: bakeoff verify would tell"
    verdict = {SAME: "yes", DIFFERENT: "no"}.get(round_.verdict, "can't be")
    marks = [Mark.UNCERTIFIED] if round_.verdict == DIFFERENT else []
    return Label(f"{verdict}: {round_.words}" if round_.words else verdict, marks)
