"""Whether a machine can be trusted, from one contestant that raced against itself.

`assess` takes the runs of the built-in study ``calibration``, `latest` finds them; see docs/calibration.md.

    entries.py          the runs as arrays: blocks by entries
    calls.py            who is called faster, for many pairs and looks at once
    false_positives.py  identical entries that were told apart
    handicaps.py        entries that were made slower: whether and when they were found
    noise.py            what varied, by how much, and what can be done about it
    words.py            shares as people read them
    layouts.py          any race's runs, epoch by epoch: what designs are planned from
    assessment.py       all of it, and whether the machine passes
"""

from bakeoff.calibration.assessment import STUDY, Calibration, assess, latest
from bakeoff.calibration.false_positives import FalsePositives
from bakeoff.calibration.handicaps import SlowedEntry
from bakeoff.calibration.layouts import components, layouts
from bakeoff.calibration.noise import Noise, NoiseSource
from bakeoff.calibration.words import percent
from bakeoff.stats import MIN_BLOCKS

__all__ = [
    "MIN_BLOCKS",
    "STUDY",
    "Calibration",
    "FalsePositives",
    "Noise",
    "NoiseSource",
    "SlowedEntry",
    "assess",
    "components",
    "latest",
    "layouts",
    "percent",
]
