"""By what rules a study is judged: fixed before its first run, so that none is chosen after it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bakeoff.stats import sequential
from bakeoff.stats.noise import MIN_DF


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
    def test_set_quantile(self) -> float:
        """Standard errors to either side of a difference of errors, for the test set's share of chance.

        The normal quantile. Of a number of blocks fixed beforehand at `alpha`; where intervals must hold at
        every look at half of it. There, the test set's share is one draw that stays while the seeds' share
        is looked at again and again, so that both have their own chance to miss: at `alpha` each, 7.1 % of
        5 % intervals miss at one of 60 looks at the worst ratio of the two, so 4.2 %, by simulation
        (benchmarks/verdicts.py). The seeds' factor spends 0.8 `alpha` at most, by itself.
        """
        return self._normal(self.alpha / 2 if self.is_sequential else self.alpha)

    @property
    def normal_quantile(self) -> float:
        """Standard errors to either side, of a quantity known to be normal, that is looked at once."""
        return self._normal(self.alpha)

    @staticmethod
    def _normal(alpha: float) -> float:
        from scipy.special import ndtri

        return float(-ndtri(alpha / 2))

    def critical_value(self, num_blocks: int) -> float:
        """Standard errors to either side of a mean over so many blocks; infinite below `MIN_BLOCKS`.

        Student's quantile for a number of blocks fixed beforehand, else `sequential.critical_value`.
        """
        if self.is_sequential:
            return sequential.critical_value(num_blocks, self.alpha)
        return self.student(num_blocks - 1)

    def student(self, df: int) -> float:
        """Student's quantile, for a number of blocks fixed beforehand; infinite below `MIN_DF`."""
        if df < MIN_DF:
            return math.inf
        from scipy.special import stdtrit  # a tenth of the start-up time of scipy.stats

        return float(-stdtrit(df, self.alpha / 2))
