"""``bakeoff profile``: where the contestants' time goes."""

from __future__ import annotations

import argparse
import json
from contextlib import closing

from rich.text import Text

from bakeoff import profile, study
from bakeoff.cli.console import console, table
from bakeoff.cli.progress import Lines
from bakeoff.cli.stores import store_path
from bakeoff.profile import Profiled
from bakeoff.profile.budget import Budget, Part, budget
from bakeoff_worker.records import ProfiledEpoch


def main(arguments: argparse.Namespace) -> int:
    """Profile the study's contestants; 0 if all of them could be, else 1."""
    chosen = study.load(arguments.study, arguments.overrides)
    with closing(Lines()) as listener:
        profiles = list(
            profile.profile(
                chosen,
                store_path(arguments),
                labels=arguments.labels,
                listener=listener,
                data_directory=arguments.data_dir,
            )
        )
    if arguments.json:
        print(json.dumps([{"label": one.label, **one.document()} for one in profiles], indent=1))
    else:
        _print_budgets(profiles)
    return 0 if all(one.is_whole for one in profiles) else 1


def _print_budgets(profiles: list[Profiled]) -> None:
    """One contestant a column, so that the same part stands beside itself."""
    budgets = {one.label: budget(one.answers["budget"]) for one in profiles if one.has("budget")}
    screen = console()
    if budgets:
        first = next(one for one in profiles if one.has("budget"))
        shown = table("wall seconds of a small run", *budgets, right=tuple(budgets))
        for part in Part:
            shown.add_row(str(part), *(_cell(one, part) for one in budgets.values()))
        shown.add_row("all", *(f"{one.wall_s:.2f}" for one in budgets.values()))
        shown.add_row("")
        shown.add_row("one step, ms", *(f"{1000 * one.step_s:.1f}" for one in budgets.values()))
        shown.add_row("cores busy while stepping", *(_number(one.cores, ".2f") for one in budgets.values()))
        shown.add_row("page faults a step", *(_number(one.page_faults, ",.0f") for one in budgets.values()))
        screen.print(shown)
        screen.print(Text(_what_was_run(first)))
    for one in profiles:
        if reason := one.why_not("budget"):
            screen.print(Text(f"{one.label}: no profile: {reason}"))


def _what_was_run(one: Profiled) -> str:
    epochs = one.answers["budget"].of(ProfiledEpoch)
    return (
        f"{len(epochs)} epochs of {epochs[0].num_images:,} images each, {epochs[0].num_evaluated:,} evaluated. "
        "A profile is never counted as a timing."
    )


def _cell(one: Budget, part: Part) -> str:
    seconds = one.parts[part]
    return f"{seconds:.2f} {seconds / one.wall_s:4.0%}"


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
