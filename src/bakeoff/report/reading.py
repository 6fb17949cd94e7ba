"""A study's frames with all that a report needs beside them."""

from __future__ import annotations

import dataclasses

import polars as pl

from bakeoff import calibration, races
from bakeoff.races.frames import Frames, Source


def read(source: Source | Frames, study: str | None = None) -> Frames:
    """The frames of a study, of the one begun last unless `study` names another; with the calibrations.

    Frames are returned as they are.

    Raises:
        StoreError: the store does not know the study.
    """
    if isinstance(source, Frames):
        return source
    found = races.read(source, study)
    digests = source.studies().filter(study=calibration.STUDY)["digest"]
    runs = [source.runs(digest) for digest in digests]
    return dataclasses.replace(
        found, calibrations=pl.concat(runs, how="vertical_relaxed") if runs else found.runs.clear()
    )
