"""``bakeoff show``: the results of a study on one screen; its runs, certificates or warnings one by one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from typing import Any

import polars as pl
from rich.table import Table

from bakeoff.cli import summary
from bakeoff.cli.console import console, table
from bakeoff.cli.stores import chosen_study, store_path
from bakeoff.races.frames import short_of_samples
from bakeoff.races.marks import Label, Mark
from bakeoff.report.formats.marks import marked, note
from bakeoff.store.reader import Reader


def main(arguments: argparse.Namespace) -> int:
    """Print; 0."""
    path = store_path(arguments)
    is_one_by_one = arguments.json or arguments.runs or arguments.certificates or arguments.warnings
    with Reader(path) as reader:
        study = chosen_study(arguments, reader)
        if is_one_by_one:
            _print_one_by_one(reader, study, arguments)
    if not is_one_by_one:
        summary.print_screen(path, study, arguments)
    return 0


def _print_one_by_one(reader: Reader, study: str, arguments: argparse.Namespace) -> None:
    runs = reader.runs(study)
    certificates, warnings = reader.certificates(study), reader.warnings(study)
    if arguments.json:
        frame = certificates if arguments.certificates else warnings if arguments.warnings else runs
        sys.stdout.write(frame.write_json())
        print()
        return
    screen = console()
    if arguments.runs:
        short = set(short_of_samples(runs)["run_id"])
        screen.print(_run_table(runs, short))
        if short:
            screen.print(note(Mark.SHORT))
    if arguments.certificates:
        screen.print(_certificate_table(certificates, runs))
    if arguments.warnings:
        screen.print(_warning_table(warnings))


def _run_table(runs: pl.DataFrame, short: Collection[str]) -> Table:
    figures = ("repeat", "attempt", "epochs", "train s", "wall s", "error")
    listed = table(
        *("trial", "repeat", "attempt", "status", "epochs", "train s", "wall s", "error", "noise", "reason"),
        right=figures,
    )
    for row in runs.iter_rows(named=True):
        error = row["final_validation_error"]
        listed.add_row(
            marked(Label(row["label"], [Mark.SHORT] * (row["run_id"] in short))),
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
    return listed


def _certificate_table(certificates: pl.DataFrame, runs: pl.DataFrame) -> Table:
    """What was shown of each pair of trials, or of a trial's round on a cluster."""
    labels: dict[str, Any] = dict(runs.select("trial_id", "label").iter_rows())
    listed = table("trial", "and", "certificate", "found", title="Certificates")
    columns = ("one_trial", "other_trial", "verdict", "words")
    for one, other, verdict, words in certificates.select(columns).iter_rows():
        second = "its stated arithmetic" if other is None else labels.get(other, other)
        listed.add_row(labels.get(one, one), second, verdict, words)
    return listed


def _warning_table(warnings: pl.DataFrame) -> Table:
    """Each warning once for each trial, with the number of runs that gave it."""
    listed = table("trial", "runs", "warning", right=("runs",), title="Warnings")
    alike = warnings.group_by("label", "message", "remedy", maintain_order=True)
    for label, message, remedy, num_runs in alike.agg(pl.col("run_id").n_unique()).iter_rows():
        listed.add_row(label, str(num_runs), "\n".join(filter(None, (message, remedy))))
    return listed


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
