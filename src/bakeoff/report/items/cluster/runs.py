"""What a report says of one section's distributed runs: who ran where, what came out, who meets whom."""

from __future__ import annotations

import itertools
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bakeoff import stats
from bakeoff.races.choice import choose_fastest
from bakeoff.races.compose import certified_rounds
from bakeoff.races.contestants import as_computed
from bakeoff.races.definitions import Certified, Contestant
from bakeoff.races.evaluations import evaluations
from bakeoff.races.evidence import Evidence
from bakeoff.races.frames import distributed, observed_of, parsed
from bakeoff.races.marks import Label
from bakeoff.races.sections import Section
from bakeoff.races.verdicts import by_block, paired, rules_of, verdict
from bakeoff.report.contents import Contents
from bakeoff.report.items.cluster import measures

LAYOUT = "distribution_options.layout"
MERGE = "distribution_options.merge"
EXECUTORS = "distribution_options.executors"
# Settings in which one machine and a cluster may differ and still solve the same problem.
_OF_THE_MACHINE = frozenset({"distribution", "global_batch_size", "threads", "pin_cpus"})
_SEPARATOR = " · "

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClusterContestant:
    """One trial of a section, on a cluster or on one machine.

    settings: all of them, flat, as `as_computed` has them. base: the name without layout and mark. elephas,
    spark: what was observed, by the last of its runs that said so; empty if none did, as on one machine.
    """

    contestant: Contestant
    settings: Mapping[str, Any]
    base: str
    elephas: Mapping[str, Any]
    spark: Mapping[str, Any]

    @property
    def name(self) -> Label:
        """Unique in the section, marked."""
        return self.contestant.name

    @property
    def is_distributed(self) -> bool:
        """Whether it ran on a cluster."""
        return bool(self.settings.get("distribution", "single") != "single")

    @property
    def layout(self) -> str:
        """Nodes and cores on each, ``5 × 4``; empty on one machine."""
        return str(self.settings.get(LAYOUT) or "").replace("x", " × ")

    @property
    def plain_at(self) -> str:
        """The name with its layout, where the name does not say it; without marks."""
        name = self.contestant.plain_name
        if self.layout in ("", *(part.replace("x", " × ") for part in name.split(_SEPARATOR))):
            return name
        return f"{name}{_SEPARATOR}{self.layout}"

    @property
    def at(self) -> Label:
        """The name with its layout, marked."""
        return self.contestant.label(self.plain_at)

    @property
    def placed(self) -> Label:
        """The layout, marked."""
        return self.contestant.label(self.layout)

    @property
    def variant(self) -> str:
        """Whether Elephas merged as its release does, or as corrected; empty on one machine."""
        words = {"as_released": "as released", "averaged": "corrected: averaged", None: ""}
        merge = self.elephas.get("merge") or self.settings.get(MERGE)
        return words.get(merge, str(merge))

    @property
    def slots(self) -> int | None:
        """Tasks that run at once."""
        asked = {
            key.removeprefix("distribution_options."): value
            for key, value in self.settings.items()
            if key.startswith("distribution_options.")
        }
        return measures.slots(asked, self.spark) if self.is_distributed else None

    @property
    def num_cpus(self) -> int | None:
        """Cores that were really there; None if nobody said."""
        return self.spark.get("physical_cpus")


@dataclass(frozen=True)
class Between:
    """Two contestants that differ in one thing, paired by block: the first against the second.

    verdict: on training time, and on final errors. total: on seconds from the application's launch to its
    stop alone; on one machine, of the whole process.
    """

    first: ClusterContestant
    second: ClusterContestant
    verdict: stats.Verdict
    total: stats.Verdict

    @property
    def inverse(self) -> Between:
        """The same, seen from the second."""
        return Between(self.second, self.first, self.verdict.inverse, self.total.inverse)

    @property
    def is_short(self) -> bool:
        """Whether either skipped samples."""
        return self.first.contestant.is_short or self.second.contestant.is_short


@dataclass(frozen=True)
class Cluster:
    """The distributed runs of one section, and those on one machine that they compare with.

    runs: all good runs of the section with `contestant`, `layout` and `total_s`; those on a cluster with the
    columns of `measures.measures`. tasks, executors: of the good runs on a cluster. samples: of all runs.
    layouts: contestants that differ in their layout alone, the faster first. warmth: cold executors against
    warm ones. machine: each contestant on a cluster against the same on one machine. rounds: by trial_id,
    whether one synchronous round gave the weights that its stated arithmetic says; of those verified.
    """

    section: Section
    contestants: tuple[ClusterContestant, ...]
    runs: pl.DataFrame
    tasks: pl.DataFrame
    executors: pl.DataFrame
    samples: pl.DataFrame
    layouts: tuple[Between, ...]
    warmth: tuple[Between, ...]
    machine: tuple[Between, ...]
    rounds: Mapping[str, Certified] = field(default_factory=dict)

    @property
    def distributed(self) -> tuple[ClusterContestant, ...]:
        """Contestants on a cluster that have good runs."""
        ran = set(self.runs["trial_id"])
        return tuple(
            contestant
            for contestant in self.contestants
            if contestant.is_distributed and contestant.contestant.trial_id in ran
        )

    def of(self, member: ClusterContestant) -> pl.DataFrame:
        """The member's good runs."""
        return self.runs.filter(trial_id=member.contestant.trial_id)

    def values(self, member: ClusterContestant, column: str) -> list[float]:
        """What its good runs have of a column, those that have it."""
        return [float(value) for value in self.of(member)[column] if value is not None]

    def paired(self, first: ClusterContestant, second: ClusterContestant, column: str) -> tuple[Array, Array]:
        """Values of a column of the blocks in which both ended well."""
        return paired(self.of(first), self.of(second), column)

    def shares(self, member: ClusterContestant) -> list[dict[str, float]]:
        """By run: the share of each part of its time; of runs whose time is known."""
        runs = self.of(member).select(measures.PART_COLUMNS.values()).drop_nulls()
        found = []
        for row in runs.iter_rows():
            total = sum(row)
            if total > 0:
                found.append(
                    {name: part / total for name, part in zip(measures.PART_COLUMNS, row, strict=True)}
                )
        return found

    def tasks_of(self, member: ClusterContestant) -> pl.DataFrame:
        """Training tasks of its good runs that ended well."""
        if not len(self.tasks):
            return self.tasks
        return self.tasks.filter(
            pl.col("trial_id") == member.contestant.trial_id,
            pl.col("purpose") == "training",
            pl.col("task_status") == "ok",
        )

    def share_of_lock(self, member: ClusterContestant) -> float | None:
        """Of the time in which its tasks built models, the share in which they waited for Theano's lock.

        None for other backends, and for runs that were taken before it was measured.
        """
        tasks = self.tasks_of(member)
        if not len(tasks) or tasks["lock_s"].null_count():
            return None
        built_s = float(tasks["build_s"].sum())
        return float(tasks["lock_s"].sum()) / built_s if built_s else None


def cluster(section: Section, contents: Contents) -> Cluster:
    """What the report says of a section's distributed runs."""
    frames = contents.frames
    good = section.runs.select("run_id", "contestant")
    observed = observed_of(frames.facts, good)
    spread = distributed(section.runs)
    spark = {run_id: found.get("spark") or {} for run_id, found in observed.items()}
    contestants = tuple(_contestants(section, observed))
    layouts = {contestant.contestant.trial_id: contestant.layout for contestant in contestants}
    measured = measures.measures(spread, frames, spark)
    runs = section.runs.with_columns(
        layout=pl.col("trial_id").replace_strict(layouts, return_dtype=pl.String)
    ).join(measured, on="run_id", how="left", maintain_order="left")
    alone = pl.col("settings.distribution") == "single"
    runs = runs.with_columns(total_s=pl.when(alone).then("wall_s").otherwise("application_phase_s"))
    evaluated = evaluations(frames.facts, runs)
    rules = rules_of(frames.document)

    lent = {column: _lent(contestants, runs, column) for column in ("train_s", "total_s")}

    def between(first: ClusterContestant, second: ClusterContestant) -> Between:
        ids = first.contestant.trial_id, second.contestant.trial_id
        a, b = (runs.filter(trial_id=trial_id) for trial_id in ids)
        of_train, of_total = (lent[column].get(frozenset(ids)) for column in ("train_s", "total_s"))
        found = verdict(*ids, Evidence(runs, frames.outcomes, evaluated), rules, lent=of_train)
        total = stats.judge(*paired(a, b, "total_s"), rules=found.rules, lent=of_total)
        return Between(first, second, verdict=found, total=total)

    # Who learnt nothing is faster or slower than nobody.
    learnt = [
        contestant
        for contestant in contestants
        if contestant.is_distributed and not contestant.contestant.learning.is_nothing
    ]
    return Cluster(
        section=section,
        contestants=contestants,
        runs=runs,
        tasks=_of(frames.tasks, spread, layouts),
        executors=_of(frames.executors, spread, layouts),
        samples=_of(frames.samples, distributed(section.attempts), layouts),
        layouts=tuple(_faster_first(between(a, b)) for a, b in _differing(learnt, {LAYOUT})),
        warmth=tuple(
            between(*sorted(pair, key=lambda one: str(one.settings.get(EXECUTORS))))  # cold, warm
            for pair in _differing(learnt, {EXECUTORS})
        ),
        machine=tuple(
            between(single, spread_out)
            for single in contestants
            if not single.is_distributed and not single.contestant.learning.is_nothing
            for spread_out in learnt
            if _problem(single) == _problem(spread_out)
        ),
        rounds=certified_rounds(frames.certificates, spread),
    )


def without(name: str, *parts: str) -> str:
    """A name without marks, and without some of its parts; all of them if nothing would be left."""
    kept = [part for part in name.split(_SEPARATOR) if part not in parts]
    return _SEPARATOR.join(kept) or name


def _contestants(section: Section, observed: Mapping[str, Mapping[str, Any]]) -> Iterable[ClusterContestant]:
    rows = {row["trial_id"]: row for row in section.attempts.iter_rows(named=True)}
    said: dict[str, Mapping[str, Any]] = {}
    for run_id, trial_id in section.runs.select("run_id", "trial_id").iter_rows():
        if observed.get(run_id, {}).get("spark") or observed.get(run_id, {}).get("elephas"):
            said[trial_id] = observed[run_id]
    for contestant in section.contestants:
        about = said.get(contestant.trial_id, {})
        settings = as_computed(rows[contestant.trial_id], about)
        settings |= {key: rows[contestant.trial_id][key] for key in ("backend", "environment")}
        yield ClusterContestant(
            contestant=contestant,
            settings=settings,
            base=without(contestant.plain_name, str(settings.get(LAYOUT)), "one machine"),
            elephas=about.get("elephas") or {},
            spark=about.get("spark") or {},
        )


def _differing(
    contestants: Sequence[ClusterContestant], keys: set[str]
) -> Iterator[tuple[ClusterContestant, ClusterContestant]]:
    """Pairs that differ in these settings and in no other."""
    for first, second in itertools.combinations(contestants, 2):
        if _but(first, keys) == _but(second, keys) and _but(first, set()) != _but(second, set()):
            yield first, second


def _but(member: ClusterContestant, keys: set[str] | frozenset[str]) -> str:
    rest = {key: value for key, value in member.settings.items() if key not in keys}
    return json.dumps(rest, sort_keys=True, default=str)


def _problem(member: ClusterContestant) -> str:
    """What it was to solve: all settings but those that one machine and a cluster need not share."""
    options = {key for key in member.settings if key.startswith("distribution_options")}
    return _but(member, _OF_THE_MACHINE | options)


def _lent(
    contestants: Sequence[ClusterContestant], runs: pl.DataFrame, column: str
) -> Mapping[frozenset[str], stats.Lent]:
    """By pair of trial_ids, what the section's other contestants show of the noise of these seconds."""
    of = [contestant.contestant.trial_id for contestant in contestants]
    (found,) = stats.lend(
        [{one: dict(zip(*by_block(runs.filter(trial_id=one), column), strict=True)) for one in of}]
    )
    return found


def _faster_first(pair: Between) -> Between:
    ratio = pair.verdict.time.ratio
    return pair.inverse if ratio is not None and ratio > 1 else pair


def _of(frame: pl.DataFrame, runs: pl.DataFrame, layouts: Mapping[str, str]) -> pl.DataFrame:
    """The rows of these runs, with `contestant` and `layout`."""
    if not len(frame):
        return frame
    names = runs.select("run_id", "contestant", layout=pl.col("trial_id").replace_strict(layouts))
    return frame.join(names, on="run_id", how="inner", maintain_order="left")


# ---- what followed ------------------------------------------------------------------------------


@dataclass(frozen=True)
class FollowUp:
    """What a study ran after all else, on the better value of one axis.

    choose: the axis. value: what its results speak for. against: by other value, how the times with it
    compare. ran: the values on which the follow-up has runs. changes: what it changed, for people.
    """

    choose: str
    value: Any
    is_decided: bool
    against: Mapping[str, stats.Verdict]
    ran: tuple[Any, ...]
    changes: str
    trial_ids: frozenset[str]


def follow_up(contents: Contents) -> FollowUp | None:
    """The study's follow-up, chosen again from the results that the report shows; None if it has none."""
    plan = parsed(contents.frames.document).get("follow_up")
    if not plan or not len(contents.selection.ok):
        return None
    branches = plan["branches"]
    columns = ("trial_id", "block", "train_s")
    seconds = {
        (trial, block): train_s for trial, block, train_s in contents.selection.ok.select(columns).iter_rows()
    }
    times: list[Mapping[Hashable, float]] = [
        {
            (branch["compared"][trial], block): train_s
            for (trial, block), train_s in seconds.items()
            if trial in branch["compared"] and train_s is not None
        }
        for branch in branches
    ]
    choice = choose_fastest(times)
    if choice is None:
        return None
    ran = set(contents.selection.ok["label"])
    labels = [{trial["label"] for trial in branch["trials"]} for branch in branches]
    own = [mine.difference(*(other for other in labels if other is not mine)) for mine in labels]
    return FollowUp(
        choose=plan["choose"],
        value=branches[choice.index]["value"],
        is_decided=choice.is_decided,
        against={str(branches[other]["value"]): found for other, found in choice.against.items()},
        ran=tuple(branch["value"] for branch, mine in zip(branches, own, strict=True) if ran & mine),
        changes=", ".join(
            f"{key.rpartition('.')[2].replace('_', ' ')} {value}" for key, value in plan["changes"].items()
        ),
        trial_ids=frozenset(trial for branch in branches for trial in branch["compared"]),
    )
