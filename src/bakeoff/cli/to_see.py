"""``bakeoff plan STUDY --to-see 3%``: what it takes to see a difference, in words."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex

from rich.text import Text

from bakeoff import design, stats, stopping, study
from bakeoff.cli.console import console, span, table
from bakeoff.design import Outlook, Projection
from bakeoff.plan import PastRun
from bakeoff.store.reader import Reader


def show(
    chosen: study.Study, typed: list[str], difference: float, history: list[PastRun], reader: Reader, here: str
) -> None:
    ...
