"""What is there before anything is computed: layers, data, initial weights."""

from __future__ import annotations

from bakeoff.verification import architecture
from bakeoff.verification.evidence import AS_TRAINED, GENERAL, SCENES, Array, Evidence
from bakeoff.verification.examination.state import Examination
from bakeoff.verification.findings import RANDOM
from bakeoff.verification.tolerances import difference


def check_architecture(exam: Examination) -> None:
    for found in architecture.differences(exam.evidence, exam.others):
        size = _effect(exam, found)
        if found.key == "layers":
            text = f"it has {found.own} where others have {found.others}"
        else:
            text = f"{found.key} is {found.own}, not {found.others}"
        place = -1 if found.call is None else found.call
        exam.find("architecture", "", found.layer, size, f"declared_{found.key}", text, position=place)
    for call in exam.evidence.calls:
        if call.is_random:
            name = exam.evidence.layers[call.layer].name
            text = "it draws random numbers while it trains, which could not be switched off"
            exam.find("architecture", "", name, float("nan"), RANDOM, text)


def _effect(exam: Examination, found: architecture.Difference) -> float:
    """How much of what the layer gives a declared difference changes; NaN where that can't be said."""
    if found.call is None or found.key == "layers" or found.call >= len(exam.others.calls):
        return float("nan")
    size = difference(
        exam.evidence.activation(GENERAL, found.call), exam.others.activation(GENERAL, found.call)
    )
    return size if size > 10 * exam.tolerance.forward else float("nan")


def check_data(exam: Examination) -> None:
    for what, of in (("images", Evidence.images), ("labels", Evidence.labels)):
        for scene in SCENES:
            size = difference(of(exam.evidence, scene, 0), of(exam.others, scene, 0))
            if size > exam.tolerance.epsilon:
                text = f"the {what} of the first batch are others"
                exam.find("data", scene, what, size, "unknown", text)
                return


def check_initial_weights(exam: Examination) -> None:
    own, others = (evidence.weights_after(AS_TRAINED, 0) for evidence in (exam.evidence, exam.others))
    matching = architecture.matching(exam.evidence, exam.others)
    alikes = {exam.others.key_of(place): place for place in range(len(others))}
    for place, array in enumerate(own):
        call, name = exam.evidence.key_of(place)
        alike = alikes.get((matching.get(call, -1), name))
        if alike is None:
            continue
        _trainable(exam, place, alike, call)
        size = difference(array, others[alike])
        # Another shape follows from a layer that is declared otherwise, here or before.
        if size > exam.tolerance.epsilon and array.shape == others[alike].shape:
            cause, text = _initializer(exam, place, alike, array, others[alike])
            where = exam.evidence.name_of(place)
            exam.find("initial weights", AS_TRAINED, where, size, cause, text, position=call)


def _trainable(exam: Examination, place: int, alike: int, call: int) -> None:
    own = exam.evidence.weights[place].trainable
    if own != exam.others.weights[alike].trainable:
        text = "it is trained, which others' is not" if own else "it is not trained, which others' is"
        where = exam.evidence.name_of(place)
        exam.find("architecture", "", where, float("nan"), "declared_trainable", text, position=call)


def _initializer(exam: Examination, place: int, alike: int, own: Array, others: Array) -> tuple[str, str]:
    info, other = exam.evidence.weights[place], exam.others.weights[alike]
    if info.own_draw:
        return "own_draw", "they are the framework's own draw: Bakeoff doesn't know this initializer"
    mine, theirs = architecture.initializer(info), architecture.initializer(other)
    spread = f"their standard deviation is {own.std():.3g}, not {others.std():.3g}"
    if mine != theirs:
        return "initializer", f"drawn from {mine}, not {theirs}; {spread}"
    if any(finding.stage == "architecture" for finding in exam.findings):
        return (
            "other_draws",
            "other numbers of the same distribution, since other weights come before them",
        )
    return "initializer", f"declared alike, but {spread}"
