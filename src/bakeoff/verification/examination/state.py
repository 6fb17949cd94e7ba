"""What is known of a contestant so far, and the search for causes that every stage shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bakeoff.verification import tolerances
from bakeoff.verification.causes import Hypothesis
from bakeoff.verification.evidence import GENERAL, SCENES, Array, Call, Evidence
from bakeoff.verification.findings import Finding, Worst
from bakeoff.verification.reference.layers import Result, Unknown
from bakeoff.verification.reference.network import Backward, Network, Pass
from bakeoff.verification.reference.optimizers import Optimizer
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.tolerances import Tolerances, difference, floors, layer_rms
from bakeoff.verification.votes import Ballot, Panel, Vote

_MAX_CAUSES = 6  # in one stage; more than that, and something else is wrong
_DECISIVE = ("architecture", "forward")  # what makes everything after it another network's


@dataclass(frozen=True)
class Outcome:
    """How a stage went: the first place that differs too much, or the worst of all if none does.

    position: of that place, where each may have a cause of its own: one that moves it back is one of several.
    ballot: the contestants' vote on it, where the reference had none.
    """

    ok: bool
    difference: float
    where: str
    position: int = 0
    ballot: Ballot | None = None


def missing_layer(evidence: Evidence) -> str:
    """What the reference would need to compute a contestant's network; empty if it has all."""
    if not evidence.calls:
        return "trace of this model's layers"
    network = _network(evidence)
    images, weights = evidence.images(GENERAL, 0), evidence.weights_after(GENERAL, 0)
    try:
        network.forward(images, weights, Semantics()).loss(evidence.labels(GENERAL, 0))
    except Unknown as unknown:
        return str(unknown)
    return ""


def _network(evidence: Evidence) -> Network:
    return Network(
        evidence.layers, evidence.weights, evidence.calls, evidence.loss, from_logits=evidence.from_logits
    )


class Examination:
    """One contestant's evidence, how the reference computes by now, and what was found.

    evidence, others, panel: as `examine` takes them. semantics: of the reference, with all causes that were
    named so far. expected: of each scene, the reference's way back before each step, as far as it was asked
    for. lacks: what the reference would need to compute the network; empty if it has all. contested: places,
    by stage and scene, that contestants disagree on without a majority.
    """

    def __init__(self, evidence: Evidence, others: Evidence, panel: Panel) -> None:
        self.evidence: Evidence = evidence
        self.others: Evidence = others
        self.panel: Panel = panel
        self.network: Network = _network(evidence)
        self.tolerance: Tolerances = tolerances.of(evidence.precision)
        self.semantics: Semantics = Semantics(loss=evidence.loss_options)
        self.findings: list[Finding] = []
        self.worst: dict[str, Worst] = {}
        self.num_tipped: int = 0
        self.layers: list[int] = [info.layer for info in evidence.weights]
        # Of each scene, the reference's way back before each step, as far as it was asked for.
        self.expected: dict[str, dict[int, Backward]] = {scene: {} for scene in SCENES}
        self._kept: tuple[object, Pass] | None = None
        self.not_examined: list[str] = []
        self.notes: list[str] = []
        self.lacks: str = missing_layer(evidence)
        self.contested: set[tuple[str, str, int]] = set()

    def is_comparable(self) -> bool:
        """Whether there is something to hold the network against that is still the same network."""
        if any(finding.stage in _DECISIVE and not finding.is_explained for finding in self.findings):
            return False
        return bool(self.evidence.calls) and not self.is_random

    @property
    def is_random(self) -> bool:
        """Whether a layer draws random numbers that could not be switched off."""
        return any(call.is_random for call in self.evidence.calls)

    def call(self, scene: str, call: Call, semantics: Semantics) -> Result:
        """The reference's result of one call, fed with what the contestant fed it.

        Raises:
            Unknown: the reference has no such layer, or doesn't know what it was fed.
        """
        if any(number is None for number in call.inputs):
            raise Unknown("what is computed between layers")
        inputs = [np.asarray(self.evidence.tensor(scene, number or 0), "float64") for number in call.inputs]
        return self.network.call(call, inputs, self.evidence.weights_after(scene, 0), semantics)

    def gap(
        self,
        what: str,
        found: Sequence[Array | None],
        expected: Sequence[Array | None],
        sizes: Mapping[int, Array] | None = None,
        num_tipped: int = 0,
    ) -> Outcome:
        """The worst of all weights."""
        trained = [None if one is None else other for one, other in zip(found, expected, strict=True)]
        bounds = floors(trained, self.layers, sizes)
        worst = Worst(0.0, "")
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one is not None and other is not None:
                worst = worst.or_worse(difference(one, other, bounds[place]), self.evidence.name_of(place))
        ok = worst.difference <= self.tolerance.gradients
        if ok:
            self.note(what, worst)
            self.num_tipped += num_tipped
        return Outcome(ok, worst.difference, worst.where)

    def settle(
        self,
        stage: str,
        scene: str,
        check: Callable[[Semantics], Outcome],
        suspects: Callable[[Outcome], Iterable[Hypothesis]],
    ) -> bool:
        """Find the causes of a stage's difference, one after the other; whether it agrees in the end."""
        for _ in range(_MAX_CAUSES):
            outcome = check(self.semantics)
            if outcome.ok:
                return True
            if outcome.ballot and outcome.ballot.vote is Vote.CONTESTED:
                self.contested.add((stage, scene, outcome.position))
                where, size, text = outcome.where, outcome.difference, outcome.ballot.text
                self.find(stage, scene, where, size, "contested", text, position=outcome.position)
                continue
            guess = self._best(outcome, check, suspects(outcome))
            if guess is None and self._is_single_at_heart(check):
                text = "it agrees in single precision only: something in it is computed in that"
                self.find(stage, scene, outcome.where, outcome.difference, "single_precision", text)
                return True
            if guess is None:
                text = f"it differs by {outcome.difference:.2g} of its size"
                text += ", and no known cause accounts for it"
                if outcome.ballot:
                    text = outcome.ballot.text
                place = outcome.position if outcome.ballot else -1
                self.find(stage, scene, outcome.where, outcome.difference, "unknown", text, position=place)
                return False
            self.semantics = guess.semantics
            self.find(
                stage,
                scene,
                outcome.where,
                outcome.difference,
                guess.cause,
                guess.text,
                guess.only_at_kinks,
                outcome.position if stage == "forward" else -1,
            )
        return check(self.semantics).ok

    def _is_single_at_heart(self, check: Callable[[Semantics], Outcome]) -> bool:
        """Whether what differs in double precision agrees in single: then no more is asked from here on."""
        double, single = self.tolerance, tolerances.of("float32")
        if double.epsilon >= single.epsilon:
            return False
        self.tolerance = single
        if check(self.semantics).ok:
            return True
        self.tolerance = double
        return False

    @staticmethod
    def _best(
        outcome: Outcome, check: Callable[[Semantics], Outcome], guesses: Iterable[Hypothesis]
    ) -> Hypothesis | None:
        """The first cause that accounts for all, else the one that gets furthest in the order of places.

        Of several values of one cause that account for all, the one that leaves the least.
        """
        best, furthest = None, outcome.position
        fits: tuple[float, Hypothesis] | None = None
        for guess in guesses:
            if fits and guess.cause != fits[1].cause:
                continue
            tried = check(guess.semantics)
            if tried.ok and (not fits or tried.difference < fits[0]):
                fits = tried.difference, guess
            elif not tried.ok and tried.position > furthest:
                best, furthest = guess, tried.position
        return fits[1] if fits else best

    def reference_pass(self, scene: str, step: int, semantics: Semantics) -> Pass:
        """The reference at the contestant's weights before a step; the last one is kept."""
        key = (
            scene,
            step,
            repr(replace(semantics, loss={}, optimizer={})),
        )
        if self._kept is None or self._kept[0] != key:
            weights, images = self.evidence.weights_after(scene, step), self.evidence.images(scene, step)
            self._kept = key, self.network.forward(images, weights, semantics)
        return replace(self._kept[1], semantics=semantics)

    def steps_of(self, scene: str) -> range:
        """The steps at which the reference is asked.

        Of the run's own images only the first: from the second on, biases are no longer zero, so that pixels
        of a uniform background tie but for rounding, and who gets their gradient is nobody's decision.
        """
        return range(self.evidence.num_steps if scene == GENERAL and not self.lacks else 1)

    def optimizer(self, semantics: Semantics) -> Optimizer:
        """The contestant's optimizer as the reference computes it."""
        return Optimizer(self.evidence.optimizer, {**self.evidence.optimizer_options, **semantics.optimizer})

    def without_gradient(self, scene: str) -> frozenset[int]:
        """Weights that the loss doesn't depend on, so that rounding alone moves them."""
        back = self.expected[scene].get(0)
        if back is None:
            return self._hardly_moved(scene)
        bounds = floors(back.gradients, self.layers, back.sizes)
        return frozenset(
            place
            for place, (gradient, bound) in enumerate(zip(back.gradients, bounds, strict=True))
            if self.evidence.weights[place].trainable
            and float(np.linalg.norm(gradient.ravel())) <= self.tolerance.gradients * bound
        )

    def _hardly_moved(self, scene: str) -> frozenset[int]:
        """The same as the contestant's own gradients show it: what is left of a sum that cancels."""
        gradients = self.evidence.gradients(scene, 0)
        of_layer = layer_rms(gradients, self.layers)
        return frozenset(
            place
            for place, (gradient, layer) in enumerate(zip(gradients, self.layers, strict=True))
            if gradient is not None
            and float(np.linalg.norm(gradient.ravel()))
            <= 32 * self.tolerance.epsilon * of_layer.get(layer, 0.0) * float(np.sqrt(gradient.size or 1))
        )

    def find(
        self,
        stage: str,
        scene: str,
        where: str,
        size: float,
        cause: str,
        text: str,
        only_at_kinks: bool = False,
        position: int = -1,
    ) -> None:
        """Keep what was found, once."""
        finding = Finding(stage, scene, where, size, cause, text, only_at_kinks, position)
        # What shows in one scene may show in the other, too; sizes of what is unknown then differ.
        known = [
            (one.stage, one.where, one.cause if cause == "unknown" else one.text) for one in self.findings
        ]
        if (stage, where, cause if cause == "unknown" else text) not in known:
            self.findings.append(finding)

    def note(self, what: str, worst: Worst) -> None:
        """Keep the worst difference of what agrees."""
        known = self.worst.get(what)
        self.worst[what] = known.or_worse(worst.difference, worst.where) if known else worst
