"""A run's wall time, in parts that add up to it: one vocabulary for all backends."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bakeoff.profile.profiled import Answer
from bakeoff_worker.records import FirstCall, PhaseEnded, ProfiledEpoch


class Part(StrEnum):
    """A part of a run's wall time, in the order in which it comes."""

    INTERPRETER = "interpreter"
    IMPORTS = "imports"
    DATA = "data"
    BUILD = "build"
    COMPILING = "tracing and compiling"
    STEPS = "steady steps"
    EVALUATION = "evaluation"
    OWN = "Bakeoff's own questions"
    END = "end"
    REST = "not accounted for"


_OF_PHASE = {
    "interpreter": Part.INTERPRETER,
    "import": Part.IMPORTS,
    "data": Part.DATA,
    "build": Part.BUILD,
    "facts": Part.OWN,
    "end": Part.END,
}


@dataclass(frozen=True)
class Compiled:
    """What a batch shape's first call took beyond a steady one. call: ``training`` or ``evaluation``."""

    call: str
    num_images: int
    extra_s: float


@dataclass(frozen=True)
class Budget:
    """parts: wall seconds, which add up to `wall_s`. compiled: by batch shape, what makes up COMPILING.

    step_s: a steady step, the median over epochs. cores: busy while stepping, on average: CPU ÷ wall seconds.
    system_share: of these CPU seconds, what the kernel took. page_faults: a step's. None: unknown.
    """

    wall_s: float
    parts: Mapping[Part, float]
    compiled: tuple[Compiled, ...]
    step_s: float
    cores: float | None
    system_share: float | None
    page_faults: float | None

    @property
    def accounted(self) -> float:
        """The share of the wall time that has a name."""
        return 1 - self.parts[Part.REST] / self.wall_s


def budget(answer: Answer) -> Budget:
    """The budget that a job's records show.

    A first call does what a steady one does, and more: that much of it counts as steps or evaluation.
    """
    epochs: list[ProfiledEpoch] = answer.of(ProfiledEpoch)
    parts = dict.fromkeys(Part, 0.0)
    for phase in answer.of(PhaseEnded):
        parts[_OF_PHASE[phase.name]] += phase.wall_s
    parts[Part.STEPS] = sum(epoch.wall_s for epoch in epochs)
    parts[Part.EVALUATION] = sum(epoch.evaluation_s for epoch in epochs)
    image_s = {
        "training": statistics.median(epoch.wall_s / epoch.num_images for epoch in epochs),
        "evaluation": statistics.median(epoch.evaluation_s / epoch.num_evaluated for epoch in epochs),
    }
    compiled = []
    for first in answer.of(FirstCall):
        steady_s = min(first.wall_s, first.num_images * image_s[first.call])
        parts[Part.STEPS if first.call == "training" else Part.EVALUATION] += steady_s
        parts[Part.COMPILING] += first.wall_s - steady_s
        compiled.append(Compiled(first.call, first.num_images, first.wall_s - steady_s))
    parts[Part.REST] = answer.wall_s - sum(parts.values())
    wall_s, num_steps = sum(epoch.wall_s for epoch in epochs), sum(epoch.num_steps for epoch in epochs)
    user_s, system_s, faults = (
        _total(getattr(epoch, name) for epoch in epochs) for name in ("user_s", "system_s", "page_faults")
    )
    cpu_s = None if user_s is None or system_s is None else user_s + system_s
    return Budget(
        wall_s=answer.wall_s,
        parts=parts,
        compiled=tuple(compiled),
        step_s=statistics.median(epoch.wall_s / epoch.num_steps for epoch in epochs),
        cores=None if cpu_s is None else cpu_s / wall_s,
        system_share=system_s / cpu_s if cpu_s and system_s is not None else None,
        page_faults=None if faults is None else faults / num_steps,
    )


def _total(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
