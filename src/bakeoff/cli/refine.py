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
            refinement = refine(
                chosen,
                label,
                store_path(arguments),
                budget_s=arguments.budget,
                verify=not arguments.no_verify,
                listener=listener,
                data_directory=arguments.data_dir,
            )
            found.append(refinement)
            if not arguments.json:
                _show(refinement)
    if arguments.json:
        print(json.dumps([_document(one) for one in found], indent=1))
    if any(one.failure for one in found):
        return FAILED
    return 0 if all(one.is_decided for one in found) else UNDECIDED


def _show(refinement: Refinement) -> None:
    if refinement.failure:
        say(f"\n{refinement.label}: its first run ended otherwise than well: {refinement.failure}")
        return
    columns = ("time ÷ default's", "error, pp", "blocks", "took effect")
    shown = table("change", *columns, "", right=columns[:3], title=f"\n{refinement.label}: what was tried")
    for name, fate in refinement.search.fates.items():
        measured = refinement.search.measured.get(name, Measured())
        ratio = f"{math.exp(measured.mean):.3g}" if measured.logs else ""
        effect = str(measured.effect.value) if measured.logs else ""
        words = f"{fate.value}: {measured.failure}" if measured.failure else fate.value
        error = f"{100 * measured.mean_error:+.2f}" if measured.errors else ""
        shown.add_row(name, ratio, error, str(len(measured.logs) or ""), effect, words)
    console().print(shown)
    say("The best of many looks better than it is: these ratios choose what is confirmed, and prove nothing.")
    say(*_conclusion(refinement))  # in no terminal's width: some of it is to be pasted


def _conclusion(refinement: Refinement) -> list[str]:
    winner = refinement.search.winner
    if winner is None:
        more = "" if refinement.is_decided else " A larger --budget tries what there was no time for."
        return [f"\n{refinement.label}: nothing that was tried seems to help.{more}"]
    if refinement.verdict is None:
        return [
            f"\n{refinement.label}: {winner.name} seems to help; no block of its confirmation ended well."
        ]
    lines = [f"\n{refinement.label}, tuned track, on fresh blocks: {refinement.sentence}."]
    if not refinement.is_confirmed:
        lines.append("So nothing is proven to help.")
        if not refinement.is_decided:
            lines.append("A larger --budget goes on with the same confirmation.")
    else:
        lines += [
            "\nFor a study file:\n",
            outside.toml(refinement.settings, winner.options),
            _outside(refinement),
        ]
    return [*lines, f"\nMore: bakeoff compare {refinement.study}"]


def _outside(refinement: Refinement) -> str:
    """What became of it without Bakeoff."""
    if refinement.outside is None or refinement.outside.files is None:
        return f"\nNo program of plain Keras: {refinement.outside.failure if refinement.outside else ''}"
    default, tuned = refinement.outside.files
    text = f"\nWithout Bakeoff, as plain Keras: {tuned}, and as it was: {default}"
    if refinement.outside.seconds is None:
        return f"{text}\nRun once, it failed: {refinement.outside.failure}"
    was, now = refinement.outside.seconds
    return (
        f"{text}\nRun once each: {now:.3g} s an epoch instead of {was:.3g}, {now / was:.2f} times as long "
        "(one run each proves nothing)."
    )


def _document(refinement: Refinement) -> dict[str, Any]:
    """Everything, JSON-plain."""
    found: dict[str, Any] = {
        "label": refinement.label,
        "failure": refinement.failure,
        "study": refinement.study,
        "tried": [],
    }
    for name, fate in refinement.search.fates.items():
        measured = refinement.search.measured.get(name, Measured())
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
    winner, verdict = refinement.search.winner, refinement.verdict
    found |= {"winner": winner.name if winner else None, "is_confirmed": refinement.is_confirmed}
    if winner:
        found["study_file"] = outside.toml(refinement.settings, winner.options)
    if refinement.outside is not None:
        found["plain_keras"] = {
            "files": [str(file) for file in refinement.outside.files or ()],
            "seconds": refinement.outside.seconds,
            "failure": refinement.outside.failure,
        }
    if verdict is not None:
        time = verdict.time
        found |= {"ratio": time.ratio, "low": time.low, "high": time.high, "num_blocks": time.num_blocks}
        found["sentence"] = refinement.sentence
    return found
