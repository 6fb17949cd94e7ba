"""Decisions within rounding: on which side of zero, which pixel of a window.

Where an activation lies within rounding of relu's kink, or two pixels of a window within rounding of each
other, frameworks decide either way, and all gradients below change by per cents. That is no difference
between them, but must be told from one: the decision is found, taken the other way, and what is left must be
rounding again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bakeoff.verification.evidence import Array
from bakeoff.verification.reference.network import Backward, Pass
from bakeoff.verification.tolerances import Tolerances, difference, floors

_MAX_TIPPED = 12  # in one batch: three million decisions make two or three
_MAX_TRIED = 60
_HELPS = 0.8  # a decision is taken the other way if that leaves no more than this of the difference


def agree(
    run: Pass, labels: Array, found: Sequence[Array | None], tolerance: Tolerances
) -> tuple[Backward, int]:
    """The reference's way back, and how many decisions were taken as the contestant must have taken them.

    found: the contestant's gradients, None where a weight is not trained.
    """
    back = run.backward(labels)
    tipped: dict[int, list[int]] = {}
    tried = 0
    while tried < _MAX_TRIED and sum(map(len, tipped.values())) < _MAX_TIPPED:
        errors = _errors(run, found, back.gradients, back)
        differing = [call for call, error in errors.items() if error > tolerance.gradients]
        if not differing:
            break
        topmost = max(differing)
        above = sorted(call for call in errors if call > topmost)
        # A decision lies between the topmost call that differs and the next that has weights; where branches
        # meet, that may be the one after.
        last = above[1] if len(above) > 1 else len(run.results) - 1
        best, chosen = _HELPS * errors[topmost], None
        for call, decision in _suspects(run, topmost, last, tipped, tolerance):
            tried += 1
            attempt = run.tipped(call, [*tipped.get(call, ()), decision])
            partly = list(back.gradients)
            for place, gradient in attempt.part_of_gradients(back, last, topmost).items():
                partly[place] = gradient
            error = _errors(run, found, partly, back, (topmost,))[topmost]
            if error < best:
                best, chosen = error, (call, decision, attempt)
            if error <= tolerance.gradients or tried >= _MAX_TRIED:
                break
        if chosen is None:
            break
        call, decision, run = chosen
        tipped.setdefault(call, []).append(decision)
        back = run.backward(labels)
    return back, sum(map(len, tipped.values()))


def _errors(
    run: Pass,
    found: Sequence[Array | None],
    expected: Sequence[Array],
    back: Backward,
    calls: Sequence[int] | None = None,
) -> dict[int, float]:
    """By call with weights, how far its gradients are off."""
    network = run.network
    layers = [info.layer for info in network.weights]
    trained = [None if one is None else other for one, other in zip(found, expected, strict=True)]
    bounds = floors(trained, layers, back.sizes)
    errors: dict[int, float] = {}
    for index, call in enumerate(network.calls):
        if calls is not None and index not in calls:
            continue
        for place, layer in enumerate(layers):
            one = found[place]
            if layer == call.layer and one is not None:
                error = difference(one, expected[place], bounds[place])
                errors[index] = max(errors.get(index, 0.0), error)
    return errors


def _suspects(
    run: Pass, first: int, last: int, tipped: dict[int, list[int]], tolerance: Tolerances
) -> Iterator[tuple[int, int]]:
    """Calls and decisions near a kink, from one call to another, nearest to the kink first."""
    near: list[tuple[float, int, int]] = []
    for index in range(first, last + 1):
        margins = run.results[index].margins()
        for decision in (margins < tolerance.kink).nonzero()[0].tolist():
            if decision not in tipped.get(index, ()):
                near.append((float(margins[decision]), index, decision))
    for _, index, decision in sorted(near):
        yield index, decision
