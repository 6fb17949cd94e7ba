"""On which images each run was judged, as it said itself: what errors may be held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from bakeoff.races.frames import observed_of

# Runs before this measurement version didn't say which images they were judged on: it follows from their
# settings.
_SAYS_WHICH = 2


@dataclass(frozen=True)
class Evaluated:
    """On what one run's error was measured.

    images: equal for runs that were judged on the same images in the same order; None if that is unknown.
    num_images: how many. num_pool: of how many they were drawn; larger than `num_images` where each repeat
    draws anew. chance_error: error of always naming the most frequent class, a fraction; chance_loss:
    cross-entropy of naming each class as often as it comes, in nats. Any may be unknown.
    """

    images: str | None = None
    num_images: int | None = None
    num_pool: int | None = None
    chance_error: float | None = None
    chance_loss: float | None = None


Evaluations = Mapping[str, Evaluated]


def evaluations(facts: pl.DataFrame, runs: pl.DataFrame) -> dict[str, Evaluated]:
    """By run_id, what each of these runs was judged on. facts: `run_id`, `observed`; may be empty."""
    observed = observed_of(facts, runs.select("run_id")) if len(runs) else {}
    return {row["run_id"]: _evaluated(row, observed.get(row["run_id"], {})) for row in _rows(runs)}


def by_trial(evaluated: Evaluations, runs: pl.DataFrame) -> dict[str, Evaluated]:
    """By trial_id, what the last of its runs was judged on."""
    pairs = runs.select("trial_id", "run_id").iter_rows()
    return {trial_id: evaluated[run_id] for trial_id, run_id in pairs if run_id in evaluated}


_SETTINGS = ("settings.evaluation_images", "settings.evaluation_split", "settings.validation_fraction")


def _rows(runs: pl.DataFrame) -> Iterator[dict[str, Any]]:
    needed = ("run_id", "repeat", "measurement_version", *_SETTINGS)
    return runs.select(column for column in needed if column in runs.columns).iter_rows(named=True)


def _evaluated(run: Mapping[str, Any], observed: Mapping[str, Any]) -> Evaluated:
    num = observed.get("num_evaluation_images")
    return Evaluated(
        images=observed.get("evaluation_sha256") or _of_the_first(run),
        num_images=num,
        num_pool=observed.get("num_evaluation_pool") or _pool(run, num),
        chance_error=observed.get("chance_error"),
        chance_loss=observed.get("chance_loss"),
    )


def _of_the_first(run: Mapping[str, Any]) -> str | None:
    """Which images a run of measurement version 1 had: the first N of its split."""
    if run.get("measurement_version", 1) >= _SAYS_WHICH:
        return None
    limit, split, _ = (run.get(column) for column in _SETTINGS)
    repeat = f" of repeat {run.get('repeat')}" if split == "validation" else ""
    return f"first {limit or 'all'} of {split or 'test'}{repeat}"


def _pool(run: Mapping[str, Any], num_images: int | None) -> int | None:
    """The fewest images that the run's own can have been drawn from."""
    _, split, fraction = (run.get(column) for column in _SETTINGS)
    if num_images is None or split != "validation" or not fraction:
        return num_images
    return round(num_images / float(fraction))
