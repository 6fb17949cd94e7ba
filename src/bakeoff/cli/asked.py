"""The study that the command line asks for."""

from __future__ import annotations

import argparse
import json

from bakeoff import study
from bakeoff.errors import StudyError

_MASTER = "distribution_options.master"


def study_of(arguments: argparse.Namespace) -> study.Study:
    """The study named, with every ``--set``, and with ``--master``, which has the last word.

    Raises:
        StudyError: with all mistakes of file and command line.
    """
    if not arguments.master:
        return study.load(arguments.study, arguments.overrides)
    # JSON's strings are TOML's, so that whatever was typed arrives as text.
    master = f"{_MASTER}={json.dumps(arguments.master)}"
    try:
        return study.load(arguments.study, (*arguments.overrides, master))
    except StudyError as error:  # speak of what was typed
        problems = [problem.replace(f"--set {_MASTER}:", "--master:") for problem in error.problems]
        raise StudyError(problems, error.hint) from None
