"""What a report says of distributed runs in words: which layout, whether it pays, where the time went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bakeoff import stats
from bakeoff.metrics import METRICS, RATIO
from bakeoff.races.marks import Mark
from bakeoff.races.sentences import blocks, confidence, signed
from bakeoff.report.item import Badge, Claim, State, Tone
from bakeoff.report.items.cluster import budget
from bakeoff.report.items.cluster.runs import Between, Cluster, FollowUp


def layout_claims(cluster: Cluster) -> Iterator[Claim]:
    """For every two layouts of a contestant: one of them, or undecided."""
    for pair in cluster.layouts:
        first, second, ratio = pair.first.placed, pair.second.placed, pair.verdict.time.inverse
        times = RATIO.text(ratio.ratio)
        if ratio.ratio is None:
            claim = f"{pair.first.base}: {first} or {second}: {stats.TOO_FEW}"
        elif pair.verdict.on_time == stats.FASTER:
            claim = f"{pair.first.base}: {first}, which trains {times}× faster than {second}"
            claim += _at_what_error(pair.verdict)
        else:
            ratio = pair.verdict.time
            claim = (
                f"{pair.first.base}: {first} or {second}: {pair.verdict.kind}, ratio of times "
                f"({first}'s over {second}'s) {RATIO.text(ratio.ratio)}"
            )
        numbers = [_interval(ratio, pair.verdict.rules)]
        if pair.total.time.ratio is not None:
            numbers.append(f"in total {first} is {_compared(pair.total.inverse)}")
        yield _claim(pair, claim, numbers, _error(pair.verdict))


def machine_claims(cluster: Cluster) -> Iterator[Claim]:
    """For each contestant that ran both ways: should it be distributed at all?"""
    for pair in cluster.machine:
        numbers = [_interval(_above_one(pair.verdict.time), pair.verdict.rules), _total(pair)]
        yield _claim(pair, _answer([pair]), numbers, _error(pair.verdict.inverse, "the error paid is"))


def in_short(cluster: Cluster) -> Iterator[tuple[stats.Kind, str]]:
    """Should it be distributed at all? All of one answer together; then each layout that is better."""
    answers: dict[tuple[stats.Kind, bool, bool, str], list[Between]] = {}
    for pair in cluster.machine:
        kind, ratio = pair.verdict.on_time, pair.verdict.time.ratio
        whole = kind == pair.total.kind == stats.SLOWER
        alike = kind, whole, ratio is not None and ratio > 1, _at_what_error(pair.verdict.inverse)
        answers.setdefault(alike, []).append(pair)
    yield from ((kind, _answer(pairs)) for (kind, *_), pairs in answers.items())
    for pair in cluster.layouts:
        if pair.verdict.on_time is stats.FASTER:
            times = RATIO.text(pair.verdict.time.inverse.ratio)
            claim = f"{pair.first.base}: {pair.first.placed} trains {times}× faster than {pair.second.placed}"
            yield stats.FASTER, claim + _at_what_error(pair.verdict)


def _answer(pairs: Sequence[Between]) -> str:
    """The first of a pair is one machine, the second the cluster: is the first slower? All answer alike."""
    placed: dict[str, list[str]] = {}
    for pair in pairs:
        placed.setdefault(pair.second.base, []).append(pair.second.placed)
    where = ", ".join(f"{base} on {' and '.join(layouts)}" for base, layouts in placed.items())
    verdict, total = pairs[0].verdict, pairs[0].total
    ratio, kind = verdict.time, verdict.on_time
    if ratio.ratio is None:
        return f"Distribute {where}? {stats.TOO_FEW}"
    ratios = sorted(_above_one(pair.verdict.time).ratio or math.nan for pair in pairs)
    times = " to ".join(dict.fromkeys(map(RATIO.text, (ratios[0], ratios[-1]))))
    error = _at_what_error(verdict.inverse)
    if kind == total.kind == stats.SLOWER:
        return f"Distribute {where}: it trains {times}× faster than on one machine{error}"
    if kind == stats.SLOWER:
        claim = f"Distribute {where} for longer work only: training is {times}× faster, the whole job is not"
        return claim + error
    if kind == stats.FASTER:
        return f"Don't distribute {where}: training takes {times} times as long as on one machine"
    compared = f"is {times}× faster than" if ratio.ratio > 1 else f"takes {times} times as long as"
    return f"Distribute {where}? {kind.capitalize()}: training {compared} on one machine"


def _at_what_error(verdict: stats.Verdict) -> str:
    """What to add where the first is faster, but not shown to err no more."""
    if verdict.kind == stats.FASTER_AT_WORSE_ERROR:
        return ", but at worse error"
    return (
        "; whether at non-inferior error is undecided" if verdict.undecided_on is stats.Question.ERROR else ""
    )


def _total(pair: Between) -> str:
    if pair.total.time.ratio is None:
        return ""
    faster = pair.total.time.ratio > 1
    ratio = _above_one(pair.total.time)
    words = f"{RATIO.text(ratio.ratio)}× faster" if faster else f"{RATIO.text(ratio.ratio)} times as long"
    return f"the whole job {'is' if faster else 'takes'} {words} ({_ends(ratio, pair.total.rules)})"


def shared_cores(cluster: Cluster) -> Iterator[str]:
    """Where task slots share cores, how many share how many."""
    said = {(contestant.slots, contestant.num_cpus) for contestant in cluster.distributed}
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
    for contestant in cluster.distributed:
        found = cluster.shares(contestant)
        if not found:
            continue
        outside = stats.summarize([1 - run["training"] for run in found], bounds=stats.SHARE)
        texts = METRICS["share"].texts([outside.mean, outside.low, outside.high])
        ends = "" if outside.low is None else f" (95 % CI {texts[1]}–{texts[2]} %)"
        means = {name: sum(run[name] for run in found) / len(found) for name in found[0]}
        said = f"{contestant.at}: {texts[0]} % of the total{ends} is not training"
        avoidable = budget.largest_avoidable(means)
        if avoidable is not None:
            share = METRICS["share"].text(means[avoidable.name])
            remedy = avoidable.remedy
            waiting = cluster.share_of_lock(contestant) if avoidable.name == "build" else None
            if waiting is not None and waiting > 0.5:
                percent = METRICS["share"].text(waiting)
                remedy = (
                    f"{percent} % of it is waiting for the lock of Theano's compile directory, which the "
                    "tasks share: fewer tasks at once, or a directory for each executor (compile_directory)"
                )
            said += f". The largest avoidable item is “{avoidable.title}”, {share} %: {remedy}"
        yield said + "."


def skipped_samples(cluster: Cluster) -> Iterator[str]:
    """Who skipped samples, and how many."""
    short = [contestant for contestant in cluster.distributed if contestant.contestant.is_short]
    if not short:
        return
    parts = []
    for contestant in short:
        asked, trained = (sum(cluster.values(contestant, f"samples_{what}")) for what in ("asked", "trained"))
        share = METRICS["share"].text(1 - trained / asked if asked else None)
        parts.append(f"{contestant.plain_at} {share} %")
    yield (
        f"{Mark.SHORT.value} Not trained: {', '.join(parts)}. Such runs did less work than the others in "
        "their time."
    )


def retries(cluster: Cluster) -> Iterator[str]:
    """Attempts that failed and executors that were lost, in runs that ended well all the same."""
    for contestant in cluster.distributed:
        failed, lost = (int(sum(cluster.values(contestant, column))) for column in ("num_failed", "num_lost"))
        if failed or lost:
            yield (
                f"{contestant.at}: {failed} attempt{'' if failed == 1 else 's'} of tasks failed and {lost} "
                f"executor{' was' if lost == 1 else 's were'} lost in runs that ended well all the same; the "
                "time that it took is in all figures."
            )


def warmth(cluster: Cluster) -> Iterator[str]:
    """Cold executors against warm ones."""
    for between in cluster.warmth:
        train, total, kind = between.verdict.time, between.total.time, between.verdict.on_time
        if train.ratio is None:
            continue
        words = {stats.SLOWER: "warming up helps", stats.FASTER: "warming up harms"}
        times, rules = (RATIO.text(train.ratio), RATIO.text(total.ratio)), between.verdict.rules
        yield (
            f"{between.second.at}: with cold executors training takes {times[0]} times as long as with warm "
            f"ones ({_interval(train, rules)}): {words.get(kind, kind)}. The total, with warming up in it, "
            f"takes {times[1]} times as long ({_ends(total, rules)})."
        )


def followed(found: FollowUp) -> str:
    """Which value the results speak for, on which evidence, and what ran on it."""
    name = found.choose.rpartition(".")[2].replace("_", " ")
    reasons = []
    for value, against in found.against.items():
        if against.time.ratio is None:
            reasons.append(f"{_shown(value)} could not be compared")
            continue
        doubt = "" if against.kind == stats.FASTER else f"; {against.kind}, so the lower mean decides"
        times, interval = RATIO.text(against.time.ratio), _interval(against.time, against.rules)
        reasons.append(f"{times} times the training time with {_shown(value)} ({interval}{doubt})")
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


def _above_one(ratio: stats.TimeRatio) -> stats.TimeRatio:
    return ratio if ratio.ratio is None or ratio.ratio >= 1 else ratio.inverse


def _compared(verdict: stats.Verdict) -> str:
    """How many times faster, with the interval and the verdict on it. Of the second against the first."""
    words = {stats.FASTER: "slower", stats.SLOWER: "faster"}.get(verdict.kind, verdict.kind)
    return f"{RATIO.text(verdict.time.ratio)}× as fast ({_ends(verdict.time, verdict.rules)}: {words})"


def _ends(ratio: stats.TimeRatio, rules: stats.Rules) -> str:
    if ratio.low is None:
        return "no interval"
    low, high = RATIO.texts([ratio.low, ratio.high])
    return f"{confidence(rules)} {low}–{high}"


def _interval(ratio: stats.TimeRatio, rules: stats.Rules) -> str:
    if ratio.ratio is None:
        return "no block in which both ended well"
    return f"{_ends(ratio, rules)}, {blocks(ratio.num_blocks)}"


def _error(verdict: stats.Verdict, words: str = "final error differs by") -> str:
    error = verdict.error
    if error is None or error.difference is None:
        return "no final error to compare"
    ends = ""
    if error.low is not None and error.high is not None:
        ends = f" ({confidence(verdict.rules)} {signed(error.low)} to {signed(error.high)})"
    return f"{words} {signed(error.difference)} pp{ends}"


def _claim(pair: Between, claim: str, numbers: list[str], error: str) -> Claim:
    first, *rest = numbers
    badges = [Badge("not all samples were trained", Tone.BAD, Mark.SHORT)] if pair.is_short else []
    said = "; ".join(filter(None, (f"({first})", *rest, error)))
    is_open = pair.verdict.on_time in (stats.UNDECIDED, stats.TOO_FEW)
    return Claim(claim, said, state=State.UNDECIDED if is_open else State.PLAIN, badges=tuple(badges))
