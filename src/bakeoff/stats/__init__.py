"""Arrays in, numbers out: summaries, comparisons, verdicts, ranking, warm-up. See docs/statistics.md."""

from bakeoff.stats.break_even import BreakEven, Costs, break_even
from bakeoff.stats.comparison import (
    FASTER,
    FASTER_AT_WORSE_ERROR,
    MIN_BLOCKS,
    PRACTICALLY_EQUAL,
    SLOWER,
    SLOWER_AT_BETTER_ERROR,
    TOO_FEW,
    UNDECIDED,
    Kind,
    pair,
)
from bakeoff.stats.doubts import Doubt, Finding
from bakeoff.stats.error_difference import (
    ErrorDifference,
    Pairing,
    error_difference,
    error_difference_by_image,
    error_difference_of_splits,
)
from bakeoff.stats.error_rate import ErrorRate, error_rate
from bakeoff.stats.noise import MIN_DF, Lent, Noise, lend
from bakeoff.stats.plateau import Plateau, plateau
from bakeoff.stats.projection import MAX_PROJECTED, MoreBlocks, Obstacle
from bakeoff.stats.ranking import Ranking, rank
from bakeoff.stats.ratio import TimeRatio, time_ratio
from bakeoff.stats.rules import Rules
from bakeoff.stats.steady import two_valued
from bakeoff.stats.summary import (
    MIN_INTERVAL,
    POSITIVE,
    REAL,
    SHARE,
    Summary,
    Values,
    mean_interval,
    summarize,
)
from bakeoff.stats.target import TargetComparison, compare_to_target, time_to_target
from bakeoff.stats.verdicts import OnError, Question, Schedule, Verdict, judge
from bakeoff.stats.warm_up import WarmUp, warm_up

__all__ = [
    "FASTER",
    "FASTER_AT_WORSE_ERROR",
    "MAX_PROJECTED",
    "MIN_BLOCKS",
    "MIN_DF",
    "MIN_INTERVAL",
    "POSITIVE",
    "PRACTICALLY_EQUAL",
    "REAL",
    "SHARE",
    "SLOWER",
    "SLOWER_AT_BETTER_ERROR",
    "TOO_FEW",
    "UNDECIDED",
    "BreakEven",
    "Costs",
    "Doubt",
    "ErrorDifference",
    "ErrorRate",
    "Finding",
    "Kind",
    "Lent",
    "MoreBlocks",
    "Noise",
    "Obstacle",
    "OnError",
    "Pairing",
    "Plateau",
    "Question",
    "Ranking",
    "Rules",
    "Schedule",
    "Summary",
    "TargetComparison",
    "TimeRatio",
    "Values",
    "Verdict",
    "WarmUp",
    "break_even",
    "compare_to_target",
    "error_difference",
    "error_difference_by_image",
    "error_difference_of_splits",
    "error_rate",
    "judge",
    "lend",
    "mean_interval",
    "pair",
    "plateau",
    "rank",
    "summarize",
    "time_ratio",
    "time_to_target",
    "two_valued",
    "warm_up",
]
