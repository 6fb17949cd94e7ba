"""What a long preparation tells its caller while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the preparation of one data set has come.

    step: what is being done, for people. done_bytes, total_bytes: of this step; total_bytes is None
    where nobody knows it beforehand (a package manager's download).
    """

    name: str
    step: str
    done_bytes: int = 0
    total_bytes: int | None = None


OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Say nothing."""
