"""The optimizer, alone and step by step from the contestant's own gradients; and whole epochs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bakeoff.verification import causes
from bakeoff.verification.causes import Hypothesis
from bakeoff.verification.evidence import GENERAL, Array, Evidence
from bakeoff.verification.examination.state import Examination, Outcome
from bakeoff.verification.findings import Worst
from bakeoff.verification.reference.optimizers import SAME, is_known
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.tolerances import difference, floors, layer_rms

_EPOCH_APART = 0.01  # of all that the steps changed: what is left to rounding within an epoch


def check_optimizer(exam: Examination) -> None:
    """The optimizer alone, weight by weight."""
    evidence = exam.evidence
    for key, own, others in _declared_otherwise(exam):
        text = f"{key} is {own}, not {others}"
        exam.find("optimizer", "", key, float("nan"), "declared_recipe", text)
    if not is_known(evidence.optimizer):
        exam.not_examined += ["optimizer"]
        exam.notes.append(
            f"the reference has no optimizer {evidence.optimizer}: what contestants' own make of the same "
            "gradients is held against each other"
        )
        return
    gradients, weights = (np.asarray(one, "float64") for one in evidence.probe())
    changes = np.diff(weights, axis=0)
    # A rounding is half an epsilon: the sum's and that of the weight. Where weights are first multiplied by
    # 1 - rate x decay, that factor is rounded, too.
    share = 1.5 if evidence.optimizer_options.get("weight_decay") else 1.0
    rounding = share * exam.tolerance.epsilon * np.maximum(np.abs(weights[1:]), np.abs(weights[:-1]))

    def check(semantics: Semantics) -> Outcome:
        optimizer = exam.optimizer(semantics)
        worst = Worst(0.0, "")
        for step, (point, gradient, change) in enumerate(zip(weights, gradients, changes, strict=False)):
            (expected,) = optimizer.changes([point], [gradient], [change])
            gap = np.maximum(np.abs(change - expected) - rounding[step], 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                relative = np.where(gap == 0, 0.0, gap / np.abs(expected))
            worst = worst.or_worse(float(relative.max()), f"step {step + 1}")
            if not worst.difference <= exam.tolerance.optimizer:
                whole = difference(change, expected)
                return Outcome(False, whole, evidence.optimizer)
        exam.note("optimizer", worst)
        return Outcome(True, worst.difference, worst.where)

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        (expected,) = exam.optimizer(exam.semantics).changes([weights[0]], [gradients[0]])
        fresh = (weights[0] == 0) & (np.abs(gradients[0]) > 1e-3)
        ratio = float(np.median(changes[0][fresh] / expected[fresh])) if fresh.any() else None
        idle = (gradients == 0).all(axis=0) & (weights[0] != 0)
        rate = float(
            exam.semantics.optimizer.get("learning_rate", evidence.optimizer_options["learning_rate"])
        )
        shrunk = float(np.mean(weights[-1][idle] / weights[0][idle])) if idle.any() else 1.0
        decay = (1 - shrunk ** (1 / len(changes))) / rate if 0 < shrunk != 1 else None
        return _optimizers(exam, ratio, decay)

    exam.settle("optimizer", "", check, suspects)


def _declared_otherwise(exam: Examination) -> Iterator[tuple[str, object, object]]:
    """What a contestant's recipe says of itself that the others' doesn't: key, its value, theirs."""
    own, others = (
        {
            "optimizer": evidence.optimizer,
            "loss": evidence.loss,
            **evidence.optimizer_options,
            **evidence.loss_options,
        }
        for evidence in (exam.evidence, exam.others)
    )
    for key in {**own, **others}:
        if own.get(key) != others.get(key):
            yield key, own.get(key), others.get(key)


def _optimizers(exam: Examination, ratio: float | None, decay: float | None) -> Iterator[Hypothesis]:
    """What the optimizer may be doing otherwise; see `causes.of_optimizer`."""
    name, options = exam.evidence.optimizer, exam.evidence.optimizer_options
    name = SAME.get(name, name)
    if exam.evidence.precision == "float64":
        yield from causes.of_constants(name, options, exam.semantics)
    yield from causes.of_optimizer(name, options, ratio, decay, exam.semantics)


def check_steps(exam: Examination, scene: str) -> None:
    """The steps that the contestant made of its own gradients; then of the reference's."""
    is_unknown = not is_known(exam.evidence.optimizer) or any(
        finding.stage == "optimizer" and not finding.is_explained for finding in exam.findings
    )
    if is_unknown or exam.is_random:
        exam.not_examined += ["weights"] * ("weights" not in exam.not_examined)
        return
    evidence = exam.evidence
    trained = [place for place, info in enumerate(evidence.weights) if info.trainable]

    def check(semantics: Semantics) -> Outcome:
        own, noisy = exam.optimizer(semantics), exam.optimizer(semantics)
        worst = Worst(0.0, "")
        for step in range(evidence.num_steps):
            before, after = (_trained(exam, scene, step + ahead, trained) for ahead in (0, 1))
            seen = [new - old for new, old in zip(after, before, strict=True)]
            gradients = [
                np.asarray(gradient, "float64")
                for gradient in evidence.gradients(scene, step)
                if gradient is not None
            ]
            expected = own.changes(before, gradients, seen)
            other = noisy.changes(before, _with_rounding(exam, gradients, trained), seen)
            for index, place in enumerate(trained):
                allowed = 3 * float(np.linalg.norm((other[index] - expected[index]).ravel()))
                allowed += exam.tolerance.epsilon * float(np.linalg.norm(after[index].ravel()))
                gap = float(np.linalg.norm((seen[index] - expected[index]).ravel()))
                size = max(gap - allowed, 0.0) / (float(np.linalg.norm(expected[index].ravel())) or 1.0)
                worst = worst.or_worse(size, evidence.name_of(place))
            if worst.difference > 10 * exam.tolerance.optimizer:
                return Outcome(False, worst.difference, worst.where)
        return Outcome(True, worst.difference, worst.where)

    def suspects(outcome: Outcome) -> Iterable[Hypothesis]:
        yield from _optimizers(exam, *_rate_and_decay(exam, scene, trained))
        start, end = (_trained(exam, scene, step, trained) for step in (0, evidence.num_steps))
        still = tuple(index for index in range(len(trained)) if np.array_equal(start[index], end[index]))
        if still:
            names = ", ".join(evidence.name_of(trained[index]) for index in still)
            yield Hypothesis("frozen", f"{names} never change", exam.semantics.with_optimizer(frozen=still))

    if exam.settle("weights", scene, check, suspects):
        _after_all_steps(exam, scene, trained)


def _rate_and_decay(exam: Examination, scene: str, trained: list[int]) -> tuple[float | None, float | None]:
    """By how much the first step is too long, and by which share of the learning rate it shrinks weights.

    In the sense of least squares, each as if the other were as it should be.
    """
    before, after = (_trained(exam, scene, step, trained) for step in (0, 1))
    gradients = [
        np.asarray(gradient, "float64")
        for gradient in exam.evidence.gradients(scene, 0)
        if gradient is not None
    ]
    optimizer = exam.optimizer(exam.semantics)
    expected = optimizer.changes(
        before, gradients, [new - old for new, old in zip(after, before, strict=True)]
    )
    point, change, found = (
        np.concatenate([array.ravel() for array in arrays])
        for arrays in (before, expected, [new - old for new, old in zip(after, before, strict=True)])
    )
    ratio = float(found @ change) / (float(change @ change) or 1.0)
    square = float(point @ point) * float(optimizer.options["learning_rate"])
    decay = -float((found - change) @ point) / square if square else 0.0
    return ratio, decay if decay > 0 else None


def _after_all_steps(exam: Examination, scene: str, trained: list[int]) -> None:
    """How far the weights are, in the end, from where the reference's own steps lead."""
    evidence, expected = exam.evidence, exam.expected[scene]
    if len(expected) < evidence.num_steps:
        return
    optimizer = exam.optimizer(exam.semantics)
    gaps = [np.zeros(one.shape) for one in _trained(exam, scene, 0, trained)]
    for step in range(evidence.num_steps):
        before, after = (_trained(exam, scene, step + ahead, trained) for ahead in (0, 1))
        seen = [new - old for new, old in zip(after, before, strict=True)]
        changes = optimizer.changes(before, [expected[step].gradients[place] for place in trained], seen)
        gaps = [gap + new - change for gap, new, change in zip(gaps, seen, changes, strict=True)]
    worst = Worst(0.0, "")
    for place, gap, end in zip(
        trained, gaps, _trained(exam, scene, evidence.num_steps, trained), strict=True
    ):
        if place in exam.without_gradient(scene):
            continue
        size = float(np.linalg.norm(gap.ravel())) / (float(np.linalg.norm(end.ravel())) or 1.0)
        worst = worst.or_worse(size, evidence.name_of(place))
    exam.note("weights", worst)


def _with_rounding(exam: Examination, gradients: Sequence[Array], places: list[int]) -> list[Array]:
    """The gradients, each off by as much as rounding may put it.

    Adam and its kin divide by the size of the gradient: where that is next to nothing, rounding decides.
    """
    layers = [exam.layers[place] for place in places]
    back = exam.expected[GENERAL].get(0)
    sizes = (
        {}
        if back is None
        else {places.index(place): one for place, one in back.sizes.items() if place in places}
    )
    of_layer = layer_rms(gradients, layers)
    generator = np.random.default_rng(0)
    noisy = []
    for one, layer, bound in zip(gradients, layers, floors(gradients, layers, sizes), strict=True):
        noise = max(
            32 * exam.tolerance.epsilon * of_layer.get(layer, 0.0),
            exam.tolerance.gradients * bound / float(np.sqrt(one.size or 1)),
        )
        noisy.append(one + noise * generator.choice((-1.0, 1.0), one.shape))
    return noisy


def check_epoch(exam: Examination, scene: str) -> None:
    """Whether an epoch of several batches is those batches' steps, one after the other."""
    if exam.is_random:
        exam.not_examined += ["epoch"] * ("epoch" not in exam.not_examined)
        return
    evidence, idle = exam.evidence, exam.without_gradient(GENERAL)
    trained = [place for place, info in enumerate(evidence.weights) if info.trainable and place not in idle]
    # It may differ from itself from one time to the next.
    allowed = 1.0 if exam.semantics.optimizer.get("late") == "any" else _EPOCH_APART
    if (found := epoch_difference(evidence, scene, trained, allowed)) is not None:
        exam.find("epoch", scene, "fit", *found)


def epoch_difference(
    evidence: Evidence, scene: str, trained: Sequence[int], allowed: float = _EPOCH_APART
) -> tuple[float, str, str] | None:
    """How far an epoch leads from its batches one by one, the cause, and both in words; None if not far.

    trained: places of the weights that count.
    """
    start, end = evidence.weights_after(scene, 0), evidence.weights_after_epoch(scene)

    def gap(step: int) -> float:
        steps = evidence.weights_after(scene, step)
        moved = sum(float(((steps[place] - start[place]) ** 2).sum()) for place in trained)
        apart = sum(float(((end[place] - steps[place]) ** 2).sum()) for place in trained)
        return float(np.sqrt(apart / moved)) if moved else 0.0

    size = gap(evidence.num_steps)
    if size <= allowed:
        return None
    for lost in range(1, 3):
        if gap(evidence.num_steps - lost) <= _EPOCH_APART:
            what = (
                "the last batch, smaller than the others, is" if lost == 1 else f"the last {lost} batches are"
            )
            return size, "last_batch_dropped", f"{what} not trained on"
    return (
        size,
        "unknown",
        "an epoch leads elsewhere than its batches one by one: another order, or other images",
    )


def _trained(exam: Examination, scene: str, step: int, places: list[int]) -> list[Array]:
    arrays = exam.evidence.weights_after(scene, step)
    return [np.asarray(arrays[place], "float64") for place in places]
