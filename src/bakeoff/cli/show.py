"""``bakeoff show``: the results of a study as tables, or run by run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable
from typing import Any

from rich.table import Table

from bakeoff.cli import summary
from bakeoff.cli.console import console
from bakeoff.cli.stores import chosen_study, store_path
from bakeoff.races.frames import short_of_samples
from bakeoff.races.marks import Label, Mark
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Print; 0."""
    path = store_path(arguments)
    with Reader(path) as reader:
        study = chosen_study(arguments, reader)
        runs = reader.runs(study)
    if arguments.json:
        sys.stdout.write(runs.write_json())
        print()
    elif arguments.runs:
        short = set(short_of_samples(runs)["run_id"])
        console().print(_run_table(runs.iter_rows(named=True), short))
        if short:
            console().print(Mark.SHORT.note)
    else:
        summary.print_summary(path, study)
    return 0


def _run_table(rows: Iterable[dict[str, Any]], short: Collection[str]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for title in (
        "trial",
        "repeat",
        "attempt",
        "status",
        "epochs",
        "train s",
        "wall s",
        "error",
        "noise",
        "reason",
    ):
        table.add_column(
            title, justify="left" if title in ("trial", "status", "noise", "reason") else "right"
        )
    for row in rows:
        error = row["final_validation_error"]
        table.add_row(
            Label(row["label"], [Mark.SHORT] * (row["run_id"] in short)),
            str(row["repeat"] + 1),
            str(row["attempt"]),
            row["status"],
            str(row["num_epochs"]),
            _number(row["train_s"]),
            _number(row["wall_s"]),
            "" if error is None else f"{100 * error:.2f} %",
            "disturbed" if row["disturbed"] else "",
            row["reason"] or "",
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
