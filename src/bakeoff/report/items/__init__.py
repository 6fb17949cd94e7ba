"""The questions that a report answers: one module for each, and in which order they are asked.

An item is data (`bakeoff.report.item`); how it looks, `bakeoff.report.formats` knows. A new question is a new
module with a function that yields its items, and its place in one of the lists here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping

from bakeoff.races.frames import distributed
from bakeoff.races.sections import Section
from bakeoff.report.contents import Contents
from bakeoff.report.item import Item, Part
from bakeoff.report.items import (
    break_even,
    certificates,
    conditions,
    errors,
    farm,
    profile,
    sweeps,
    times,
    trade_off,
    troubles,
    verdicts,
)
from bakeoff.report.items.cluster import (
    accounts,
    comparisons,
    sentences,
    tasks,
    time_budget,
    timelines,
    totals,
)
from bakeoff.report.items.cluster.runs import Cluster, cluster, follow_up
from bakeoff.report.items.words import slug

# Of each section: its data set's race.
OF_SECTIONS: tuple[Callable[[Section], Iterator[Item]], ...] = (
    *(verdicts.items, times.items, trade_off.items, break_even.items, errors.items),
    *(times.first_steps, sweeps.items, troubles.runs),
)
# Of each section with distributed runs.
OF_CLUSTERS: tuple[Callable[[Cluster], Iterator[Item]], ...] = (
    *(totals.items, comparisons.one_machine, comparisons.layouts, time_budget.items, tasks.items),
    *(timelines.items, accounts.processes, comparisons.growth, accounts.samples),
    accounts.elephas,
)
# Of the whole study.
OF_STUDIES: Mapping[str, Callable[[Contents], Iterator[Item]]] = {
    "Profile": profile.items,
    "Farm": farm.items,
    "Troubles": troubles.items,
    "Conditions": conditions.items,
}
# What belongs to certain studies alone, by a study's name: a module with `extend(contents, parts)`.
BOUND_TO: Mapping[str, str] = dict.fromkeys(
    (
        *("paper", "paper-today", "paper-distributed", "paper-distributed-today"),
        *("full-3", "vintage-3", "table-1", "table-1-today"),
    ),
    "bakeoff.paper",
)


def parts(contents: Contents) -> tuple[Part, ...]:
    """A report's parts: a section's race, its distributed runs, and so on; then those of the whole study."""
    found: list[Part] = []
    for section in contents.sections:
        found.append(_of_section(section))
        if len(distributed(section.runs)):
            found.append(_of_cluster(cluster(section, contents), contents))
    if contents.frames.study in BOUND_TO:
        found = importlib.import_module(BOUND_TO[contents.frames.study]).extend(contents, found)
    for title, ask in OF_STUDIES.items():
        found.append(Part(title.lower(), title, _said(ask(contents))))
    return tuple(part for part in found if part.items or part.empty)


def _of_section(section: Section) -> Part:
    anchor = f"section-{slug(section.title)}"
    if not len(section.runs):
        return Part(
            anchor, section.title, (), section.title, empty="No run on this data set has ended well yet."
        )
    items = _said(item for ask in OF_SECTIONS for item in ask(section))
    alone = (
        () if any(race.comparisons for race in section.races) else ("One contestant: nothing to compare.",)
    )
    note = certificates.note(section.races)
    return Part(anchor, section.title, items, section.title, note=note, remarks=alone)


def _of_cluster(found: Cluster, contents: Contents) -> Part:
    title = found.section.title
    followed = follow_up(contents)
    is_chosen = followed is not None and followed.trial_ids & set(found.section.runs["trial_id"])
    remarks = (
        "Training time on a cluster is the wall time of the calls of fit: starting Python workers, "
        "importing, shipping, rebuilding and merging lie in it. So it races no training time of one "
        "machine; where both ran, they are compared here.",
        *([sentences.followed(followed)] if followed is not None and is_chosen else []),
    )
    items = _said(item for ask in OF_CLUSTERS for item in ask(found))
    return Part(f"section-{slug(title)}-cluster", f"{title} on a cluster", items, title, remarks=remarks)


def _said(items: Iterator[Item]) -> tuple[Item, ...]:
    return tuple(item for item in items if not item.is_empty)
