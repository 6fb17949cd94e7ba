"""The command line: arguments in, exit code out. Each command is one module here, imported when called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bakeoff.cli.arguments import START_HERE, parser
from bakeoff.errors import INTERRUPTED, BakeoffError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (see `bakeoff.errors`). Mistakes are printed without a traceback."""
    arguments = parser().parse_args(argv)
    if arguments.command is None:
        print(START_HERE)
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command = importlib.import_module(f"bakeoff.cli.{arguments.module}")
        return int(command.main(arguments))
    except BakeoffError as error:
        from bakeoff.cli.console import tell_error

        tell_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with what is missing", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output left, as `head` does
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """A polite end (SIGTERM) is handled as Ctrl-C is: children die, the run is recorded as interrupted."""
    raise KeyboardInterrupt
