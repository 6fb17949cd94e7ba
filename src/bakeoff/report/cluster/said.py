"""All that a report says of a section's distributed runs, for a page: verdicts, remarks, figures, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from bakeoff.races.frames import distributed
from bakeoff.races.marks import marks_of
from bakeoff.report.cluster import conclusions, figures, sentences, tables
from bakeoff.report.cluster.budget import PARTS, WORKER_START
from bakeoff.report.cluster.contents import Cluster, Entrant, cluster, follow_up
from bakeoff.report.cluster.measures import PART_COLUMNS
from bakeoff.report.contents import Contents
from bakeoff.report.drawn import Drawn
from bakeoff.report.tables import Table

# Runs of which a timeline is drawn, and tasks of one run beyond which the rest is left out.
MAX_TIMELINES, MAX_TIMELINE_TASKS = 4, 2000


@dataclass(frozen=True)
class Said:
    """What stands under one heading.

    verdicts: claim and numbers. remarks: sentences before the figures.
    """

    title: str
    verdicts: tuple[sentences.Verdict, ...]
    remarks: tuple[str, ...]
    figures: tuple[Drawn, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Sayings:
    """All that is said of a study's distributed runs.

    sections: by a section's title, where some run on a cluster ended well. conclusions: what became of the
    study's; None where its pair of backends did not run on a cluster.
    """

    sections: Mapping[str, Said]
    conclusions: Said | None


def say(contents: Contents, with_figures: bool = True) -> Sayings:
    """What a report says of the runs on a cluster; nothing where there are none."""
    clusters = [cluster(one, contents) for one in contents.sections if len(distributed(one.runs))]
    tried = conclusions.chosen(clusters)
    return Sayings(
        {one.section.title: _of_section(one, contents, with_figures) for one in clusters},
        None if tried is None else _conclusions(tried),
    )


def _of_section(found: Cluster, contents: Contents, with_figures: bool) -> Said:
    drawn = _figures(found) if with_figures else ()
    return Said(
        title=f"{found.section.title} on a cluster",
        verdicts=(*sentences.layout_verdicts(found), *sentences.machine_verdicts(found)),
        remarks=tuple(_remarks(found, contents)),
        figures=tuple(drawn),
        tables=all_tables(found),
    )


def _conclusions(found: Cluster) -> Said:
    every = conclusions.conclusions(found)
    return Said(
        title="The study's conclusions",
        verdicts=tuple((f"{one.claim}: {one.verdict}", one.here) for one in every),
        remarks=(f"What differs here: {' '.join(conclusions.conditions(found))}",),
        figures=(),
        tables=(conclusions.table(found, every),),
    )


def all_tables(cluster: Cluster) -> tuple[Table, ...]:
    """Every table of a section's distributed runs that has rows, the study's Table 1 first."""
    scales = tables.scaling(cluster)
    found = (
        tables.table_one(cluster),
        tables.printed(cluster),
        tables.task_times(cluster),
        tables.time_budget(cluster),
        tables.beside(cluster),
        tables.layouts(cluster),
        tables.one_machine(cluster),
        tables.cold_start(cluster),
        tables.data_scale(cluster, scales),
        tables.samples(cluster),
        tables.disclosure(cluster),
    )
    return tuple(table for table in found if table.rows)


def _remarks(cluster: Cluster, contents: Contents) -> Iterator[str]:
    yield from sentences.shared_cores(cluster)
    yield from sentences.skipped_samples(cluster)
    yield from sentences.where_time_went(cluster)
    yield from sentences.warmth(cluster)
    yield from sentences.retries(cluster)
    followed = follow_up(contents)
    if followed is not None and followed.trial_ids & set(cluster.section.runs["trial_id"]):
        yield sentences.followed(followed)
    if not cluster.machine:
        yield (
            "No contestant ran on one machine as well, in the same environment and with the same settings: "
            "whether to distribute at all can't be said."
        )
    yield (
        "Training time on a cluster is the wall time of the calls of fit: starting Python workers, "
        "importing, shipping, rebuilding and merging lie in it. So it races no training time of one machine; "
        "where both ran, they are compared here."
    )


# ---- figures ------------------------------------------------------------------------------------


def _figures(cluster: Cluster) -> Iterator[Drawn]:
    title = cluster.section.title
    names = ", ".join(one.at for one in cluster.distributed)
    marks = marks_of(one.at for one in cluster.distributed)
    runs = cluster.runs.with_columns(layout=pl.when(pl.col("layout") != "").then("layout"))
    with_single = {pair.first.contestant.trial_id for pair in cluster.machine}
    shown = runs.filter(pl.col("layout").is_not_null() | pl.col("trial_id").is_in(list(with_single)))
    if shown["total_s"].is_not_null().any():
        yield Drawn(
            "totals",
            figures.layouts(_based(cluster, shown)),
            f"Total time on {title} by layout: from the application's launch to its stop, on one machine the "
            "whole process. Each dot is one run, ticks are means, bars their 95 % intervals (from three runs "
            "on).",
            f"Total times of {names}; the values are in the table in the study's columns.",
            marks,
        )
    training = cluster.tasks.filter(pl.col("purpose") == "training") if len(cluster.tasks) else cluster.tasks
    if len(training):
        yield Drawn(
            "task-times",
            figures.task_times(_at(cluster, training)),
            f"How long training tasks on {title} took, all runs of a contestant together: range, the middle "
            "90 % and 50 %, and the mean of the runs' medians (the study's “per core”).",
            f"Times of training tasks of {names}; the values are in the table of training tasks.",
            marks,
        )
    budget = _budget(cluster)
    if len(budget):
        yield Drawn(
            "time-budget",
            figures.time_budget(budget),
            f"Where the time of the task slots went on {title}, from the application's launch to its stop: "
            "shares of task slots × total time, means over runs.",
            f"Shares of the time of {names} by part; the values are in the table of where the time went.",
            marks,
        )
    yield from _timelines(cluster)
    speed_up = _speed_up(cluster)
    if len(speed_up):
        yield Drawn(
            "speed-up",
            figures.speed_up(speed_up),
            f"How many times faster than one machine each contestant trains on {title}, paired by block, "
            "with 95 % intervals. Filled: the interval excludes 1.",
            f"Speed-ups of {names}; the values are in the table of cluster against one machine.",
            marks,
        )
    scales = tables.scaling(cluster)
    if len(scales):
        yield Drawn(
            "data-scale",
            figures.data_scale(scales),
            f"Training time on {title} against the size of the training set, means with 95 % intervals; "
            "dotted: in proportion.",
            "Training times by size of the training set of "
            f"{', '.join(dict.fromkeys(scales['contestant']))}; the values are in the table.",
            marks,
        )


def _at(cluster: Cluster, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with contestants by their names with layouts."""
    names = {one.contestant.trial_id: str(one.at) for one in cluster.entrants}
    return frame.with_columns(contestant=pl.col("trial_id").replace_strict(names, return_dtype=pl.String))


def _based(cluster: Cluster, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with contestants by their names without layouts."""
    names = {one.contestant.trial_id: str(one.contestant.label(one.base)) for one in cluster.entrants}
    return frame.with_columns(contestant=pl.col("trial_id").replace_strict(names, return_dtype=pl.String))


def _budget(cluster: Cluster) -> pl.DataFrame:
    """Mean core-seconds and shares, a row for each contestant and part."""
    rows = []
    for one in cluster.distributed:
        runs = cluster.of(one).select(PART_COLUMNS.values()).drop_nulls()
        shares = cluster.shares(one)
        rows += [
            {
                "contestant": str(one.at),
                "part": part.name,
                "order": order,
                "core_s": runs[PART_COLUMNS[part.name]].mean(),
                "share": sum(run[part.name] for run in shares) / len(shares),
            }
            for order, part in enumerate(PARTS)
            if shares
        ]
    schema = {"contestant": pl.String, "part": pl.String, "order": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"core_s": pl.Float64, "share": pl.Float64})


def _timelines(cluster: Cluster) -> Iterator[Drawn]:
    """One run of each contestant, that with the median total."""
    for number, one in enumerate(_to_draw(cluster), 1):
        runs = cluster.of(one).filter(pl.col("run_id").is_in(cluster.tasks["run_id"].unique().to_list()))
        run = runs.sort("total_s")["run_id"][(len(runs) - 1) // 2]
        tasks = cluster.tasks.filter(pl.col("run_id") == run).sort("launched_s")
        tasks = tasks.with_columns(worker_start_s=WORKER_START)
        executors = cluster.executors
        if len(executors):
            executors = executors.filter(pl.col("run_id") == run)
        left_out = len(tasks) - MAX_TIMELINE_TASKS
        cut = (
            f" Only its first {MAX_TIMELINE_TASKS:,} tasks are drawn, {left_out:,} more ran."
            if left_out > 0
            else ""
        )
        repeat = runs.filter(run_id=run)["repeat"][0]
        yield Drawn(
            f"timeline-{number}",
            figures.timeline(
                tasks.head(MAX_TIMELINE_TASKS),
                executors,
                int(one.settings.get("distribution_options.task_cpus") or 1),
            ),
            f"Every task of one run of {one.at} on {cluster.section.title} (repeat {repeat}, of the median "
            f"total): a row for each slot, seconds since the application was launched.{cut}",
            f"Timeline of {len(tasks)} tasks of {one.at}.",
            one.at.marks,
        )


def _to_draw(cluster: Cluster) -> list[Entrant]:
    """Contestants that get a timeline: those of the first races, as far as there is room."""
    with_tasks = set(cluster.tasks["trial_id"]) if len(cluster.tasks) else set()
    return [one for one in cluster.distributed if one.contestant.trial_id in with_tasks][:MAX_TIMELINES]


def _speed_up(cluster: Cluster) -> pl.DataFrame:
    several = len({pair.second.name for pair in cluster.machine}) < len(cluster.machine)
    rows = [
        {
            "contestant": pair.second.contestant.label(pair.second.base)
            + (f" (against {pair.first.name})" if several else ""),
            "backend": pair.second.contestant.backend,
            "layout": pair.second.layout,
            "ratio": pair.verdict.time.ratio,
            "low": pair.verdict.time.low,
            "high": pair.verdict.time.high,
            "num_cpus": pair.second.num_cpus,
            "num_slots": pair.second.slots,
        }
        for pair in cluster.machine
        if pair.verdict.time.ratio is not None
    ]
    schema: dict[str, Any] = dict.fromkeys(("contestant", "backend", "layout"), pl.String)
    schema |= dict.fromkeys(("ratio", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | {"num_cpus": pl.Int64, "num_slots": pl.Int64})
