"""Variance components, what so many blocks show, and the cheapest design: by simulation and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bakeoff import stats

FIXED, UNTIL = stats.Rules(), stats.Rules(is_sequential=True)


def invented(
    process: float, epoch: float, shape: tuple[int, int, int], *, seed: int = 0, contestants: float = 0.5
) -> np.ndarray:
    """Seconds of contestants in blocks of epochs, with a machine's moods and contestants far apart."""
    random = np.random.default_rng(seed)
    num, blocks, epochs = shape
    logs = contestants * np.arange(num)[:, None, None] + random.normal(0, 0.3, (1, blocks, 1))
    logs = logs + np.linspace(0.5, 0, epochs)  # warm-up is no noise
    logs = logs + random.normal(0, process, (num, blocks, 1)) + random.normal(0, epoch, shape)
    return np.exp(logs)


def test_components_are_those_that_were_put_in() -> None:
    found = stats.components([invented(0.06, 0.12, (4, 60, 5), seed=one) for one in range(6)])
    assert found is not None
    assert math.sqrt(found.process) == pytest.approx(0.06, rel=0.1)
    assert math.sqrt(found.epoch or 0) == pytest.approx(0.12, rel=0.05)
    assert (found.num_epochs, found.run_freedom, found.epoch_freedom) == (5, 6 * 3 * 59, 6 * 4 * 59 * 4)
    # A run's variance is as that of the log ratios which verdicts rest on.
    assert found.log_sd(5) == pytest.approx(math.sqrt(2 * (0.06**2 + 0.12**2 / 5)), rel=0.05)


def test_a_negative_component_is_none_and_one_epoch_tells_nothing_of_epochs() -> None:
    found = stats.Components(run=0.001, epoch=0.01, num_epochs=5, run_freedom=9, epoch_freedom=40)
    assert found.process == 0 and found.log_sd(5) == pytest.approx(math.sqrt(2 * 0.01 / 5))
    longer = found.scaled(4)
    assert (longer.process, longer.epoch) == (0, 0.0025)
    single = stats.components([invented(0.06, 0.12, (4, 10, 1))])
    assert single is not None and single.epoch is None
    assert single.log_sd(1) == single.log_sd(9)


def test_too_few_runs_say_nothing_and_more_narrow_the_range() -> None:
    assert stats.components([]) is None
    assert stats.components([invented(0.06, 0.1, (4, 2, 2))]) is None  # three degrees of freedom
    few, many = (stats.components([invented(0.06, 0.1, (4, num, 2))]) for num in (4, 60))
    assert few is not None and many is not None
    widths = [np.ptp(np.log(np.quantile(one.plausible_log_sds(2), (0.1, 0.9)))) for one in (few, many)]
    assert widths[0] > 3 * widths[1]
    with pytest.raises(ValueError, match="one number of epochs"):
        stats.components([invented(0.06, 0.1, (4, 4, 2)), invented(0.06, 0.1, (4, 4, 3))])


@pytest.mark.parametrize(("rules", "noise"), [(FIXED, 0.06), (FIXED, 0.2), (UNTIL, 0.06)])
def test_the_design_named_finds_the_difference_in_nine_of_ten_studies(
    rules: stats.Rules, noise: float
) -> None:
    """By the very verdicts that a study is given, from simulated seconds of known components."""
    seen = stats.Components(noise**2 + 0.1**2 / 3, 0.1**2, 3, 60, 300)
    cost = stats.Cost(6.0, 2.0)
    design = stats.cheapest(0.1, seen, cost, rules, range(1, 40))
    assert design is not None
    assert design.time_s == design.num_blocks * (6.0 + 2.0 * design.num_epochs)
    random, num = np.random.default_rng(5), 400
    shape = (num, 2, design.num_blocks, int(design.num_epochs))
    logs = random.normal(0, noise, shape[:3])[..., None] + random.normal(0, 0.1, shape)
    logs[:, 0] += math.log(1.1)
    seconds = np.exp(logs).sum(axis=3)
    looks = range(6, design.num_blocks + 1) if rules.is_sequential else [design.num_blocks]
    found = sum(
        any(stats.time_ratio(a[:look], b[:look], rules).low > 1 for look in looks)  # type: ignore[operator]
        for a, b in seconds
    )
    # Three standard errors of a share of 400; blocks are whole, so that it may find somewhat more.
    assert 0.855 <= found / num <= 0.975


def test_few_blocks_are_paid_for_with_a_wider_interval() -> None:
    """Against scipy's noncentral t: the least signal has a power of 90 %."""
    from scipy.special import nctdtr

    for num in (6, 10, 40, 400):
        shift = stats.least_signal(num, FIXED) * math.sqrt(num)
        power = 1 - nctdtr(num - 1, shift, FIXED.critical_value(num))
        assert power == pytest.approx(0.9, abs=0.001)
    assert math.isinf(stats.least_signal(5, FIXED))
    assert stats.blocks_needed(stats.least_signal(17, FIXED), FIXED) == 17
    assert stats.blocks_needed(stats.least_signal(1600, FIXED) * 1.0001, FIXED) == 1600
    assert stats.blocks_needed(0.01, UNTIL) is None


@pytest.mark.parametrize(("start_s", "epoch_s"), [(8.0, 2.0), (2.0, 8.0), (30.0, 0.5)])
def test_the_optimum_is_that_of_brute_force(start_s: float, epoch_s: float) -> None:
    """Least variance of the mean for the money, over all numbers of epochs; and the design agrees with it."""
    seen = stats.Components(0.05**2 + 0.12**2 / 2, 0.12**2, 2, 60, 300)
    cost = stats.Cost(start_s, epoch_s)
    choice = np.linspace(0.1, 60, 6000)
    spent = (start_s + epoch_s * choice) * (seen.process + 0.12**2 / choice)
    assert stats.optimal_epochs(seen, cost) == pytest.approx(choice[np.argmin(spent)], rel=0.01)
    # Of a difference so small that it takes many blocks, so that their whole numbers don't matter.
    design = stats.cheapest(0.005, seen, cost, FIXED, range(1, 61))
    assert design is not None
    assert abs(design.num_epochs - max(1.0, stats.optimal_epochs(seen, cost))) <= 1


def test_what_can_be_told_apart_is_what_was_planned_for() -> None:
    seen = stats.Components(0.05**2 + 0.12**2 / 2, 0.12**2, 2, 60, 300)
    design = stats.cheapest(0.05, seen, stats.Cost(8.0, 2.0), FIXED, range(1, 61))
    assert design is not None and design.high is not None
    assert design.low <= design.num_blocks <= design.high
    now = stats.resolution(design.num_blocks, design.num_epochs, seen, FIXED)
    assert now is not None and 0.048 < now.difference <= 0.05 and now.low < now.difference < now.high
    best = stats.finest(design.time_s, seen, stats.Cost(8.0, 2.0), FIXED, range(1, 61))
    assert best is not None and best.difference <= now.difference
    assert stats.resolution(2, 2, seen, FIXED) is None
    assert stats.finest(10.0, seen, stats.Cost(8.0, 2.0), FIXED, range(1, 61)) is None
    # Clocks may put what is left beside the epochs below nothing.
    below, nothing = (
        stats.finest(100.0, seen, stats.Cost(start, 2.0), FIXED, range(1, 61)) for start in (-9, 0)
    )
    assert below == nothing is not None


def test_few_blocks_with_borrowed_noise_show_what_is_promised() -> None:
    """Two blocks of four contestants in three races, judged as a study's verdicts are."""
    sd, num = 0.1, 300
    field = stats.Field(num_races=3, num_contestants=4)
    signal = stats.least_signal(2, FIXED, field)
    assert math.isfinite(signal) and math.isinf(stats.least_signal(2, FIXED))
    random = np.random.default_rng(11)
    logs = random.normal(0, sd / math.sqrt(2), (num, 3, 4, 2))
    logs[:, :, 1] += signal * sd
    found = 0
    for study in np.exp(logs):
        races = [{str(name): dict(enumerate(row)) for name, row in enumerate(race)} for race in study]
        for race, lent in zip(study, stats.lend(races), strict=True):
            low = stats.time_ratio(race[1], race[0], FIXED, lent[frozenset("01")]).low
            found += low is not None and low > 1
    assert found / (3 * num) == pytest.approx(0.9, abs=0.035)
