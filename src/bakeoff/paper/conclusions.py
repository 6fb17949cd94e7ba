"""The paper's conclusions on its cluster, each held against the results here by a rule stated beforehand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, RATIO, Metric
from bakeoff.paper import published
from bakeoff.races.marks import marks_of
from bakeoff.report.item import Table, words
from bakeoff.report.items.cluster.runs import Between, Cluster, ClusterContestant

REPRODUCED = "reproduced here"
CONTRADICTED = "contradicted here"
UNDECIDED = "undecided"
UNTESTABLE = "not testable here"

# How far a value may be from the printed one and still count as the same.
FACTOR = 2.0
# The paper's own layouts and backends differ by up to 8 ms; a quarter of its 80 ms is well above that.
GC_MARGIN_S = 0.020
# Two standard errors of the difference of two errors of 0.7 % on 10,000 test images (0.12 pp each).
ERROR_MARGIN = 0.0025

Interval = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """One conclusion on one pair or contestant: its value here in words, and the verdict."""

    said: str
    verdict: str


@dataclass(frozen=True)
class Conclusion:
    """One conclusion of the paper, and what is to be said of it here.

    printed: its figures. rule: when it counts as reproduced. cases: everyone here that it can be tried on.
    reason: why it can't be tried, if nobody is.
    """

    claim: str
    printed: str
    rule: str
    cases: tuple[Case, ...]
    reason: str = ""

    @property
    def verdict(self) -> str:
        """What all cases agree on; undecided where they don't."""
        verdicts = {case.verdict for case in self.cases}
        if not verdicts:
            return UNTESTABLE
        return verdicts.pop() if len(verdicts) == 1 else UNDECIDED

    @property
    def here(self) -> str:
        """The cases' figures, or why there are none."""
        if not self.cases:
            return self.reason
        several = len({case.verdict for case in self.cases}) > 1
        return "; ".join(case.said + (f": {case.verdict}" if several else "") for case in self.cases)


def judge(interval: Interval | None, num: int, same: Interval) -> str:
    """What an interval says of a claim that the value lies within `same`.

    Reproduced if the whole interval does, contradicted if none of it does, else undecided; undecided,
    too, below `stats.MIN_BLOCKS` values, where an interval may be narrow by luck.
    """
    if interval is None or num < stats.MIN_BLOCKS:
        return UNDECIDED
    low, high = interval
    if same[0] <= low and high <= same[1]:
        return REPRODUCED
    return CONTRADICTED if high < same[0] or low > same[1] else UNDECIDED


def chosen(clusters: Sequence[Cluster]) -> Cluster | None:
    """The section to try the conclusions on: MNIST's if there is one; None if the paper's pair is in none."""
    usable = [cluster for cluster in clusters if _pairs(cluster)]
    return next((one for one in usable if _dataset(one) == "mnist"), usable[0] if usable else None)


def conclusions(cluster: Cluster) -> tuple[Conclusion, ...]:
    """Every conclusion of the paper's distributed half, tried on one section."""
    pairs = _pairs(cluster)
    level = _same_work(cluster)
    return (
        Conclusion(
            "5 × 4 is better than 4 × 5 in total time",
            "Theano 50 against 57 min, TensorFlow 8.29 against 9.31 min",
            "ratio of totals, paired by block: its interval below 1",
            tuple(_layout_case(study_layout) for study_layout in _study_layouts(cluster)),
            _layout_reason(cluster),
        ),
        Conclusion(
            "Theano takes about six times TensorFlow's total",
            "50 against 8.29 min (6.0 times) on 5 × 4, 57 against 9.31 min (6.1 times) on 4 × 5",
            f"ratio of totals, paired by block: its interval within a factor of {FACTOR:g} of 6",
            tuple(_ratio_case(cluster, *pair) for pair in pairs),
        ),
        Conclusion(
            "Garbage collection takes about 80 ms per task",
            "80, 81.25, 87.75, 83.5 ms",
            f"mean per task: its interval within a factor of {FACTOR:g} of 80 ms",
            tuple(
                _level_case(cluster, contestant, "gc_mean_s", METRICS["gc_s"], 0.080)
                for contestant in _contestants(pairs)
            ),
        ),
        Conclusion(
            "Garbage collection does not depend on the backend",
            "80 and 81.25 ms on 5 × 4, 87.75 and 83.5 ms on 4 × 5",
            f"difference of means per task, paired by block: its interval within ± {1000 * GC_MARGIN_S:g} ms",
            tuple(
                _difference_case(cluster, pair, "gc_mean_s", METRICS["gc_s"], GC_MARGIN_S) for pair in pairs
            ),
        ),
        Conclusion(
            "Both backends err about equally",
            "0.74 and 0.75 % on 5 × 4, 0.70 and 0.74 % on 4 × 5",
            f"difference of errors, paired by block: its interval within ± {100 * ERROR_MARGIN:g} pp, two "
            "standard errors of two such errors on 10,000 images",
            tuple(
                _difference_case(cluster, pair, "final_validation_error", ERROR_DIFFERENCE, ERROR_MARGIN)
                for pair in pairs
            ),
        ),
        Conclusion(
            "The error is about 0.7 %",
            "0.70 to 0.75 % on MNIST after 50 epochs",
            f"mean error: its interval within a factor of {FACTOR:g} of 0.7 %; only after the paper's "
            "epochs on all of MNIST",
            ()
            if level
            else tuple(
                _level_case(
                    cluster, contestant, "final_validation_error", METRICS["final_validation_error"], 0.007
                )
                for contestant in _contestants(pairs)
            ),
            level,
        ),
        Conclusion(
            "The median task takes most of the total",
            "41 of 50 min (82 %), 6.95 of 8.29 (84 %), 40 of 57 (70 %), 7.18 of 9.31 (77 %)",
            "median task time (summed over a run's stages of training) ÷ total: its interval above 50 %",
            tuple(_share_case(cluster, contestant) for contestant in _contestants(pairs)),
        ),
        Conclusion(
            "On one machine with a GPU, Theano is clearly superior in time",
            "figures without numbers",
            "",
            (),
            "Theano's code for GPUs needs a library and a CUDA of its time: here it runs on the CPU only",
        ),
    )


def table(cluster: Cluster, found: Sequence[Conclusion]) -> Table:
    """The conclusions with their figures there and here, and the verdict on each."""
    rows = []
    for conclusion in found:
        rows.append(
            (
                conclusion.claim,
                conclusion.verdict,
                conclusion.here,
                conclusion.printed,
                conclusion.rule or "–",
            )
        )
    columns = words("The paper's conclusion", "Verdict", "Here", "Printed", "Counts as reproduced if")
    return Table(
        "conclusions",
        f"The paper's conclusions on its cluster, tried on {cluster.section.title}",
        columns,
        tuple(rows),
        remark="Where there are asynchronous runs of Elephas as released, its default then, only they are "
        "tried. Contradicted: the whole interval lies outside. Undecided: part of it does, there are fewer "
        "than three simulations, or contestants disagree.",
        marks_within=marks_of(contestant.at for contestant in cluster.distributed),
    )


def conditions(cluster: Cluster) -> Iterator[str]:
    """What differs from the paper's conditions, one sentence each."""
    ran = cluster.distributed
    embedded = [
        contestant
        for contestant in ran
        if contestant.settings.get("distribution_options.master") == "embedded"
    ]
    if embedded:
        cpus = {contestant.num_cpus for contestant in embedded if contestant.num_cpus}
        cores = f" with {' or '.join(map(str, sorted(cpus)))} cores" if cpus else ""
        yield (
            f"The nodes are processes of one machine{cores}: no network lies between them, and all share its "
            "cores and memory."
        )
    images = _words(_images(cluster))
    yield f"Data: {cluster.section.title}, {images} training images (the paper: {published.IMAGES:,})."
    epochs = {contestant.settings.get("epochs") for contestant in ran}
    yield f"Epochs: {_words(epochs)} (the paper: {published.EPOCHS})."
    batches = {contestant.settings.get("distribution_options.batch_size_per_task") for contestant in ran}
    modes = {
        f"{contestant.settings.get('distribution_options.mode')}, {contestant.variant}"
        for contestant in ran
        if contestant.variant
    }
    yield f"Batch per task: {_words(batches)} (the paper: not stated)."
    yield f"Elephas's mode: {_words(modes)} (the paper: not stated; its release's default was asynchronous)."
    backends = {contestant.contestant.backend for contestant in ran}
    if "tensorflow1" not in backends:
        yield "TensorFlow is today's, not the TensorFlow 1 of the paper's time."
    layouts = {contestant.layout for contestant in ran} - {"5 × 4", "4 × 5"}
    if layouts:
        yield f"Layouts: {_words({contestant.layout for contestant in ran})} (the paper: 5 × 4 and 4 × 5)."


# ---- cases --------------------------------------------------------------------------------------


def _layout_case(pair: Between) -> Case:
    wide = pair if pair.first.layout == "5 × 4" else pair.inverse
    verdicts = {
        stats.FASTER: REPRODUCED,
        stats.SLOWER: CONTRADICTED,
        stats.PRACTICALLY_EQUAL: CONTRADICTED,  # a difference that is none
    }
    ratio = wide.total.time
    ends = _ends(RATIO, ratio.low, ratio.high)
    times = RATIO.text(ratio.ratio)
    short = ", which skipped samples," if wide.is_short else ""
    said = f"{wide.first.base} on 5 × 4{short} {times} times the total of 4 × 5 ({ends})"
    return Case(said, verdicts.get(wide.total.kind, UNDECIDED))


def _ratio_case(cluster: Cluster, theano: ClusterContestant, flow: ClusterContestant) -> Case:
    ratio = stats.time_ratio(*cluster.paired(theano, flow, "total_s"))
    interval = None if ratio.low is None or ratio.high is None else (ratio.low, ratio.high)
    ends = _ends(RATIO, ratio.low, ratio.high)
    said = f"{_name(theano)} {RATIO.text(ratio.ratio)} times the total of {_name(flow)} ({ends})"
    return Case(said, judge(interval, ratio.num_blocks, (6 / FACTOR, 6 * FACTOR)))


def _difference_case(
    cluster: Cluster,
    pair: tuple[ClusterContestant, ClusterContestant],
    column: str,
    metric: Metric,
    margin: float,
) -> Case:
    first, second = cluster.paired(*pair, column)
    found = stats.summarize(first - second)
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    value = f"{metric.text(found.mean)} {metric.unit} ({_ends(metric, found.low, found.high)})"
    said = f"{_name(pair[0])} less {_name(pair[1])} {value}"
    return Case(said, judge(interval, found.num, (-margin, margin)))


def _level_case(
    cluster: Cluster, contestant: ClusterContestant, column: str, metric: Metric, printed: float
) -> Case:
    found = stats.summarize(cluster.values(contestant, column), bounds=stats.POSITIVE)
    return _case(contestant, found, metric, (printed / FACTOR, printed * FACTOR))


def _share_case(cluster: Cluster, contestant: ClusterContestant) -> Case:
    runs = cluster.of(contestant)
    shares = (runs["stage_medians_s"] / runs["total_s"]).drop_nulls().to_list()
    return _case(
        contestant, stats.summarize(shares, bounds=stats.SHARE), METRICS["share"], (0.5, float("inf"))
    )


def _case(contestant: ClusterContestant, found: stats.Summary, metric: Metric, same: Interval) -> Case:
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    said = f"{_name(contestant)} {metric.text(found.mean)} {metric.unit} "
    said += f"({_ends(metric, found.low, found.high)})"
    return Case(said, judge(interval, found.num, same))


# ---- who takes part -----------------------------------------------------------------------------


def _pairs(cluster: Cluster) -> list[tuple[ClusterContestant, ClusterContestant]]:
    """Theano and TensorFlow on the cluster under equal settings: TensorFlow 1 where it is there."""
    by_id = {contestant.contestant.trial_id: contestant for contestant in cluster.distributed}
    found = []
    for race in cluster.section.races:
        members = [
            by_id[contestant.trial_id] for contestant in race.contestants if contestant.trial_id in by_id
        ]
        theanos = [member for member in members if member.contestant.backend == "theano"]
        flows = [member for member in members if member.contestant.backend == "tensorflow1"]
        flows = flows or [member for member in members if member.contestant.backend == "tensorflow"]
        pairs = list(itertools.product(theanos, flows))
        together = [(a, b) for a, b in pairs if a.contestant.environment == b.contestant.environment]
        found += together or pairs
    return [pair for pair in found if _in_its_mode(pair)] or found


def _contestants(pairs: Iterable[tuple[ClusterContestant, ClusterContestant]]) -> list[ClusterContestant]:
    every = [contestant for pair in pairs for contestant in pair]
    return list({contestant.contestant.trial_id: contestant for contestant in every}.values())


def _in_its_mode(contestants: Sequence[ClusterContestant]) -> bool:
    """Whether all ran as the paper may have: its release's default mode, nothing corrected."""
    return all(
        contestant.settings.get("distribution_options.mode") == "asynchronous"
        and contestant.variant == "as released"
        for contestant in contestants
    )


def _study_layouts(cluster: Cluster) -> list[Between]:
    """Comparisons of the paper's two layouts, of its backends."""
    found = [
        pair
        for pair in cluster.layouts
        if pair.first.contestant.backend in ("theano", "tensorflow", "tensorflow1")
        and {pair.first.layout, pair.second.layout} == {"5 × 4", "4 × 5"}
    ]
    return [between for between in found if _in_its_mode((between.first, between.second))] or found


def _layout_reason(cluster: Cluster) -> str:
    layouts = list(dict.fromkeys(contestant.layout for contestant in cluster.distributed))
    return f"no contestant ran on both; the layouts here are {' and '.join(layouts)}"


def _same_work(cluster: Cluster) -> str:
    """Why an error here can't be held against the paper's; empty if it can."""
    reasons = []
    if _dataset(cluster) != "mnist":
        reasons.append(f"{cluster.section.title} is not MNIST")
    epochs = {int(contestant.settings.get("epochs") or 0) for contestant in cluster.distributed}
    if min(epochs) < published.EPOCHS:
        reasons.append(f"{_words(epochs)} epochs instead of {published.EPOCHS}")
    images = _images(cluster)
    if images != {"all"}:
        reasons.append(f"{_words(images)} training images instead of {published.IMAGES:,}")
    return "; ".join(reasons)


def _images(cluster: Cluster) -> set[object]:
    return {contestant.settings.get("train_images") or "all" for contestant in cluster.distributed}


def _dataset(cluster: Cluster) -> str:
    return str(cluster.section.runs["dataset"][0])


# ---- words --------------------------------------------------------------------------------------


def _name(contestant: ClusterContestant) -> str:
    return (
        f"{contestant.plain_at} (skipped samples)" if contestant.contestant.is_short else contestant.plain_at
    )


def _ends(metric: Metric, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "no interval"
    texts = metric.texts([low, high])
    return f"95 % CI {texts[0]} to {texts[1]}"


def _words(values: Iterable[object]) -> str:
    return ", ".join(sorted(f"{value:,}" if isinstance(value, int) else str(value) for value in values))
