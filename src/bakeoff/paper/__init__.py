"""The paper of 2023 that this project asks again: its windows, its Table 1, its conclusions.

Bound to its own studies by `bakeoff.report.items.BOUND_TO`, and to its network: a report on another study, or
on another network under the name of one of these, never meets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import polars as pl

from bakeoff.metrics import METRICS
from bakeoff.paper import conclusions, published
from bakeoff.races.frames import distributed
from bakeoff.races.sections import Section
from bakeoff.report.contents import Contents
from bakeoff.report.item import Claim, Item, Part, Table, numbers, words
from bakeoff.report.items.cluster.runs import cluster
from bakeoff.report.items.errors import error_mean_and_spread, last_values
from bakeoff.report.items.words import main_race, slug

_NETWORK = "study_cnn"


def extend(contents: Contents, parts: Sequence[Part]) -> list[Part]:
    """The parts with what the paper showed of the same, and its conclusions behind them."""
    runs = contents.selection.chosen
    if not len(runs) or set(runs["model"]) != {_NETWORK}:
        return list(parts)
    sections = {section.title: section for section in contents.sections}
    found = [replace(part, items=tuple(_beside(part, sections))) for part in parts]
    tried = conclusions.chosen(
        [cluster(section, contents) for section in contents.sections if len(distributed(section.runs))]
    )
    if tried is not None:
        every = conclusions.conclusions(tried)
        differing = f"What differs here: {' '.join(conclusions.conditions(tried))}"
        claims = tuple(
            Claim(f"{conclusion.claim}: {conclusion.verdict}", conclusion.here) for conclusion in every
        )
        item = Item("conclusions", "Reproduced?", claims, (differing,), table=conclusions.table(tried, every))
        found.append(Part("conclusions", "The paper's conclusions", (item,)))
    return found


def _beside(part: Part, sections: dict[str, Section]) -> Iterator[Item]:
    """A part's items, with the paper's behind those that they belong to."""
    for item in part.items:
        yield item
        if item.name == "error":
            yield from windows(sections[part.section])
        elif item.name == "totals" and (table := printed(sections[part.section])).rows:
            yield Item("printed", "What the paper printed", table=table)


def windows(section: Section) -> Iterator[Item]:
    """Mean and spread of the error over the paper's windows of epochs, as far as there are epochs."""
    main = main_race(section)
    epochs = main.epochs
    last = int(epochs["epoch"].max() or 0)  # type: ignore[arg-type]
    num_runs = epochs.group_by("contestant").agg(pl.col("run_id").n_unique())["run_id"]
    if last <= published.FEW_EPOCHS or not (num_runs > 1).any():
        return
    for number, window in enumerate(published.WINDOWS):
        if number and last <= published.WINDOWS[number - 1]:
            return
        reached = f"epochs 1 to {min(last, window)} (of a window of {window})"
        extent = f"the first {window} epochs" if last >= window else reached
        yield Item(
            f"error-{window}",
            f"Error in {window} epochs",
            draw=partial(error_mean_and_spread, epochs, window, main.palette),
            caption=f"Mean ± one standard deviation of the validation error on {main.at}, {extent}.",
            alt=f"Mean and standard deviation of the validation error of {main.names}, {extent}. "
            f"{last_values(epochs)}",
            labels=main.labels,
        )


def printed(section: Section) -> Table:
    """The paper's own figures for the section's data; no rows for data that it did not use."""
    dataset = str(section.runs["dataset"][0])
    total, task, gc = METRICS["total_s"].in_minutes, METRICS["median_task_s"].in_minutes, METRICS["gc_s"]
    columns = numbers(
        total.heading, f"{task.heading}, “per core”", f"{gc.label}, “management” (ms)", "Error (%)"
    )
    rows = tuple(
        (one.dataset, one.layout, one.backend, *(f"{value:g}" for value in one.times), one.error)
        for one in published.TABLE
        if one.dataset.lower().replace("-", "_") == dataset
    )
    return Table(
        f"printed-{slug(section.title)}",
        f"What the paper printed for {section.title}",
        (*words("Data set", "Layout", "Backend"), *columns),
        rows,
        grouped=True,
        remark=published.CONDITIONS,
    )
