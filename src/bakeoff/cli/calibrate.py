"""``bakeoff calibrate``: one contestant against itself, to see whether verdicts on this machine hold."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from rich.table import Table
from rich.text import Text

from bakeoff import calibration, machine, session, stats, study
from bakeoff.calibration import Calibration, FalsePositives, SlowedEntry, percent
from bakeoff.cli import progress
from bakeoff.cli.consent import consent
from bakeoff.cli.console import console, table
from bakeoff.cli.stores import store_path
from bakeoff.errors import MachineError, UsageError
from bakeoff.identity import known
from bakeoff.store.reader import Reader

# A calibration that was stopped goes on within this time; later, another one begins.
GOES_ON = timedelta(hours=12)
# Of the built-in study, what `--quick` keeps.
QUICK_ENTRIES, QUICK_BLOCKS = 6, 6


def main(arguments: argparse.Namespace) -> int:
    """Calibrate; 0 if the machine passes, 1 if it does not."""
    store = store_path(arguments)
    chosen = chosen_study(arguments, store)
    with closing(progress.listener(quiet=arguments.quiet or arguments.json, as_json=False)) as listener:
        session.run(
            chosen,
            store,
            listener=listener,
            data_directory=arguments.data_dir,
            consent=consent(arguments),
            verify=False,  # of one contestant there is nothing to compare
        )
    with Reader(store) as reader:
        digest = known(chosen).digest
        runs, epochs = reader.runs(digest), reader.epochs(digest)
    found = calibration.assess(runs, machine.identity()["machine_id"], epochs)
    if found is None:
        raise MachineError(
            f"too few runs ended well: expected {calibration.MIN_BLOCKS} blocks with all plain entries",
            f"`bakeoff show {calibration.STUDY} --runs` tells which and why",
        )
    if arguments.json:
        print(json.dumps(found.document(), indent=1))
    else:
        show(found)
    return 0 if found.passed else 1


def chosen_study(arguments: argparse.Namespace, store: Path) -> study.Study:
    """The built-in study as the options have it, with seeds of its own: each calibration has new runs.

    Raises:
        UsageError, StudyError: it can't be had like that.
    """
    if arguments.blocks is not None and arguments.blocks < calibration.MIN_BLOCKS:
        raise UsageError(
            f"--blocks {arguments.blocks}: fewer say nothing; expected at least {calibration.MIN_BLOCKS}",
            "the rule for studies that run until decided takes 6",
        )
    overrides = [f"backend={json.dumps(arguments.backend)}"]
    if arguments.quick:
        overrides += [f"repeats={QUICK_BLOCKS}", f"matrix.entrant={_quick_entrants()}"]
    if arguments.blocks is not None:
        overrides.append(f"repeats={arguments.blocks}")
    overrides += arguments.overrides
    overrides.append(f"seed={_seed(store)}")
    return study.load(calibration.STUDY, overrides)


def show(found: Calibration) -> None:
    """The calibration on the terminal, the sentence last."""
    screen = console()
    screen.print(
        Text(f"{found.machine}: {found.contestant}, {found.num_runs} runs, {found.num_blocks} blocks")
    )
    told = [one for one in (found.fixed, found.sequential) if one is not None]
    if told:
        screen.print(_table("identical entries told apart", _APART, [_apart(one) for one in told]))
    if found.found:
        screen.print(_table("slower on purpose", _SLOWER, [_slower(entry) for entry in found.found]))
    rows: list[tuple[str, ...]] = [(source.name, source.seen, source.remedy) for source in found.sources]
    screen.print(Text(f"noise of the ratio of two runs of a block: {percent(found.noise.log_sd, 1)}"))
    if rows:
        screen.print(_table("where it comes from", ("noise", "seen", "what helps"), rows))
    if reach := found.reach_sentence():
        screen.print(Text(reach))
    screen.print(Text(found.sentence()))


_APART = ("rule", "comparisons", "told apart", "rate", "95 % interval", "allowed", "of this noise")
_SLOWER = ("by", "seen as", "found", "equal", "undecided", "until decided", "at this noise")


def _apart(rate: FalsePositives) -> tuple[str, ...]:
    rule = "until decided" if rate.is_sequential else f"{rate.num_blocks} blocks"
    return (
        rule,
        str(rate.num_comparisons),
        str(rate.num_false),
        percent(rate.rate, 1),
        f"{percent(rate.low, 1)} to {percent(rate.high, 1)}",
        str(rate.allowed),
        percent(rate.noise_rate, 1),
    )


def _slower(entry: SlowedEntry) -> tuple[str, ...]:
    seen = "" if entry.ratio.ratio is None else percent(entry.ratio.ratio - 1, 1)
    if entry.ratio.low is not None and entry.ratio.high is not None:
        seen += f" ({percent(entry.ratio.low - 1, 1)} to {percent(entry.ratio.high - 1, 1)})"
    undecided = entry.num_comparisons - entry.num_slower - entry.num_equal - entry.num_faster
    in_time = sum(block is not None for block in entry.blocks)
    until = f"{in_time} of {entry.num_comparisons}"
    until += f", half by block {entry.median_blocks}" if entry.median_blocks else ""
    return (
        percent(entry.handicap),
        seen,
        f"{entry.num_slower} of {entry.num_comparisons}",
        str(entry.num_equal),
        str(undecided),
        until,
        _projected(entry),
    )


def _projected(entry: SlowedEntry) -> str:
    if entry.handicap <= stats.Rules().margin:
        return "within the margin"
    return f"{entry.projected} blocks" if entry.projected else f"more than {stats.MAX_PROJECTED} blocks"


def _table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    filled = table(*header, title=title)
    for row in rows:
        filled.add_row(*row)
    return filled


def _quick_entrants() -> str:
    """The axis of the quick calibration: fewer plain entries, the same handicaps."""
    full = study.load(calibration.STUDY).trials
    plain = [trial.settings.entry for trial in full if not trial.settings.handicap]
    slowed = [trial.settings.handicap for trial in full if trial.settings.handicap]
    steps = [f"{{entry={json.dumps(name)}}}" for name in plain[:QUICK_ENTRIES]]
    return f"[{', '.join([*steps, *(f'{{handicap={handicap}}}' for handicap in slowed)])}]"


def _seed(store: Path) -> int:
    """1 for a store's first calibration; counts those that are over, so that the next has runs of its own."""
    if not store.exists():
        return 1
    with Reader(store) as reader:
        known = reader.studies().filter(study=calibration.STUDY)
    over = known.filter(
        (pl.col("num_ok") >= pl.col("num_planned")) | (pl.col("begun_at") < datetime.now(UTC) - GOES_ON)
    )
    seeds = [json.loads(text)["seed"] for text in over["document"]]
    return max(seeds, default=0) + 1
