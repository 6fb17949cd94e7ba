"""Under which conditions it ran: what each contestant was, the machine, versions, every fact, and trust."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from bakeoff import calibration, registry
from bakeoff.metrics import NO_VALUE
from bakeoff.races.compose import command_of
from bakeoff.races.definitions import Contestant
from bakeoff.races.frames import parsed, plain
from bakeoff.races.sections import Section
from bakeoff.races.tracks import rounding
from bakeoff.report.contents import Contents
from bakeoff.report.item import Item, Table, words
from bakeoff.report.items.words import fact, facts, one_or_many

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
# Beginnings of the names of packages that decide what is computed, beside the backends' own.
_PACKAGES = ("numpy", "scipy", "h5py", "ml-dtypes", "ml_dtypes", "pytensor", "nvidia", "triton")


def items(contents: Contents) -> Iterator[Item]:
    """What ran, on what, in which versions, and each fact as asked, resolved and observed."""
    found = what_ran(contents.sections)
    yield Item(found.name, found.title, table=found)
    for table in (machines(contents), versions(contents), provenance(contents)):
        yield Item(table.name, table.title, table=table, in_files=False)


def header(contents: Contents, command: str | None = None) -> Iterator[tuple[str, str]]:
    """Term and value of what was run, when, where and how. command: None takes the runs' own."""
    frames, runs = contents.frames, contents.selection.chosen
    if frames.study:
        yield "Study", frames.study
    if len(runs):
        yield "Machine", ", ".join(sorted({str(one) for one in runs["machine"] if one}))
        first, last = runs["started_at"].min(), runs["started_at"].max()
        if isinstance(first, datetime) and isinstance(last, datetime):
            days = [f"{day:%-d %B %Y}" for day in (first, last)]
            yield "Measured", days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"
    counts = runs["status"].value_counts(sort=True).iter_rows() if len(runs) else ()
    tally = ", ".join(f"{number} {str(status).replace('_', ' ')}" for status, number in counts)
    planned = f" ({frames.num_planned} planned)" if frames.num_planned is not None else ""
    yield "Runs", (tally or "none yet") + planned
    yield from (("Order", said) for said in _alternating(runs))
    if command := command or command_of(runs):
        yield "Command", command
    if frames.others:
        yield "Also in the store", ", ".join(frames.others)


def _alternating(runs: pl.DataFrame) -> list[str]:
    """How contestants took turns, where they did; runs in another order are other trials."""
    if "settings.order" not in runs.columns:
        return []
    steps = runs.filter(pl.col("settings.order") == "alternating")["settings.turn_steps"].unique().sort()
    return [
        f"alternating: the contestants of a race train {slice_} each in turn, the others stopped"
        for slice_ in ("an epoch" if num is None else f"{num} steps" for num in steps)
    ]


# ---- trust --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trust:
    """What the last calibration says. is_doubtful: whether a page is to say so at its top."""

    is_doubtful: bool
    words: str


def trust(calibrations: pl.DataFrame | None, runs: pl.DataFrame) -> Trust | None:
    """What is known of the machine of these runs; None where nobody looked, or nothing ran.

    calibrations: runs of calibrations, the last calibration first. runs: of the study, all of one machine.
    """
    if calibrations is None or not len(runs):
        return None
    found = last_calibration(calibrations, runs)
    if found is not None:
        said = found.sentence()
        return Trust(not found.passed, f"{said[0].upper()}{said[1:]}.")
    return Trust(
        True,
        "This machine was never calibrated: whether it tells equal contestants apart by chance, and small "
        "differences at all, is not known. Run bakeoff calibrate.",
    )


def last_calibration(calibrations: pl.DataFrame, runs: pl.DataFrame) -> calibration.Calibration | None:
    """Of the machine of these runs; None where it has none."""
    machine_id = str(runs["machine_id"][0])
    for _, mine in calibrations.group_by("study_digest", maintain_order=True) if len(calibrations) else ():
        if found := calibration.assess(mine, machine_id):
            return found
    return None


# ---- tables -------------------------------------------------------------------------------------


def what_ran(sections: Sequence[Section]) -> Table:
    """What each contestant ran, as seen in its runs, and beside it what was asked for."""
    said: dict[tuple[tuple[str, ...], ...], list[str]] = {}  # data sets on which all ran alike share rows
    for section in sections:
        rows_of = tuple(_disclosed(contestant) for contestant in section.contestants)
        said.setdefault(rows_of, []).append(section.title)
    rows = [(", ".join(titles), *row) for rows_of, titles in said.items() for row in rows_of]
    headings = ("Data set", "Contestant", "Asked for", *RAN.values(), "Framework")
    shown = [
        index for index in range(len(headings)) if index < 3 or any(row[index] != NO_VALUE for row in rows)
    ]
    return Table(
        "what-ran",
        "What each contestant ran",
        words(*(headings[index] for index in shown)),
        tuple(tuple(row[index] for index in shown) for row in rows),
        grouped=True,
        remark="As each framework said when asked in the run itself, not as it was told. Every fact is "
        "among “Asked, resolved, observed”.",
    )


def _disclosed(contestant: Contestant) -> tuple[str, ...]:
    """One contestant's row: its name, what was asked, what ran."""
    asked = ", ".join(f"{key.replace('_', ' ')} {plain(value)}" for key, value in contestant.asked.items())
    cells = (_ran(key, contestant.observed) for key in RAN)
    return contestant.name, asked or "nothing", *cells, framework(contestant)


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
    return NO_VALUE if value is None else fact(value)


def framework(contestant: Contestant) -> str:
    """What it is made of, by the versions that were seen."""
    seen = {
        str(package).lower().replace("_", "-"): str(version)
        for package, version in (contestant.observed.get("versions") or {}).items()
    }
    brought = registry.backends().get(contestant.backend)
    names = [name for name in (brought.record.packages if brought else ()) if name in seen]
    return ", ".join(f"{name} {seen[name]}" for name in names) or NO_VALUE


def machines(contents: Contents) -> Table:
    """The machine that the results come from."""
    details: dict[str, Any] = {}
    chosen = contents.selection.chosen
    if "machine_details" in chosen.columns:
        for text in chosen["machine_details"].unique(maintain_order=True):
            for key, value in parsed(text).items():
                if key != "description":  # made of the others
                    details.setdefault(key, []).append(_fact({key: value}, key))
    rows = tuple((key.replace("_", " "), one_or_many(values)) for key, values in details.items())
    return Table("machine", "Machine", words("Property", "Value"), rows)


def versions(contents: Contents) -> Table:
    """Versions that were seen to run, by environment."""
    relevant = (*_PACKAGES, *(name for record, _ in registry.backends().values() for name in record.packages))
    found: dict[str, dict[str, set[str]]] = {}
    for environment, _, told in _facts(contents):
        seen = found.setdefault(environment, {})
        for package, version in (told["observed"].get("versions") or {}).items():
            if str(package).lower().startswith(relevant):
                seen.setdefault(str(package).lower().replace("_", "-"), set()).add(str(version))
    packages = sorted({package for seen in found.values() for package in seen})
    rows = tuple(
        (package, *(", ".join(sorted(seen.get(package, ()))) or NO_VALUE for seen in found.values()))
        for package in packages
    )
    return Table("versions", "Versions observed", words("Package", *found), rows)


def provenance(contents: Contents) -> Table:
    """What was asked, what the program made of it and what was seen to run, by contestant."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for environment, backend, told in _facts(contents):
        name = backend if backend == environment else f"{backend} ({environment})"
        for key in sorted({key for part in told.values() for key in part} - {"versions"}):
            values = {part: _fact(told[part], key) for part in ("resolved", "observed")}
            values["asked"] = _fact(told["asked"], key, none="default")
            rows.setdefault((name, key), []).append(values)
    table = tuple(
        (
            name,
            key.replace("_", " "),
            *(one_or_many([one[part] for one in many]) for part in ("asked", "resolved", "observed")),
        )
        for (name, key), many in sorted(rows.items())
    )
    columns = words("Contestant", "Fact", "Asked", "Resolved", "Observed")
    return Table("provenance", "Asked, resolved, observed", columns, table, grouped=True)


def _facts(contents: Contents) -> list[tuple[str, str, dict[str, dict[str, Any]]]]:
    """Environment, backend and facts of the runs under the chosen conditions."""
    frame = contents.frames.facts
    if not len(frame):
        return []
    chosen = contents.selection.chosen.select("run_id")
    mine = frame.join(chosen, on="run_id", how="semi", maintain_order="left")
    parts = ("asked", "resolved", "observed")
    return [
        (row["environment"], row["backend"], {part: parsed(row[part]) for part in parts})
        for row in mine.iter_rows(named=True)
    ]


def _fact(part: Mapping[str, Any], key: str, none: str = NO_VALUE) -> str:
    value = part.get(key)
    if value is None:
        return none if key in part else NO_VALUE
    return facts(value) if isinstance(value, dict) else fact(value)
