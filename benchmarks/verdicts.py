"""Do verdicts hold? Simulated runs with known truth, through the statistics that users get.

    make bench-verdicts

Prints error rates, coverage, power and numbers of blocks; see docs/benchmarks.md. Same seed, same figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.stats
from numpy.typing import NDArray

from bakeoff import stats, stopping
from bakeoff.races.evidence import Evidence
from bakeoff.stats import doubts
from benchmarks.few_blocks import few_blocks
from benchmarks.goals import Figure, at_least, at_most, conclude, forgiven, percent, within

Array = NDArray[np.float64]

NOISE = 0.03  # standard deviation of a block's log ratio
MOST_BLOCKS, MOST_OF_A_STUDY = 60, 30
FIXED_BLOCKS = (6, 8, 12, 20, 40)
FIXED, SEQUENTIAL = stats.Rules(), stats.Rules(is_sequential=True)


@dataclass(frozen=True)
class Noise:
    """How the times of two equally fast contestants vary.

    draw: log times, shape (2, num_studies, num_blocks). is_plain: log ratios are neither skewed nor
    heavy-tailed, so that coverage is to be 95 %, neither less nor more. is_of_one: of one contestant alone,
    so that it does not cancel in the ratio. is_limit: nothing in a few blocks shows it; counted by itself.
    """

    draw: Callable[[np.random.Generator, int, int], Array]
    is_plain: bool = False
    is_of_one: bool = False
    is_limit: bool = False


def in_random_order(slots: Array, random: np.random.Generator) -> Array:
    """Log times in the order of runs, (num_studies, num_blocks, 2), to those by contestant."""
    first = random.integers(0, 2, slots.shape[:2])[..., None]
    a = np.take_along_axis(slots, first, axis=2)[..., 0]
    return np.stack([a, slots.sum(axis=2) - a])


def normal(random: np.random.Generator, num: int, blocks: int) -> Array:
    return random.normal(0, 1, (2, num, blocks))


def heavy_tailed(random: np.random.Generator, num: int, blocks: int) -> Array:
    return random.standard_t(3, (2, num, blocks))


def skewed(random: np.random.Generator, num: int, blocks: int) -> Array:
    """Log times are exponential: never much faster than usual, sometimes much slower."""
    return random.exponential(1, (2, num, blocks))


def unequally_skewed(random: np.random.Generator, num: int, blocks: int) -> Array:
    """Log times are lognormal (skewness 1.75), those of one twice as wide: log ratios have skewness 1.1."""
    return np.exp(random.normal(0, 0.5, (2, num, blocks))) * np.array([2.0, 1.0])[:, None, None]


def outliers(random: np.random.Generator, num: int, blocks: int) -> Array:
    """One run in twenty takes six standard deviations longer, whoever's it is."""
    return normal(random, num, blocks) + 6 * (random.random((2, num, blocks)) < 0.05)


def drifting(random: np.random.Generator, num: int, blocks: int) -> Array:
    """The machine slows down by ten standard deviations while the study runs."""
    slots = random.normal(0, 1, (num, 2 * blocks)) + np.linspace(0, 10, 2 * blocks)
    return in_random_order(slots.reshape(num, blocks, 2), random)


def autocorrelated(random: np.random.Generator, num: int, blocks: int) -> Array:
    """The machine's mood lasts some ten runs, and varies twice as much as runs do by themselves."""
    mood = np.empty((num, 2 * blocks))
    mood[:, 0] = random.normal(0, 1, num)
    for slot in range(1, 2 * blocks):
        mood[:, slot] = 0.9 * mood[:, slot - 1] + math.sqrt(1 - 0.81) * random.normal(0, 1, num)
    slots = 2 * mood + random.normal(0, 1, mood.shape)
    return in_random_order(slots.reshape(num, blocks, 2), random)


def everything(random: np.random.Generator, num: int, blocks: int) -> Array:
    """Drift, moods, skew and outliers together."""
    logs = autocorrelated(random, num, blocks) + skewed(random, num, blocks)
    logs += 6 * (random.random(logs.shape) < 0.05)
    return logs + np.linspace(0, 10, blocks)


def outliers_of_one(share: float) -> Callable[[np.random.Generator, int, int], Array]:
    """That share of runs takes six standard deviations longer, of one contestant alone."""

    def drawn(random: np.random.Generator, num: int, blocks: int) -> Array:
        logs = normal(random, num, blocks)
        logs[0] += 6 * math.sqrt(2) * (random.random((num, blocks)) < share)
        return logs

    return drawn


def two_valued_of_one(stay: float) -> Callable[[np.random.Generator, int, int], Array]:
    """One takes one of two times, nearly seven standard deviations apart, and keeps it with `stay`."""

    def drawn(random: np.random.Generator, num: int, blocks: int) -> Array:
        state = np.empty((num, blocks), dtype=bool)
        state[:, 0] = random.random(num) < 0.5
        for block in range(1, blocks):
            state[:, block] = state[:, block - 1] ^ (random.random(num) >= stay)
        logs = random.normal(0, 0.3, (2, num, blocks))
        logs[0] += 2 * state
        return logs

    return drawn


def skew_of_one(random: np.random.Generator, num: int, blocks: int) -> Array:
    """Exponential log times, of one contestant alone: skewness 2."""
    return np.stack([random.exponential(1, (num, blocks)), np.zeros((num, blocks))])


def order_alone(random: np.random.Generator, num: int, blocks: int) -> Array:
    """A block's second run is slower by ten times what else varies: log ratios have two values."""
    return in_random_order(random.normal(0, 0.1, (num, blocks, 2)) + np.array([0.0, 1.0]), random)


def moods_of_one(random: np.random.Generator, num: int, blocks: int) -> Array:
    """One contestant has moods of its own, which last a block or two: pairing cannot cancel them."""
    logs = normal(random, num, blocks)
    for block in range(1, blocks):
        logs[0, :, block] = 0.5 * logs[0, :, block - 1] + math.sqrt(0.75) * logs[0, :, block]
    return logs


NOISES: Mapping[str, Noise] = {
    "normal": Noise(normal, is_plain=True),
    "drifting": Noise(drifting, is_plain=True),
    "autocorrelated": Noise(autocorrelated, is_plain=True),
    "heavy-tailed": Noise(heavy_tailed),
    "outliers": Noise(outliers),
    "skewed": Noise(skewed),
    "unequally skewed": Noise(unequally_skewed),
    "everything": Noise(everything),
    "order alone": Noise(order_alone),
    "one: two-valued": Noise(two_valued_of_one(0.5), is_of_one=True),
    "one: outliers, 1 %": Noise(outliers_of_one(0.01), is_of_one=True),
    "one: outliers, 5 %": Noise(outliers_of_one(0.05), is_of_one=True, is_limit=True),
    "one: skewed": Noise(skew_of_one, is_of_one=True, is_limit=True),
    "one: autocorrelated, 0.5": Noise(moods_of_one, is_of_one=True, is_limit=True),
    "one: two-valued, sticky, 0.7": Noise(two_valued_of_one(0.7), is_of_one=True, is_limit=True),
}


def draw(noise: Noise, random: np.random.Generator, num: int, blocks: int, sd: float = NOISE) -> Array:
    """Log ratios, shape (num_studies, num_blocks), with mean 0 and the given standard deviation over all."""
    a, b = noise.draw(random, num, blocks)
    return (a - b - (a - b).mean()) * (sd / (a - b).std())


def running(logs: Array) -> tuple[Array, Array]:
    """Mean and standard error of log ratios after each block from the second on, all studies in one go.

    The standard error is wider where blocks are found to depend on one another, as in `stats.time_ratio`.
    """
    count = np.arange(1, logs.shape[1] + 1)
    mean = np.cumsum(logs, axis=1) / count
    square = np.cumsum(logs**2, axis=1) - count * mean**2
    se = np.sqrt(np.maximum(square[:, 1:], 0) / (count[1:] - 1) / count[1:])
    return mean[:, 1:], se * widenings(logs)


def widenings(logs: Array) -> Array:
    """`doubts.widening` after each block from the second on."""
    found = [doubts.widening(logs[:, :num]) for num in range(2, logs.shape[1] + 1)]
    return np.stack(found, axis=1)


def unwarned(logs: Array, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the wrong verdicts, by block from the second on, have no doubt beside them."""
    left = wrong.copy()
    for index in range(wrong.shape[1]):
        seen = logs[wrong[:, index], : index + 2]
        warned = doubts.is_dependent(seen) | doubts.is_two_valued(seen) | doubts.has_outliers(seen)
        left[wrong[:, index], index] = ~warned
    return left


def kinds(mean: Array, se: Array, rules: stats.Rules) -> NDArray[np.int8]:
    """Verdicts by block from the second on: -1 faster, 1 slower, 2 practically equal, 0 none yet."""
    half = critical(rules, mean.shape[1] + 1) * se
    found = np.where(np.abs(mean) > half, np.sign(mean), 0)
    return np.where(np.abs(mean) + half < rules.log_margin, 2, found).astype(np.int8)


def critical(rules: stats.Rules, most: int) -> Array:
    """Critical values by block from the second on; infinite where nothing is decided yet."""
    return np.array([rules.critical_value(num) for num in range(2, most + 1)])


def agree(random: np.random.Generator) -> None:
    """Stop unless `kinds` says what `stats.judge` says, which is what users get, at each look."""
    number = {stats.FASTER: -1, stats.SLOWER: 1, stats.PRACTICALLY_EQUAL: 2}
    for rules in (FIXED, SEQUENTIAL):
        for difference, sd in ((0.0, 0.01), (0.03, 0.03), (0.005, 0.004)):
            logs = draw(NOISES["normal"], random, 12, 24, sd) + difference
            fast = kinds(*running(logs), rules)
            for study, blocks in itertools.product(range(12), range(2, 25)):
                times = np.exp(logs[study, :blocks])
                slow = number.get(stats.judge(times, np.ones(blocks), None, rules).kind, 0)
                if slow != fast[study, blocks - 2]:
                    raise SystemExit(f"error: {fast[study, blocks - 2]} here, {slow} by stats.judge")


def first_decision(kind: NDArray[np.int8], sought: Callable[[NDArray[np.int8]], NDArray[np.bool_]]) -> Array:
    """Blocks until the first decision of the kind sought; infinite if it never came."""
    hits = sought(kind)
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 2.0, math.inf)


def pair_verdicts(random: np.random.Generator, num: int) -> list[Figure]:
    """Coverage and wrong verdicts of a pair that is equally fast, by kind of noise."""
    print(
        f"\n{'coverage of the 95 % interval, by blocks':<42}" + "".join(f"{one:>6}" for one in FIXED_BLOCKS),
        end="",
    )
    print("  any look   wrong: fixed, of these without a warning   at any look, without")
    plain, other = list[float](), list[float]()
    shares: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    at = np.array(FIXED_BLOCKS) - 2
    every = np.arange(stats.MIN_BLOCKS, MOST_BLOCKS + 1) - 2
    for name, noise in NOISES.items():
        logs = draw(noise, random, num, MOST_BLOCKS)
        mean, se = running(logs)
        covers = (np.abs(mean) <= critical(FIXED, MOST_BLOCKS) * se)[:, at].mean(axis=0).tolist()
        always = float((np.abs(mean) <= critical(SEQUENTIAL, MOST_BLOCKS) * se).all(axis=1).mean())
        row = list[float]()
        for rules in (FIXED, SEQUENTIAL):
            wrong = np.abs(kinds(mean, se, rules)) == 1
            for found in (wrong, unwarned(logs, wrong)):
                ever = rules is SEQUENTIAL
                row.append(float(found.any(axis=1).mean() if ever else found[:, every].mean(axis=0).max()))
        words = "".join(f"{100 * one:6.1f}" for one in covers)
        print(
            f"  {name:<40}{words}{100 * always:10.1f}"
            f"{100 * row[0]:15.1f}{100 * row[1]:9.1f}{100 * row[2]:30.1f}{100 * row[3]:9.1f}"
        )
        shares[noise.is_limit].append(tuple(row))
        if not noise.is_of_one and name != "order alone":
            (plain if noise.is_plain else other).extend(covers)
    worst, limit = (np.array(shares[one]).max(axis=0) for one in (False, True))
    return [
        at_most("wrong verdict, any fixed number", float(worst[0]), 0.075, num),
        at_most("without a warning", float(worst[1]), 0.05, num),
        at_most("at the worst look", float(worst[2]), 0.075, num),
        at_most("without a warning", float(worst[3]), 0.05, num),
        at_most(
            "of one that is skewed, sticky, autocorrelated or rarely slow: fixed", float(limit[0]), 0.075, num
        ),
        at_most("without a warning", float(limit[1]), 0.05, num),
        at_most("at the worst look", float(limit[2]), 0.075, num),
        at_most("without a warning", float(limit[3]), 0.05, num),
        within(f"coverage {percent(min(plain))} to {percent(max(plain))}", plain, (0.94, 0.96), num),
        Figure(
            f"with skew, outliers or heavy tails {percent(min(other))} to {percent(max(other))}",
            "≥ 93 %",
            min(other) >= 0.93 - forgiven(0.93, num),
        ),
    ]


def advice(random: np.random.Generator, num: int) -> list[Figure]:
    """Equal contestants, six blocks planned; who is undecided adds as many as "about N more" says, or one.

    The first verdict is by the rule for a fixed number, later ones by the sequential rule, as the program
    judges blocks that were added after a look. Counted is a wrong verdict at either; beside it what it would
    be if blocks that were added counted as planned.
    """
    few = max(num // 10, 20)
    print("\nblocks added after a look: wrong in all; if they were judged as fixed beforehand")
    worst = 0.0
    for name in ("normal", "skewed", "autocorrelated"):
        logs = draw(NOISES[name], random, num, MOST_BLOCKS)
        mean, se = running(logs)
        first = np.abs(kinds(mean, se, FIXED)) == 1
        later = np.abs(kinds(mean, se, SEQUENTIAL)) == 1
        start = stats.MIN_BLOCKS - 2
        one_by_one = first[:, start] | later[:, start + 1 :].any(axis=1)
        as_fixed = first[:, start:].any(axis=1)
        once, once_fixed = first[:few, start].copy(), first[:few, start].copy()
        for study in np.flatnonzero(kinds(mean, se, FIXED)[:few, start] == 0):
            verdict = stats.judge(np.exp(logs[study, : start + 2]), np.ones(start + 2), None, FIXED)
            added = verdict.more.num if verdict.more else 2 * stats.MIN_BLOCKS  # unsaid: as many again, twice
            look = min(start + added, MOST_BLOCKS - 2)
            once[study], once_fixed[study] = later[study, look], first[study, look]
        shares = [float(one.mean()) for one in (one_by_one, as_fixed, once, once_fixed)]
        print(f"  {name + ', block by block':<40}{percent(shares[0]):>10}{percent(shares[1]):>10}")
        print(f"  {name + ', once':<40}{percent(shares[2]):>10}{percent(shares[3]):>10}")
        worst = max(worst, shares[0], shares[2])
    return [at_most("blocks added after a look", worst, 0.075, few)]


def alternatives(random: np.random.Generator, num: int) -> None:
    """Coverage of the mean log ratio by other intervals than Student's, for a fixed number of blocks."""
    methods = {
        "Student": student,
        "trimmed": trimmed,
        "signed ranks": signed_ranks,
        "bootstrap t": lambda logs: bootstrap_t(logs, random),
        "BCa": lambda logs: bca(logs, random),
    }
    print(f"\n{'coverage of 95 % intervals':<34}" + "".join(f"{name:>14}" for name in methods))
    for name, blocks in itertools.product(("normal", "outliers", "unequally skewed"), (6, 8, 12, 20)):
        logs = draw(NOISES[name], random, num, blocks)
        shares = []
        for interval in methods.values():
            low, high = interval(logs)
            shares.append(float(((low <= 0) & (high >= 0)).mean()))
        print(f"  {name + f', {blocks} blocks':<32}" + "".join(f"{100 * share:14.1f}" for share in shares))


def student(logs: Array) -> tuple[Array, Array]:
    half = FIXED.critical_value(logs.shape[1]) * logs.std(axis=1, ddof=1) / math.sqrt(logs.shape[1])
    return logs.mean(axis=1) - half, logs.mean(axis=1) + half


def trimmed(logs: Array) -> tuple[Array, Array]:
    """Yuen's t interval of the mean without a fifth on either side (Yuen 1974, Biometrika 61)."""
    num = logs.shape[1]
    cut = num // 5
    ordered = np.sort(logs, axis=1)
    middle = ordered[:, cut : num - cut].mean(axis=1)
    winsorized = np.clip(ordered, ordered[:, [cut]], ordered[:, [num - cut - 1]])
    kept = num - 2 * cut
    se = np.sqrt(winsorized.var(axis=1, ddof=1) * (num - 1) / (kept * (kept - 1)))
    half = FIXED.critical_value(kept) * se
    return middle - half, middle + half


def signed_ranks(logs: Array) -> tuple[Array, Array]:
    """Wilcoxon's interval about the Hodges-Lehmann estimate: averages of two, by exact ranks."""
    num = logs.shape[1]
    counts = np.ones(1)  # of sign patterns by the sum of positive ranks
    for rank in range(1, num + 1):
        counts = np.convolve(counts, np.concatenate([[1.0], np.zeros(rank - 1), [1.0]]))
    cut = max(int(np.searchsorted(np.cumsum(counts) / 2**num, 0.025, side="right")), 1)
    first, second = np.triu_indices(num)
    averages = np.sort((logs[:, first] + logs[:, second]) / 2, axis=1)
    return averages[:, cut - 1], averages[:, -cut]


def bootstrap_t(logs: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Quantiles of the t statistic from 999 resamples in place of Student's."""
    num = logs.shape[1]
    mean, se = logs.mean(axis=1), logs.std(axis=1, ddof=1) / math.sqrt(num)
    low, high = np.empty(len(logs)), np.empty(len(logs))
    for index, one in enumerate(logs):
        again = one[random.integers(0, num, (999, num))]
        t = (again.mean(axis=1) - mean[index]) / np.maximum(again.std(axis=1, ddof=1), 1e-12) * math.sqrt(num)
        high[index], low[index] = mean[index] - np.quantile(t, [0.025, 0.975]) * se[index]
    return low, high


def bca(logs: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Bias-corrected and accelerated, by SciPy."""
    found = scipy.stats.bootstrap((logs,), np.mean, n_resamples=999, axis=1, batch=100, rng=random)
    return found.confidence_interval.low, found.confidence_interval.high


def equality(random: np.random.Generator, num: int) -> list[Figure]:
    """How often a pair that differs by the margin is called practically equal; how soon an equal one is."""
    print("\ncalled practically equal, though the difference is the margin of 2 %, at any of 60 looks")
    worst = 0.0
    for name, noise in NOISES.items():
        logs = draw(noise, random, num, MOST_BLOCKS, 0.015) + SEQUENTIAL.log_margin
        wrong = float((kinds(*running(logs), SEQUENTIAL) == 2).any(axis=1).mean())
        print(f"  {name:<40}{100 * wrong:6.1f} %")
        worst = worst if noise.is_limit else max(worst, wrong)
    print("blocks until equal contestants are called practically equal: median, nine in ten")
    for sd in (0.01, 0.02, 0.03):
        kind = kinds(*running(draw(NOISES["normal"], random, num // 20, 200, sd)), SEQUENTIAL)
        print(f"  noise {percent(sd):<34}{blocks_needed(first_decision(kind, lambda one: one == 2))}")
    return [at_most("wrongly equal", worst, 0.05, num)]


def power(random: np.random.Generator, num: int) -> list[Figure]:
    """How often and how soon a true difference is found, and how good projections are."""
    mean, se = running(draw(NOISES["normal"], random, num, 20) - math.log(1.03))
    first = first_decision(kinds(mean, se, SEQUENTIAL), lambda one: one == -1)
    found = float((first <= 20).mean())
    mixture = float(
        (np.abs(mean) > np.array([mixture_t(num) for num in range(2, 21)]) * se).any(axis=1).mean()
    )
    print(
        f"\n3 % faster, noise 3 %, within 20 blocks: found in {percent(found)}, by the mixture t-test in ",
        end="",
    )
    print(percent(mixture))
    stopped = np.flatnonzero(first <= 20)
    seen = -mean[stopped, first[stopped].astype(int) - 2].mean() / math.log(1.03)
    print(f"log ratio at the stop ÷ true one, on average: {seen:.2f}")
    print("\nblocks until the faster one is called so: median, nine in ten")
    needed = ""
    for percents, sd in itertools.product((3, 10, 100), (0.03, 0.06, 0.07)):
        logs = draw(NOISES["normal"], random, num // 20, 400, sd) - math.log1p(percents / 100)
        words = blocks_needed(first_decision(kinds(*running(logs), SEQUENTIAL), lambda one: one == -1))
        print(f"  {percents:>3} % faster, noise {percent(sd):<21}{words}")
        if percents == 3 and sd > 0.03:
            needed += f"{' and ' if needed else ''}{words.split()[-1]} at {percent(sd)}"
    ratios, inside = [], []
    for logs in draw(NOISES["normal"], random, 300, 400, 0.06) - math.log(1.05):
        verdict = stats.judge(np.exp(logs[:12]), np.ones(12), None, SEQUENTIAL)
        if verdict.more is not None:
            decided = first_decision(kinds(*running(logs[None, :]), SEQUENTIAL)[:, 11:], lambda one: one != 0)
            ratios.append(float(decided[0] - 1) / verdict.more.num)
            inside.append(verdict.more.low <= decided[0] - 1 <= verdict.more.high)
    spread = np.quantile(ratios, [0.1, 0.5, 0.9])
    print(f"\n5 % faster, noise 6 %: of {len(ratios)} studies undecided after 12 blocks, blocks then needed")
    print(
        f"÷ blocks projected: median {spread[1]:.2f}, eight in ten {spread[0]:.2f} to {spread[2]:.2f};",
        end="",
    )
    print(f" within the range in {percent(float(np.mean(inside)))}")
    return [
        at_least("3 % found at noise 3 % within 20 blocks in", found, 0.88, num),
        Figure(f"nine in ten within {needed} noise"),
    ]


def mixture_t(num: int, width: float = 0.5) -> float:
    """Critical |t| of Lai's (1976) and Wang and Ramdas's (2024) mixture, effects ~ N(0, `width`), at 5 %.

    Widths of 0.25 to 2 were tried: 0.5 has the most power here.
    """
    spread = 1 + num * width
    ratio = (20 * math.sqrt(spread)) ** (2 / num)
    return math.sqrt((num - 1) * (ratio - 1) / (1 - ratio / spread)) if ratio < spread else math.inf


def blocks_needed(blocks: Array) -> str:
    middle, most = np.quantile(blocks, [0.5, 0.9], method="higher")
    return f"{middle:.0f}, {most:.0f}"


def rankings(random: np.random.Generator, num: int) -> list[Figure]:
    """Five contestants, three of them equal, one 20 % and one 50 % slower: pairs wrongly told apart."""
    speeds = np.log([1.0, 1.0, 1.0, 1.2, 1.5])
    equal = {(a, b) for a in range(3) for b in range(3)}
    wrong_fixed = wrong_ever = 0
    for _ in range(num):
        logs = speeds[:, None] + random.normal(0, NOISE, (5, 20)) + random.normal(0, 0.1, 20)
        wrong_fixed += bool(equal & stats.rank(np.exp(logs[:, :8]), FIXED).faster)
        looks = range(6, 21)
        wrong_ever += any(equal & stats.rank(np.exp(logs[:, :look]), SEQUENTIAL).faster for look in looks)
    shares = f"{percent(wrong_fixed / num)} (8 blocks), {percent(wrong_ever / num)} (any of 15 looks)"
    print(f"\nfive contestants, three equal: any of these told apart in {shares}")
    return [at_most("wrong ranking", max(wrong_fixed, wrong_ever) / num, 0.05, num)]


def whole_studies(random: np.random.Generator, num: int) -> list[Figure]:
    """Studies until decided as the program runs them: four contestants, three equal, who is done sits out.

    Each look is `stopping.look`, which also says who runs in the next block. A pair of equal ones is called
    wrongly if at any look one of them is faster.
    """
    names = "abcd"
    equal = list(itertools.combinations("abc", 2))
    slower = np.array([0.0, 0.0, 0.0, math.log(1.1)])
    print(f"\nstudies of four, three equal and one 10 % slower, up to {MOST_OF_A_STUDY} blocks, noise 3 %")
    print("wrong at any look: a pair, any of three; runs spared by sitting out")
    worst, spared = 0.0, list[float]()
    for name in ("normal", "skewed", "drifting"):
        wrong, studies, spent, without = dict.fromkeys(equal, 0), 0, 0, 0
        for _ in range(num):
            times = np.exp(NOISE / math.sqrt(2) * four(name, random, MOST_OF_A_STUDY) + slower[:, None])
            called, blocks_of = until_decided(names, times)
            wrong = {pair: wrong[pair] + (pair in called) for pair in equal}
            studies += bool(called & set(equal))
            spent += sum(blocks_of.values())
            without += len(names) * max(blocks_of.values())
        shares = [count / num for count in wrong.values()]
        worst = max(worst, *shares)
        spared.append(1 - spent / without)
        print(f"  {name:<40}{percent(max(shares)):>12}{percent(studies / num):>12}{percent(spared[-1]):>12}")
    return [
        at_most("wrong in whole studies", worst, 0.05, num),
        Figure(f"sitting out spares {percent(min(spared))} to {percent(max(spared))} of the runs"),
    ]


def four(name: str, random: np.random.Generator, blocks: int) -> Array:
    """Log times of four contestants, shape (4, num_blocks), in units of a run's own standard deviation."""
    if name == "skewed":
        return random.exponential(1, (4, blocks))
    logs = random.normal(0, 1, (4, blocks))
    if name == "drifting":  # by ten standard deviations, run by run, in random order within blocks
        places = np.argsort(random.random((4, blocks)), axis=0) + 4 * np.arange(blocks)
        logs += 10 * places / (4 * blocks)
    return logs


def until_decided(names: str, times: Array) -> tuple[set[tuple[str, str]], dict[str, int]]:
    """Pairs of which one was ever called faster, and how many runs each contestant had."""
    pairs = list(itertools.combinations(names, 2))
    rows = [
        {"trial_id": name, "label": name, "block": block, "run_id": f"{name}{block}", "status": "ok"}
        | {"train_s": times[index, block], "wall_s": times[index, block], "final_validation_error": 0.05}
        for block in range(times.shape[1])
        for index, name in enumerate(names)
    ]
    every = pl.DataFrame(rows)
    ran = every.clear()
    active, called = frozenset(names), set[tuple[str, str]]()
    for block in range(times.shape[1]):
        ran = pl.concat([ran, every.filter(pl.col("block") == block, pl.col("trial_id").is_in(active))])
        if block + 1 < stats.MIN_BLOCKS:
            continue
        look = stopping.look(pairs, block + 1, Evidence(ran, pl.DataFrame(), {}), SEQUENTIAL)
        called |= {pair for pair, one in look.verdicts.items() if one.kind in (stats.FASTER, stats.SLOWER)}
        active = look.active
        if not active:
            break
    return called, dict(ran.group_by("trial_id").len().iter_rows())


def errors(random: np.random.Generator, num: int) -> list[Figure]:
    """Contestants that err alike in the long run: does the interval hold over seeds and over test sets?"""
    counts = dict.fromkeys(("by image", "by image, any look", "binomial"), 0)
    claims, sizes = 0, list[float]()
    no_margin = dataclasses.replace(FIXED, error_margin=0.0)
    for _ in range(num):
        wrong_a, wrong_b = outcomes(random, blocks=20, images=1000)
        known = stats.error_difference_by_image(wrong_a[:6], wrong_b[:6], no_margin)
        rough = stats.error_difference(
            wrong_a[:6].mean(axis=1), wrong_b[:6].mean(axis=1), no_margin, num_test_images=1000
        )
        counts["by image"] += covers(known)
        counts["binomial"] += covers(rough)
        counts["by image, any look"] += all(
            covers(stats.error_difference_by_image(wrong_a[:look], wrong_b[:look], SEQUENTIAL))
            for look in range(6, 21)
        )
        claims += known.high is not None and known.high < 0
        sizes.append((known.test_set_se or 0) / (rough.test_set_se or 1))
    shares = {name: count / num for name, count in counts.items()}
    words = ", ".join(f"{name} {percent(share)}" for name, share in shares.items())
    print(f"\ncoverage of the error's interval over seeds and test sets (1,000 images): {words}")
    print(
        f"wrongly non-inferior by image: {percent(claims / num)}; standard error by image ÷ binomial: ",
        end="",
    )
    print(f"{np.median(sizes):.2f}")
    lowest = min(shares.values())
    return [
        at_least("coverage for errors", lowest, 0.94, num),
        at_most("wrongly non-inferior", claims / num, 0.025, num),
    ]


def error_intervals(random: np.random.Generator, num: int) -> list[Figure]:
    """Misses of the error's interval where the test set has a share of chance beside the seeds'.

    Seeds differ by 0.2 percentage points from block to block; the test set's standard error is what it is
    where two contestants differ on 0.4 to 4 in a thousand of 10,000 images. Both are normal, and the latter
    is known. At the worst number of blocks, and at any of 55 looks.
    """
    print("\nmisses of the error's interval, by the test set's standard error: fixed, any look")
    seeds = 0.002 * random.normal(size=(num, MOST_BLOCKS))
    mean, se = (part[:, stats.MIN_BLOCKS - 2 :] for part in running(seeds)[:2])
    se = se / widenings(seeds)[:, stats.MIN_BLOCKS - 2 :]
    of_test_set = random.normal(size=(num, 1))
    looks = range(stats.MIN_BLOCKS, MOST_BLOCKS + 1)
    worst = [0.0, 0.0]
    for share in (0.0, 0.0002, 0.0006, 0.001, 0.0014, 0.002, 0.004):
        missed = []
        for rules in (FIXED, SEQUENTIAL):
            factor = np.array([rules.critical_value(look) for look in looks])
            half = np.hypot(factor * se, rules.test_set_quantile * share)
            out = np.abs(mean + share * of_test_set) > half
            missed.append(float(out.any(axis=1).mean() if rules.is_sequential else out.mean(axis=0).max()))
        print(f"  {100 * share:.2f} pp{'':<32}{percent(missed[0]):>10}{percent(missed[1]):>10}")
        worst = [max(pair) for pair in zip(worst, missed, strict=True)]
    return [
        at_most("error's interval misses, fixed", worst[0], 0.055, num),
        at_most("at any look", worst[1], 0.05, num),
    ]


def covers(difference: stats.ErrorDifference) -> bool:
    return (
        difference.low is not None and difference.high is not None and difference.low <= 0 <= difference.high
    )


def outcomes(random: np.random.Generator, blocks: int, images: int) -> tuple[Array, Array]:
    """Who errs on which image in which block: some images are hard, some for one contestant alone.

    Two arrays of shape (num_blocks, num_images). About 7 % are wrong. Seeds matter as well: by run, and by
    chance on each image.
    """
    hard = random.normal(-3.5, 2, images)
    logits = [
        hard
        + random.normal(0, 1, images)
        + random.normal(0, 0.15, (blocks, 1))
        + random.normal(0, 0.5, (blocks, images))
        for _ in range(2)
    ]
    a, b = (random.random(logit.shape) < 1 / (1 + np.exp(-logit)) for logit in logits)
    return a.astype(float), b.astype(float)


def break_evens(random: np.random.Generator, num: int) -> list[Figure]:
    """Start-up 20 s against 4 s, epochs of 1.0 s against 1.4 s: both take as long at 40 epochs."""
    hits = 0
    for _ in range(num):
        sides = []
        for once, epoch in ((20.0, 1.0), (4.0, 1.4)):
            level = np.exp(random.normal(0, 0.03, (8, 1)))
            epochs = epoch * level * np.exp(random.normal(0, 0.02, (8, 20)))
            sides.append(stats.Costs(once * np.exp(random.normal(0, 0.05, 8)), epochs))
        found = stats.break_even(sides[0], sides[1], max_epochs=120)
        hits += found.low is not None and found.low <= 40 <= (found.high or math.inf)
    print(f"\nbreak-even point within its interval in {percent(hits / num)} (8 blocks)")
    return [at_least("break-even covered in", hits / num, 0.94, num)]


def warm_ups(random: np.random.Generator, num: int) -> list[Figure]:
    """The rule for one run, and MSER-5 beside it, on runs without a warm-up and with one."""
    print("\nwarm-up found where there is none: the rule, MSER, MSER-5; one slow epoch found by the rule")
    worst = 0.0
    for name, epochs in itertools.product(("normal", "two lengths"), (10, 20, 50, 200)):
        false, found = np.zeros(3), 0
        for _ in range(num):
            times = np.exp(random.normal(0, 0.03, epochs))
            if name == "two lengths":
                times *= random.choice([1.0, 1.6], epochs, p=[0.6, 0.4])
            rule = stats.warm_up(times)
            false += [rule is not None and rule.num_epochs > 0, mser(times, 1) > 0, mser(times, 5) > 0]
            rule = stats.warm_up(np.concatenate([[2 * times.max()], times[1:]]))
            found += rule is not None and rule.num_epochs == 1
        shares = "".join(f"{100 * one:7.1f} %" for one in (*(false / num), found / num))
        print(f"  {name + f', {epochs} epochs':<30}{shares}")
        if name == "normal":
            worst = max(worst, float(false[0]) / num)
    return [at_most("false warm-up", worst, 0.05, num)]


def mser(times: Array, size: int) -> int:
    """Epochs that White's rule cuts off, in batches of `size`; up to half."""
    batches = times[: len(times) // size * size].reshape(-1, size).mean(axis=1)
    rest = [batches[cut:] for cut in range(len(batches) // 2 + 1)]
    return size * int(np.argmin([one.var() / len(one) if len(one) > 1 else math.inf for one in rest]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--studies", type=int, default=10_000, help="simulated studies for each figure of a pair"
    )
    parser.add_argument("--seed", type=int, default=20261124)
    options = parser.parse_args(arguments)
    random = np.random.default_rng(options.seed)
    num, few = options.studies, max(options.studies // 20, 20)
    agree(random)
    print("stats.judge says what is counted below")
    of_pairs = pair_verdicts(random, num)
    alternatives(random, few)
    figures = [
        *of_pairs,
        *advice(random, num),
        *equality(random, num),
        *power(random, num),
        *rankings(random, few),
        *few_blocks(np.random.default_rng((options.seed, 1)), max(num, 10_000)),
        *whole_studies(random, max(options.studies // 100, 20)),
        *errors(random, few),
        *error_intervals(random, num),
        *break_evens(random, few),
        *warm_ups(random, few),
    ]
    return conclude("verdicts", figures)


if __name__ == "__main__":
    sys.exit(main())
