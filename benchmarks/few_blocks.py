"""Do verdicts from two to five blocks hold? Whole studies whose pairs borrow their noise from one another.

Part of `make bench-verdicts`. A study has four contestants, equally fast unless said, and three data sets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtrit

from bakeoff import stats
from bakeoff.stats.noise import MAX_LENT
from benchmarks.goals import Figure, at_least, at_most, percent

Array = NDArray[np.float64]
# Log times of studies: shape (num_studies, num_data_sets, num_contestants, num_blocks).
Draw = Callable[[np.random.Generator, tuple[int, int, int, int]], Array]

DATA_SETS, CONTESTANTS = 3, 4
BLOCKS = (2, 3, 4, 5, 6)
# Data sets and blocks of each; from six blocks on, a pair speaks for itself.
DESIGNS = ((1, 4), *((DATA_SETS, blocks) for blocks in BLOCKS))
PAIRS = list(itertools.combinations(range(CONTESTANTS), 2))
# Seconds that `quick` took on a machine with two cores, by data set and backend, and the noise of its runs.
QUICK = ((0.87, 2.17, 4.17, 5.55), (0.96, 2.65, 4.03, 5.69), (1.35, 3.61, 11.2, 8.42))
QUICK_NOISE = 0.136


def of_contestants(*variances: float) -> Draw:
    """Normal, each contestant with its own variance."""
    return lambda random, shape: random.normal(size=shape) * np.sqrt(variances)[:, None]


def of_data_sets(*variances: float) -> Draw:
    """Normal, each data set with its own variance."""
    return lambda random, shape: random.normal(size=shape) * np.sqrt(variances)[: shape[1], None, None]


def two_valued(stay: float) -> Draw:
    """One takes one of two times, nearly seven standard deviations apart, and keeps it with `stay`."""

    def drawn(random: np.random.Generator, shape: tuple[int, int, int, int]) -> Array:
        logs = random.normal(0, 0.3, shape)
        state = random.random(shape[:2]) < 0.5
        for block in range(shape[3]):
            logs[:, :, 0, block] += 2 * state - 1
            state ^= random.random(shape[:2]) >= stay
        return logs

    return drawn


def outliers_of_one(random: np.random.Generator, shape: tuple[int, int, int, int]) -> Array:
    """One run in twenty of one contestant takes six standard deviations of a ratio longer."""
    logs = random.normal(size=shape)
    logs[:, :, 0] += 6 * math.sqrt(2) * ((random.random(logs[:, :, 0].shape) < 0.05) - 0.05)
    return logs


def skew_of_one(random: np.random.Generator, shape: tuple[int, int, int, int]) -> Array:
    """Exponential log times of one contestant; the others have a tenth of its spread."""
    logs = random.normal(0, 0.1, shape)
    logs[:, :, 0] += random.exponential(1, logs[:, :, 0].shape) - 1
    return logs


def drifting(random: np.random.Generator, shape: tuple[int, int, int, int]) -> Array:
    """A run takes half a standard deviation longer than the run before, in random order within blocks."""
    places = np.argsort(random.random(shape), axis=2) + shape[2] * np.arange(shape[3])
    return random.normal(size=shape) + places / 2


EQUAL: Mapping[str, Draw] = {
    "equally noisy": of_contestants(1, 1, 1, 1),
    "heavy-tailed": lambda random, shape: random.standard_t(3, shape),
    "skewed": lambda random, shape: random.exponential(1, shape),
    "drifting": drifting,
}
TENFOLD: Mapping[str, Draw] = {
    "one has ten times the variance": of_contestants(10, 1, 1, 1),
    "three have": of_contestants(10, 10, 10, 1),
    "from 1 to 10": of_contestants(10, 4.6, 2.15, 1),
    "data sets from 1 to 10": of_data_sets(1, 3, 10),
}
OF_ONE: Mapping[str, Draw] = {
    "one: two-valued": two_valued(0.5),
    "one: outliers, 5 %": outliers_of_one,
    "one: skewed": skew_of_one,
    "one: two-valued, sticky, 0.7": two_valued(0.7),
}
LIMITS = ("one: skewed", "one: two-valued, sticky, 0.7")


def squares(logs: Array) -> tuple[Array, Array]:
    """Mean log ratios by study, data set and pair, and sums of squares about them."""
    first, second = np.array(list(itertools.combinations(range(logs.shape[2]), 2))).T
    ratios = logs[:, :, first] - logs[:, :, second]
    mean = ratios.mean(axis=-1)
    return mean, ((ratios - mean[..., None]) ** 2).sum(axis=-1)


def judged(logs: Array) -> tuple[Array, Array, Array]:
    """Mean log ratios by study, data set and pair; half of their intervals, borrowed; half without borrowing.

    The first as `stats.time_ratio` has them below six blocks; the second for own blocks alone, six or not.
    """
    num_sets, num_contestants, blocks = logs.shape[1:]
    mean, own = squares(logs)
    df = blocks - 1
    of_pair = own.sum(axis=1, keepdims=True) / (df * num_sets)
    of_race = 2 / num_contestants * own.sum(axis=2, keepdims=True) / (df * (num_contestants - 1))
    of_t = df * num_sets + min(MAX_LENT, df * (num_contestants - 2))
    half = quantile(of_t) * np.sqrt(np.maximum(of_pair, of_race) / blocks)
    return mean, half, quantile(df) * np.sqrt(own / df / blocks)


def one_variance(logs: Array) -> tuple[Array, Array]:
    """Mean log ratios, and half of their intervals with one variance for all pairs and data sets."""
    num_sets, num_contestants, blocks = logs.shape[1:]
    mean, own = squares(logs)
    df = (blocks - 1) * (num_contestants - 1) * num_sets
    variance = 2 / num_contestants * own.sum(axis=(1, 2), keepdims=True) / df
    return mean, quantile(df) * np.sqrt(variance / blocks) * np.ones_like(mean)


def averaged(logs: Array, most: int = 4) -> tuple[Array, Array]:
    """As a moderated t whose prior is what all else shows, with `most` degrees of freedom."""
    num_sets, num_contestants, blocks = logs.shape[1:]
    mean, own = squares(logs)
    df = blocks - 1
    rest_df = df * (num_contestants - 1) * num_sets - df
    rest = 2 / num_contestants * own.sum(axis=(1, 2), keepdims=True) - own
    lent = min(most, rest_df)
    variance = (own + lent * rest / rest_df) / (df + lent)
    return mean, quantile(df + lent) * np.sqrt(variance / blocks)


def estimated(logs: Array) -> tuple[Array, Array]:
    """As a moderated t whose prior is estimated from the pairs' variances, see Smyth (2004), section 6.2."""
    num_sets, num_contestants, blocks = logs.shape[1:]
    mean, own = squares(logs)
    df = blocks - 1
    total = df * (num_contestants - 1) * num_sets
    logged = np.log(own / df).reshape(len(own), -1) - digamma(df / 2) + math.log(df / 2)
    excess = logged.var(axis=1, ddof=1) - polygamma(1, df / 2)
    prior_df = 2 * inverse_trigamma(np.maximum(excess, 1e-6))
    prior = np.exp(logged.mean(axis=1) + digamma(prior_df / 2) - np.log(prior_df / 2))
    weight, prior = prior_df[:, None, None], prior[:, None, None]
    variance = (weight * prior + own) / (weight + df)
    return mean, -stdtrit(np.minimum(weight + df, total), 0.025) * np.sqrt(variance / blocks)


def inverse_trigamma(values: Array) -> Array:
    """By Newton's method on its reciprocal, as in Smyth's appendix."""
    found = 0.5 + 1 / values
    for _ in range(20):
        trigamma = polygamma(1, found)
        found += trigamma * (1 - trigamma / values) / polygamma(2, found)
    return np.asarray(found)


def quantile(df: int) -> float:
    return float(-stdtrit(df, 0.025))


def alternatives(random: np.random.Generator, num: int) -> None:
    """Coverage of the worst pair by other ways to borrow, from 2 blocks."""
    methods: Mapping[str, Callable[[Array], tuple[Array, ...]]] = {
        "larger of two": judged,
        "one variance": one_variance,
        "average, 4 df": averaged,
        "prior estimated": estimated,
    }
    print(f"\n{'coverage of the worst pair, 2 blocks':<40}" + "".join(f"{method:>18}" for method in methods))
    for name, draw in {"equally noisy": EQUAL["equally noisy"], **TENFOLD}.items():
        logs = draw(random, (num, DATA_SETS, CONTESTANTS, 2))
        covers = [
            (np.abs(method(logs)[0]) <= method(logs)[1]).mean(axis=0).min() for method in methods.values()
        ]
        print(f"  {name:<38}" + "".join(f"{100 * share:18.1f}" for share in covers))


def agree(random: np.random.Generator) -> None:
    """Stop unless `judged` has the intervals of `stats.judge`, which are what users get."""
    for blocks in range(2, stats.MIN_BLOCKS):
        logs = random.normal(0, 0.1, (1, DATA_SETS, CONTESTANTS, blocks))
        mean, half, _ = judged(logs)
        races = [
            {str(one): dict(enumerate(np.exp(logs[0, data, one]))) for one in range(CONTESTANTS)}
            for data in range(DATA_SETS)
        ]
        for data, lent in enumerate(stats.lend(races)):
            for place, (a, b) in enumerate(PAIRS):
                times = np.exp(logs[0, data, [a, b]])
                found = stats.judge(times[0], times[1], lent=lent[frozenset((str(a), str(b)))]).time
                expected = math.exp(mean[0, data, place] - half[0, data, place])
                if found.low is None or not math.isclose(found.low, expected, rel_tol=1e-9):
                    raise SystemExit(f"error: {expected} here, {found.low} by stats.judge")


def few_blocks(random: np.random.Generator, num: int) -> list[Figure]:
    """Coverage, wrong verdicts and power of intervals that borrow, and the design of `quick`."""
    agree(random)
    alternatives(random, num)
    print("\nmisses, noise borrowed, by data sets x blocks: of all comparisons, of the worst pair")
    print(" " * 34 + "".join(f"{f'{num_sets} x {blocks}':>14}" for num_sets, blocks in DESIGNS))
    misses: dict[str, Array] = {}
    for name, draw in {**EQUAL, **TENFOLD, **OF_ONE}.items():
        rows = list[tuple[float, float]]()
        for num_sets, blocks in DESIGNS:
            mean, half, _ = judged(draw(random, (num, num_sets, CONTESTANTS, blocks)))
            missed = (np.abs(mean) > half).mean(axis=0)
            rows.append((float(missed.mean()), float(missed.max())))
        misses[name] = np.array(rows)
        print(f"  {name:<32}" + "".join(f"{100 * all_:7.1f}{100 * worst:7.1f}" for all_, worst in rows))
    below = [index for index, (_, blocks) in enumerate(DESIGNS) if blocks < stats.MIN_BLOCKS]
    plain = misses["equally noisy"][below, 0]
    noisy = max(float(one[below].max()) for one in (misses[name] for name in TENFOLD))
    of_one = max(float(misses[name][below, 0].max()) for name in OF_ONE if name not in LIMITS)
    limit = max(float(misses[name][below, 0].max()) for name in LIMITS)
    return [
        at_least("few blocks: coverage, contestants equally noisy", float(1 - plain.max()), 0.94, num),
        Figure(f"at most {percent(float(1 - plain.min()))}"),
        at_least("of the worst pair, variances differ tenfold", 1 - noisy, 0.93, num),
        at_most("one alone two-valued or with outliers: wrong", of_one, 0.075, num),
        at_most("one alone skewed or sticky: wrong", limit, 0.075, num),
        *powers(random, num),
        *as_quick(random, num),
    ]


def powers(random: np.random.Generator, num: int) -> list[Figure]:
    """How often a difference is found, noise of a ratio 6 %; beside it by own blocks alone, six or not."""
    print(
        "\nfound from few blocks, noise 6 %: borrowed, own blocks alone (which the rule allows from six on)"
    )
    words = ""
    for percents in (10, 20, 50):
        row = ""
        for blocks in BLOCKS:
            logs = random.normal(0, 0.06 / math.sqrt(2), (num, DATA_SETS, CONTESTANTS, blocks))
            mean, half, alone = judged(logs)
            truth = math.log1p(percents / 100)
            found = [float((np.abs(mean + truth) > one).mean()) for one in (half, alone)]
            row += f"{100 * found[0]:8.1f}{100 * found[1]:7.1f}"
            if percents == 20 and blocks in (2, 4):
                words += f"{' and ' if words else ''}{percent(found[0])} from {blocks} blocks"
        print(f"  {f'{percents} % faster':<40}{row}")
    return [Figure(f"20 % at noise 6 % found in {words}")]


def as_quick(random: np.random.Generator, num: int) -> list[Figure]:
    """The design of `quick`: how much is decided at its own speeds, and how often equals are told apart."""
    logs = random.normal(0, QUICK_NOISE, (num, DATA_SETS, CONTESTANTS, 2))
    mean, half, _ = judged(logs)
    wrong = float((np.abs(mean) > half).mean())
    speeds = np.log(QUICK)
    truth = np.stack([speeds[:, a] - speeds[:, b] for a, b in PAIRS], axis=1)
    decided = np.abs(mean + truth) > half
    reversed_ = decided & (np.sign(mean + truth) != np.sign(truth))
    number = np.quantile(decided.sum(axis=(1, 2)), (0.1, 0.5))
    print(f"\nas `quick`: of 18 decided {number[1]:.0f}, in nine of ten studies {number[0]:.0f} or more")
    return [
        at_most("as quick: equals told apart", wrong, 0.05, num),
        at_most("the slower one called faster", float(reversed_.mean()), 0.001, num),
        Figure(f"decided {number[1]:.0f} of 18"),
    ]
