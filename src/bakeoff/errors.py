"""What can go wrong, drawn once.

    BakeoffError                    exit code
    ├── UsageError                       2    wrong command line
    ├── StudyError                       3    the study file is wrong (all its mistakes at once)
    ├── EnvironmentFailure                4    an environment can't be made or found
    ├── DatasetError                     5    data missing, damaged, or of the wrong form
    ├── ModelFailure                     1    the user's model can't be built
    ├── StoreError                       6    the store can't be opened, written or understood
    ├── MachineError                     7    this machine lacks what was asked (GPU, disk, compiler)
    └── ReportError                      8    nothing to report or to plan from, or it can't be written

Exit code 0: all runs of the plan are in the store and ended well. 1: finished, but some runs failed
or were skipped. 9: all ran well, and what was asked stays undecided. 130: interrupted by the user; the same
command goes on. Anything that is not a `BakeoffError` is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

FAILED, UNDECIDED, INTERRUPTED = 1, 9, 130  # the last as shells report a process ended by Ctrl-C


class BakeoffError(Exception):
    """A mistake that a person can mend: a message that states the fact, and a hint that says how.

    message: what was got and what was expected. hint: how to fix it; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BakeoffError):
    """The command line is wrong."""

    exit_code = 2


class StudyError(BakeoffError):
    """The study file is wrong.

    problems: one line each, with its path in the file: ``study.toml: $.matrix.backend[1]: expected ...``.
    """

    exit_code = 3

    def __init__(self, problems: list[str], hint: str = "") -> None:
        super().__init__("\n".join(problems), hint)
        self.problems = problems


class EnvironmentFailure(BakeoffError):
    """An environment can't be made or found."""

    exit_code = 4


class DatasetError(BakeoffError):
    """Data are missing, damaged, or of the wrong form."""

    exit_code = 5


class ModelFailure(BakeoffError):
    """The user's own model or contestant can't be built, or breaks the contract."""


class StoreError(BakeoffError):
    """The store can't be opened, written or understood."""

    exit_code = 6


class MachineError(BakeoffError):
    """This machine lacks what was asked for."""

    exit_code = 7


class ReportError(BakeoffError):
    """Nothing to report, or the report can't be written."""

    exit_code = 8
