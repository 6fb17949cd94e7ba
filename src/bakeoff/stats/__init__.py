"""Arrays in, numbers out: summaries, comparisons, verdicts, ranking, warm-up. See docs/statistics.md."""

from bakeoff.stats.break_even import BreakEven, Costs, break_even
from bakeoff.stats.comparison import FASTER, MIN_PAIRS, SLOWER, TOO_FEW, UNDECIDED, pair
from bakeoff.stats.error_difference import (
    ErrorDifference,
    error_difference,
    error_difference_by_image,
    error_difference_of_splits,
)
from bakeoff.stats.error_rate import ErrorRate, error_rate
from bakeoff.stats.plateau import Plateau, plateau
from bakeoff.stats.ranking import Ranking, rank
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
from bakeoff.stats.verdicts import (
    FASTER_AT_WORSE_ERROR,
    PRACTICALLY_EQUAL,
    SLOWER_AT_BETTER_ERROR,
    TEST_SET_TOO_SMALL,
    TimeRatio,
    Verdict,
    judge,
    time_ratio,
)
from bakeoff.stats.warm_up import WarmUp, warm_up

__all__ = [
    "FASTER",
    "FASTER_AT_WORSE_ERROR",
    "MIN_INTERVAL",
    "MIN_PAIRS",
    "POSITIVE",
    "PRACTICALLY_EQUAL",
    "REAL",
    "SHARE",
    "SLOWER",
    "SLOWER_AT_BETTER_ERROR",
    "TEST_SET_TOO_SMALL",
    "TOO_FEW",
    "UNDECIDED",
    "BreakEven",
    "Costs",
    "ErrorDifference",
    "ErrorRate",
    "Plateau",
    "Ranking",
    "Rules",
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
