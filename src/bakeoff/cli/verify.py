"""``bakeoff verify``: whether contestants train the same thing, and if not, what differs."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from rich import box
from rich.table import Table
from rich.text import Text

from bakeoff import study, verification
from bakeoff.cli.consent import consent
from bakeoff.cli.console import console
from bakeoff.cli.progress import Lines
from bakeoff.cli.stores import store_path
from bakeoff.verification import Verified, words

_COLUMNS = ("layers", "forward", "loss", "gradients", "optimizer", "weights")


def main(arguments: argparse.Namespace) -> int:
    """Verify all contestants of the study; 0 if those that should train the same thing do, else 1."""
    chosen = study.load(arguments.study, arguments.overrides)
    with closing(Lines()) as listener:
        verified = verification.verify(
            chosen,
            store_path(arguments),
            double=arguments.double,
            listener=listener,
            data_directory=arguments.data_dir,
            consent=consent(arguments),
        )
    if arguments.json:
        print(json.dumps([one.document() for one in verified], indent=1))
    else:
        screen = console()
        for one in verified:
            if isinstance(one, Verified):
                screen.print(_table(one))
                lines = words.lines(one)
            else:
                lines = words.lines_of_round(one)
            for line in lines:
                screen.print(Text(line))
            screen.print()
    return 0 if all(one.all_same for one in verified) else 1


def _table(verified: Verified) -> Table:
    """Worst relative differences from the reference, one contestant a row."""
    table = Table(
        title=f"{verified.title}\nworst relative differences from the reference, what is listed allowed for",
        box=box.SIMPLE,
        title_justify="left",
    )
    for name in ("contestant", "precision"):
        table.add_column(name)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for name in ("differs", "reference"):
        table.add_column(name)
    for contestant in verified.contestants:
        judgement = contestant.judgement
        if judgement is None:
            table.add_row(
                contestant.label, contestant.contestant.settings.precision, *[""] * 6, "not verified", ""
            )
            continue
        figures = (
            f"{judgement.worst[name].difference:.0e}" if name in judgement.worst else "" for name in _COLUMNS
        )
        differs = ", ".join(dict.fromkeys(finding.stage for finding in judgement.findings)) or "no"
        table.add_row(
            contestant.label, contestant.contestant.settings.precision, *figures, differs, judgement.reference
        )
    return table
