"""The study that the command line asks for."""

from __future__ import annotations

import argparse
import json

from bakeoff import study
from bakeoff.errors import StudyError

# Options that are short for an override, by their name among the arguments.
_SHORT = {
    "master": "distribution_options.master",
    "until_decided": "verdicts.until_decided",
    "max_blocks": "verdicts.max_blocks",
    "max_hours": "verdicts.max_hours",
}


def study_of(arguments: argparse.Namespace) -> study.Study:
    """The study named, with every ``--set``, and with the options that are short for one: these come last.

    Raises:
        StudyError: with all mistakes of file and command line.
    """
    typed = {key: getattr(arguments, name, None) for name, key in _SHORT.items()}
    given = {key: value for key, value in typed.items() if value is not None and value is not False}
    # JSON's values are TOML's, so that whatever was typed arrives as text.
    short = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    try:
        return study.load(arguments.study, (*arguments.overrides, *short))
    except StudyError as error:  # speak of what was typed
        problems = error.problems
        for name, key in _SHORT.items():
            if key in given:
                option = f"--{name.replace('_', '-')}:"
                problems = [problem.replace(f"--set {key}:", option) for problem in problems]
        raise StudyError(problems, error.hint) from None
