"""What a user of a backend can set: one entry a knob, as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from bakeoff import registry
from bakeoff_worker.job import TrialSettings

Changes = Mapping[str, Any]

_KERAS_3 = ("tensorflow", "jax", "torch")
_KERAS = (*_KERAS_3, "theano", "tensorflow1")
# How the values of a variable that takes several flags are joined.
_JOINED_BY = {"XLA_FLAGS": " ", "THEANO_FLAGS": ","}


@dataclass(frozen=True)
class Machine:
    """As far as it decides what is worth trying.

    num_cpus: that this process may use. has_bfloat16: whether they multiply bfloat16.
    """

    num_cpus: int
    has_bfloat16: bool = False


class Effect(Enum):
    """Whether a change was seen to do anything, whatever it did to the time. UNKNOWN: nothing tells."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Knob:
    """One thing to set.

    values: the changes of a trial's settings that are worth trying. backends: that have the knob; empty: all.
    seen: keys of what a run observed, of which one changes where a change takes effect; empty: none tells.
    """

    name: str
    values: Callable[[TrialSettings, Machine], Sequence[Changes]]
    backends: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """One change by one knob: what a search tries alone, and combines."""

    knob: Knob
    changes: Changes

    @property
    def name(self) -> str:
        """For people, and in the store."""
        return ", ".join(f"{key} = {_text(value)}" for key, value in self.changes.items())

    def effect(self, default: Mapping[str, Any], changed: Mapping[str, Any]) -> Effect:
        """Whether it took effect, by what a run of the default observed and one of the changed trial."""
        known = [key for key in self.knob.seen if key in default or key in changed]
        if not known:
            return Effect.UNKNOWN
        return Effect.YES if any(default.get(key) != changed.get(key) for key in known) else Effect.NO


def options(
    settings: TrialSettings, machine: Machine, knobs: Sequence[Knob] | None = None
) -> tuple[Option, ...]:
    """All single changes of a trial that are worth trying on this machine, the most promising first."""
    return tuple(
        Option(knob, changes)
        for knob in (KNOBS if knobs is None else knobs)
        if not knob.backends or settings.backend in knob.backends
        for changes in knob.values(settings, machine)
        if changed(settings, changes) != settings
    )


def fit_together(chosen: Sequence[Option]) -> bool:
    """Whether no two of them set the same thing."""
    taken = [
        (key, name)
        for option in chosen
        for key, value in option.changes.items()
        for name in (value.keys() - _JOINED_BY.keys() if key == "variables" else [""])
    ]
    knobs = [option.knob.name for option in chosen]
    return len(taken) == len(set(taken)) and len(knobs) == len(set(knobs))


def changed(settings: TrialSettings, *changes: Changes) -> TrialSettings:
    """The settings with all changes; environment variables that take several flags get them all."""
    for change in changes:
        values = dict(change)
        if "variables" in values:
            values["variables"] = _joined(settings.variables or {}, values["variables"])
        settings = replace(settings, **values)
    return settings


def _joined(before: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    found = dict(before)
    for name, text in more.items():
        parts = [found[name], text] if name in _JOINED_BY and name in found else [text]
        found[name] = _JOINED_BY.get(name, "").join(parts)
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={text}" for name, text in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ---- the knobs --------------------------------------------------------------------------------------


def _always(*changes: Changes) -> Callable[[TrialSettings, Machine], Sequence[Changes]]:
    return lambda settings, machine: changes


def _flags(variable: str, *flags: str) -> Callable[[TrialSettings, Machine], Sequence[Changes]]:
    return _always(*({"variables": {variable: flag}} for flag in flags))


def _threads(settings: TrialSettings, machine: Machine) -> list[Changes]:
    counts = sorted({1, max(1, machine.num_cpus // 2), machine.num_cpus})
    return [{"threads": number} for number in counts]


def _pinned(settings: TrialSettings, machine: Machine) -> list[Changes]:
    """Fewer threads than CPUs: to bind a process to all CPUs that it has binds nothing."""
    counts = sorted({1, max(1, machine.num_cpus // 2)} - {machine.num_cpus})
    return [{"threads": number, "pin_cpus": True} for number in counts]


def _larger_batches(settings: TrialSettings, machine: Machine) -> Iterator[Changes]:
    """Twice and four times, as far as there are so many images.

    The learning rate goes with the batch for plain gradient descent (Goyal et al. 2017, arXiv:1706.02677),
    with its root for adaptive optimizers (Malladi et al. 2022, arXiv:2205.10287).
    """
    if settings.optimizer == "own":
        return
    for factor in (2, 4):
        size = factor * settings.global_batch_size
        if settings.train_images is None or size <= settings.train_images:
            rule = factor if settings.optimizer == "sgd" else math.sqrt(factor)
            yield {"global_batch_size": size, "learning_rate": settings.learning_rate * rule}


def _releases(settings: TrialSettings, machine: Machine) -> list[Changes]:
    """The other environments that Bakeoff makes for this backend: other releases of its framework."""
    known = registry.environments_of(settings.backend, has_spark=False, device=settings.device)
    return [{"environment": name} for name in known] if settings.environment in known else []


def _bfloat16(settings: TrialSettings, machine: Machine) -> list[Changes]:
    """Where it is computed by the processor: emulated, it takes longer than float32."""
    has_it = machine.has_bfloat16 or settings.device == "gpu"
    return [{"precision": "mixed_bfloat16"}] if has_it else []


KNOBS: tuple[Knob, ...] = (
    Knob("equivalent layers", _always({"equivalent_layers": True}), _KERAS, seen=("equivalent_layers",)),
    Knob("memory", _always({"keep_memory": True}), seen=("keep_memory",)),
    Knob(
        "compilation",
        lambda settings, machine: (
            [{"jit": not settings.jit}] if settings.backend != "jax" else [{"jit": True}]
        ),
        _KERAS_3,
        seen=("jit", "execution"),
    ),
    Knob("threads", _threads, seen=("threads", "blas_threads")),
    Knob("pinning", _pinned, seen=("cpus",)),
    Knob(
        "layout",
        _always({"data_layout": "channels_first"}),
        ("jax", "torch", "theano"),
        seen=("data_layout",),
    ),
    Knob(
        "steps a call",
        _always({"steps_per_execution": 8}, {"steps_per_execution": 64}),
        ("tensorflow", "jax"),
        seen=("steps_per_execution",),
    ),
    Knob("input pipeline", _always({"autotune_input": False}), ("tensorflow",), seen=("autotune_input",)),
    Knob("batch", lambda settings, machine: list(_larger_batches(settings, machine))),
    Knob("precision", _bfloat16, _KERAS_3, seen=("precision",)),
    Knob(
        "oneDNN in XLA",
        _flags("XLA_FLAGS", "--xla_cpu_experimental_onednn_custom_call=true"),
        ("jax",),
        seen=("custom_calls",),
    ),
    Knob("fast mathematics", _flags("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"), ("jax",)),
    Knob("oneDNN", _flags("TF_ENABLE_ONEDNN_OPTS", "0"), ("tensorflow",)),
    Knob("waiting threads", _flags("OMP_WAIT_POLICY", "active"), ("torch", "theano")),
    Knob("bound threads", _flags("OMP_PROC_BIND", "true"), ("torch", "theano")),
    Knob("OpenMP", _flags("THEANO_FLAGS", "openmp=False"), ("theano",), seen=("theano",)),
    Knob(
        "compiler",
        _flags("THEANO_FLAGS", "gcc.cxxflags=-O3 -march=native -ffast-math"),
        ("theano",),
        seen=("theano",),
    ),
    Knob("release", _releases, seen=("versions",)),
)
