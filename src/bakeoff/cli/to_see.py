"""``bakeoff plan STUDY --to-see 3%``: what it takes to see a difference of training times, in words."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from bakeoff import stats
from bakeoff.cli.console import table
from bakeoff.design import Outlook, Projection
from bakeoff.wording import counted, span


def lines(
    outlook: Outlook, rules: stats.Rules, arguments: argparse.Namespace
) -> Iterator[str | Text | Table]:
    """What the terminal shows: the designs, the command for the one asked for, the study as written."""
    noise, num = outlook.noise, outlook.noise.num_epochs
    source = "the last calibration" if outlook.is_calibrated else "this study's contestants"
    yield (
        f"noise of {source} here: two runs of a block differ by {_percent(noise.log_sd(num))} "
        f"with {counted(num, 'epoch')} ({noise.run_freedom} degrees of freedom)"
        + (f", by {_percent(math.sqrt(2 * noise.process))} with ever so many" if noise.epoch else "")
    )
    shown = table("to see", "blocks × epochs", "runs", "time", "range", right=("to see", "runs", "time"))
    asked = next(
        projection for projection in outlook.projections if projection.difference == arguments.to_see
    )
    for projection in outlook.projections:
        shown.add_row(*_cells(projection, outlook), style="bold" if projection is asked else None)
    yield shown
    if asked.num_blocks is not None:
        yield Text.assemble(
            (f"to see {_percent(asked.difference)}: ", "bold"), _command(asked, rules, arguments)
        )
    if math.log1p(asked.difference) <= rules.log_margin:
        yield (
            f"  {_percent(asked.difference)} lies within the margin of {_percent(rules.margin)}, where times "
            f"are called practically equal: add --set verdicts.margin={asked.difference / 2:g}"
        )
    if asked.train_images is not None:
        yield "  fewer images are another question: what an epoch costs beside its images weighs more"
    yield _as_written(outlook, rules)
    yield (
        f"{100 * stats.POWER:g} % power, {100 * rules.confidence:g} % intervals; ranges: 8 of 10 estimates "
        "of the noise. Of times only: errors need epochs of their own, or a certificate (`bakeoff verify`)."
    )


def _cells(projection: Projection, outlook: Outlook) -> tuple[str, ...]:
    if (
        projection.num_blocks is None
        or projection.num_runs is None
        or projection.time_s is None
        or projection.low_s is None
    ):
        return _percent(projection.difference), f"more than {stats.MAX_PROJECTED} blocks", "", "", ""
    epochs = projection.num_epochs if projection.num_epochs is not None else outlook.num_epochs
    each = "as written" if epochs is None else str(epochs)
    images = f" of {projection.train_images:,} images" if projection.train_images is not None else ""
    most = "any time" if projection.high_s is None else span(projection.high_s)
    return (
        _percent(projection.difference),
        f"{projection.num_blocks} × {each}{images}",
        f"{projection.num_runs:,}",
        span(projection.time_s),
        f"{span(projection.low_s)} to {most}",
    )


def _command(projection: Projection, rules: stats.Rules, arguments: argparse.Namespace) -> str:
    """The command that runs a design: what was typed, then what the design sets."""
    blocks = (
        [f"--max-blocks={projection.num_blocks}"]
        if rules.is_sequential
        else ["--set", f"repeats={projection.num_blocks}"]
    )
    typed = [word for override in arguments.overrides for word in ("--set", override)]
    typed += ["--until-decided"] if arguments.until_decided else []
    typed += ["--master", arguments.master] if arguments.master else []
    own = {"epochs": projection.num_epochs, "train_images": projection.train_images}
    sets = [word for key, value in own.items() if value is not None for word in ("--set", f"{key}={value}")]
    return shlex.join(["bakeoff", "run", arguments.study, *typed, *blocks, *sets])


def _as_written(outlook: Outlook, rules: stats.Rules) -> str:
    """What the study can tell apart as it is."""
    num = counted(outlook.num_blocks, "block" if rules.is_sequential else "repeat")
    num = f"within {num}" if rules.is_sequential else num
    epochs = "" if outlook.num_epochs is None else f" of {counted(outlook.num_epochs, 'epoch')}"
    if outlook.resolution is None:
        return f"as written, {num}{epochs}: too few for any verdict; expected {stats.MIN_BLOCKS} or more"
    seen = outlook.resolution
    return (
        f"as written, {num}{epochs}: can tell apart differences of {_percent(seen.difference)} or more "
        f"({_percent(seen.low)} to {_percent(seen.high)})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
