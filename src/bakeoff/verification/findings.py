"""What an examination finds: differences, their place, their size and their cause."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

STAGES = (
    "architecture",
    "data",
    "initial weights",
    "forward",
    "loss",
    "gradients",
    "optimizer",
    "weights",
    "moving statistics",
    "epoch",
)
# Causes that are none of `causes`: nothing accounts for it; contestants disagree and no majority tells who is
# right; a layer draws random numbers, so that nothing that follows from it can be compared.
UNKNOWN_CAUSE, CONTESTED, RANDOM = "unknown", "contested", "random"


@dataclass(frozen=True)
class Finding:
    """One difference.

    stage: one of `STAGES`. scene: where it showed. where: the layer, weight, loss or optimizer.
    difference: relative, by norm; infinite where shapes differ.
    cause: a word of `causes`, `UNKNOWN_CAUSE`, `CONTESTED` or `RANDOM`. text: the cause in words, with its
    numbers. only_at_kinks: it shows only where the derivative doesn't exist. position: of the layer's call,
    which contestants share while their names for it differ; -1 where it concerns the whole.
    """

    stage: str
    scene: str
    where: str
    difference: float
    cause: str
    text: str
    only_at_kinks: bool = False
    position: int = -1

    @property
    def meaning(self) -> tuple[str, str, str, int]:
        """What two contestants share if they differ from the reference alike."""
        return self.stage, self.cause, self.text, self.position

    @property
    def is_explained(self) -> bool:
        """Whether what follows can be looked into: the cause was tried and accounts for the difference, or it
        is a place that contestants disagree on, and each is held to those that agree with it."""
        return self.cause not in (UNKNOWN_CAUSE, RANDOM)

    def sentence(self) -> str:
        """For people."""
        size = "" if not 0 < self.difference < float("inf") else f" ({_amount(self.difference)})"
        return f"{self.stage}, {self.where}{size}: {self.text}"


@dataclass(frozen=True)
class Worst:
    """The largest relative difference of a kind, and where it was."""

    difference: float
    where: str

    def or_worse(self, difference: float, where: str) -> Worst:
        """The worse of the two."""
        return Worst(difference, where) if difference > self.difference else self


@dataclass(frozen=True)
class Judgement:
    """One contestant held against the reference.

    reference: what it was compared with, in words. findings: in the order of the stages.
    worst: by ``forward``, ``loss``, ``gradients``, ``optimizer``, ``weights`` (after all steps) the worst
    agreement once everything found is allowed for. num_tipped: decisions within rounding of a kink that this
    contestant took the other way. not_examined: stages that a difference before them left without meaning.
    without_gradient: weights that the loss doesn't depend on, so that rounding alone moves them.
    notes: what a reader of the figures should know, one sentence each.
    """

    reference: str
    findings: tuple[Finding, ...]
    worst: Mapping[str, Worst] = field(default_factory=dict)
    num_tipped: int = 0
    not_examined: tuple[str, ...] = ()
    without_gradient: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_explained(self) -> bool:
        """Whether nothing is left that isn't accounted for."""
        return not self.not_examined and all(finding.is_explained for finding in self.findings)


def plain(value: Any) -> Any:
    """A value in JSON's types; None for a number that is none, or infinite (where shapes differ)."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _amount(relative: float) -> str:
    if relative < 1e-3:
        return f"{relative:.1e} relative"
    return f"{100 * relative:.2g} %" if relative < 10 else f"{relative:.1f} times"
