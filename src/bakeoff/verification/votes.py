"""What the reference lacks, put to the contestants' vote: each asked the same, each backend with one vote.

A layer is asked on inputs that all contestants share, so that a fault before it blames nobody after it. Who
agrees with more than half of the backends is right. Where nobody does, the place is named and nobody blamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from bakeoff.verification import architecture
from bakeoff.verification.evidence import GENERAL, NUM_COMMON, Array, Evidence
from bakeoff.verification.tolerances import EPSILON, Tolerances, difference, floors, layer_rms
from bakeoff.wording import listed

# In tolerances. On shared inputs each side has roundings of its own, of several layers where one holds
# others; on a contestant's own inputs those that came in besides; in gradients what cancels is not known
# here.
_SHARED, _OWN, _GRADIENTS = 4, 10, 10


class Vote(Enum):
    """How a contestant fared: nobody else to ask, a majority agrees, there is none, it is against."""

    ALONE = auto()
    AGREES = auto()
    CONTESTED = auto()
    OUTVOTED = auto()


@dataclass(frozen=True)
class Ballot:
    """One vote, as one contestant sees it.

    own: labels of those that agree with it, itself among them; others: of those that don't. difference: from
    the majority, or from the nearest of the others; where: it is largest, if the question has several places.
    """

    vote: Vote
    own: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    difference: float = 0.0
    where: str = ""

    @property
    def text(self) -> str:
        """For people; the same for all that agree with each other."""
        if self.vote is Vote.OUTVOTED:
            return f"not what {listed(self.others)} compute of the same, and no known cause accounts for it"
        return (
            f"{listed(self.own)} and {listed(self.others)} compute different things of the same; "
            "no majority tells who is right"
        )


# From two contestants to how far apart they are, relative, and where; None if they can't be compared.
Distance = Callable[["Voter", "Voter"], "tuple[float, str] | None"]


@dataclass(frozen=True)
class Voter:
    """A contestant: its label and evidence."""

    label: str
    evidence: Evidence


class Panel:
    """All contestants whose evidence is there, the one that is examined among them."""

    def __init__(self, voters: Sequence[Voter]) -> None:
        self.voters: tuple[Voter, ...] = tuple(voters)
        self._matching: dict[tuple[int, int], dict[int, int]] = {}

    def on_shared_inputs(self, evidence: Evidence, call: int, tolerance: Tolerances) -> Ballot:
        """What a layer gives on inputs that all share."""

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            return self._layer_apart(one, other, evidence, call, GENERAL, lambda e, place: e.shared(place))

        return self._ballot(evidence, apart, _SHARED * tolerance.forward)

    def on_own_inputs(self, evidence: Evidence, call: int, scene: str, tolerance: Tolerances) -> Ballot:
        """What a layer gives on what each contestant fed it, among those that fed it the same."""

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            places = self._places(evidence, call, one, other)
            if places is None or not _fed_alike(one, other, *places, scene, tolerance):
                return None
            return self._layer_apart(
                one, other, evidence, call, scene, lambda e, place: e.activation(scene, place)
            )

        return self._ballot(evidence, apart, _OWN * tolerance.forward)

    def on_outputs(self, evidence: Evidence, call: int, scene: str, tolerance: Tolerances) -> Ballot:
        """What a layer gives, whatever it was fed: if all give the same, that will do."""

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            return self._layer_apart(
                one, other, evidence, call, scene, lambda e, place: e.activation(scene, place)
            )

        return self._ballot(evidence, apart, _OWN * tolerance.forward)

    def on_loss(self, evidence: Evidence, scene: str, tolerance: Tolerances) -> Ballot:
        """The loss before the first step, among those whose networks give the same."""

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            if not self._same_network(one, other, scene, tolerance):
                return None
            return difference(one.evidence.losses(scene)[:1], other.evidence.losses(scene)[:1]), "loss"

        return self._ballot(evidence, apart, _SHARED * tolerance.loss)

    def on_gradients(self, evidence: Evidence, scene: str, tolerance: Tolerances) -> Ballot:
        """Gradients at the weights of the start, among those whose networks give the same.

        One of `NUM_COMMON` batches that agrees will do, since rounding may tip a decision in any.
        """

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            if not self._same_network(one, other, scene, tolerance):
                return None
            bound = _GRADIENTS * tolerance.gradients
            batches = (_gradients_apart(one, other, scene, batch, bound) for batch in range(NUM_COMMON))
            return min(batches, key=lambda each: each[0])

        return self._ballot(evidence, apart, _GRADIENTS * tolerance.gradients)

    def on_moving(self, evidence: Evidence, place: int, scene: str, tolerance: Tolerances) -> Ballot:
        """What a weight that is not trained has become after the first step."""

        def apart(one: Voter, other: Voter) -> tuple[float, str] | None:
            if not self._same_network(one, other, scene, tolerance):
                return None
            arrays = [
                each.evidence.weights_after(scene, 1)[_twin(evidence, place, each.evidence)]
                for each in (one, other)
            ]
            return difference(arrays[0], arrays[1]), evidence.name_of(place)

        return self._ballot(evidence, apart, _OWN * tolerance.forward)

    # ---- who can be asked -------------------------------------------------------------------------------

    def _layer_apart(
        self,
        one: Voter,
        other: Voter,
        evidence: Evidence,
        call: int,
        scene: str,
        output: Callable[[Evidence, int], Array | None],
    ) -> tuple[float, str] | None:
        places = self._places(evidence, call, one, other)
        if places is None or not _weighted_alike(one, other, *places, scene):
            return None
        found = [output(each.evidence, place) for each, place in zip((one, other), places, strict=True)]
        own, theirs = found
        if own is None or theirs is None or not (np.isfinite(own).all() and np.isfinite(theirs).all()):
            return None
        return difference(own, theirs), ""

    def _places(self, evidence: Evidence, call: int, one: Voter, other: Voter) -> tuple[int, int] | None:
        """The calls of both that stand for one of `evidence`, if both declare the same of them."""
        places = [self._matched(evidence, each.evidence).get(call) for each in (one, other)]
        if places[0] is None or places[1] is None:
            return None
        calls = one.evidence.calls[places[0]], other.evidence.calls[places[1]]
        layers = one.evidence.layers[calls[0].layer], other.evidence.layers[calls[1].layer]
        if any(each.is_random for each in calls) or not architecture.declared_alike(*layers):
            return None
        return places[0], places[1]

    def _matched(self, one: Evidence, other: Evidence) -> dict[int, int]:
        key = id(one), id(other)
        if key not in self._matching:
            self._matching[key] = architecture.matching(one, other)
        return self._matching[key]

    def _same_network(self, one: Voter, other: Voter, scene: str, tolerance: Tolerances) -> bool:
        """Whether two are declared alike, have the same weights, and give the same."""
        own, theirs = one.evidence, other.evidence
        if own is theirs:
            return True
        if any(architecture.differences(own, theirs)) or any(
            call.is_random for each in (own, theirs) for call in each.calls
        ):
            return False
        if not own.calls or [info.name for info in own.weights] != [info.name for info in theirs.weights]:
            return False
        return _equal(own.weights_after(scene, 0), theirs.weights_after(scene, 0), one, other) and all(
            difference(own.activation(scene, call), theirs.activation(scene, call))
            <= _OWN * tolerance.forward
            for call in range(len(own.calls))
        )

    def _ballot(self, evidence: Evidence, apart: Distance, allowed: float) -> Ballot:
        """Count the votes. Contestants of one backend share its vote."""
        me = next(voter for voter in self.voters if voter.evidence is evidence)
        distances = {voter.label: apart(me, voter) for voter in self.voters if voter is not me}
        asked = [me, *(voter for voter in self.voters if distances.get(voter.label) is not None)]
        if len(asked) < 2:
            return Ballot(Vote.ALONE)
        share = Counter(one.evidence.backend for one in asked)
        total = len(share)

        def agree(one: Voter, other: Voter) -> bool:
            found = (0.0, "") if one is other else apart(one, other)
            return found is not None and found[0] <= allowed

        camps = {one.label: [other for other in asked if agree(one, other)] for one in asked}
        has_majority = {
            label: sum(1 / share[one.evidence.backend] for one in camp) > total / 2 + 1e-9
            for label, camp in camps.items()
        }
        own = {one.label for one in camps[me.label]}
        if has_majority[me.label]:
            worst = max(found for label, found in distances.items() if found and label in own)
            return Ballot(Vote.AGREES, difference=worst[0], where=worst[1])
        others = [label for label, found in distances.items() if found and label not in own]
        right = [label for label in others if has_majority[label]]
        near = min(found for label, found in distances.items() if found and label in (right or others))
        vote = Vote.OUTVOTED if right else Vote.CONTESTED
        in_order = tuple(voter.label for voter in self.voters if voter.label in own)
        return Ballot(vote, in_order, tuple(right or others), *near)


def _fed_alike(one: Voter, other: Voter, place: int, twin: int, scene: str, tolerance: Tolerances) -> bool:
    calls = one.evidence.calls[place], other.evidence.calls[twin]
    if len(calls[0].inputs) != len(calls[1].inputs):
        return False
    for number, its in zip(calls[0].inputs, calls[1].inputs, strict=True):
        if number is None or its is None:
            return False
        tensors = one.evidence.tensor(scene, number), other.evidence.tensor(scene, its)
        if difference(*tensors) > tolerance.forward:
            return False
    return True


def _weighted_alike(one: Voter, other: Voter, place: int, twin: int, scene: str) -> bool:
    """Whether the layers of two calls have the same weights."""
    own, theirs = (
        {
            info.name: array
            for info, array in zip(each.evidence.weights, each.evidence.weights_after(scene, 0), strict=True)
            if info.layer == each.evidence.calls[call].layer
        }
        for each, call in ((one, place), (other, twin))
    )
    return own.keys() == theirs.keys() and _equal(own.values(), theirs.values(), one, other)


def _equal(own: Iterable[Array], theirs: Iterable[Array], one: Voter, other: Voter) -> bool:
    rounding = max(EPSILON[each.evidence.precision] for each in (one, other))
    return all(difference(*pair) <= rounding for pair in zip(own, theirs, strict=True))


def _twin(evidence: Evidence, place: int, other: Evidence) -> int:
    key = evidence.key_of(place)
    return next(twin for twin in range(len(other.weights)) if other.key_of(twin) == key)


def _gradients_apart(one: Voter, other: Voter, scene: str, batch: int, bound: float) -> tuple[float, str]:
    """The worst of all weights, and of those beyond the bound the one that gradients reach first."""
    own, theirs = (each.evidence.start_gradients(scene, batch) for each in (one, other))
    layers = [info.layer for info in one.evidence.weights]
    of_layer = layer_rms(theirs, layers)
    # What cancels in biases and scales isn't known: no more is asked of them than of their layer as a whole.
    sizes = {
        place: np.full(array.shape, 50 * of_layer[layer])
        for place, (array, layer) in enumerate(zip(theirs, layers, strict=True))
        if array is not None and array.ndim == 1
    }
    bounds = floors(theirs, layers, sizes)
    found = [
        (difference(mine, its, bounds[place]), one.evidence.name_of(place), one.evidence.key_of(place)[0])
        for place, (mine, its) in enumerate(zip(own, theirs, strict=True))
        if mine is not None and its is not None
    ]
    beyond = [each for each in found if each[0] > bound]
    worst = max(found, default=(0.0, "", -1))
    first = max(beyond, key=lambda each: each[2], default=worst)
    return worst[0], first[1]
