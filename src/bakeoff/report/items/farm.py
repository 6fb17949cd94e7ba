"""Where a block's time goes on a farm, and whether its nodes were alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import polars as pl

from bakeoff import races, stats
from bakeoff.metrics import NO_VALUE
from bakeoff.races import sentences
from bakeoff.races.sections import Section
from bakeoff.report.contents import Contents
from bakeoff.report.item import Item, Table, numbers, words

# A job's parts, one after the other.
_PARTS = {
    "submission_s": "Submission (s)",
    "queue_s": "Queue (s)",
    "prolog_s": "Prolog (s)",
    "startup_s": "Start (s)",
    "staging_s": "Staging (s)",
    "runs_s": "Runs (s)",
    "collection_s": "Collection (s)",
}
_ON_NODE = ("prolog_s", "startup_s", "staging_s", "runs_s")


def items(contents: Contents) -> Iterator[Item]:
    """The jobs of a study, if it ran on a farm."""
    jobs = contents.frames.farm_jobs
    if len(jobs):
        yield Item("farm", "Jobs on the farm", remarks=tuple(_remarks(contents)), table=_table(jobs))


def _table(jobs: pl.DataFrame) -> Table:
    """One row per job: its parts, and what the manager counted beside ours."""
    rows = []
    for row in jobs.unique("job_id", keep="first", maintain_order=True).iter_rows(named=True):
        parts = [row[name] for name in _ON_NODE]
        on_node = None if None in parts else sum(parts)
        sums = (on_node, row["manager_s"], row["cpu_s"], row["manager_cpu_s"])
        seconds = (*(row[name] for name in _PARTS), *sums)
        shared = "shared" if row["is_exclusive"] is False else NO_VALUE
        cells = (NO_VALUE if value is None else f"{value:.1f}" for value in seconds)
        rows.append((str(row["block"] + 1), row["job_id"], row["node"], row["state"], *cells, shared))
    headings = ("On the node (s)", "By the manager (s)", "CPU (s)", "CPU by the manager (s)")
    columns = (
        *(*numbers("Block"), *words("Job", "Node", "Ended"), *numbers(*_PARTS.values(), *headings)),
        *words("Remark"),
    )
    remark = "On the node: from prolog to runs. Managers count whole seconds, and the job's end beside."
    return Table("farm-jobs", "Jobs on the farm", columns, tuple(rows), remark=remark)


def _remarks(contents: Contents) -> Iterator[str]:
    """Whether nodes were alike, and which verdicts would change without one of them."""
    jobs = contents.frames.farm_jobs.filter(status="ok")
    kinds = jobs.group_by("node_id").agg(pl.col("node").unique(), pl.col("block").n_unique()).sort("block")
    if len(kinds) > 1:
        counts = "; ".join(
            f"{', '.join(sorted(names))}: {num} block{'s' * (num > 1)}"
            for names, num in kinds.sort("block", descending=True).select("node", "block").iter_rows()
        )
        yield (
            f"Nodes were not alike ({counts}). A block's runs share a node, so that comparisons hold; mean "
            "times mix nodes."
        )
    if jobs["node"].n_unique() > 1:
        yield from _hinges(contents, jobs)


def _hinges(contents: Contents, jobs: pl.DataFrame) -> Iterator[str]:
    """A sentence for each verdict that is another one without the blocks of some node."""
    as_it_is = _decided(contents.sections)
    for node in sorted(set(jobs["node"])):
        of_node = jobs.filter(node=node)["run_id"].to_list()
        runs = contents.frames.runs.filter(pl.col("run_id").is_in(of_node).not_())
        without = _decided(races.compose(dataclasses.replace(contents.frames, runs=runs)))
        # Fewer blocks tell less: undecided without a node is no contradiction.
        for pair in as_it_is.keys() & without.keys():
            if as_it_is[pair][0] != without[pair][0]:
                yield f"Without {node} it would be: {without[pair][1]} The verdict hinges on that node."


def _decided(sections: Sequence[Section]) -> dict[frozenset[str], tuple[tuple[str, str], str]]:
    """By pair of trial_ids whose comparison is decided, what its answer is, and its sentence."""
    return {
        frozenset((comparison.first.trial_id, comparison.second.trial_id)): (
            (
                str(comparison.verdict.kind),
                comparison.first.trial_id if comparison.verdict.kind == stats.FASTER else "",
            ),
            sentences.sentence(comparison).rstrip(".") + ".",
        )
        for section in sections
        for race in section.races
        for comparison in race.comparisons
        if comparison.is_asked and comparison.verdict.is_decided
    }
