"""The network at the contestant's own weights: forward, loss, gradients, moving statistics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from bakeoff.verification import causes
from bakeoff.verification.causes import Hypothesis
from bakeoff.verification.evidence import GENERAL, Array, Evidence
from bakeoff.verification.examination.state import Examination, Outcome
from bakeoff.verification.findings import Worst
from bakeoff.verification.kinks import agree
from bakeoff.verification.reference.layers import Unknown
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.tolerances import Tolerances, difference
from bakeoff.verification.votes import Ballot, Vote

_MISSED = 0.3  # share of the steps that may differ by decisions within rounding which could not be traced


def check_network(exam: Examination, scene: str) -> None:
    """Forward, loss, gradients, moving statistics."""
    stages: tuple[tuple[str, Callable[[Examination, str], bool]], ...] = (
        ("forward", _forward),
        ("loss", _loss),
        ("gradients", _gradients),
        ("moving statistics", _moving),
    )
    for index, (_, stage) in enumerate(stages):
        known = exam.is_comparable()
        if not (known and stage(exam, scene)):
            left = [name for name, _ in stages[index + known :]]
            exam.not_examined += [name for name in left if name not in exam.not_examined]
            return


def _forward(exam: Examination, scene: str) -> bool:
    """Each call, fed with what the contestant fed it: rounding that came in doesn't count against it."""
    evidence = exam.evidence

    unasked: list[str] = []  # layers that the reference lacks and nobody else could be asked about

    def check(semantics: Semantics) -> Outcome:
        worst = Worst(0.0, "")
        unasked.clear()
        for index, call in enumerate(evidence.calls):
            name = evidence.layers[call.layer].name
            if ("forward", scene, index) in exam.contested:
                continue
            try:
                size, ballot = _call_gap(exam, scene, index, semantics), None
                is_right = size <= exam.tolerance.forward
            except Unknown:
                ballot = _vote(exam, scene, index)
                size, is_right = ballot.difference, ballot.vote in (Vote.AGREES, Vote.ALONE)
                if ballot.vote is Vote.ALONE:
                    unasked.append(name)
            if not is_right:
                return Outcome(False, size, name, index, ballot)
            worst = worst.or_worse(size, name)
        exam.note("layers", worst)
        return Outcome(True, worst.difference, worst.where, len(evidence.calls))

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        if outcome.ballot:
            return ()  # the reference can't try what it doesn't have
        call = evidence.calls[outcome.position]
        config = exam.network.config(call.layer, exam.semantics)
        return itertools.chain(
            causes.of_device(evidence.tf32, exam.semantics),
            causes.of_layer(evidence.layers[call.layer].kind, config, call.layer, exam.semantics),
        )

    if not exam.settle("forward", scene, check, suspects):
        return False
    if unasked:
        return False
    if not exam.lacks:
        expected = exam.reference_pass(scene, 0, exam.semantics).activations
        for index, (call, array) in enumerate(zip(evidence.calls, expected, strict=True)):
            size = difference(evidence.activation(scene, index), array)
            exam.note("forward", Worst(size, evidence.layers[call.layer].name))
    return True


def _vote(exam: Examination, scene: str, index: int) -> Ballot:
    """What contestants say of a layer: on shared inputs, then on what they fed it where that is the same."""
    evidence, panel, tolerance = exam.evidence, exam.panel, exam.tolerance
    votes = [panel.on_own_inputs(evidence, index, scene, tolerance)]
    if scene == GENERAL:
        votes.insert(0, panel.on_shared_inputs(evidence, index, tolerance))
    votes = [ballot for ballot in votes if ballot.vote is not Vote.ALONE]
    if not votes:
        # Fed differently, or by what can't be seen: all that can be asked is whether it gives the same.
        given = panel.on_outputs(evidence, index, scene, tolerance)
        return given if given.vote is Vote.AGREES else Ballot(Vote.ALONE)
    return next(
        (ballot for ballot in votes if ballot.vote is not Vote.AGREES),
        max(votes, key=lambda ballot: ballot.difference),
    )


def _call_gap(exam: Examination, scene: str, index: int, semantics: Semantics) -> float:
    """How far a call is from the reference's on the same inputs.

    Raises:
        Unknown: as `Examination.call`.
    """
    evidence, call = exam.evidence, exam.evidence.calls[index]
    own = evidence.activation(scene, index)
    result = exam.call(scene, call, semantics)
    amplified = exam.tolerance.epsilon * result.amplification
    size = difference(own, result.output)
    if exam.tolerance.forward < size <= exam.tolerance.forward + amplified:
        exam.tolerance = replace(exam.tolerance, amplified=amplified)
        name = evidence.layers[call.layer].name
        note = f"{name} adds up number by number and is off by {size:.1e}, which is rounding"
        exam.notes.append(f"{note}; gradients are held to no more than {exam.tolerance.gradients:.1e} then")
    return size


def _loss(exam: Examination, scene: str) -> bool:
    evidence, steps = exam.evidence, exam.steps_of(scene)
    found = evidence.losses(scene)

    def check(semantics: Semantics) -> Outcome:
        worst = Worst(0.0, "")
        for step in steps:
            try:
                gap = abs(float(found[step]) / _expected_loss(exam, scene, step, semantics) - 1)
            except Unknown:
                gap = float("inf")
            worst = worst.or_worse(gap, f"step {step + 1}")
            if worst.difference > exam.tolerance.loss:
                # A layer of the user's may add to the loss: whether all add the same is then the question.
                ballot = exam.panel.on_loss(evidence, scene, exam.tolerance) if exam.lacks else None
                if ballot and (ballot.vote is Vote.AGREES or ("loss", scene, 0) in exam.contested):
                    return Outcome(True, ballot.difference, ballot.where)
                if not np.isfinite(worst.difference):
                    return Outcome(False, worst.difference, evidence.loss, ballot=ballot)
                return Outcome(False, worst.difference, evidence.loss)
        exam.note("loss", worst)
        return Outcome(True, worst.difference, worst.where)

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        if outcome.ballot:
            return ()
        squares = sum(
            float((np.asarray(array, "float64") ** 2).sum())
            for array, info in zip(evidence.weights_after(scene, 0), evidence.weights, strict=True)
            if info.name.endswith("kernel") and info.trainable
        )
        return causes.of_loss(
            float(found[0]),
            _expected_loss(exam, scene, 0, exam.semantics),
            squares,
            _outputs(exam, scene, 0).shape[1],
            lambda amount: _expected_loss(exam, scene, 0, exam.semantics.with_loss(smoothing=amount)),
            exam.semantics,
        )

    return exam.settle("loss", scene, check, suspects)


def _expected_loss(exam: Examination, scene: str, step: int, semantics: Semantics) -> float:
    labels = exam.evidence.labels(scene, step)
    if not exam.lacks:
        return exam.reference_pass(scene, step, semantics).loss(labels)
    value, _ = exam.network.loss_of(labels, _outputs(exam, scene, step), semantics.loss)
    weights = [np.asarray(one, "float64") for one in exam.evidence.weights_after(scene, step)]
    return value + exam.network.penalty(weights, semantics)


def _outputs(exam: Examination, scene: str, step: int) -> Array:
    """(N, num_classes) that the network gives before a step; without a reference, as it says itself."""
    if not exam.lacks:
        return exam.reference_pass(scene, step, exam.semantics).activations[-1]
    return np.asarray(exam.evidence.activation(scene, len(exam.evidence.calls) - 1), "float64")


def _gradients(exam: Examination, scene: str) -> bool:
    if exam.lacks:
        return _voted(exam, scene, "gradients", exam.panel.on_gradients)
    evidence = exam.evidence
    names = [evidence.name_of(place) for place in range(len(evidence.weights))]

    def check_at(step: int, semantics: Semantics) -> Outcome:
        found = evidence.gradients(scene, step)
        back, num_tipped = agree(
            exam.reference_pass(scene, step, semantics), evidence.labels(scene, step), found, exam.tolerance
        )
        exam.expected[scene][step] = back
        return exam.gap("gradients", found, back.gradients, back.sizes, num_tipped)

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        expected = exam.reference_pass(scene, 0, exam.semantics).gradients(evidence.labels(scene, 0))
        return causes.of_gradients(
            evidence.gradients(scene, 0),
            expected,
            [np.asarray(one, "float64") for one in evidence.weights_after(scene, 0)],
            names,
            len(evidence.images(scene, 0)),
            exam.semantics,
        )

    if not exam.settle("gradients", scene, lambda semantics: check_at(0, semantics), suspects):
        return False
    missed = [
        (step, outcome)
        for step in exam.steps_of(scene)[1:]
        if not (outcome := check_at(step, exam.semantics)).ok
    ]
    if len(missed) > _MISSED * evidence.num_steps:
        step, outcome = missed[0]
        text = f"they differ from step {step + 1} on, in {len(missed)} of {evidence.num_steps} steps"
        exam.find("gradients", scene, outcome.where, outcome.difference, "unknown", text)
        return False
    if missed:
        worst = max(outcome.difference for _, outcome in missed)
        exam.notes.append(
            f"in {len(missed)} of {evidence.num_steps} steps gradients are up to {worst:.1e} off, as by "
            "decisions within rounding that could not be traced; in the others they agree"
        )
    return True


def _moving(exam: Examination, scene: str) -> bool:
    """What moving statistics take in with the first step, from what each layer was fed in it."""
    evidence = exam.evidence

    def check(semantics: Semantics) -> Outcome:
        worst = Worst(0.0, "")
        before, after = (evidence.weights_after(scene, step) for step in (0, 1))
        moved = _moved(exam, scene, semantics)
        for place, expected in moved.items():
            info = evidence.weights[place]
            momentum = float(exam.network.config(info.layer, semantics)["momentum"])
            old = momentum * np.asarray(before[place], "float64")
            # Means may be close to zero: they are held against the deviations of what was averaged.
            bound = 0.0
            if info.name == "moving_mean":
                twin = _place_of(exam, info.layer, "moving_variance")
                spread = moved[twin] - momentum * np.asarray(before[twin], "float64")
                bound = float(np.sqrt(np.abs(spread).sum() * (1 - momentum)))
            taken = max(float(np.linalg.norm(expected - old)), bound)
            rounding = 2 * exam.tolerance.epsilon * float(np.linalg.norm(after[place])) / (taken or 1.0)
            size = difference(after[place] - old, expected - old, bound)
            worst = worst.or_worse(size, evidence.name_of(place))
            if size > exam.tolerance.forward + rounding:
                return Outcome(False, worst.difference, worst.where, place)
        if worst.where:
            exam.note("moving statistics", worst)
        return Outcome(True, worst.difference, worst.where, len(evidence.weights))

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        place = outcome.position
        layer = evidence.weights[place].layer
        old, new = (np.asarray(evidence.weights_after(scene, step)[place], "float64") for step in (0, 1))
        own = float(exam.network.config(layer, exam.semantics)["momentum"])
        batch = (_moved(exam, scene, exam.semantics)[place] - own * old) / (1 - own)
        square = float(((old - batch) ** 2).sum())
        momentum = float(((new - batch) * (old - batch)).sum()) / square if square else None
        return causes.of_moving(momentum, own, layer, exam.semantics)

    return exam.settle("moving statistics", scene, check, suspects) and _voted_moving(exam, scene)


def _place_of(exam: Examination, layer: int, name: str) -> int:
    return next(
        place for place, info in enumerate(exam.evidence.weights) if (info.layer, info.name) == (layer, name)
    )


def _moved(exam: Examination, scene: str, semantics: Semantics) -> dict[int, Array]:
    """What the reference makes of moving statistics in the first step, by the weight's place."""
    found = {}
    for call in exam.evidence.calls:
        try:
            moved = exam.call(scene, call, semantics).moved
        except Unknown:
            continue
        for place, info in enumerate(exam.evidence.weights):
            if info.layer == call.layer and info.name in moved:
                found[place] = moved[info.name]
    return found


def _voted(
    exam: Examination, scene: str, stage: str, vote: Callable[[Evidence, str, Tolerances], Ballot]
) -> bool:
    """A whole stage that the reference can't compute; whether it agrees."""
    is_asked = True

    def check(semantics: Semantics) -> Outcome:
        nonlocal is_asked
        ballot = vote(exam.evidence, scene, exam.tolerance)
        is_asked = ballot.vote is not Vote.ALONE
        if (stage, scene, 0) in exam.contested:
            return Outcome(True, 0.0, "")
        if ballot.vote in (Vote.AGREES, Vote.ALONE):
            exam.note(stage, Worst(ballot.difference, ballot.where))
            return Outcome(True, ballot.difference, ballot.where)
        return Outcome(False, ballot.difference, ballot.where, ballot=ballot)

    return exam.settle(stage, scene, check, lambda outcome: ()) and is_asked


def _voted_moving(exam: Examination, scene: str) -> bool:
    """Weights that are not trained, in layers that the reference lacks."""
    evidence = exam.evidence
    known = _moved(exam, scene, exam.semantics)
    places = [
        place for place, info in enumerate(evidence.weights) if not info.trainable and place not in known
    ]

    def vote(own: Evidence, scene: str, tolerance: Tolerances) -> Ballot:
        ballots = [exam.panel.on_moving(own, place, scene, tolerance) for place in places]
        return next((ballot for ballot in ballots if ballot.vote is not Vote.AGREES), ballots[0])

    return not places or not exam.lacks or _voted(exam, scene, "moving statistics", vote)
