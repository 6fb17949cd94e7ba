"""Whether the machine that a study ran on was found fit to tell contestants apart."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from bakeoff import calibration


@dataclass(frozen=True)
class Trust:
    """What the last calibration says. is_doubtful: whether the page is to say so at its top."""

    is_doubtful: bool
    words: str


def trust(calibrations: pl.DataFrame | None, runs: pl.DataFrame) -> Trust | None:
    """What is known of the machine of these runs; None where nobody looked, or nothing ran.

    calibrations: runs of calibrations, the last calibration first. runs: of the study, all of one machine.
    """
    if calibrations is None or not len(runs):
        return None
    found = last(calibrations, runs)
    if found is not None:
        words = found.sentence()
        return Trust(not found.passed, f"{words[0].upper()}{words[1:]}.")
    return Trust(
        True,
        "This machine was never calibrated: whether it tells equal contestants apart by chance, and small "
        "differences at all, is not known. Run bakeoff calibrate.",
    )


def last(calibrations: pl.DataFrame, runs: pl.DataFrame) -> calibration.Calibration | None:
    """The last calibration of the machine of these runs; None where it has none."""
    machine_id = str(runs["machine_id"][0])
    for _, mine in calibrations.group_by("study_digest", maintain_order=True) if len(calibrations) else ():
        if found := calibration.assess(mine, machine_id):
            return found
    return None
