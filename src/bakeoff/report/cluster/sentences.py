"""What a report says of distributed runs in words: which layout, whether it pays, where the time went."""

from __future__ import annotations

from collections.abc import Iterator

from bakeoff import stats
from bakeoff.metrics import ERROR_DIFFERENCE, METRICS, RATIO
from bakeoff.races.frames import MARK, MARK_NOTE
from bakeoff.report.cluster import budget
from bakeoff.report.cluster.contents import Between, Cluster, FollowUp

# What is claimed, and the numbers that it rests on.
Verdict = tuple[str, str]


def layout_verdicts(cluster: Cluster) -> Iterator[Verdict]:
    """For every two layouts of a contestant: one of them, or undecided."""
    for one in cluster.layouts:
        first, second, ratio = one.first.placed, one.second.placed, one.train.inverse
        times = RATIO.text(ratio.ratio)
        if one.train.verdict == stats.FASTER:
            claim = f"{one.first.base}: {first}, which trains {times}× faster than {second}"
        elif ratio.ratio is None:
            claim = f"{one.first.base}: {first} or {second}: {stats.TOO_FEW}"
        else:
            claim = (
                f"{one.first.base}: {first} or {second}: {one.train.verdict}, ratio of training times {times}"
            )
        numbers = [_interval(ratio)]
        if one.total.ratio is not None:
            numbers.append(f"in total {first} is {_compared(one.total.inverse)}")
        yield claim, _joined(one, numbers, _error(one.error))


def machine_verdicts(cluster: Cluster) -> Iterator[Verdict]:
    """For each contestant that ran both ways: should it be distributed at all?"""
    for one in cluster.machine:
        yield (
            _answer(one),
            _joined(
                one,
                [_interval(_above_one(one.train)), _total(one)],
                _error(one.error.inverse, "the error paid is"),
            ),
        )


def _answer(one: Between) -> str:
    """The first is one machine, the second the cluster: is the first slower?"""
    where = f"{one.second.base} on {one.second.placed}"
    if one.train.ratio is None:
        return f"Distribute {where}? {stats.TOO_FEW}"
    times = RATIO.text(_above_one(one.train).ratio)
    if one.train.verdict == one.total.verdict == stats.SLOWER:
        return f"Distribute {where}: it trains {times}× faster than on one machine"
    if one.train.verdict == stats.SLOWER:
        return f"Distribute {where} for longer work only: training is {times}× faster, the whole job is not"
    if one.train.verdict == stats.FASTER:
        return f"Don't distribute {where}: training takes {times} times as long as on one machine"
    compared = f"is {times}× faster than" if one.train.ratio > 1 else f"takes {times} times as long as"
    return f"Distribute {where}? {one.train.verdict.capitalize()}: training {compared} on one machine"


def _total(one: Between) -> str:
    if one.total.ratio is None:
        return ""
    faster = one.total.ratio > 1
    ratio = _above_one(one.total)
    words = f"{RATIO.text(ratio.ratio)}× faster" if faster else f"{RATIO.text(ratio.ratio)} times as long"
    return f"the whole job {'is' if faster else 'takes'} {words} ({_ends(ratio)})"


def shared_cores(cluster: Cluster) -> Iterator[str]:
    """Where task slots share cores, how many share how many."""
    said = {(one.slots, one.num_cpus) for one in cluster.distributed}
    for slots, cpus in sorted((pair for pair in said if pair[0] and pair[1]), key=str):
        if slots is not None and cpus is not None and slots > cpus:
            cores = "core" if cpus == 1 else "cores"
            yield (
                f"{slots} task slots share {cpus} {cores} here: the nodes are processes of one machine. What "
                "a cluster gains by working side by side can't be seen so; what it costs to start, ship and "
                "merge can."
            )


def where_time_went(cluster: Cluster) -> Iterator[str]:
    """For each contestant: the share of the total that is not training, and the largest avoidable item."""
    for one in cluster.distributed:
        found = cluster.shares(one)
        if not found:
            continue
        outside = stats.summarize([1 - run["training"] for run in found])
        texts = METRICS["share"].texts([outside.mean, outside.low, outside.high])
        ends = "" if outside.low is None else f" (95 % CI {texts[1]}–{texts[2]} %)"
        means = {name: sum(run[name] for run in found) / len(found) for name in found[0]}
        said = f"{one.at}: {texts[0]} % of the total{ends} is not training"
        avoidable = budget.largest_avoidable(means)
        if avoidable is not None:
            share = METRICS["share"].text(means[avoidable.name])
            remedy = avoidable.remedy
            waiting = cluster.share_of_lock(one) if avoidable.name == "build" else None
            if waiting is not None and waiting > 0.5:
                percent = METRICS["share"].text(waiting)
                remedy = (
                    f"{percent} % of it is waiting for the lock of Theano's compile directory, which the "
                    "tasks share: fewer tasks at once, or a directory for each executor (compile_directory)"
                )
            said += f". The largest avoidable item is “{avoidable.title}”, {share} %: {remedy}"
        yield said + "."


def skipped_samples(cluster: Cluster) -> Iterator[str]:
    """What the dagger means, with its numbers."""
    short = [one for one in cluster.distributed if one.contestant.is_short]
    if not short:
        return
    parts = []
    for one in short:
        asked, trained = (sum(cluster.values(one, f"samples_{what}")) for what in ("asked", "trained"))
        share = METRICS["share"].text(1 - trained / asked if asked else None)
        parts.append(f"{one.at.removesuffix(f' {MARK}')} {share} %")
    yield (
        f"{MARK_NOTE} Not trained: {', '.join(parts)}. Such runs did less work than the others in their time."
    )


def retries(cluster: Cluster) -> Iterator[str]:
    """Attempts that failed and executors that were lost, in runs that ended well all the same."""
    for one in cluster.distributed:
        failed, lost = (int(sum(cluster.values(one, column))) for column in ("num_failed", "num_lost"))
        if failed or lost:
            yield (
                f"{one.at}: {failed} attempt{'' if failed == 1 else 's'} of tasks failed and {lost} "
                f"executor{' was' if lost == 1 else 's were'} lost in runs that ended well all the same; the "
                "time that it took is in all figures."
            )


def warmth(cluster: Cluster) -> Iterator[str]:
    """Cold executors against warm ones."""
    for one in cluster.warmth:
        if one.train.ratio is None:
            continue
        words = {stats.SLOWER: "warming up helps", stats.FASTER: "warming up harms"}
        train, total = RATIO.text(one.train.ratio), RATIO.text(one.total.ratio)
        yield (
            f"{one.second.at}: with cold executors training takes {train} times as long as with warm ones "
            f"({_interval(one.train)}): {words.get(one.train.verdict, one.train.verdict)}. The total, with "
            f"warming up in it, takes {total} times as long ({_ends(one.total)})."
        )


def followed(found: FollowUp) -> str:
    """Which value the results speak for, on which evidence, and what ran on it."""
    name = found.choose.rpartition(".")[2].replace("_", " ")
    reasons = []
    for value, ratio in found.against.items():
        if ratio.ratio is None:
            reasons.append(f"{_shown(value)} could not be compared")
            continue
        doubt = "" if ratio.verdict == stats.FASTER else f"; {ratio.verdict}, so the lower mean decides"
        times = RATIO.text(ratio.ratio)
        reasons.append(f"{times} times the training time with {_shown(value)} ({_interval(ratio)}{doubt})")
    said = f"The follow-up ({found.changes}) goes on with {name} {_shown(found.value)}"
    said += f": {'; '.join(reasons)}." if reasons else "."
    if not found.ran:
        return said + " It has no good run yet."
    if found.ran != (found.value,):
        ran = ", ".join(_shown(value) for value in found.ran)
        said += f" It ran with {ran}: that was chosen before the last results came in."
    return said


def _shown(value: object) -> str:
    """A layout as elsewhere; other values as they are."""
    nodes, cross, cores = str(value).partition("x")
    return f"{nodes} × {cores}" if cross and nodes.isdecimal() and cores.isdecimal() else str(value)


# ---- numbers in words ---------------------------------------------------------------------------


def _above_one(ratio: stats.Ratio) -> stats.Ratio:
    return ratio if ratio.ratio is None or ratio.ratio >= 1 else ratio.inverse


def _compared(ratio: stats.Ratio) -> str:
    """How many times faster, with the interval and the verdict on it."""
    words = {stats.FASTER: "slower", stats.SLOWER: "faster"}.get(ratio.verdict, ratio.verdict)
    return f"{RATIO.text(ratio.ratio)}× as fast ({_ends(ratio)}: {words})"


def _ends(ratio: stats.Ratio) -> str:
    if ratio.low is None:
        return "no interval"
    low, high = RATIO.texts([ratio.low, ratio.high])
    return f"95 % CI {low}–{high}"


def _pairs(ratio: stats.Ratio) -> str:
    return f"{ratio.num_pairs} paired block{'' if ratio.num_pairs == 1 else 's'}"


def _interval(ratio: stats.Ratio) -> str:
    return (
        f"{_ends(ratio)}, {_pairs(ratio)}" if ratio.ratio is not None else "no block in which both ended well"
    )


def _error(error: stats.Difference, words: str = "final error differs by") -> str:
    if error.difference is None:
        return "no final error to compare"
    shown = ERROR_DIFFERENCE.texts([error.difference, error.low, error.high])
    sign = "+" if error.difference > 0 and shown[0].strip("0.") else ""
    ends = "" if error.low is None else f" (95 % CI {shown[1]} to {shown[2]})"
    return f"{words} {sign}{shown[0]} pp{ends}"


def _joined(one: Between, numbers: list[str], error: str) -> str:
    first, *rest = numbers
    mark = f"{MARK} not all of the samples were trained" if one.is_short else ""
    return "; ".join(filter(None, (f"({first})", *rest, error, mark)))
