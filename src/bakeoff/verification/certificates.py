"""What may be said of each pair of contestants."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from bakeoff.study import Agreement
from bakeoff.verification.evidence import AS_TRAINED, GENERAL, SCENES, Array, Evidence
from bakeoff.verification.findings import RANDOM, Finding, Judgement, Worst
from bakeoff.verification.tolerances import EPSILON, Tolerances, difference, floors


class Why(StrEnum):
    """Why a pair is not compared.

    FAILED: one could not be run. DECLINED: one can't be looked into and never could. RANDOM: one draws random
    numbers that can't be switched off. UNEXPLAINED: nobody knows what they do, nor could it be held against
    each other.
    """

    FAILED = "failed"
    DECLINED = "declined"
    RANDOM = "random"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Certificate:
    """One pair.

    verdict: `DIFFERENT`: `findings` say in what. `NOT_COMPARED`: `why` says why, and `reason` in words.
    findings: what holds of one of them and not of the other, under its label.
    direct: their worst relative differences from each other: ``forward``, ``gradients`` (before the first
    step), ``weights`` (after all steps, each having gone its own way).
    """

    one: str
    other: str
    verdict: Agreement
    findings: tuple[tuple[str, Finding], ...] = ()
    direct: Mapping[str, Worst] | None = None
    reason: str = ""
    why: Why | None = None


def certify(
    labels: tuple[str, str],
    judgements: tuple[Judgement, Judgement],
    evidence: tuple[Evidence, Evidence],
) -> Certificate:
    """The certificate of two contestants that were examined."""
    idle = {name for judgement in judgements for name in judgement.without_gradient}
    direct, agree = _direct(*evidence, idle)
    # Two that start from draws of their own differ from the others alike, and from each other.
    start_alike = _start_alike(*evidence)
    meanings = [{finding.meaning for finding in judgement.findings} for judgement in judgements]
    alone = tuple(
        (label, finding)
        for label, judgement, others in zip(labels, judgements, reversed(meanings), strict=True)
        for finding in judgement.findings
        if finding.meaning not in others or (finding.stage == "initial weights" and not start_alike)
    )
    random = {
        f"{label}: {finding.where} draws random numbers while it trains"
        for label, judgement in zip(labels, judgements, strict=True)
        for finding in judgement.findings
        if finding.cause == RANDOM
    }
    alone = tuple((label, finding) for label, finding in alone if finding.cause != RANDOM)
    if alone:
        return Certificate(*labels, Agreement.DIFFERENT, alone, direct)
    if random:
        reason = "; ".join(sorted(random))
        return Certificate(*labels, Agreement.NOT_COMPARED, (), direct, reason, Why.RANDOM)
    # Where something is left unexplained in both, only their own agreement can tell.
    if agree or all(judgement.is_explained for judgement in judgements):
        return Certificate(*labels, Agreement.SAME, (), direct)
    missing = dict.fromkeys(stage for one in judgements for stage in one.not_examined)
    reason = (
        "both differ from the reference, and from each other"
        if any(judgement.findings for judgement in judgements)
        else "the reference has not all of their layers and optimizers, and who else has them does other "
        f"things: "
        f"{', '.join(missing)} can't be held against anything"
    )
    return Certificate(*labels, Agreement.NOT_COMPARED, (), direct, reason, Why.UNEXPLAINED)


def _direct(one: Evidence, other: Evidence, idle: Collection[str]) -> tuple[dict[str, Worst], bool]:
    """Worst differences of a kind, and whether all that can be compared directly agrees.

    idle: names of weights that the loss doesn't depend on, which are left out.
    """
    tolerance = Tolerances(max(EPSILON[each.precision] for each in (one, other)))
    found: dict[str, Worst] = {}

    def note(kind: str, size: float, where: str) -> None:
        worst = found.get(kind, Worst(0.0, where))
        found[kind] = worst.or_worse(size, where)

    pairs = [pair for pair in _pairs(one, other) if one.name_of(pair[0]) not in idle]
    for scene in SCENES:
        for index, (call, _) in enumerate(zip(one.calls, other.calls, strict=False)):
            size = difference(one.activation(scene, index), other.activation(scene, index))
            note("forward", size, one.layers[call.layer].name)
        mine, theirs = one.gradients(scene, 0), other.gradients(scene, 0)
        expected: list[Array | None] = [None] * len(mine)
        for place, twin in pairs:
            expected[place] = theirs[twin]
        bounds = floors(expected, [info.layer for info in one.weights])
        for place, _ in pairs:
            gradient, twin_gradient = mine[place], expected[place]
            if gradient is not None and twin_gradient is not None:
                size = difference(gradient, twin_gradient, bounds[place])
                note("gradients", size, one.name_of(place))
    for step in (1, one.num_steps):
        ends, twin_ends = one.weights_after(GENERAL, step), other.weights_after(GENERAL, step)
        for place, twin in pairs:
            kind = "weights" if one.weights[place].trainable else "moving statistics"
            if step == (one.num_steps if kind == "weights" else 1):
                note(kind, difference(ends[place], twin_ends[twin]), one.name_of(place))
    losses = difference(one.losses(AS_TRAINED)[:1], other.losses(AS_TRAINED)[:1])
    steps, twin_steps = (np.diff(each.probe()[1].astype("float64"), axis=0) for each in (one, other))
    agree = (
        len(one.calls) == len(other.calls)
        and len(_pairs(one, other)) == len(one.weights) == len(other.weights)
        and found.get("forward", Worst(0.0, "")).difference <= 10 * tolerance.forward
        and found.get("gradients", Worst(0.0, "")).difference <= tolerance.gradients
        and found.get("moving statistics", Worst(0.0, "")).difference <= tolerance.forward
        and losses <= tolerance.loss
        and difference(steps, twin_steps) <= tolerance.optimizer
    )
    return found, agree


def _start_alike(one: Evidence, other: Evidence) -> bool:
    """Whether a run of both starts from the same weights."""
    own, theirs = one.weights_after(AS_TRAINED, 0), other.weights_after(AS_TRAINED, 0)
    rounding = max(EPSILON[each.precision] for each in (one, other))
    return all(difference(own[place], theirs[twin]) <= rounding for place, twin in _pairs(one, other))


def _pairs(one: Evidence, other: Evidence) -> list[tuple[int, int]]:
    """Places of the weights that two contestants share."""
    places: dict[Any, int] = {other.key_of(place): place for place in range(len(other.weights))}
    keys = ((place, one.key_of(place)) for place in range(len(one.weights)))
    return [(place, places[key]) for place, key in keys if key in places]
