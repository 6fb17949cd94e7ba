"""``bakeoff profile``: where the contestants' time goes."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from rich.text import Text

from bakeoff import profile, study
from bakeoff.cli.console import console, table
from bakeoff.cli.progress import Lines
from bakeoff.cli.stores import store_path
from bakeoff.errors import ReportError
from bakeoff.profile import Profiled, words
from bakeoff.profile.budget import Budget, Part, budget
from bakeoff.profile.findings import findings
from bakeoff.profile.layers import layers
from bakeoff.profile.trace import trace
from bakeoff_worker.records import NotShown, ProfiledEpoch


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
    if arguments.trace:
        _write_trace(arguments.trace, profiles)
    if arguments.json:
        print(json.dumps([{"label": one.label, **one.document()} for one in profiles], indent=1))
    else:
        _print_budgets(profiles)
        for one in profiles:
            _print_layers(one)
        for one in profiles:
            _print_findings(one, arguments.study)
        console().print(Text(f"\nTry settings, and prove what helps: bakeoff refine {arguments.study}"))
    return 0 if all(one.is_whole for one in profiles) else 1


def _write_trace(path: Path, profiles: list[Profiled]) -> None:
    try:
        path.write_text(json.dumps(trace(profiles)), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: can't be written ({error.strerror})", "Name another file.") from error


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


def _print_layers(one: Profiled) -> None:
    """Shares of a step, by layer and method."""
    if not one.has("layers"):
        return
    screen = console()
    found = layers(one.answers["layers"])
    if found is None:
        reasons = [absent.reason for absent in one.answers["layers"].of(NotShown)]
        screen.print(Text(f"\n{one.label}: no layers: {'; '.join(reasons)}"))
        return
    names = (
        "forward",
        "backward",
        "both, and its interval",
        "by profiler",
        "saved by an equivalent",
        "of the best",
    )
    shown = table(
        "% of a step",
        "layer",
        *names,
        "",
        right=names,
        title=f"\n{one.label}: {1000 * found.step_s:.1f} ms a step",
    )
    for layer in found.layers:
        shown.add_row(
            layer.layer.layer_type,
            layer.layer.name,
            f"{100 * layer.forward.value:.0f}",
            f"{100 * layer.backward.value:.0f}",
            words.percent(layer.both),
            "" if layer.profiled is None else f"{100 * layer.profiled:.0f} %",
            "" if layer.saved is None else words.percent(layer.saved),
            "" if layer.attained is None else f"≤ {layer.attained:.0%}",
            "uncertain" if layer.is_uncertain else "",
        )
    shown.add_row("all else", "", "", "", words.percent(found.rest), "", "", "", "")
    screen.print(shown)
    if found.attained is not None:
        screen.print(
            Text(f"the step attains {found.attained:.1%} of a large matrix product's operations a second")
        )
    if found.overhead is None:
        screen.print(Text(f"no profiler: {found.why_not_profiled}"))
    else:
        screen.print(Text(f"profiler: {found.profiler}; under it a step takes {found.overhead:+.0%}"))


def _print_findings(one: Profiled, study_name: str) -> None:
    """The three that concern most, each with what acts on it."""
    found = findings(one)
    if not found:
        return
    screen = console()
    screen.print(Text(f"\n{one.label}:"))
    for finding in found[:3]:
        screen.print(Text(f"  {words.evidence(finding)}\n      {words.remedy(finding, study_name)}"))


def _what_was_run(one: Profiled) -> str:
    epochs = one.answers["budget"].of(ProfiledEpoch)
    return (
        f"{len(epochs)} epochs: {epochs[0].num_images:,} images trained, "
        f"{epochs[0].num_evaluated:,} evaluated. "
        "A profile is never counted as a timing."
    )


def _cell(one: Budget, part: Part) -> str:
    seconds = one.parts[part]
    return f"{seconds:.2f} {seconds / one.wall_s:4.0%}"


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
