"""``bakeoff refine``: what settings make a contestant faster, proven on fresh blocks."""

from __future__ import annotations

import argparse
import json
import math
from contextlib import closing
from typing import Any

from bakeoff import study
from bakeoff.cli import progress
from bakeoff.cli.console import console, say, table
from bakeoff.cli.stores import store_path
from bakeoff.errors import FAILED, UNDECIDED
from bakeoff.refine import Refinement, outside, refine
from bakeoff.refine.search import Measured

# Selection must not see the test images.
_HELD_OUT = "evaluation_split=validation"


def main(arguments: argparse.Namespace) -> int:
    """Refine the study's contestants, one after the other.

    0 if all is known of each, 9 if a winner's confirmation stays undecided, 1 if a contestant fails.
    """
    chosen = study.load(arguments.study, [*arguments.overrides, _HELD_OUT])
    labels = arguments.labels or [trial.label for trial in chosen.trials]
    found = []
    with closing(progress.listener(quiet=arguments.quiet, as_json=False)) as listener:
        for label in labels:
            one = refine(
                chosen,
                label,
                store_path(arguments),
                budget_s=arguments.budget,
                verify=not arguments.no_verify,
                listener=listener,
                data_directory=arguments.data_dir,
            )
            found.append(one)
            if not arguments.json:
                _show(one)
    if arguments.json:
        print(json.dumps([_document(one) for one in found], indent=1))
    if any(one.failure for one in found):
        return FAILED
    return 0 if all(one.is_decided for one in found) else UNDECIDED


def _show(one: Refinement) -> None:
    if one.failure:
        say(f"\n{one.label}: its first run ended otherwise than well: {one.failure}")
        return
    columns = ("time ÷ default's", "error, pp", "blocks", "took effect")
    shown = table("change", *columns, "", right=columns[:3], title=f"\n{one.label}: what was tried")
    for name, fate in one.search.fates.items():
        measured = one.search.measured.get(name, Measured())
        ratio = f"{math.exp(measured.mean):.3g}" if measured.logs else ""
        effect = str(measured.effect.value) if measured.logs else ""
        words = f"{fate.value}: {measured.failure}" if measured.failure else fate.value
        error = f"{100 * measured.mean_error:+.2f}" if measured.errors else ""
        shown.add_row(name, ratio, error, str(len(measured.logs) or ""), effect, words)
    console().print(shown)
    say("The best of many looks better than it is: these ratios choose what is confirmed, and prove nothing.")
    say(*_conclusion(one))  # in no terminal's width: some of it is to be pasted


def _conclusion(one: Refinement) -> list[str]:
    winner = one.search.winner
    if winner is None:
        more = "" if one.is_decided else " A larger --budget tries what there was no time for."
        return [f"\n{one.label}: nothing that was tried seems to help.{more}"]
    if one.verdict is None:
        return [f"\n{one.label}: {winner.name} seems to help; no block of its confirmation ended well."]
    lines = [f"\n{one.label}, tuned track, on fresh blocks: {one.sentence}."]
    if not one.is_confirmed:
        lines.append("So nothing is proven to help.")
        if not one.is_decided:
            lines.append("A larger --budget goes on with the same confirmation.")
    else:
        lines += ["\nFor a study file:\n", outside.toml(one.settings, winner.options), _outside(one)]
    return [*lines, f"\nMore: bakeoff compare {one.study}"]


def _outside(one: Refinement) -> str:
    """What became of it without Bakeoff."""
    if one.outside is None or one.outside.files is None:
        return f"\nNo program of plain Keras: {one.outside.failure if one.outside else ''}"
    default, tuned = one.outside.files
    text = f"\nWithout Bakeoff, as plain Keras: {tuned}, and as it was: {default}"
    if one.outside.seconds is None:
        return f"{text}\nRun once, it failed: {one.outside.failure}"
    was, now = one.outside.seconds
    return (
        f"{text}\nRun once each: {now:.3g} s an epoch instead of {was:.3g}, {now / was:.2f} times as long "
        "(one run each proves nothing)."
    )


def _document(one: Refinement) -> dict[str, Any]:
    """Everything, JSON-plain."""
    found: dict[str, Any] = {"label": one.label, "failure": one.failure, "study": one.study, "tried": []}
    for name, fate in one.search.fates.items():
        measured = one.search.measured.get(name, Measured())
        found["tried"].append(
            {
                "change": name,
                "fate": fate.value,
                "log_ratios": list(measured.logs.values()),
                "error_differences": list(measured.errors.values()),
                "took_effect": measured.effect.value,
                "failure": measured.failure,
            }
        )
    winner, verdict = one.search.winner, one.verdict
    found |= {"winner": winner.name if winner else None, "is_confirmed": one.is_confirmed}
    if winner:
        found["study_file"] = outside.toml(one.settings, winner.options)
    if one.outside is not None:
        found["plain_keras"] = {
            "files": [str(file) for file in one.outside.files or ()],
            "seconds": one.outside.seconds,
            "failure": one.outside.failure,
        }
    if verdict is not None:
        time = verdict.time
        found |= {"ratio": time.ratio, "low": time.low, "high": time.high, "num_blocks": time.num_blocks}
        found["sentence"] = one.sentence
    return found
