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
from bakeoff.stats.planning.components import Components, components
from bakeoff.stats.planning.design import (
    Cost,
    Design,
    Resolution,
    cheapest,
    finest,
    optimal_epochs,
    resolution,
)
from bakeoff.stats.planning.power import POWER, Field, blocks_needed, least_signal
from bakeoff.stats.planning.projection import MAX_PROJECTED, MoreBlocks, Obstacle
from bakeoff.stats.plateau import Plateau, plateau
from bakeoff.stats.ranking import Ranking, rank
from bakeoff.stats.ratio import TimeRatio, time_ratio
from bakeoff.stats.rules import Rules
from bakeoff.stats.scaling import Exponent, exponents
from bakeoff.stats.steady import two_valued
from bakeoff.stats.summary import (
    MIN_INTERVAL,
    POSITIVE,
    REAL,
    SHARE,
    Summary,
    Values,
    mean_interval,
    median_interval,
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
    "POWER",
    "PRACTICALLY_EQUAL",
    "REAL",
    "SHARE",
    "SLOWER",
    "SLOWER_AT_BETTER_ERROR",
    "TOO_FEW",
    "UNDECIDED",
    "BreakEven",
    "Components",
    "Cost",
    "Costs",
    "Design",
    "Doubt",
    "ErrorDifference",
    "ErrorRate",
    "Exponent",
    "Field",
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
    "Resolution",
    "Rules",
    "Schedule",
    "Summary",
    "TargetComparison",
    "TimeRatio",
    "Values",
    "Verdict",
    "WarmUp",
    "blocks_needed",
    "break_even",
    "cheapest",
    "compare_to_target",
    "components",
    "error_difference",
    "error_difference_by_image",
    "error_difference_of_splits",
    "error_rate",
    "exponents",
    "finest",
    "judge",
    "least_signal",
    "lend",
    "mean_interval",
    "median_interval",
    "optimal_epochs",
    "pair",
    "plateau",
    "rank",
    "resolution",
    "summarize",
    "time_ratio",
    "time_to_target",
    "two_valued",
    "warm_up",
]
