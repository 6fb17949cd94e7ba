"""What became of every run, and what went wrong: failures, disturbances, warnings, other conditions."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from bakeoff.metrics import METRICS, NO_VALUE
from bakeoff.races.frames import apart, parsed, short_of_samples
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report.contents import Contents
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.report.items.verdicts import runs_anchor
from bakeoff.report.items.words import facts, slug


def runs(section: Section) -> Iterator[Item]:
    """Every run of a section."""
    yield Item("runs", "Every run", table=runs_table(section), in_files=False)


def items(contents: Contents) -> Iterator[Item]:
    """What a reader of the numbers should have seen."""
    for table in (failures(contents), disturbed(contents), warnings(contents), left_out(contents)):
        yield Item(table.name, table.title, table=table, in_files=False)


def runs_table(section: Section) -> Table:
    """Every run of a section, by contestant, with what became of it: what the verdicts rest on."""
    metrics = [METRICS[name] for name in ("train_s", "wall_s", "final_validation_error")]
    counted = set(section.runs["run_id"])
    # A run that is left out of one pair only, since the other has none in its block, counts in others.
    why = {
        exclusion.run_id: exclusion.why
        for race in section.races
        for comparison in race.comparisons
        for exclusion in comparison.excluded
    }
    rows: list[tuple[str, ...]] = []
    anchors: dict[str, str] = {}
    for contestant in section.contestants:
        mine = section.attempts.filter(trial_id=contestant.trial_id).sort("block", "attempt")
        if not len(mine):
            continue
        anchors[contestant.name] = runs_anchor(contestant)
        cells = [metric.texts(mine[metric.name].fill_null(float("nan"))) for metric in metrics]
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
        *(*words("Contestant"), *numbers("Block"), *words("Run", "Ended")),
        *(*numbers(*(metric.heading for metric in metrics)), *words("Remark")),
    )
    title = f"Runs on {section.title}"
    remark = "Runs of one block are paired."
    return Table(
        f"runs-{slug(section.title)}",
        title,
        columns,
        tuple(rows),
        grouped=True,
        remark=remark,
        anchors=anchors,
    )


def failures(contents: Contents) -> Table:
    """Every run that did not end well: how, why, and the last lines of its output."""
    rows = []
    chosen = contents.selection.chosen
    short = set(short_of_samples(chosen)["run_id"]) if len(chosen) else set()
    succeeded = set(contents.selection.ok.select("trial_id", "repeat").iter_rows()) if len(chosen) else set()
    for section in contents.sections:
        for row in section.attempts.filter(pl.col("status") != "ok").iter_rows(named=True):
            later = (row["trial_id"], row["repeat"]) in succeeded
            rows.append(
                (
                    Label(row["label"], [Mark.SHORT] * (row["run_id"] in short)),
                    str(row["repeat"]),
                    row["status"].replace("_", " ") + (", later ok" if later else ""),
                    row["reason"] or NO_VALUE,
                    (row["last_lines"] or "").strip() or NO_VALUE,
                )
            )
    columns = (*words("Trial"), *numbers("Repeat"), *words("Status", "Reason", "Last lines"))
    return Table("troubles", "Runs that did not end well", columns, tuple(rows))


def disturbed(contents: Contents) -> Table:
    """Runs during which the machine did other things too; they count, and are marked."""
    runs = contents.selection.ok
    flagged = runs.filter(pl.col("disturbed")) if "disturbed" in runs.columns else runs.clear()
    short = set(short_of_samples(flagged)["run_id"]) if len(flagged) else set()
    rows = []
    for row in flagged.iter_rows(named=True):
        values = parsed(row["disturbance"])
        reasons = values.get("reasons")
        seen = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else facts(values)
        label = Label(row["label"], [Mark.SHORT] * (row["run_id"] in short))
        rows.append((label, str(row["repeat"]), seen))
    columns = (*words("Trial"), *numbers("Repeat"), *words("What was seen"))
    return Table("disturbed", "Disturbed runs", columns, tuple(rows))


def warnings(contents: Contents) -> Table:
    """What runs warned of, each once, with how many runs said it."""
    frame, chosen = contents.frames.warnings, contents.selection.chosen
    rows: tuple[tuple[str, ...], ...] = ()
    if len(frame) and len(chosen):
        mine = frame.join(chosen.select("run_id"), on="run_id", how="semi", maintain_order="left")
        counted = mine.group_by(["label", "message", "remedy"], maintain_order=True).agg(pl.len())
        rows = tuple(
            (label, message, remedy or NO_VALUE, str(number))
            for label, message, remedy, number in counted.iter_rows()
        )
    return Table("warnings", "Warnings", (*words("Trial", "Warning", "Remedy"), *numbers("Runs")), rows)


def left_out(contents: Contents) -> Table:
    """Results under other conditions, which no mean includes."""
    runs = contents.selection.left_out
    rows = []
    if len(runs):
        here = contents.selection.chosen
        machine = here["machine_id"][0] if len(here) else None
        version = here["measurement_version"][0] if len(here) else None
        for (condition,), group in runs.group_by(["condition_id"], maintain_order=True):
            row = group.row(0, named=True)
            rows.append(
                (
                    str(condition),
                    apart(row, machine, version),
                    str(row["machine"] or NO_VALUE),
                    ", ".join(sorted(set(group["label"]))),
                    str(len(group)),
                )
            )
    columns = (*words("Condition", "Differs by", "Machine", "Trials"), *numbers("Runs"))
    return Table("left-out", "Results under other conditions, left out", columns, tuple(rows))
