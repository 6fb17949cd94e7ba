"""The opening's tables: ranking, what really ran, and the runs that each verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from bakeoff import registry, stats
from bakeoff.metrics import METRICS, NO_VALUE, RATIO
from bakeoff.races.definitions import Contestant, Race
from bakeoff.races.frames import plain
from bakeoff.races.sections import Section
from bakeoff.races.tracks import rounding
from bakeoff.report.tables import Column, Table, plain_list, slug

# What a backend may run in more than one way, as it said itself, in the order in which the table has it.
RAN: Mapping[str, str] = {
    "device": "Device",
    "precision": "Precision",
    "threads": "Threads",
    "jit": "Compiled",
    "execution": "Execution",
    "data_layout": "Layout",
    "blas": "Linear algebra",
    "deterministic": "Deterministic",
    "keep_memory": "Memory kept",
    "tf32": "Rounded to TF32",
}


def ranking(section: Section) -> Table | None:
    """Who may be called faster than whom, all at once; None where nobody raced or may be compared."""
    rows: list[tuple[str, ...]] = []
    ranked = [race for race in section.races if race.ranking is not None]
    for race in ranked:
        rows += [(race.setting, *row) if len(section.races) > 1 else row for row in _ranked(section, race)]
    if not rows:
        return None
    columns = (
        Column("Place", False),
        Column("Contestant", False),
        Column("Training time (s)"),
        Column("Times the first’s"),
        Column("Simultaneous interval"),
        Column("Group", False),
    )
    several = len(section.races) > 1
    level = next(one.verdict.rules.confidence for race in ranked for one in race.comparisons)
    return Table(
        f"ranking-{slug(section.title)}",
        f"Ranking on {section.title}",
        (Column("Setting", False), *columns) if several else columns,
        tuple(rows),
        grouped=several,
        remark="Places that a contestant may have, and groups within which nobody may be called faster, at "
        f"{100 * level:g} % for all pairs of a race together. Time alone: errors are in the verdicts.",
    )


def _ranked(section: Section, race: Race) -> list[tuple[str, ...]]:
    found = race.ranking
    if found is None:
        return []
    runs = section.runs_of(race)
    times = [
        stats.summarize(runs.filter(trial_id=one.trial_id)["train_s"].drop_nulls().to_numpy()).mean
        for one in race.contestants
    ]
    texts = METRICS["train_s"].texts(times)
    first = found.order[0]
    rows: list[tuple[str, ...]] = []
    for index in found.order:
        best, worst = found.ranks[index]
        ratio, interval = NO_VALUE, NO_VALUE
        if index != first:
            of = found.ratios[min(index, first), max(index, first)]
            of = of if index < first else of.inverse
            ratio, low, high = RATIO.texts([of.ratio, of.low, of.high])
            interval = NO_VALUE if NO_VALUE in (low, high) else f"{low} to {high}"
        groups = "".join(_letter(number) for number, group in enumerate(found.groups) if index in group)
        place = str(best) if best == worst else f"{best} to {worst}"
        rows.append((place, race.contestants[index].short, texts[index], ratio, interval, groups))
    return rows


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"


# ---- what ran -----------------------------------------------------------------------------------


def disclosure(sections: tuple[Section, ...]) -> Table:
    """What each contestant ran, as seen in its runs, and beside it what was asked for."""
    said: dict[tuple[tuple[str, ...], ...], list[str]] = {}  # data sets on which all ran alike share rows
    for section in sections:
        rows_of = tuple(_disclosed(contestant) for contestant in section.contestants)
        said.setdefault(rows_of, []).append(section.title)
    rows = [(", ".join(titles), *row) for rows_of, titles in said.items() for row in rows_of]
    shown = [
        index for index in range(len(RAN) + 4) if index < 3 or any(row[index] != NO_VALUE for row in rows)
    ]
    headings = ("Data set", "Contestant", "Asked for", *RAN.values(), "Framework")
    return Table(
        "what-ran",
        "What each contestant ran",
        tuple(Column(headings[index], False) for index in shown),
        tuple(tuple(row[index] for index in shown) for row in rows),
        grouped=True,
        remark="As each framework said when asked in the run itself, not as it was told. Every fact is under "
        "Provenance.",
    )


def _disclosed(contestant: Contestant) -> tuple[str, ...]:
    """One contestant's row: its name, what was asked, what ran."""
    asked = ", ".join(f"{key.replace('_', ' ')} {plain(value)}" for key, value in contestant.asked.items())
    cells = (_ran(key, contestant.observed) for key in RAN)
    return contestant.name, asked or "nothing", *cells, _framework(contestant)


def _ran(key: str, seen: Mapping[str, Any]) -> str:
    value = seen.get(key)
    spark = seen.get("spark") or {}
    if key == "threads" and spark.get("threads_per_task"):
        return f"{spark['threads_per_task']} a task"
    if key == "threads" and value == 0:
        cpus = seen.get("cpus") or ()
        return f"all {len(cpus)}" if cpus else "all"
    if key == "tf32":
        return rounding(value) or NO_VALUE
    return NO_VALUE if value is None else plain_list(value)


def _framework(contestant: Contestant) -> str:
    """What it is made of, by the versions that were seen."""
    versions = {
        str(package).lower().replace("_", "-"): str(version)
        for package, version in (contestant.observed.get("versions") or {}).items()
    }
    brought = registry.backends().get(contestant.backend)
    names = [name for name in (brought.record.packages if brought else ()) if name in versions]
    return ", ".join(f"{name} {versions[name]}" for name in names) or NO_VALUE


# ---- runs ---------------------------------------------------------------------------------------


def anchor(contestant: Contestant) -> str:
    """Where a contestant's runs are in the page."""
    return f"runs-{contestant.trial_id}"


def runs(section: Section) -> Table:
    """Every run of a section, by contestant, with what became of it: what the verdicts rest on."""
    times = [METRICS[name] for name in ("train_s", "wall_s")]
    error = METRICS["final_validation_error"]
    counted = set(section.runs["run_id"])
    # A run that is left out of one pair only, since the other has none in its block, counts in others.
    why = {
        one.run_id: one.why
        for race in section.races
        for comparison in race.comparisons
        for one in comparison.excluded
    }
    rows: list[tuple[str, ...]] = []
    anchors: dict[str, str] = {}
    for contestant in section.contestants:
        mine = section.attempts.filter(trial_id=contestant.trial_id).sort("block", "attempt")
        if not len(mine):
            continue
        anchors[contestant.name] = anchor(contestant)
        cells = [metric.texts(mine[metric.name].fill_null(float("nan"))) for metric in times]
        cells.append(error.texts(mine[error.name].fill_null(float("nan"))))
        for index, row in enumerate(mine.iter_rows(named=True)):
            remarks = [] if row["run_id"] in counted else [why.get(row["run_id"], "does not count")]
            remarks += ["disturbed"] if row["disturbed"] else []
            rows.append(
                (
                    contestant.name,
                    str(row["block"] + 1),
                    str(row["run_id"]),
                    str(row["status"]).replace("_", " "),
                    *(column[index] for column in cells),
                    ", ".join(remarks) or NO_VALUE,
                )
            )
    columns = (
        Column("Contestant", False),
        Column("Block"),
        Column("Run", False),
        Column("Ended", False),
        *(Column(metric.heading) for metric in (*times, error)),
        Column("Remark", False),
    )
    return Table(
        f"runs-{slug(section.title)}",
        f"Runs on {section.title}",
        columns,
        tuple(rows),
        grouped=True,
        remark="Runs of one block are paired.",
        anchors=anchors,
    )


def num_images(race: Race) -> dict[str, int | None]:
    """By trial_id, on how many images its error was measured."""
    found = {one.trial_id: one.observed.get("num_evaluation_images") for one in race.contestants}
    return {trial_id: None if num is None else int(num) for trial_id, num in found.items()}


def num_epochs(section: Section, contestants: tuple[Contestant, ...]) -> int:
    """Epochs that every good run of these contestants was timed over."""
    trials = [one.trial_id for one in contestants]
    mine = section.epochs.filter(pl.col("trial_id").is_in(trials))
    per_run = mine.group_by("run_id").agg(pl.col("epoch").max())["epoch"]
    return int(per_run.min() or 0) if len(per_run) else 0  # type: ignore[arg-type]
