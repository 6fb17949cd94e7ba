"""Where the noise of training times comes from: from process to process, and from epoch to epoch in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Fewer degrees of freedom between runs say nothing of their variance: of five, one in ten estimates is less
# than a third of it.
FEWEST_FREEDOM = 5
# Seeded, so that the same runs always have the same range.
_NUM_DRAWS = 1000
_SEED = 20261126


@dataclass(frozen=True)
class Components:
    """Variances of log training times, with contestants and blocks taken out.

    run: of runs of `num_epochs` epochs, with `run_freedom` degrees of freedom. epoch: of an epoch within its
    run, with `epoch_freedom`; None if runs had one epoch only, which can't be told apart from its process.
    """

    run: float
    epoch: float | None
    num_epochs: int
    run_freedom: int
    epoch_freedom: int

    @property
    def process(self) -> float:
        """What stays however many epochs a process trains; 0 where the epochs' own noise explains all."""
        return float(_process(self.run, self.epoch or 0.0, self.num_epochs))

    def log_sd(self, num_epochs: float) -> float:
        """Standard deviation of the log ratio of two runs of a block; a part of an epoch has its images."""
        return math.sqrt(2 * (self.process + (self.epoch or 0.0) / num_epochs))

    def plausible_log_sds(self, num_epochs: float) -> Array:
        """The same for components as they may be, given these estimates of them: shape (num_draws,).

        Each mean square divided by a draw of chi-square over its degrees of freedom: Weerahandi (1993),
        Generalized confidence intervals, J. Am. Statist. Assoc. 88.
        """
        random = np.random.default_rng(_SEED)
        run = self.run * self.run_freedom / random.chisquare(self.run_freedom, _NUM_DRAWS)
        if self.epoch is None:
            return np.sqrt(2 * run)
        epoch = self.epoch * self.epoch_freedom / random.chisquare(self.epoch_freedom, _NUM_DRAWS)
        return np.asarray(np.sqrt(2 * (_process(run, epoch, self.num_epochs) + epoch / num_epochs)))

    def scaled(self, factor: float) -> Components:
        """For epochs that are so many times as long, whose own noise averages out as much further."""
        if self.epoch is None:
            return self
        epoch = self.epoch / factor
        return Components(
            self.process + epoch / self.num_epochs,
            epoch,
            self.num_epochs,
            self.run_freedom,
            self.epoch_freedom,
        )


def components(layouts: Sequence[Array]) -> Components | None:
    """Variance components by analysis of variance; None with fewer than `FEWEST_FREEDOM` between runs.

    layouts: training seconds, each of shape (num_contestants, num_blocks, num_epochs), of runs that differ
    from those of other layouts in nothing that matters here; equal numbers of epochs.

    Between runs: what is left of the log of a run's seconds when contestants and blocks are taken out (its
    interaction, in a two-way layout), which is half the variance of the log ratio that verdicts rest on.
    Within: log seconds of epochs about the mean of their run, each contestant's mean for that epoch taken out
    (warm-up is no noise). Processes are the top level of Kalibera and Jones (2013), Rigorous benchmarking in
    reasonable time, ISMM, section 5; that they are the replicates is the point of Georges, Buytaert and
    Eeckhout (2007), Statistically rigorous Java performance evaluation, OOPSLA.

    Epochs that follow each other are alike where the machine drifts. What the estimates give is then right
    for one epoch and for as many as were run, too little between the two, and too much beyond.
    """
    lengths = {layout.shape[2] for layout in layouts}
    if len(lengths) > 1:
        raise ValueError(f"expected layouts with one number of epochs; got {sorted(lengths)}")
    squares, freedom = np.zeros(2), np.zeros(2, dtype=int)
    for seconds in layouts:
        contestants, blocks, epochs = seconds.shape
        runs, within = np.log(seconds.sum(axis=2)), np.log(seconds)
        left = runs - runs.mean(axis=0) - runs.mean(axis=1, keepdims=True) + runs.mean()
        within = within - within.mean(axis=2, keepdims=True)
        within -= within.mean(axis=1, keepdims=True)
        squares += (left**2).sum(), (within**2).sum()
        freedom += (contestants - 1) * (blocks - 1), contestants * (blocks - 1) * (epochs - 1)
    if freedom[0] < FEWEST_FREEDOM:
        return None
    run, epoch = (float(square / max(num, 1)) for square, num in zip(squares, freedom, strict=True))
    return Components(run, epoch if freedom[1] else None, lengths.pop(), int(freedom[0]), int(freedom[1]))


def _process(run: Array | float, epoch: Array | float, num_epochs: int) -> Array:
    """A variance, so that a negative estimate of it is 0."""
    return np.maximum(np.asarray(run) - np.asarray(epoch) / num_epochs, 0.0)
