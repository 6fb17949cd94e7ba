"""Tables of distributed runs: the study's Table 1, where the time went, layouts, and whether it pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, NO_VALUE, RATIO, Metric
from bakeoff.races.definitions import DIFFERENT, SAME, Certified
from bakeoff.races.frames import short_of_samples
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sentences import answer
from bakeoff.report.cluster import published
from bakeoff.report.cluster.budget import PARTS
from bakeoff.report.cluster.contents import EXECUTORS, Between, Cluster, Entrant, without
from bakeoff.report.cluster.measures import PART_COLUMNS
from bakeoff.report.tables import Column, Table, interval_text, slug

# Seconds from which minutes read better; the study printed minutes.
MINUTES_FROM_S = 120.0
SCALE = "data_scale"
_COUNT = Metric("count", "Count", "", max_decimals=1)
_WHOLE = replace(_COUNT, max_decimals=0)


def table_one(cluster: Cluster) -> Table:
    """The study's Table 1: means over simulations, with standard deviation and interval, by layout."""
    entrants = _by_layout(cluster)
    columns = [
        (
            column,
            metric,
            [_summary(cluster.values(one, column), metric) for one in entrants],
        )
        for column, metric in (
            ("total_s", METRICS["total_s"]),
            ("median_task_s", METRICS["median_task_s"]),
            ("gc_mean_s", METRICS["gc_s"]),
            ("gc_median_s", replace(METRICS["gc_s"], label="Its median over tasks")),
            ("final_validation_error", METRICS["final_validation_error"]),
        )
    ]
    cells: list[list[tuple[str, str]]] = []
    headings = [Column("Layout", False), Column("Contestant", False), Column("Simulations")]
    for _, metric, summaries in columns:
        metric = in_minutes(metric, [one.mean for one in summaries])
        cells.append(_mean_and_interval(metric, summaries, with_sd=True))
        headings += [Column(metric.heading), Column("95 % interval")]
    rows = tuple(
        (
            one.layout,
            one.contestant.label(one.base),
            str(len(cluster.of(one))),
            *(text for column in cells for text in column[index]),
        )
        for index, one in enumerate(entrants)
    )
    return Table(
        f"cluster-{slug(cluster.section.title)}",
        f"Distributed runs on {cluster.section.title}, in the study's columns: mean ± SD over simulations",
        tuple(headings),
        rows,
        grouped=True,
        remark="Total: from the application's launch to its stop. Median task (the study's “per core”): of "
        "a run's training tasks, from launch to finish. Garbage collection (its “management”): mean "
        "and median over a run's training tasks. Starting an embedded cluster comes on top of the total.",
    )


def printed(cluster: Cluster) -> Table:
    """The study's own figures for the section's data; no rows for data that it did not use."""
    dataset = str(cluster.section.runs["dataset"][0])
    total, task, gc = METRICS["total_s"].in_minutes, METRICS["median_task_s"].in_minutes, METRICS["gc_s"]
    columns = [
        Column(heading)
        for heading in (total.heading, f"{task.heading}, “per core”", f"{gc.label}, “management” (ms)")
    ]
    rows = tuple(
        (one.dataset, one.layout, one.backend, *(f"{value:g}" for value in one.times), one.error)
        for one in published.TABLE
        if one.dataset.lower().replace("-", "_") == dataset
    )
    names = (Column("Data set", False), Column("Layout", False), Column("Backend", False))
    return Table(
        f"printed-{slug(cluster.section.title)}",
        f"What the study printed for {cluster.section.title}",
        (*names, *columns, Column("Error (%)")),
        rows,
        grouped=True,
        remark=published.CONDITIONS,
    )


def task_times(cluster: Cluster) -> Table:
    """The whole distribution of training tasks, all runs of a contestant together."""
    rows = []
    time, collection = METRICS["task_s"], METRICS["gc_s"]
    every = [(one, cluster.tasks_of(one)) for one in _by_layout(cluster)]
    quantiles = [
        [_quantile(tasks["finished_s"] - tasks["launched_s"], share) for share in (0, 0.25, 0.5, 0.75, 1)]
        for _, tasks in every
    ]
    shown = in_minutes(time, [value for values in quantiles for value in values])
    unit = {"s": "seconds", "min": "minutes"}[shown.unit]
    texts = iter(shown.texts([value for values in quantiles for value in values]))
    collections = [_summary(tasks["gc_s"].drop_nulls().to_list(), METRICS["gc_s"]) for _, tasks in every]
    collected = iter(
        collection.texts(
            [getattr(one, part) for one in collections for part in ("mean", "median", "maximum")]
        )
    )
    for one, tasks in every:
        runs = cluster.of(one)
        stages = sorted({int(number) for number in runs["num_stages"].drop_nulls()})
        cells = (one.at, str(len(tasks)), " / ".join(map(str, stages)) or NO_VALUE)
        rows.append((*cells, *(next(texts) for _ in range(5)), *(next(collected) for _ in range(3))))
    columns = (
        Column("Contestant", False),
        Column("Tasks"),
        Column("Stages per run"),
        *map(Column, ("Min", "Lower quartile", "Median", "Upper quartile", "Max")),
        *map(Column, ("GC mean (ms)", "GC median", "GC max")),
    )
    return Table(
        f"tasks-{slug(cluster.section.title)}",
        f"Training tasks on {cluster.section.title}: {unit} from launch to finish, all runs together",
        columns,
        tuple(rows),
        remark="Attempts that failed are not in it. Spark counts a collection once for every task that ran "
        "in the executor meanwhile.",
    )


def time_budget(cluster: Cluster) -> Table:
    """Where the core-seconds went, by contestant and part, means over runs."""
    rows: list[tuple[str, ...]] = []
    for one in _by_layout(cluster):
        runs = cluster.of(one).filter(pl.col(PART_COLUMNS["training"]).is_not_null())
        if not len(runs):
            continue
        totals = runs.select(pl.sum_horizontal(PART_COLUMNS.values())).to_series()
        parts = [part for part in PARTS if runs[PART_COLUMNS[part.name]].sum() > 0]
        spent = [_summary(runs[PART_COLUMNS[part.name]].to_list(), METRICS["core_s"]) for part in parts]
        of_all = cluster.shares(one)
        shares = [_summary([run[part.name] for run in of_all], METRICS["share"]) for part in parts]
        core_s = _mean_and_interval(METRICS["core_s"], spent)
        share = _mean_and_interval(METRICS["share"], shares)
        rows += [(one.at, part.title, *core_s[index], *share[index]) for index, part in enumerate(parts)]
        whole = METRICS["core_s"].text(stats.summarize(totals.to_list()).mean)
        rows.append((one.at, "All task slots, launch to stop", whole, NO_VALUE, "100", NO_VALUE))
    columns = (
        Column("Contestant", False),
        Column("Part", False),
        Column("Core-seconds"),
        Column("95 % interval"),
        Column("Share (%)"),
        Column("95 % interval"),
    )
    return Table(
        f"budget-{slug(cluster.section.title)}",
        f"Where the time of the task slots went on {cluster.section.title}: means over runs",
        columns,
        tuple(rows),
        grouped=True,
        remark="The parts add up to task slots × total time. A core-second is a second of one slot, "
        "whether or not a core was free for it. Collection while Python works costs a slot nothing and is "
        "not listed.",
    )


_BESIDE: tuple[tuple[str, str, str], ...] = (
    ("total_s", "Total since launch (s)", "task_s"),
    ("cluster_phase_s", "Cluster started, before launch (s)", "task_s"),
    ("context_phase_s", "Application launched, executors registered (s)", "task_s"),
    ("parallelize_phase_s", "Data handed over (s)", "task_s"),
    ("warm_up_phase_s", "Warm-up (s)", "task_s"),
    ("train_s", "Training: the calls of fit (s)", "task_s"),
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


def beside(cluster: Cluster) -> Table:
    """Driver against executors, Python against JVM, memory, retries: what the study could not see."""
    runs = cluster.runs.with_columns(
        python_in_run=pl.when(pl.col("run_s") > 0).then(pl.col("python_s") / pl.col("run_s"))
    )
    rows: list[tuple[str, ...]] = []
    entrants = _by_layout(cluster)
    for column, heading, metric_name in _BESIDE:
        metric = _COUNT if metric_name == "count" else METRICS[metric_name]
        summaries = [
            _summary(runs.filter(trial_id=one.contestant.trial_id)[column].drop_nulls().to_list(), metric)
            for one in entrants
        ]
        if not any(one.maximum for one in summaries):  # nothing known, or nothing but zeros
            continue
        texts = iter(
            metric.texts(
                [
                    getattr(one, part)
                    for one in summaries
                    for part in ("mean", "low", "high", "minimum", "maximum")
                ]
            )
        )
        for one, summary in zip(entrants, summaries, strict=True):
            average, low, high, least, most = (next(texts) for _ in range(5))
            numbers = (str(summary.num), average, interval_text(low, high), least, most)
            rows.append((heading, one.at, *numbers))
    return Table(
        f"beside-{slug(cluster.section.title)}",
        f"Driver and executors, Python and JVM on {cluster.section.title}",
        (
            Column("Measure", False),
            Column("Contestant", False),
            *map(Column, ("Runs", "Mean", "95 % interval", "Min", "Max")),
        ),
        tuple(rows),
        grouped=True,
        remark="Spark's own CPU time counts the JVM's threads alone. Memory: the highest of any executor.",
    )


def layouts(cluster: Cluster) -> Table:
    """Every two layouts of one contestant: which is faster, in training and in total."""
    rows = []
    for one in cluster.layouts:
        train, total = one.verdict.time.inverse, one.total.time.inverse
        cells = (one.first.base, one.first.placed, one.second.placed)
        rows.append(
            (*cells, answer(one.verdict), *_ratio(train), one.total.kind, *_ratio(total), *_error(one))
        )
    columns = (
        *(Column(title, False) for title in ("Contestant", "Layout", "Against", "Training is")),
        *map(Column, ("Times faster", "95 % interval", "Pairs")),
        Column("Total is", False),
        *map(Column, ("Times faster", "95 % interval", "Pairs")),
        *map(Column, ("Error difference (pp)", "95 % interval")),
    )
    return Table(
        f"layouts-{slug(cluster.section.title)}",
        f"Layout against layout on {cluster.section.title}",
        columns,
        tuple(rows),
    )


def one_machine(cluster: Cluster) -> Table:
    """Each contestant on a cluster against the same on one machine: speed-up, efficiency, error paid."""
    rows = []
    for one in cluster.machine:
        speed_up = one.verdict.time.ratio
        cores = (one.second.num_cpus, one.second.slots)
        efficiency = [
            NO_VALUE if speed_up is None or not number else METRICS["share"].text(speed_up / number)
            for number in cores
        ]
        busy = [METRICS["train_s"].text(busy_cores(cluster, entrant)) for entrant in (one.first, one.second)]
        rows.append(
            (
                one.second.at,
                one.first.name,
                *_ratio(one.verdict.time),
                *_ratio(one.total.time)[:2],
                *(str(number or NO_VALUE) for number in cores),
                *efficiency,
                *busy,
                *_error(one),
            )
        )
    columns = (
        Column("On the cluster", False),
        Column("Against", False),
        *map(Column, ("Speed-up, training", "95 % interval", "Pairs")),
        *map(Column, ("Speed-up, total", "95 % interval")),
        *map(Column, ("Cores there", "Task slots", "Speed-up ÷ cores (%)", "Speed-up ÷ slots (%)")),
        *map(Column, ("Cores busy, one machine", "Cores busy, cluster")),
        *map(Column, ("Error paid (pp)", "95 % interval")),
    )
    return Table(
        f"one-machine-{slug(cluster.section.title)}",
        f"Should I distribute at all? Cluster against one machine on {cluster.section.title}",
        columns,
        tuple(rows),
        remark="Speed-up: seconds on one machine ÷ seconds on the cluster, below 1 where the cluster is "
        "slower. Total: the whole process on one machine; on the cluster from the application's launch to "
        "its stop. Cores busy: CPU seconds of training ÷ its wall seconds: a process that keeps all cores "
        "busy by itself leaves a cluster of the same cores nothing to win.",
    )


def cold_start(cluster: Cluster) -> Table:
    """What starting costs: before training, and in its tasks, by cold and warm executors."""
    rows = []
    entrants = _by_layout(cluster)
    columns = (
        "cluster_phase_s",
        "context_phase_s",
        "warm_up_phase_s",
        "worker_start_s",
        "import_s",
        "build_s",
        "train_s",
    )
    in_tasks = {"worker_start_s", "import_s", "build_s"}
    means = []
    for one in entrants:
        runs = cluster.of(one).with_columns(pl.col(sorted(in_tasks)) / pl.col("slots"))
        means.append([stats.summarize(runs[column].drop_nulls().to_list()).mean for column in columns])
    texts = iter(METRICS["task_s"].texts([value for row in means for value in row]))
    for one in entrants:
        rows.append((one.at, str(one.settings.get(EXECUTORS) or NO_VALUE), *(next(texts) for _ in columns)))
    return Table(
        f"cold-start-{slug(cluster.section.title)}",
        f"Cold start on {cluster.section.title}: mean seconds",
        (
            Column("Contestant", False),
            Column("Executors", False),
            *map(Column, ("Start of the cluster", "Launch of the application", "Warm-up")),
            *map(Column, ("Python workers, per slot", "Imports, per slot", "Models built, per slot")),
            Column("Training, with these three"),
        ),
        tuple(rows),
    )


def data_scale(cluster: Cluster, table: pl.DataFrame) -> Table:
    """How training time grows with the training set; table: as `scaling` has it."""
    of_trial = {one.contestant.trial_id: one.contestant for one in cluster.entrants}
    rows = []
    for (line,), group in table.group_by(["line"], maintain_order=True):
        base = group.filter(pl.col("data_scale") == group["data_scale"].min())
        first, least = base["train_s"][0], base["data_scale"][0]
        texts = METRICS["train_s"].texts(
            [v for row in group.select("train_s", "low", "high").iter_rows() for v in row]
        )
        for index, row in enumerate(group.iter_rows(named=True)):
            average, low, high = texts[3 * index : 3 * index + 3]
            growth = RATIO.text(row["train_s"] / first if first else None)
            work = f"{row['data_scale'] / least:g}"
            rows.append(
                (
                    of_trial[row["trial_id"]].label(str(line)),
                    f"×{row['data_scale']}",
                    average,
                    interval_text(low, high),
                    work,
                    growth,
                )
            )
    return Table(
        f"data-scale-{slug(cluster.section.title)}",
        f"Training time against the size of the training set on {cluster.section.title}",
        (
            Column("Contestant", False),
            *map(
                Column,
                ("Training set", "Training time (s)", "95 % interval", "Times the work", "Times the time"),
            ),
        ),
        tuple(rows),
        grouped=True,
    )


def samples(cluster: Cluster) -> Table:
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
        layout = {one.contestant.trial_id: one.plain_at for one in cluster.entrants}
        grouped = renamed.group_by(["trial_id", *counts], maintain_order=True).agg("run_id", "repeat")
        for row in grouped.sort("trial_id", maintain_order=True).iter_rows(named=True):
            missing = row["run_id"][0] in short
            repeats = ", ".join(str(number) for number in sorted(set(row["repeat"])))
            numbers = (_WHOLE.text(row[count]) for count in counts)
            rows.append((Label(layout[row["trial_id"]], [Mark.SHORT] * missing), repeats, *numbers))
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
        (Column("Contestant", False), Column("Repeats", False), *map(Column, titles)),
        tuple(rows),
        remark="A shard no larger than a batch trains nothing, and still counts in an average.",
    )


def disclosure(cluster: Cluster) -> Table:
    """What each release of Elephas does, as the runs themselves said it."""
    rows = []
    for one in cluster.distributed:
        said = one.elephas
        does = [str(sentence).rstrip(".") for sentence in said.get("arithmetic") or []]
        cells = (said.get("version"), said.get("mode"), said.get("frequency"), said.get("rounds"))
        rows.append(
            (
                one.at,
                *(NO_VALUE if cell is None else str(cell) for cell in cells),
                one.variant,
                "; ".join(does) or NO_VALUE,
                _verified(cluster.rounds.get(one.contestant.trial_id), said.get("mode")),
            )
        )
    titles = ("Contestant", "Elephas", "Mode", "Every", "Rounds", "Variant", "What it does", "Verified")
    return Table(
        f"elephas-{slug(cluster.section.title)}",
        f"What Elephas does on {cluster.section.title}",
        tuple(Column(title, title == "Rounds") for title in titles),
        tuple(rows),
        remark="As released: nothing changed. Corrected: the library's own later correction (its issue 173) "
        "applied to a release that sums; a contestant of its own. Verified: whether one synchronous round, "
        "with dropout off, gave the weights that this arithmetic says, in these environments.",
    )


def _verified(round_: Certified | None, mode: Any) -> str:
    """What verification says of a round; in other modes than synchronous it can say nothing."""
    if round_ is None and mode != "synchronous":
        return "can't be: what a round gives depends on which task comes first"
    if round_ is None:
        return "never: bakeoff verify would tell"
    verdict = {SAME: "yes", DIFFERENT: f"{Mark.UNCERTIFIED.symbol} no"}.get(round_.verdict, "can't be")
    return f"{verdict}: {round_.words}" if round_.words else verdict


# ---- details ------------------------------------------------------------------------------------


def scaling(cluster: Cluster) -> pl.DataFrame:
    """Mean training time by contestant, layout and size of the training set, with its interval.

    Columns: `line` (for people), `trial_id`, `contestant`, `backend`, `layout` (null on one machine),
    `distribution`, `data_scale`, `train_s`, `low`, `high`. Empty where no contestant has two sizes.
    """
    rows = []
    for one in cluster.entrants:
        summary = stats.summarize(cluster.values(one, "train_s"), bounds=stats.POSITIVE)
        scale = int(one.settings.get(SCALE) or 1)
        if summary.mean is None:
            continue
        name = without(one.base, f"data scale {scale}")
        rows.append(
            {
                "line": f"{name} · {one.layout or 'one machine'}",
                "trial_id": one.contestant.trial_id,
                "contestant": str(one.contestant.label(name)),
                "backend": one.contestant.backend,
                "layout": one.layout or None,
                "distribution": one.settings.get("distribution", "single"),
                "data_scale": scale,
                "train_s": summary.mean,
                "low": summary.low,
                "high": summary.high,
            }
        )
    schema: dict[str, Any] = dict.fromkeys(
        ("line", "trial_id", "contestant", "backend", "layout", "distribution"), pl.String
    )
    schema |= {"data_scale": pl.Int64} | dict.fromkeys(("train_s", "low", "high"), pl.Float64)
    frame = pl.DataFrame(rows, schema=schema)
    return frame.filter(pl.col("data_scale").n_unique().over("line") > 1).sort(
        "line", "data_scale", maintain_order=True
    )


def busy_cores(cluster: Cluster, entrant: Entrant) -> float | None:
    """Cores that training kept busy, on average: its CPU seconds over its wall seconds."""
    runs = cluster.of(entrant)
    cpu = pl.col("user_s") + pl.col("system_s")
    if entrant.is_distributed:
        cpu = pl.coalesce("training_cpu_s", cpu)
    return stats.summarize(runs.select(cpu / pl.col("train_s")).to_series().drop_nulls().to_list()).mean


def in_minutes(metric: Metric, values: Iterable[float | None]) -> Metric:
    """The metric in minutes where its values are long; others as they are."""
    longest = max((value for value in values if value is not None), default=0.0)
    return metric.in_minutes if metric.unit == "s" and longest >= MINUTES_FROM_S else metric


def _by_layout(cluster: Cluster) -> list[Entrant]:
    """Those with good runs, contestants of one layout together, in the order in which layouts appear."""
    layouts = list(dict.fromkeys(one.layout for one in cluster.distributed))
    return sorted(cluster.distributed, key=lambda one: layouts.index(one.layout))


def _mean_and_interval(
    metric: Metric, summaries: Sequence[stats.Summary], with_sd: bool = False
) -> list[tuple[str, str]]:
    """Cells of each: the mean (± the standard deviation), and the interval."""
    texts = iter(
        metric.texts([getattr(one, part) for one in summaries for part in ("mean", "sd", "low", "high")])
    )
    found = []
    for _ in summaries:
        mean, sd, low, high = (next(texts) for _ in range(4))
        spread = f" ± {sd}" if with_sd and sd != NO_VALUE else ""
        found.append((mean + spread, interval_text(low, high)))
    return found


def _quantile(values: pl.Series, share: float) -> float | None:
    return values.quantile(share, "linear")


def _summary(values: stats.Values, metric: Metric) -> stats.Summary:
    """With an interval within what the metric can be."""
    return stats.summarize(values, bounds=metric.bounds)


def _ratio(ratio: stats.TimeRatio) -> tuple[str, str, str]:
    times = RATIO.texts([ratio.ratio, ratio.low, ratio.high])
    return times[0], interval_text(times[1], times[2]), str(ratio.num_blocks)


def _error(one: Between) -> tuple[str, str]:
    """Error and interval: of a cluster less that of one machine; of two clusters, first less second."""
    error = (one.verdict if one.first.is_distributed else one.verdict.inverse).error
    shown = ERROR_DIFFERENCE.texts([getattr(error, part, None) for part in ("difference", "low", "high")])
    return shown[0], interval_text(shown[1], shown[2])
