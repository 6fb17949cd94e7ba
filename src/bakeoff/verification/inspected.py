"""Contestants without Keras, which show their weights after each step, held against another's.

Nothing is known of their layers. But from the same weights on the same batches, two that train the same thing
have the same losses and the same weights after each step, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bakeoff.study import Agreement
from bakeoff.verification.certificates import Certificate
from bakeoff.verification.evidence import AS_TRAINED, GENERAL, SCENES, Array, Evidence
from bakeoff.verification.examination.steps import epoch_difference
from bakeoff.verification.findings import UNKNOWN_CAUSE, Finding, Judgement, Worst
from bakeoff.verification.tolerances import EPSILON, Tolerances, difference


def judge(evidence: Evidence, usual: Evidence) -> Judgement:
    """A contestant without Keras, held against one behind it."""
    findings, worst = compare(evidence, usual)
    reference = f"Keras on {usual.backend}, by losses and weights"
    return Judgement(reference, (*findings, *_of_epochs(evidence)), worst)


def certify(labels: tuple[str, str], evidence: tuple[Evidence, Evidence]) -> Certificate:
    """The certificate of two contestants, one of them at least without Keras."""
    findings, direct = compare(*evidence)
    is_first = evidence[0].is_inspected
    own = [_of_epochs(each) for each in evidence]
    alone = (
        *((labels[not is_first], finding) for finding in findings),
        *(
            (label, finding)
            for label, mine, others in zip(labels, own, reversed(own), strict=True)
            for finding in mine
            if finding.meaning not in {other.meaning for other in others}
        ),
    )
    return Certificate(*labels, Agreement.DIFFERENT if alone else Agreement.SAME, alone, direct)


def compare(one: Evidence, other: Evidence) -> tuple[tuple[Finding, ...], dict[str, Worst]]:
    """In what two differ, the first difference of each kind; and by how much at the worst, by kind.

    Kinds: ``loss`` (before the first step), ``optimizer`` (change of all weights in the first step),
    ``weights`` (after all steps, each having gone its own way).
    """
    worst: dict[str, Worst] = {}
    findings: dict[str, Finding] = {}
    for finding in _differences(one, other, worst):
        findings.setdefault(finding.stage, finding)
    return tuple(findings.values()), worst


def _differences(one: Evidence, other: Evidence, worst: dict[str, Worst]) -> Iterator[Finding]:
    tolerance = Tolerances(max(EPSILON[each.precision] for each in (one, other)))

    def note(kind: str, size: float, where: str, allowed: float) -> bool:
        worst[kind] = worst.get(kind, Worst(0.0, where)).or_worse(size, where)
        return not size <= allowed

    start, twin_start = (each.weights_after(AS_TRAINED, 0) for each in (one, other))
    shapes, twin_shapes = ([array.shape for array in each] for each in (start, twin_start))
    if shapes != twin_shapes:
        text = f"its weights have the shapes {shapes}, the other's {twin_shapes}"
        yield _found("architecture", "", "network", float("inf"), text)
        return
    names = [one.name_of(place) for place in range(len(start))]
    for name, array, twin in zip(names, start, twin_start, strict=True):
        if (size := difference(array, twin)) > tolerance.epsilon:
            yield _found("initial weights", AS_TRAINED, name, size, "starts from other values")
    for scene in SCENES:
        size = difference(one.losses(scene)[:1], other.losses(scene)[:1])
        if note("loss", size, one.loss, tolerance.loss):
            yield _found("loss", scene, one.loss, size, "is another one, of the same weights and images")
        size = difference(_change(one, scene), _change(other, scene))
        # Adam divides by a gradient's size: where that is next to nothing, rounding decides.
        if note("optimizer", size, "first step", 10 * tolerance.optimizer):
            yield _found("optimizer", scene, "first step", size, "changes the weights otherwise")
    ends, twin_ends = (each.weights_after(GENERAL, each.num_steps) for each in (one, other))
    for name, array, twin in zip(names, ends, twin_ends, strict=True):
        size = difference(array, twin)
        if note("weights", size, name, tolerance.weights):
            yield _found("weights", GENERAL, name, size, f"is another after {one.num_steps} steps")


def _of_epochs(evidence: Evidence) -> tuple[Finding, ...]:
    """Where an epoch of several batches is not those batches' steps, one after the other; the first scene."""
    trained = [place for place, info in enumerate(evidence.weights) if info.trainable]
    for scene in SCENES:
        if (found := epoch_difference(evidence, scene, trained)) is not None:
            size, cause, text = found
            return (Finding("epoch", scene, "train_epoch", size, cause, text),)
    return ()


def _change(evidence: Evidence, scene: str) -> Array:
    """Of all weights together, in the first step."""
    before, after = (evidence.weights_after(scene, step) for step in (0, 1))
    return np.concatenate([(new - old).ravel() for new, old in zip(after, before, strict=True)])


def _found(stage: str, scene: str, where: str, size: float, text: str) -> Finding:
    return Finding(stage, scene, where, size, UNKNOWN_CAUSE, text)
