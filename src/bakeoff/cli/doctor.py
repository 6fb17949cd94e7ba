"""``bakeoff doctor``: what works on this machine, what is missing, and what mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json

from rich.text import Text

from bakeoff.cli.console import console
from bakeoff.doctor import diagnose
from bakeoff.errors import MachineError

_MARKS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "missing": ("missing", "red")}


def main(arguments: argparse.Namespace) -> int:
    """Print every check with its remedy; 0, or 7 if something is missing."""
    checks = diagnose()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    else:
        screen = console()
        for check in checks:
            screen.print(Text.assemble(_MARKS[check.state], f"  {check.subject}: {check.detail}"))
            if check.remedy and check.state != "ok":
                screen.print(Text(f"         {check.remedy}", "dim"))
    return MachineError.exit_code if any(check.state == "missing" for check in checks) else 0
