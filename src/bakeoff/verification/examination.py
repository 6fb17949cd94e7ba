"""One contestant's evidence, held against the reference stage by stage.

Each stage compares at the contestant's own point: its gradients at the weights that it had before a step, its
steps from its own gradients. So a difference shows where it arises, and doesn't grow on the way: two networks
that differ by a rounding train apart within a few steps, and that says nothing of either.

Where a stage differs, the known causes are tried (`causes`). One that accounts for the difference is named,
and the examination goes on with a reference that computes that way too, to see whether anything else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bakeoff.verification import architecture, causes, tolerances
from bakeoff.verification.causes import Hypothesis
from bakeoff.verification.evidence import AS_TRAINED, GENERAL, SCENES, Array, Call, Evidence
from bakeoff.verification.findings import Finding, Judgement, Worst
from bakeoff.verification.kinks import agree
from bakeoff.verification.reference.layers import Result, Unknown
from bakeoff.verification.reference.losses import loss
from bakeoff.verification.reference.network import Backward, Network, Pass
from bakeoff.verification.reference.optimizers import Optimizer
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.tolerances import difference, floors, layer_rms

_MAX_CAUSES = 6  # in one stage; more than that, and something else is wrong
_DECISIVE = ("architecture", "forward")  # what makes everything after it another network's
_MISSED = 0.3  # share of the steps that may differ by decisions within rounding which could not be traced
_EPOCH_APART = 0.01  # of all that the steps changed: what is left to rounding within an epoch


@dataclass(frozen=True)
class _Outcome:
    """How a stage went: the first place that differs too much, or the worst of all if none does.

    position: of that place, where each may have a cause of its own: one that moves it back is one of several.
    """

    ok: bool
    difference: float
    where: str
    position: int = 0


def examine(evidence: Evidence, others: Evidence, exact: Evidence | None = None) -> Judgement:
    """Everything in which a contestant differs from the reference.

    others: a contestant that stands for how the others are built (itself, if they are built like this one).
    exact: a contestant in double precision, to be compared with where the reference lacks a layer.
    """
    return _Examination(evidence, others, exact).judgement()


def missing_layer(evidence: Evidence) -> str:
    """What the reference would need to compute a contestant's network; empty if it has all."""
    if not evidence.calls:
        return "trace of this model's layers"
    network = Network(evidence.layers, evidence.weights, evidence.calls, evidence.loss)
    images, weights = evidence.images(GENERAL, 0), evidence.weights_after(GENERAL, 0)
    try:
        network.forward(images, weights, Semantics()).loss(evidence.labels(GENERAL, 0))
    except Unknown as unknown:
        return str(unknown)
    return ""


class _Examination:
    def __init__(self, evidence: Evidence, others: Evidence, exact: Evidence | None) -> None:
        self.evidence, self.others, self.exact = evidence, others, exact
        self.network = Network(evidence.layers, evidence.weights, evidence.calls, evidence.loss)
        self.tolerance = tolerances.of(evidence.precision)
        self.semantics = Semantics()
        self.findings: list[Finding] = []
        self.worst: dict[str, Worst] = {}
        self.num_tipped = 0
        self._layers = [info.layer for info in evidence.weights]
        # Of each scene, the reference's way back before each step, as far as it was asked for.
        self._expected: dict[str, dict[int, Backward]] = {scene: {} for scene in SCENES}
        self._kept: tuple[object, Pass] | None = None
        self.not_examined: list[str] = []
        self.notes: list[str] = []
        self.lacks = missing_layer(evidence)

    def judgement(self) -> Judgement:
        """All stages, in their order."""
        self._architecture()
        self._data()
        self._initial_weights()
        for scene in SCENES:
            self._scene(scene)
        self._probe()
        for scene in SCENES:
            self._steps(scene)
            self._epoch(scene)
        reference = "NumPy in float64"
        if self.lacks:
            reference = (
                f"{self.exact.backend} in float64, since the reference has no {self.lacks}"
                if self.exact
                else f"nothing: the reference has no {self.lacks}"
            )
        idle = self._without_gradient(GENERAL)
        return Judgement(
            reference,
            tuple(self.findings),
            dict(self.worst),
            self.num_tipped,
            tuple(self.not_examined),
            tuple(self.evidence.name_of(place) for place in sorted(idle)),
            tuple(self.notes),
        )

    # ---- what is there before anything is computed ---------------------------------------------------

    def _architecture(self) -> None:
        for found in architecture.differences(self.evidence, self.others):
            size = self._effect(found)
            if found.key == "layers":
                text = f"it has {found.own} where others have {found.others}"
            else:
                text = f"{found.key} is {found.own}, not {found.others}"
            place = -1 if found.call is None else found.call
            self._find("architecture", "", found.layer, size, f"declared_{found.key}", text, position=place)
        for call in self.evidence.calls:
            if call.is_random:
                name = self.evidence.layers[call.layer].name
                text = "it draws random numbers while it trains, and can't be compared"
                self._find("architecture", "", name, float("nan"), "unknown", text)
                break

    def _effect(self, found: architecture.Difference) -> float:
        """How much of what the layer gives a declared difference changes; NaN where that can't be said."""
        if found.call is None or found.key == "layers" or found.call >= len(self.others.calls):
            return float("nan")
        size = difference(
            self.evidence.activation(GENERAL, found.call), self.others.activation(GENERAL, found.call)
        )
        return size if size > 10 * self.tolerance.forward else float("nan")

    def _data(self) -> None:
        for what, of in (("images", Evidence.images), ("labels", Evidence.labels)):
            for scene in SCENES:
                size = difference(of(self.evidence, scene, 0), of(self.others, scene, 0))
                if size > self.tolerance.epsilon:
                    text = f"the {what} of the first batch are others"
                    self._find("data", scene, what, size, "unknown", text)
                    return

    def _initial_weights(self) -> None:
        own, others = (one.weights_after(AS_TRAINED, 0) for one in (self.evidence, self.others))
        twin_calls = architecture.matching(self.evidence, self.others)
        twins = {self.others.key_of(place): place for place in range(len(others))}
        for place, array in enumerate(own):
            call, name = self.evidence.key_of(place)
            twin = twins.get((twin_calls.get(call, -1), name))
            if twin is None:
                continue
            self._trainable(place, twin, call)
            size = difference(array, others[twin])
            # Another shape follows from a layer that is declared otherwise, here or before.
            if size > self.tolerance.epsilon and array.shape == others[twin].shape:
                cause, text = self._initializer(place, twin, array, others[twin])
                where = self.evidence.name_of(place)
                self._find("initial weights", AS_TRAINED, where, size, cause, text, position=call)

    def _trainable(self, place: int, twin: int, call: int) -> None:
        own = self.evidence.weights[place].trainable
        if own != self.others.weights[twin].trainable:
            text = "it is trained, which others' is not" if own else "it is not trained, which others' is"
            where = self.evidence.name_of(place)
            self._find("architecture", "", where, float("nan"), "declared_trainable", text, position=call)

    def _initializer(self, place: int, twin: int, own: Array, others: Array) -> tuple[str, str]:
        info, other = self.evidence.weights[place], self.others.weights[twin]
        if info.own_draw:
            return "own_draw", "they are the framework's own draw: Bakeoff doesn't know this initializer"
        mine = architecture.initializer(self.evidence.layers[info.layer], info.name)
        theirs = architecture.initializer(self.others.layers[other.layer], other.name)
        spread = f"their standard deviation is {own.std():.3g}, not {others.std():.3g}"
        if mine != theirs:
            return "initializer", f"drawn from {mine}, not {theirs}; {spread}"
        if any(finding.stage == "architecture" for finding in self.findings):
            return (
                "other_draws",
                "other numbers of the same distribution, since other weights come before them",
            )
        return "initializer", f"declared alike, but {spread}"

    # ---- the network ----------------------------------------------------------------------------------

    def _scene(self, scene: str) -> None:
        """Forward, loss, gradients, moving statistics."""
        stages: tuple[tuple[str, Callable[[str], bool]], ...] = (
            ("forward", self._forward),
            ("loss", self._loss),
            ("gradients", self._gradients),
            ("moving statistics", self._moving),
        )
        if self.lacks and self.exact and not self._starts_alike(scene):
            return  # each from its own weights, as was said of the initial ones
        for index, (_, stage) in enumerate(stages):
            known = self._is_comparable()
            if not (known and stage(scene)):
                left = [name for name, _ in stages[index + known :]]
                self.not_examined += [name for name in left if name not in self.not_examined]
                return

    def _starts_alike(self, scene: str) -> bool:
        """Whether the contestant in double precision starts from the same weights."""
        assert self.exact is not None
        theirs = {
            self.exact.key_of(place): array for place, array in enumerate(self.exact.weights_after(scene, 0))
        }
        own = self.evidence.weights_after(scene, 0)
        return all(
            difference(array, theirs[key]) <= tolerances.EPSILON["float32"]
            for place, array in enumerate(own)
            if (key := self.evidence.key_of(place)) in theirs
        )

    def _is_comparable(self) -> bool:
        """Whether there is something to hold the network against that is still the same network."""
        if any(finding.stage in _DECISIVE and not finding.is_explained for finding in self.findings):
            return False
        return not self.lacks or (
            self.exact is not None and len(self.exact.calls) == len(self.evidence.calls)
        )

    def _forward(self, scene: str) -> bool:
        """Each call, fed with what the contestant fed it: rounding that came in doesn't count against it."""
        evidence = self.evidence

        def check(semantics: Semantics) -> _Outcome:
            worst = Worst(0.0, "")
            for index, call in enumerate(evidence.calls):
                size, bound = self._call_gap(scene, index, semantics)
                name = evidence.layers[call.layer].name
                if size > bound:
                    return _Outcome(False, size, name, index)
                worst = worst.or_worse(size, name)
            self._note("layers", worst)
            return _Outcome(True, worst.difference, worst.where, len(evidence.calls))

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            call = evidence.calls[outcome.position]
            config = self.network.config(call.layer, self.semantics)
            return causes.of_layer(evidence.layers[call.layer].kind, config, call.layer, self.semantics)

        if not self._settle("forward", scene, check, suspects):
            return False
        if self.lacks:
            expected = self._exact_activations(scene)
        else:
            expected = self._pass(scene, 0, self.semantics).activations
        for index, (call, array) in enumerate(zip(evidence.calls, expected, strict=True)):
            size = difference(evidence.activation(scene, index), array)
            self._note("forward", Worst(size, evidence.layers[call.layer].name))
        return True

    def _call_gap(self, scene: str, index: int, semantics: Semantics) -> tuple[float, float]:
        """How far a call is from the reference's on the same inputs, and how far it may be."""
        evidence, call = self.evidence, self.evidence.calls[index]
        own = evidence.activation(scene, index)
        try:
            result = self._call(scene, call, semantics)
        except Unknown:
            if self.exact is None or index >= len(self.exact.calls):
                return 0.0, self.tolerance.forward
            # The other's inputs have roundings of their own.
            return difference(own, self.exact.activation(scene, index)), 10 * self.tolerance.forward
        amplified = self.tolerance.epsilon * result.amplification
        size = difference(own, result.output)
        if self.tolerance.forward < size <= self.tolerance.forward + amplified:
            self.tolerance = replace(self.tolerance, amplified=amplified)
            name = evidence.layers[call.layer].name
            note = f"{name} adds up number by number and is off by {size:.1e}, which is rounding"
            self.notes.append(
                f"{note}; gradients are held to no more than {self.tolerance.gradients:.1e} then"
            )
        return size, self.tolerance.forward

    def _call(self, scene: str, call: Call, semantics: Semantics) -> Result:
        """The reference's result of one call, fed with what the contestant fed it.

        Raises:
            Unknown: the reference has no such layer, or doesn't know what it was fed.
        """
        if any(number is None for number in call.inputs):
            raise Unknown("what is computed between layers")
        inputs = [np.asarray(self._tensor(scene, number or 0), "float64") for number in call.inputs]
        return self.network.call(call, inputs, self.evidence.weights_after(scene, 0), semantics)

    def _tensor(self, scene: str, number: int) -> Array:
        """The images, or what the contestant's call gave."""
        if number == 0:
            return self.evidence.images(scene, 0)
        of_tensor = {one.output: place for place, one in enumerate(self.evidence.calls)}
        return self.evidence.activation(scene, of_tensor[number])

    def _loss(self, scene: str) -> bool:
        evidence, steps = self.evidence, self._steps_of(scene)
        found = evidence.losses(scene)

        def check(semantics: Semantics) -> _Outcome:
            worst = Worst(0.0, "")
            for step in steps:
                expected = self._expected_loss(scene, step, semantics)
                worst = worst.or_worse(abs(float(found[step]) / expected - 1), f"step {step + 1}")
                if worst.difference > self.tolerance.loss:
                    return _Outcome(False, worst.difference, evidence.loss)
            self._note("loss", worst)
            return _Outcome(True, worst.difference, worst.where)

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            squares = sum(
                float((np.asarray(array, "float64") ** 2).sum())
                for array, info in zip(evidence.weights_after(scene, 0), evidence.weights, strict=True)
                if info.name.endswith("kernel") and info.trainable
            )
            return causes.of_loss(
                float(found[0]),
                self._expected_loss(scene, 0, self.semantics),
                squares,
                self._probabilities(scene, 0).shape[1],
                lambda amount: self._expected_loss(scene, 0, self.semantics.with_loss(smoothing=amount)),
                self.semantics,
            )

        return self._settle("loss", scene, check, suspects)

    def _expected_loss(self, scene: str, step: int, semantics: Semantics) -> float:
        labels = self.evidence.labels(scene, step)
        if not self.lacks:
            return self._pass(scene, step, semantics).loss(labels)
        value, _ = loss(self.evidence.loss, labels, self._probabilities(scene, step), semantics.loss)
        return value

    def _probabilities(self, scene: str, step: int) -> Array:
        """(N, num_classes) that the network gives before a step; without a reference, as it says itself."""
        if not self.lacks:
            return self._pass(scene, step, self.semantics).activations[-1]
        return np.asarray(self.evidence.activation(scene, len(self.evidence.calls) - 1), "float64")

    def _gradients(self, scene: str) -> bool:
        if self.lacks:
            return self._exact_gradients(scene)
        evidence = self.evidence
        names = [evidence.name_of(place) for place in range(len(evidence.weights))]

        def check_at(step: int, semantics: Semantics) -> _Outcome:
            found = evidence.gradients(scene, step)
            back, num_tipped = agree(
                self._pass(scene, step, semantics), evidence.labels(scene, step), found, self.tolerance
            )
            self._expected[scene][step] = back
            return self._gap("gradients", found, back.gradients, back.sizes, num_tipped)

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            expected = self._pass(scene, 0, self.semantics).gradients(evidence.labels(scene, 0))
            return causes.of_gradients(
                evidence.gradients(scene, 0),
                expected,
                [np.asarray(one, "float64") for one in evidence.weights_after(scene, 0)],
                names,
                len(evidence.images(scene, 0)),
                self.semantics,
            )

        if not self._settle("gradients", scene, lambda semantics: check_at(0, semantics), suspects):
            return False
        missed = [
            (step, outcome)
            for step in self._steps_of(scene)[1:]
            if not (outcome := check_at(step, self.semantics)).ok
        ]
        if len(missed) > _MISSED * evidence.num_steps:
            step, outcome = missed[0]
            text = f"they differ from step {step + 1} on, in {len(missed)} of {evidence.num_steps} steps"
            self._find("gradients", scene, outcome.where, outcome.difference, "unknown", text)
            return False
        if missed:
            worst = max(outcome.difference for _, outcome in missed)
            self.notes.append(
                f"in {len(missed)} of {evidence.num_steps} steps gradients are up to {worst:.1e} off, as by "
                "decisions within rounding that could not be traced; in the others they agree"
            )
        return True

    def _gap(
        self,
        what: str,
        found: Sequence[Array | None],
        expected: Sequence[Array | None],
        sizes: Mapping[int, Array] | None = None,
        num_tipped: int = 0,
        allowance: float = 1.0,
    ) -> _Outcome:
        """The worst of all weights."""
        trained = [None if one is None else other for one, other in zip(found, expected, strict=True)]
        bounds = floors(trained, self._layers, sizes)
        worst = Worst(0.0, "")
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            if one is not None and other is not None:
                worst = worst.or_worse(difference(one, other, bounds[place]), self.evidence.name_of(place))
        ok = worst.difference <= allowance * self.tolerance.gradients
        if ok:
            self._note(what, worst)
            self.num_tipped += num_tipped
        return _Outcome(ok, worst.difference, worst.where)

    def _moving(self, scene: str) -> bool:
        """What moving statistics take in with the first step, from what each layer was fed in it."""
        evidence = self.evidence

        def check(semantics: Semantics) -> _Outcome:
            worst = Worst(0.0, "")
            before, after = (evidence.weights_after(scene, step) for step in (0, 1))
            moved = self._moved(scene, semantics)
            for place, expected in moved.items():
                info = evidence.weights[place]
                momentum = float(self.network.config(info.layer, semantics)["momentum"])
                old = momentum * np.asarray(before[place], "float64")
                # Means may be close to zero: they are held against the deviations of what was averaged.
                bound = 0.0
                if info.name == "moving_mean":
                    twin = self._place_of(info.layer, "moving_variance")
                    spread = moved[twin] - momentum * np.asarray(before[twin], "float64")
                    bound = float(np.sqrt(np.abs(spread).sum() * (1 - momentum)))
                taken = max(float(np.linalg.norm(expected - old)), bound)
                rounding = 2 * self.tolerance.epsilon * float(np.linalg.norm(after[place])) / (taken or 1.0)
                size = difference(after[place] - old, expected - old, bound)
                worst = worst.or_worse(size, evidence.name_of(place))
                if size > self.tolerance.forward + rounding:
                    return _Outcome(False, worst.difference, worst.where, place)
            if worst.where:
                self._note("moving statistics", worst)
            return _Outcome(True, worst.difference, worst.where, len(evidence.weights))

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            place = outcome.position
            layer = evidence.weights[place].layer
            old, new = (np.asarray(evidence.weights_after(scene, step)[place], "float64") for step in (0, 1))
            own = float(self.network.config(layer, self.semantics)["momentum"])
            batch = (self._moved(scene, self.semantics)[place] - own * old) / (1 - own)
            square = float(((old - batch) ** 2).sum())
            momentum = float(((new - batch) * (old - batch)).sum()) / square if square else None
            return causes.of_moving(momentum, own, layer, self.semantics)

        return self._settle("moving statistics", scene, check, suspects)

    def _place_of(self, layer: int, name: str) -> int:
        return next(
            place
            for place, info in enumerate(self.evidence.weights)
            if (info.layer, info.name) == (layer, name)
        )

    def _moved(self, scene: str, semantics: Semantics) -> dict[int, Array]:
        """What the reference makes of moving statistics in the first step, by the weight's place."""
        found = {}
        for call in self.evidence.calls:
            try:
                moved = self._call(scene, call, semantics).moved
            except Unknown:
                continue
            for place, info in enumerate(self.evidence.weights):
                if info.layer == call.layer and info.name in moved:
                    found[place] = moved[info.name]
        return found

    # ---- the optimizer --------------------------------------------------------------------------------

    def _probe(self) -> None:
        """The optimizer alone, weight by weight."""
        evidence = self.evidence
        gradients, weights = (np.asarray(one, "float64") for one in evidence.probe())
        changes = np.diff(weights, axis=0)
        rounding = self.tolerance.epsilon * np.maximum(np.abs(weights[1:]), np.abs(weights[:-1]))

        def check(semantics: Semantics) -> _Outcome:
            optimizer = self._optimizer(semantics)
            worst = Worst(0.0, "")
            for step, (point, gradient, change) in enumerate(zip(weights, gradients, changes, strict=False)):
                (expected,) = optimizer.changes([point], [gradient], [change])
                gap = np.maximum(np.abs(change - expected) - rounding[step], 0)
                with np.errstate(divide="ignore", invalid="ignore"):
                    relative = np.where(gap == 0, 0.0, gap / np.abs(expected))
                worst = worst.or_worse(float(relative.max()), f"step {step + 1}")
                if not worst.difference <= self.tolerance.optimizer:
                    whole = difference(change, expected)
                    return _Outcome(False, whole, evidence.optimizer)
            self._note("optimizer", worst)
            return _Outcome(True, worst.difference, worst.where)

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            (expected,) = self._optimizer(self.semantics).changes([weights[0]], [gradients[0]])
            fresh = (weights[0] == 0) & (np.abs(gradients[0]) > 1e-3)
            ratio = float(np.median(changes[0][fresh] / expected[fresh])) if fresh.any() else None
            idle = (gradients == 0).all(axis=0) & (weights[0] != 0)
            rate = float(
                self.semantics.optimizer.get("learning_rate", evidence.optimizer_options["learning_rate"])
            )
            shrunk = float(np.mean(weights[-1][idle] / weights[0][idle])) if idle.any() else 1.0
            decay = (1 - shrunk ** (1 / len(changes))) / rate if 0 < shrunk != 1 else None
            return self._optimizers(ratio, decay)

        self._settle("optimizer", "", check, suspects)

    def _optimizers(self, ratio: float | None, decay: float | None) -> Iterator[Hypothesis]:
        """What the optimizer may be doing otherwise; see `causes.of_optimizer`."""
        name, options = self.evidence.optimizer, self.evidence.optimizer_options
        if self.evidence.precision == "float64":
            yield from causes.of_constants(name, options, self.semantics)
        yield from causes.of_optimizer(name, options, ratio, decay, self.semantics)

    def _optimizer(self, semantics: Semantics) -> Optimizer:
        return Optimizer(self.evidence.optimizer, {**self.evidence.optimizer_options, **semantics.optimizer})

    def _steps(self, scene: str) -> None:
        """The steps that the contestant made of its own gradients; then of the reference's."""
        if any(finding.stage == "optimizer" and not finding.is_explained for finding in self.findings):
            self.not_examined += ["weights"] * ("weights" not in self.not_examined)
            return
        evidence = self.evidence
        trained = [place for place, info in enumerate(evidence.weights) if info.trainable]

        def check(semantics: Semantics) -> _Outcome:
            own, noisy = self._optimizer(semantics), self._optimizer(semantics)
            worst = Worst(0.0, "")
            for step in range(evidence.num_steps):
                before, after = (self._trained(scene, step + ahead, trained) for ahead in (0, 1))
                seen = [new - old for new, old in zip(after, before, strict=True)]
                gradients = [
                    np.asarray(one, "float64") for one in evidence.gradients(scene, step) if one is not None
                ]
                expected = own.changes(before, gradients, seen)
                other = noisy.changes(before, self._with_rounding(gradients, trained), seen)
                for index, place in enumerate(trained):
                    allowed = 3 * float(np.linalg.norm((other[index] - expected[index]).ravel()))
                    allowed += self.tolerance.epsilon * float(np.linalg.norm(after[index].ravel()))
                    gap = float(np.linalg.norm((seen[index] - expected[index]).ravel()))
                    size = max(gap - allowed, 0.0) / (float(np.linalg.norm(expected[index].ravel())) or 1.0)
                    worst = worst.or_worse(size, evidence.name_of(place))
                if worst.difference > 10 * self.tolerance.optimizer:
                    return _Outcome(False, worst.difference, worst.where)
            return _Outcome(True, worst.difference, worst.where)

        def suspects(outcome: _Outcome) -> Iterable[Hypothesis]:
            yield from self._optimizers(*self._rate_and_decay(scene, trained))
            start, end = (self._trained(scene, step, trained) for step in (0, evidence.num_steps))
            still = tuple(index for index in range(len(trained)) if np.array_equal(start[index], end[index]))
            if still:
                names = ", ".join(evidence.name_of(trained[index]) for index in still)
                yield Hypothesis(
                    "frozen", f"{names} never change", self.semantics.with_optimizer(frozen=still)
                )

        if self._settle("weights", scene, check, suspects):
            self._after_all_steps(scene, trained)

    def _rate_and_decay(self, scene: str, trained: list[int]) -> tuple[float | None, float | None]:
        """By how much the first step is too long, and by which share of the learning rate it shrinks weights.

        In the sense of least squares, each as if the other were as it should be.
        """
        before, after = (self._trained(scene, step, trained) for step in (0, 1))
        gradients = [
            np.asarray(one, "float64") for one in self.evidence.gradients(scene, 0) if one is not None
        ]
        optimizer = self._optimizer(self.semantics)
        expected = optimizer.changes(
            before, gradients, [new - old for new, old in zip(after, before, strict=True)]
        )
        point, change, found = (
            np.concatenate([one.ravel() for one in arrays])
            for arrays in (before, expected, [new - old for new, old in zip(after, before, strict=True)])
        )
        ratio = float(found @ change) / (float(change @ change) or 1.0)
        square = float(point @ point) * float(optimizer.options["learning_rate"])
        decay = -float((found - change) @ point) / square if square else 0.0
        return ratio, decay if decay > 0 else None

    def _after_all_steps(self, scene: str, trained: list[int]) -> None:
        """How far the weights are, in the end, from where the reference's own steps lead."""
        evidence, expected = self.evidence, self._expected[scene]
        if len(expected) < evidence.num_steps:
            return
        optimizer = self._optimizer(self.semantics)
        gaps = [np.zeros(one.shape) for one in self._trained(scene, 0, trained)]
        for step in range(evidence.num_steps):
            before, after = (self._trained(scene, step + ahead, trained) for ahead in (0, 1))
            seen = [new - old for new, old in zip(after, before, strict=True)]
            changes = optimizer.changes(before, [expected[step].gradients[place] for place in trained], seen)
            gaps = [gap + new - change for gap, new, change in zip(gaps, seen, changes, strict=True)]
        worst = Worst(0.0, "")
        for place, gap, end in zip(
            trained, gaps, self._trained(scene, evidence.num_steps, trained), strict=True
        ):
            if place in self._without_gradient(scene):
                continue
            size = float(np.linalg.norm(gap.ravel())) / (float(np.linalg.norm(end.ravel())) or 1.0)
            worst = worst.or_worse(size, evidence.name_of(place))
        self._note("weights", worst)

    def _trained(self, scene: str, step: int, places: list[int]) -> list[Array]:
        arrays = self.evidence.weights_after(scene, step)
        return [np.asarray(arrays[place], "float64") for place in places]

    def _without_gradient(self, scene: str) -> frozenset[int]:
        """Weights that the loss doesn't depend on, so that rounding alone moves them."""
        back = self._expected[scene].get(0)
        if back is None:
            return frozenset()
        bounds = floors(back.gradients, self._layers, back.sizes)
        return frozenset(
            place
            for place, (gradient, bound) in enumerate(zip(back.gradients, bounds, strict=True))
            if self.evidence.weights[place].trainable
            and float(np.linalg.norm(gradient.ravel())) <= self.tolerance.gradients * bound
        )

    def _with_rounding(self, gradients: Sequence[Array], places: list[int]) -> list[Array]:
        """The gradients, each off by as much as rounding may put it.

        Adam and its kin divide by the size of the gradient: where that is next to nothing, rounding decides.
        """
        layers = [self._layers[place] for place in places]
        back = self._expected[GENERAL].get(0)
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
                32 * self.tolerance.epsilon * of_layer.get(layer, 0.0),
                self.tolerance.gradients * bound / float(np.sqrt(one.size or 1)),
            )
            noisy.append(one + noise * generator.choice((-1.0, 1.0), one.shape))
        return noisy

    def _epoch(self, scene: str) -> None:
        """Whether an epoch of several batches is those batches' steps, one after the other."""
        evidence = self.evidence
        start = evidence.weights_after(scene, 0)
        end = evidence.weights_after_epoch(scene)
        idle = self._without_gradient(GENERAL)
        trained = [
            place for place, info in enumerate(evidence.weights) if info.trainable and place not in idle
        ]

        def gap(step: int) -> float:
            steps = evidence.weights_after(scene, step)
            moved = sum(float(((steps[place] - start[place]) ** 2).sum()) for place in trained)
            apart = sum(float(((end[place] - steps[place]) ** 2).sum()) for place in trained)
            return float(np.sqrt(apart / moved)) if moved else 0.0

        size, allowed = gap(evidence.num_steps), _EPOCH_APART
        if self.semantics.optimizer.get("late") == "any":
            allowed = 1.0  # it differs from itself from one time to the next
        if size <= allowed:
            return
        for lost in range(1, 3):
            if gap(evidence.num_steps - lost) <= _EPOCH_APART:
                what = (
                    "the last batch, smaller than the others, is"
                    if lost == 1
                    else f"the last {lost} batches are"
                )
                self._find("epoch", scene, "fit", size, "last_batch_dropped", f"{what} not trained on")
                return
        text = "an epoch leads elsewhere than its batches one by one: another order, or other images"
        self._find("epoch", scene, "fit", size, "unknown", text)

    # ---- without a reference ----------------------------------------------------------------------------

    def _exact_activations(self, scene: str) -> list[Array]:
        assert self.exact is not None
        return [self.exact.activation(scene, index) for index in range(len(self.exact.calls))]

    def _exact_gradients(self, scene: str) -> bool:
        """Against another's in double precision: one step that agrees will do, since rounding may tip any.

        What cancels in a sum is not known here, so that less is asked: ten times the tolerance, and of biases
        and scales no more than of the layer's gradients as a whole.
        """
        assert self.exact is not None
        outcomes = []
        for step in range(3 if scene == GENERAL else 1):
            twins = {
                self.exact.key_of(place): array
                for place, array in enumerate(self.exact.gradients(scene, step))
            }
            expected = [twins.get(self.evidence.key_of(place)) for place in range(len(self.evidence.weights))]
            of_layer = layer_rms(expected, self._layers)
            sizes = {
                place: np.full(one.shape, 50 * of_layer[layer])
                for place, (one, layer) in enumerate(zip(expected, self._layers, strict=True))
                if one is not None and one.ndim == 1
            }
            found = self.evidence.gradients(scene, step)
            outcomes.append(self._gap("gradients", found, expected, sizes, allowance=10))
            if outcomes[-1].ok:
                return True
        text = f"they differ from {self.exact.backend}'s in double precision"
        self._find("gradients", scene, outcomes[0].where, outcomes[0].difference, "unknown", text)
        return False

    # ---- shared -------------------------------------------------------------------------------------------

    def _settle(
        self,
        stage: str,
        scene: str,
        check: Callable[[Semantics], _Outcome],
        suspects: Callable[[_Outcome], Iterable[Hypothesis]],
    ) -> bool:
        """Find the causes of a stage's difference, one after the other; whether it agrees in the end."""
        for _ in range(_MAX_CAUSES):
            outcome = check(self.semantics)
            if outcome.ok:
                return True
            guess = self._best(outcome, check, suspects(outcome))
            if guess is None and self._is_single_at_heart(check):
                text = "it agrees in single precision only: something in it is computed in that"
                self._find(stage, scene, outcome.where, outcome.difference, "single_precision", text)
                return True
            if guess is None:
                text = (
                    f"it differs by {outcome.difference:.2g} of its size, and no known cause accounts for it"
                )
                self._find(stage, scene, outcome.where, outcome.difference, "unknown", text)
                return False
            self.semantics = guess.semantics
            self._find(
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

    def _is_single_at_heart(self, check: Callable[[Semantics], _Outcome]) -> bool:
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
        outcome: _Outcome, check: Callable[[Semantics], _Outcome], guesses: Iterable[Hypothesis]
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

    def _pass(self, scene: str, step: int, semantics: Semantics) -> Pass:
        """The reference at the contestant's weights before a step; the last one is kept."""
        key = (
            scene,
            step,
            repr((semantics.layers, semantics.ties, semantics.relu_at_zero, semantics.moving_variance)),
        )
        if self._kept is None or self._kept[0] != key:
            weights, images = self.evidence.weights_after(scene, step), self.evidence.images(scene, step)
            self._kept = key, self.network.forward(images, weights, semantics)
        return replace(self._kept[1], semantics=semantics)

    def _steps_of(self, scene: str) -> range:
        """The steps at which the reference is asked.

        Of the run's own images only the first: from the second on, biases are no longer zero, so that pixels
        of a uniform background tie but for rounding, and who gets their gradient is nobody's decision.
        """
        return range(self.evidence.num_steps if scene == GENERAL and not self.lacks else 1)

    def _find(
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
        finding = Finding(stage, scene, where, size, cause, text, only_at_kinks, position)
        # What shows in one scene may show in the other, too; sizes of what is unknown then differ.
        known = [
            (one.stage, one.where, one.cause if cause == "unknown" else one.text) for one in self.findings
        ]
        if (stage, where, cause if cause == "unknown" else text) not in known:
            self.findings.append(finding)

    def _note(self, what: str, worst: Worst) -> None:
        known = self.worst.get(what)
        self.worst[what] = known.or_worse(worst.difference, worst.where) if known else worst
