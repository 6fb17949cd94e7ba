"""Comparisons, rankings, targets and break-even points in words, with the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, RATIO
from bakeoff.races.definitions import DIFFERENT, NOT_COMPARED, SAME, Comparison, Race
from bakeoff.wording import counted


def sentence(comparison: Comparison) -> str:
    """One comparison in words, with its numbers."""
    claim, numbers = claim_and_numbers(comparison)
    return f"{claim} {numbers}"


def claim_and_numbers(comparison: Comparison) -> tuple[str, str]:
    """One comparison in words: what can be said, and the numbers that it rests on."""
    first, second = comparison.first.short, comparison.second.short
    if comparison.refusal:
        return f"{first} and {second} are not compared", f"({comparison.refusal.words})"
    if comparison.verdict.time.ratio is None:
        return f"{first} against {second}: {stats.TOO_FEW}", "(no block in which both ended well)"
    claim, numbers = _growth(comparison) if comparison.growth else _compared(comparison)
    if comparison.is_short:
        short = [one.plain_short for one in (comparison.first, comparison.second) if one.is_short]
        numbers += f"; not all samples were trained by {' and '.join(short)}"
    return claim, numbers


def _growth(comparison: Comparison) -> tuple[str, str]:
    """Claim and numbers of one backend under settings that make it do different work."""
    first, second, verdict = comparison.first.short, comparison.second.short, comparison.verdict
    ratio = verdict.time.inverse
    of_times = f"{interval(ratio, verdict.rules)}, {blocks(ratio.num_blocks)}"
    claim = f"{second} takes {_times(ratio)}× as long as {first}"
    return claim, f"(growth of cost with {comparison.growth}: {of_times}; {_error(verdict)})"


def _compared(comparison: Comparison) -> tuple[str, str]:
    """Claim and numbers of a pair that may be compared.

    "n× faster" is the second's time over the first's; "ratio of times" is the first's over the second's.
    """
    first, second, verdict = comparison.first.short, comparison.second.short, comparison.verdict
    speed, ratio = verdict.time.inverse, verdict.time
    faster = f"{first} trains {_times(speed)}× faster than {second}"
    of_speed = f"{interval(speed, verdict.rules)}, {blocks(speed.num_blocks)}"
    of_times = f"{interval(ratio, verdict.rules)}, {blocks(ratio.num_blocks)}"
    error = _error(verdict)
    if verdict.on_error is stats.OnError.CERTIFIED:
        return faster, f"({of_speed}), training the same thing by certificate ({error}, which is left open)"
    if verdict.kind is stats.FASTER:
        if verdict.error is None or verdict.error.difference is None:
            return faster, f"({of_speed}); {error}"
        return faster, f"({of_speed}), at non-inferior error ({_error_numbers(verdict.error, verdict.rules)})"
    if verdict.kind is stats.FASTER_AT_WORSE_ERROR:
        return f"{faster}, but at worse error", f"({of_speed}; {error})"
    if verdict.kind is stats.PRACTICALLY_EQUAL:
        claim = f"{first} and {second} take practically the same time"
        within = f"{ratio_words(comparison)}, within ±{_percent(verdict.rules.margin)}"
        return claim, f"({within}, {of_times}; {error})"
    decides = what_would_decide(comparison)
    if verdict.undecided_on is stats.Question.ERROR:
        claim = f"{faster}, but whether at non-inferior error is undecided"
        return claim, f"({of_speed}; {error}): {decides}"
    claim = f"{first} against {second}: {verdict.kind}, {ratio_words(comparison)}"
    return claim, f"({of_times}; {error}): {decides}"


def answer(verdict: stats.Verdict) -> str:
    """``faster``; ``faster, error undecided`` where only the error is open."""
    is_open = verdict.on_error is stats.OnError.OPEN
    return f"{verdict.on_time}, error undecided" if is_open else verdict.kind


def noise_words(comparisons: Iterable[Comparison]) -> str:
    """What intervals of few blocks rest on, in two sentences, once for all; empty where there are none."""
    lent = [
        comparison.verdict.time.noise.df
        for comparison in comparisons
        if comparison.is_asked
        and comparison.verdict.on_time is not stats.TOO_FEW
        and comparison.verdict.time.noise is not None
        and comparison.verdict.time.noise.df > comparison.verdict.time.noise.own_df
    ]
    if not lent:
        return ""
    low, high = min(lent), max(lent)
    degrees = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"Intervals from fewer than {stats.MIN_BLOCKS} blocks borrow their noise from the study's other "
        f"races and contestants ({degrees} degrees of freedom). So few blocks may not show that a contestant "
        "takes one of two times by chance."
    )


def ratio_words(comparison: Comparison) -> str:
    """``ratio of times (a's over b's) 0.99``: it is the first's time over the second's everywhere."""
    return f"ratio of times ({_over(comparison)}) {_times(comparison.verdict.time)}"


def _over(comparison: Comparison) -> str:
    return f"{comparison.first.short}'s over {comparison.second.short}'s"


def what_would_decide(comparison: Comparison) -> str:
    """What would answer the question; empty where it is answered, or must not be asked."""
    verdict = comparison.verdict
    if not comparison.is_asked or verdict.is_decided:
        return ""
    if verdict.more is not None:
        low, num, high = verdict.more.low, verdict.more.num, verdict.more.high
        likely = f"80 % range: {low} to {high}" if low < high else f"80 % range: {low}"
        return f"about {_more(num)} would decide it ({likely})"
    if verdict.obstacle is None:
        return ""
    return obstacle_words(verdict)


def obstacle_words(verdict: stats.Verdict) -> str:
    """Why no number of blocks is given that would decide it; empty where there is no reason."""
    num = verdict.time.num_blocks
    match verdict.obstacle:
        case stats.Obstacle.TOO_FEW_BLOCKS if num < stats.MIN_BLOCKS:
            return f"a verdict needs at least {_more(stats.MIN_BLOCKS - num)}"
        case stats.Obstacle.TOO_FEW_BLOCKS:
            return "too few blocks have a final error to predict how many more are needed"
        case stats.Obstacle.UNPREDICTABLE:
            return "how many more blocks it takes can't be predicted yet: a few, or very many"
        case stats.Obstacle.TOO_MANY_BLOCKS:
            return f"it probably takes more than {stats.MAX_PROJECTED - num} more blocks"
        case stats.Obstacle.TEST_SET_TOO_SMALL:
            why = _UNPAIRED.get(verdict.error.pairing, "") if verdict.error else ""
            return f"the test set is too small: more blocks can't decide about the error{why}"
    return ""


# Why the test set's share of chance is but an upper bound, where it is.
_UNPAIRED = {
    stats.Pairing.OUTCOMES_MISSING: ", since not all of these runs recorded which test images they got wrong",
    stats.Pairing.OTHER_IMAGES: ", since these runs were not measured on the same images",
}


def _more(number: int) -> str:
    return counted(number, "more block")


def in_full(reason: str) -> str:
    """A certificate's reason behind what it is the reason of."""
    return f": {reason}" if reason else ""


def remarks(comparison: Comparison, why: Callable[[str], str] = in_full) -> Iterator[str]:
    """What else a reader should know of a comparison, one sentence each, without full stops.

    why: how a certificate's reason stands behind it.
    """
    differing = f"; they differ in {', '.join(comparison.differing)}" if comparison.differing else ""
    yield f"track: {comparison.track}{differing}"
    yield certified(comparison, why)
    yield from warnings(comparison)
    if comparison.excluded:
        reasons: dict[tuple[str, str], int] = {}
        for exclusion in comparison.excluded:
            reasons[exclusion.contestant, exclusion.why] = (
                reasons.get((exclusion.contestant, exclusion.why), 0) + 1
            )
        words = (f"{name}: {number} {why}" for (name, why), number in reasons.items())
        yield f"left out: {', '.join(words)}"
    if comparison.hinge:
        yield f"hinges on which runs count: {comparison.hinge}"
    if left_out := compiled_otherwise(comparison):
        yield left_out


def compiled_otherwise(comparison: Comparison) -> str:
    """Which blocks the times that include compilation leave out, in words; empty where none."""
    number = comparison.num_compiled_otherwise
    if not number:
        return ""
    some = "1 block is" if number == 1 else f"{number} blocks are"
    return (
        f"{some} left out of the ratios of total time and of the first step, and of break-even: the compile "
        "cache was cold in one and warm in the other"
    )


def warnings(comparison: Comparison) -> Iterator[str]:
    """What stands beside a verdict because an interval does not allow for it, one sentence each."""
    if comparison.refusal:
        return
    verdict = comparison.verdict
    if verdict.schedule in _SCHEDULES:
        yield f"{_SCHEDULES[verdict.schedule]}; so the intervals are the wider ones that hold at every look"
    for doubt in verdict.doubts:
        yield _doubt(comparison, doubt)
    if verdict.median_disagrees:
        median = stats.TimeRatio(verdict.time.median, None, None, verdict.time.num_blocks, None)
        yield (
            f"{ratio_words(comparison)} is the geometric mean over processes, which the verdict is on; "
            f"the median, {_times(median)}, disagrees"
        )


_SCHEDULES = {
    stats.Schedule.CHANGED: "blocks were added after a look: some runs were begun when another number of "
    "blocks was planned",
    stats.Schedule.UNFINISHED: "not all blocks that were planned have run yet",
}


def _doubt(comparison: Comparison, doubt: stats.Doubt) -> str:
    contestants = comparison.first.short, comparison.second.short
    whose = contestants[doubt.of] if doubt.of is not None else " and ".join(contestants)
    match doubt.finding:
        case stats.Finding.DEPENDENT:
            wider = comparison.verdict.time.widening
            return (
                f"neighbouring blocks are alike (correlation {doubt.value:.2f}), as if one contestant's "
                f"speed drifted: the interval is {wider:.1f} times as wide for it"
            )
        case stats.Finding.TWO_VALUED:
            return f"{whose} takes one of two times: the longer is {doubt.value:.2f} times the shorter"
        case stats.Finding.OUTLIERS:
            number = counted(doubt.value, "block")
            return f"{whose} has outliers, in {number}: the verdict is on the mean, which they move"


def certified(comparison: Comparison, why: Callable[[str], str] = in_full) -> str:
    """Whether the two were shown to train the same thing, in words."""
    certificate = comparison.certificate
    if certificate.verdict is SAME:
        answers = comparison.verdict.on_error is stats.OnError.CERTIFIED
        limits = (
            ", which decides about the error where the runs leave it open (verdicts.errors); it covers a few "
            "steps on few images, up to rounding, without dropout and evaluation"
        )
        what = "take the same steps" if comparison.growth else "train the same thing"
        return f"certified: both {what}{limits if answers else ''}"
    if certificate.verdict is DIFFERENT:
        return f"they do not train the same thing{why(certificate.words)}"
    if certificate.verdict is NOT_COMPARED:
        return f"not certified{why(certificate.words)}"
    return "not certified: it was never verified that they train the same thing"


def target_words(comparison: Comparison) -> str:
    """How soon either of them comes to the target, in words; empty without one."""
    found = comparison.target
    if found is None or comparison.target_error is None or comparison.refusal:
        return ""
    first, second = comparison.first.short, comparison.second.short
    error = f"an error of {METRICS['validation_error'].text(comparison.target_error)} %"
    if found.num_reached == (0, 0):
        return f"neither reaches {error} in the epochs that were run"
    reached = f"{first} in {found.num_reached[0]}, {second} in {found.num_reached[1]} of {found.num_blocks}"
    if found.num_reached == (found.num_blocks, found.num_blocks) and found.ratio.ratio is not None:
        rules, ratio = comparison.verdict.rules, found.ratio
        if found.verdict in (stats.FASTER, stats.SLOWER):
            sooner, later = (first, second) if found.verdict is stats.FASTER else (second, first)
            speed = ratio.inverse if found.verdict is stats.FASTER else ratio
            numbers = f"({interval(speed, rules)}, {blocks(found.num_blocks)})"
            return f"{sooner} reaches {error} {_times(speed)}× sooner than {later} {numbers}"
        numbers = f"({interval(ratio, rules)}, {blocks(found.num_blocks)})"
        return (
            f"which of the two reaches {error} sooner: {found.verdict}, ratio of times ({_over(comparison)}) "
            f"{_times(ratio)} {numbers}"
        )
    share = f"first in {found.num_first[0]} and {found.num_first[1]}"
    if found.verdict in (stats.FASTER, stats.SLOWER):
        sooner, later = (first, second) if found.verdict == stats.FASTER else (second, first)
        return f"{sooner} reaches {error} sooner than {later} (reached by {reached} blocks; {share})"
    return f"which of the two reaches {error} sooner: {found.verdict} (reached by {reached} blocks; {share})"


def break_even_words(comparison: Comparison) -> str:
    """From how many epochs on which of the two takes less total time; empty if unknown."""
    found = comparison.break_even
    if found is None or comparison.refusal:
        return ""
    first, second = comparison.first.short, comparison.second.short
    last = found.epochs[-1]
    if found.low == found.epochs[0] and found.high is None:
        return f"which of {first} and {second} takes less total time is uncertain from 1 epoch to {last}"
    if found.at is None:
        ahead, behind = (first, second) if found.ratios[-1] < 1 else (second, first)
        words = f"{ahead} takes less total time than {behind} from 1 epoch to {last}"
    else:
        late, early = (first, second) if found.ratios[-1] < 1 else (second, first)
        words = f"{late} takes less total time than {early} from {found.at:.1f} epochs on, and more before"
    if found.low is None:
        return words
    if found.high is None:
        return f"{words}; uncertain from {found.low} on"
    until = f"at {found.low}" if found.low == found.high else f"from {found.low} to {found.high}"
    return f"{words}; uncertain {until}"


def ranking_words(race: Race) -> str:
    """The race's places, the fastest first, in words; empty where it has no ranking."""
    ranking = race.ranking
    if ranking is None:
        return ""
    words = []
    for index in ranking.order:
        best, worst = ranking.ranks[index]
        place = f"{best}" if best == worst else f"{best} to {worst}"
        words.append(f"{race.contestants[index].short} ({place})")
    return ", ".join(words)


def measure_words(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Each other measure of a pair and its ratio, first to second, with the interval."""
    for name, metric in METRICS.items():
        ratio = comparison.measures.get(name)
        if ratio is not None and ratio.ratio is not None:
            yield metric.compared, f"{_times(ratio)} ({interval(ratio, comparison.verdict.rules)})"


def bare_measures(comparison: Comparison) -> str:
    """The same in one line, where none has an interval; empty where one has."""
    known = {
        name: time_ratio for name, time_ratio in comparison.measures.items() if time_ratio.ratio is not None
    }
    if not known or any(time_ratio.low is not None for time_ratio in known.values()):
        return ""
    ratios = "; ".join(f"{METRICS[name].compared} {_times(time_ratio)}" for name, time_ratio in known.items())
    most = max(time_ratio.num_blocks for time_ratio in known.values())
    return f"without intervals, from {blocks(most)}: {ratios}"


def interval(ratio: stats.TimeRatio, rules: stats.Rules) -> str:
    """``95 % CI 2.9–3.3``; says so where there are too few repeats for one to mean anything."""
    if ratio.low is None or ratio.high is None:
        return "no interval"
    ends = ratio.low, ratio.high
    low, high = map(_close, ends) if _is_close(ratio) else RATIO.texts(ends)
    return f"{confidence(rules)} {low}–{high}"


def confidence(rules: stats.Rules) -> str:
    """``95 % CI``, and whether several hold at once."""
    return f"{_percent(rules.confidence)} {'simultaneous ' if rules.num_comparisons > 1 else ''}CI"


def blocks(number: int) -> str:
    """``3 paired blocks``."""
    return counted(number, "paired block")


def signed(value: float) -> str:
    """An error difference in percentage points, with its sign."""
    text = ERROR_DIFFERENCE.text(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _error(verdict: stats.Verdict) -> str:
    """Difference of final errors, first less second."""
    if verdict.error is None or verdict.error.difference is None:
        return "no final error to compare"
    return f"error {_error_numbers(verdict.error, verdict.rules)}"


def _error_numbers(error: stats.ErrorDifference, rules: stats.Rules) -> str:
    parts = [f"difference {signed(error.difference or 0.0)} pp"]
    if error.low is not None and error.high is not None:
        parts.append(f"{confidence(rules)} {signed(error.low)} to {signed(error.high)}")
    parts.append(f"margin {ERROR_DIFFERENCE.text(rules.error_margin)} pp")
    if error.test_set_se is None:
        parts.append("test set's size unknown")
    return ", ".join(parts)


def _times(ratio: stats.TimeRatio) -> str:
    if ratio.ratio is not None and _is_close(ratio):
        return _close(ratio.ratio)
    return RATIO.text(ratio.ratio)


def _is_close(ratio: stats.TimeRatio) -> bool:
    """Whether two decimals would hide what is judged."""
    return ratio.low is not None and ratio.high is not None and ratio.low > 0.9 and ratio.high < 1.1


def _close(value: float) -> str:
    return f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
