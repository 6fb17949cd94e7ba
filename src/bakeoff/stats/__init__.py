"""Arrays in, numbers out: summaries, paired comparisons, plateaus, warm-up. See docs/statistics.md."""

from bakeoff.stats.choice import Choice, choose_fastest
from bakeoff.stats.comparison import (
    FASTER,
    MIN_PAIRS,
    SLOWER,
    TOO_FEW,
    UNDECIDED,
    Difference,
    Ratio,
    pair,
    paired_difference,
    paired_ratio,
)
from bakeoff.stats.plateau import Plateau, plateau
from bakeoff.stats.steady import two_valued, warm_up_epochs
from bakeoff.stats.summary import Summary, mean_interval, summarize

__all__ = [
    "FASTER",
    "MIN_PAIRS",
    "SLOWER",
    "TOO_FEW",
    "UNDECIDED",
    "Choice",
    "Difference",
    "Plateau",
    "Ratio",
    "Summary",
    "choose_fastest",
    "mean_interval",
    "pair",
    "paired_difference",
    "paired_ratio",
    "plateau",
    "summarize",
    "two_valued",
    "warm_up_epochs",
]
