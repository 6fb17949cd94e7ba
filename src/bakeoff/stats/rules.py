"""By what rules a study is judged: fixed before its first run, so that none is chosen after it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.stats import sequential
from bakeoff.stats.comparison import MIN_PAIRS


@dataclass(frozen=True)
class Rules:
    """Margins and error rate of a study's comparisons; numbers only, so that it can be stored as it is.

    margin: times are practically equal if their ratio lies between 1 / (1 + margin) and 1 + margin.
    error_margin: an error is non-inferior if it exceeds the other's by less than this, a fraction.
    confidence: of all intervals together. is_sequential: whether blocks are added until all is decided, so
    that intervals must hold at every look. num_comparisons: pairs among which 1 - `confidence` is divided
    (Bonferroni); 1 where each comparison stands for itself.
    """

    margin: float = 0.02
    error_margin: float = 0.0025
    confidence: float = 0.95
    is_sequential: bool = False
    num_comparisons: int = 1

    def __post_init__(self) -> None:
        if not (self.margin >= 0 and self.error_margin >= 0 and 0 < self.confidence < 1):
            raise ValueError(
                "expected margins of 0 or more and a confidence between 0 and 1; "
                f"got {self.margin}, {self.error_margin}, {self.confidence}"
            )
        if self.num_comparisons < 1:
            raise ValueError(f"expected at least 1 comparison; got {self.num_comparisons}")

    @property
    def alpha(self) -> float:
        """Error rate of one comparison."""
        return (1 - self.confidence) / self.num_comparisons

    @property
    def log_margin(self) -> float:
        """The margin of times on the scale of log ratios."""
        return math.log1p(self.margin)

    @property
    def min_blocks(self) -> int:
        """Blocks below which nothing is decided."""
        return sequential.MIN_BLOCKS if self.is_sequential else MIN_PAIRS

    @property
    def normal_quantile(self) -> float:
        """Standard errors to either side, of a quantity known to be normal, that is looked at once."""
        from scipy.special import ndtri

        return float(-ndtri(self.alpha / 2))

    def critical_value(self, num_blocks: int) -> float:
        """Standard errors to either side of a mean over so many blocks; infinite where nothing is known.

        Student's quantile for a number of blocks fixed beforehand, else `sequential.critical_value`.
        """
        if num_blocks < 2:
            return math.inf
        if self.is_sequential:
            return sequential.critical_value(num_blocks, self.alpha)
        from scipy.special import stdtrit  # a tenth of the start-up time of scipy.stats

        return float(-stdtrit(num_blocks - 1, self.alpha / 2))
