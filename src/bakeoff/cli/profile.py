"""``bakeoff profile``: where the contestants' time goes."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from bakeoff import profiling, study
from bakeoff.cli.consent import consent
from bakeoff.cli.console import console, table
from bakeoff.cli.progress import Lines
from bakeoff.cli.stores import store_path
from bakeoff.errors import ReportError, StudyError
from bakeoff.profile import words
from bakeoff.profile.budget import Budget, Part, budget
from bakeoff.profile.findings import findings
from bakeoff.profile.layers import layers
from bakeoff.profile.profiled import Profiled
from bakeoff.profile.trace import trace
from bakeoff.races.compose import command_of
from bakeoff.store.reader import Reader
from bakeoff_worker.records import NotShown, ProfiledEpoch

# Columns of sentences in a file; tables are as wide as they have to be.
_PROSE_IN_FILES = 80


def main(arguments: argparse.Namespace) -> int:
    """Profile the study's contestants; 0 if all of them could be, else 1."""
    chosen, command = _chosen(arguments)
    with closing(Lines()) as listener:
        profiles = list(
            profiling.profile(
                chosen,
                store_path(arguments),
                labels=arguments.labels,
                listener=listener,
                data_directory=arguments.data_dir,
                consent=consent(arguments),
            )
        )
    if arguments.trace:
        _write_trace(arguments.trace, profiles)
    if arguments.json:
        print(json.dumps([{"label": profile.label, **profile.document()} for profile in profiles], indent=1))
    else:
        _print_budgets(profiles)
        for profile in profiles:
            _print_layers(profile)
        for profile in profiles:
            _print_findings(profile, command)
        console().print(Text(f"\nTry settings, and prove what helps: bakeoff refine {arguments.study}"))
    return 0 if all(profile.is_whole for profile in profiles) else 1


def _chosen(arguments: argparse.Namespace) -> tuple[study.Study, str]:
    """The study that is named, built in, a file or in the store; and the command that runs it."""
    path = store_path(arguments)
    is_file = arguments.study in study.builtin_names() or Path(arguments.study).expanduser().exists()
    if not is_file and path.exists():
        with Reader(path) as reader:
            kept = reader.studies().filter(study=arguments.study)
            if len(kept):
                command = command_of(reader.runs(arguments.study)) or f"bakeoff run {arguments.study}"
                if arguments.overrides:
                    problem = f"--set: {arguments.study} is in the store as it ran; expected no --set with it"
                    raise StudyError([problem], f"Name its file, as in: {command}")
                return study.stored(json.loads(kept["document"][0])), command
    return study.load(arguments.study, arguments.overrides), f"bakeoff run {arguments.study}"


def _write_trace(path: Path, profiles: list[Profiled]) -> None:
    try:
        path.write_text(json.dumps(trace(profiles)), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path}: can't be written ({error.strerror})", "Name another file.") from error


def _print_budgets(profiles: list[Profiled]) -> None:
    """One contestant a column, so that the same part stands beside itself."""
    budgets = {
        profile.label: budget(profile.answers["budget"]) for profile in profiles if profile.has("budget")
    }
    screen = console()
    if budgets:
        first = next(profile for profile in profiles if profile.has("budget"))
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
    for profile in profiles:
        if reason := profile.why_not("budget"):
            console(width_in_files=_PROSE_IN_FILES).print(Text(f"{profile.label}: no profile: {reason}"))


def _print_layers(profiled: Profiled) -> None:
    """Shares of a step, by layer and method."""
    if not profiled.has("layers"):
        return
    screen = console()
    found = layers(profiled.answers["layers"])
    if found is None:
        reasons = [absent.reason for absent in profiled.answers["layers"].of(NotShown)]
        screen.print(Text(f"\n{profiled.label}: no layers: {'; '.join(reasons)}"))
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
        title=f"\n{profiled.label}: {1000 * found.step_s:.1f} ms a step",
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
    if found.host is not None:
        screen.print(Text(f"the host takes {words.percent(found.host)} of a step, whatever the images in it"))
    if found.attained is not None:
        screen.print(
            Text(f"the step attains {found.attained:.1%} of a large matrix product's operations a second")
        )
    if found.overhead is None:
        screen.print(Text(f"no profiler: {found.why_not_profiled}"))
    else:
        screen.print(Text(f"profiler: {found.profiler}; under it a step takes {found.overhead:+.0%}"))


def _print_findings(profiled: Profiled, command: str) -> None:
    """The three that concern most, each with what acts on it."""
    found = findings(profiled)
    if not found:
        return
    screen = console(width_in_files=_PROSE_IN_FILES)
    screen.print(Text(f"\n{profiled.label}:"))
    for finding in found[:3]:
        screen.print(Padding(Text(words.evidence(finding)), (0, 0, 0, 2)))
        screen.print(Padding(Text(words.remedy(finding, command)), (0, 0, 0, 6)))


def _what_was_run(profiled: Profiled) -> str:
    epochs = profiled.answers["budget"].of(ProfiledEpoch)
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
