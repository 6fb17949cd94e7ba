"""A stored study and its verdicts: by the rules that it was stored with, or by others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from bakeoff import stats
from bakeoff.races.compose import compose
from bakeoff.races.definitions import Comparison, Race
from bakeoff.races.frames import Frames, Source, parsed, read
from bakeoff.races.sections import Section
from bakeoff.races.sentences import sentence, what_would_decide
from bakeoff.races.verdicts import named, rules_of

_SCHEMA: dict[str, type[pl.DataType]] = {
    "study": pl.String,
    "section": pl.String,
    "setting": pl.String,
    "first": pl.String,
    "second": pl.String,
    "first_trial": pl.String,
    "second_trial": pl.String,
    "verdict": pl.String,
    "on_time": pl.String,
    "on_error": pl.String,
    "is_decided": pl.Boolean,
    "is_aside": pl.Boolean,
    "ratio": pl.Float64,
    "ratio_low": pl.Float64,
    "ratio_high": pl.Float64,
    "num_blocks": pl.Int64,
    "error_difference": pl.Float64,
    "error_low": pl.Float64,
    "error_high": pl.Float64,
    "track": pl.String,
    "certificate": pl.String,
    "refusal": pl.String,
    "growth": pl.String,
    "sentence": pl.String,
    "what_would_decide": pl.String,
}


@dataclass(frozen=True)
class Judgement:
    """What may be said of a study's contestants.

    stored: the rules that the study was stored with. rules: those that the verdicts follow.
    """

    frames: Frames
    stored: stats.Rules
    rules: stats.Rules
    sections: tuple[Section, ...]

    def __iter__(self) -> Iterator[tuple[Section, Race, Comparison]]:
        """Every comparison, with the race and the section that it belongs to."""
        for section in self.sections:
            for race in section.races:
                for comparison in race.comparisons:
                    yield section, race, comparison

    @property
    def required(self) -> tuple[Comparison, ...]:
        """The comparisons that the study asks for: the pairs that it names, else all between equal work."""
        pairs = self._named
        return tuple(
            comparison
            for _, _, comparison in self
            if (comparison.pair in pairs if pairs else not comparison.growth)
        )

    @property
    def num_missing(self) -> int:
        """How many of the pairs that the study names have no runs to compare."""
        return len(self._named - {comparison.pair for _, _, comparison in self})

    @property
    def _named(self) -> frozenset[frozenset[str]]:
        return named(parsed(self.frames.document))

    @property
    def verdicts(self) -> pl.DataFrame:
        """One row per comparison; columns as in ``docs/store.md``."""
        rows = [_row(self.frames.study, section, race, comparison) for section, race, comparison in self]
        return pl.DataFrame(rows, schema=_SCHEMA)


def judge(
    source: Source | Frames,
    study: str | None = None,
    *,
    margin: float | None = None,
    error_margin: float | None = None,
    target_error: float | None = None,
) -> Judgement:
    """The verdicts on a study's contestants; of the study begun last unless `study` names another.

    margin, error_margin, target_error: fractions to judge by instead of the study's own.

    Raises:
        StoreError: the store does not know the study.
    """
    frames = read(source, study)
    stored = rules_of(frames.document)
    rules = replace(
        stored,
        margin=stored.margin if margin is None else margin,
        error_margin=stored.error_margin if error_margin is None else error_margin,
    )
    return Judgement(frames, stored, rules, compose(frames, rules=rules, target_error=target_error))


def _row(study: str, section: Section, race: Race, comparison: Comparison) -> dict[str, Any]:
    """A comparison, flat. A refused pair has neither verdict nor figures, so that no filter finds one."""
    verdict, time, error = comparison.verdict, comparison.verdict.time, comparison.verdict.error
    row = {
        "study": study,
        "section": section.title,
        "setting": race.setting,
        "first": comparison.first.plain_name,
        "second": comparison.second.plain_name,
        "first_trial": comparison.first.trial_id,
        "second_trial": comparison.second.trial_id,
        "is_decided": comparison.is_asked and verdict.is_decided,
        "is_aside": comparison.is_aside,
        "num_blocks": time.num_blocks,
        "track": comparison.track,
        "certificate": str(comparison.certificate.verdict),
        "refusal": comparison.refusal.words if comparison.refusal else "",
        "growth": comparison.growth,
        "sentence": sentence(comparison),
        "what_would_decide": what_would_decide(comparison),
    }
    if comparison.is_asked:
        row |= {
            "verdict": str(verdict.kind),
            "on_time": str(verdict.on_time),
            "on_error": str(verdict.on_error),
        }
    if comparison.refusal is None:
        row |= {"ratio": time.ratio, "ratio_low": time.low, "ratio_high": time.high}
        if error is not None:
            row |= {
                "error_difference": error.difference,
                "error_low": error.low,
                "error_high": error.high,
            }
    return row
