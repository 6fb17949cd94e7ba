"""Races: who met whom in a study, and who may be called faster. Frames in, verdicts out.

compose           a study's frames, arranged into sections, races and comparisons
verdict           one pair's verdict, for reports, commands and the stopping rule alike
sentence          a comparison in words, with its numbers; the rest in `sentences`
ran               what a contestant was seen to run
"""

from bakeoff.races.choice import Choice, choose_fastest
from bakeoff.races.compose import compose
from bakeoff.races.definitions import (
    DIFFERENT,
    MATCHED,
    NOT_COMPARED,
    OUT_OF_THE_BOX,
    SAME,
    SETTINGS,
    TUNED,
    UNCERTIFIED,
    Certified,
    Comparison,
    Contestant,
    Exclusion,
    Race,
)
from bakeoff.races.evaluations import evaluations
from bakeoff.races.evidence import Evidence
from bakeoff.races.frames import Frames, read, select
from bakeoff.races.learning import learnings
from bakeoff.races.sections import Section, error_table
from bakeoff.races.sentences import sentence, what_would_decide
from bakeoff.races.tracks import ran
from bakeoff.races.verdicts import rules_of, verdict

__all__ = [
    "DIFFERENT",
    "MATCHED",
    "NOT_COMPARED",
    "OUT_OF_THE_BOX",
    "SAME",
    "SETTINGS",
    "TUNED",
    "UNCERTIFIED",
    "Certified",
    "Choice",
    "Comparison",
    "Contestant",
    "Evidence",
    "Exclusion",
    "Frames",
    "Race",
    "Section",
    "choose_fastest",
    "compose",
    "error_table",
    "evaluations",
    "learnings",
    "ran",
    "read",
    "rules_of",
    "select",
    "sentence",
    "verdict",
    "what_would_decide",
]
