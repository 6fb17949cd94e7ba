"""The table of measured quantities: where each comes from, how it is written, where it is shown.

The store's reader, races, tables and figures are made from it, so that a quantity more is one entry more. The
only place where units convert.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

NO_VALUE = "–"


@dataclass(frozen=True)
class OfEpochs:
    """Over a run's epochs, of the quantity's own column. ``sum`` is null unless every epoch has a value."""

    how: Literal["sum", "max"]


@dataclass(frozen=True)
class OfPhase:
    """Wall seconds of a phase."""

    phase: str


@dataclass(frozen=True)
class OfRecord:
    """A field of a run's last record of a kind."""

    kind: str
    field: str


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    name: column of the store's frames. label: for headings. unit: as shown, not as stored.
    factor: shown value = stored value x factor. lower_is_better: None where neither is.
    max_decimals: digits after the point, at most. ratio: each value by its own size, since they may
    span powers of ten. bounds: between what it lies, as stored: no interval goes beyond.
    source: where the reader takes a run's value from; None where it is no column of `runs`, or made from
    others. compared: what it is called beside a verdict, where its ratio of two contestants is given; empty
    where it is not. parts: columns of `runs` that it is the sum of, if not its own. includes_compilation: so
    that cold and warm compile caches never share a mean. in_summary: whether the table of results has it.
    in_figure: whether the figure of execution times has it.
    """

    name: str
    label: str
    unit: str
    factor: float = 1.0
    lower_is_better: bool | None = True
    max_decimals: int = 3
    ratio: bool = False
    bounds: tuple[float, float] = (0.0, math.inf)
    source: OfEpochs | OfPhase | OfRecord | None = None
    compared: str = ""
    parts: tuple[str, ...] = ()
    includes_compilation: bool = False
    in_summary: bool = False
    in_figure: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `runs` that it is the sum of."""
        return self.parts or (self.name,)

    @property
    def heading(self) -> str:
        """Label with unit: ``Training time (s)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def in_minutes(self) -> Metric:
        """A metric of seconds, in minutes."""
        return replace(self, unit="min", factor=self.factor / 60)

    def shown(self, value: float) -> float:
        """A stored value in the shown unit."""
        return value * self.factor

    def text(self, value: float | None) -> str:
        """One stored value as a number in the shown unit, without the unit; a dash for None and NaN."""
        return self.texts([value])[0]

    def texts(self, values: Iterable[float | None]) -> list[str]:
        """Stored values as numbers with the same number of decimals, so that a column lines up."""
        shown = [None if value is None else self.shown(value) for value in values]
        if self.ratio:
            return [
                _fixed(value, 2) if value and 1 <= value < 100 else _significant(value) for value in shown
            ]
        finite = [abs(value) for value in shown if value is not None and math.isfinite(value)]
        decimals = _decimals(max(finite, default=0.0), self.max_decimals)
        return [_fixed(value, decimals) for value in shown]

    def squares(self, values: Iterable[float | None]) -> list[str]:
        """Stored variances as numbers in the square of the shown unit: three significant digits each."""
        return [_significant(None if value is None else value * self.factor**2) for value in values]


def _decimals(largest: float, at_most: int) -> int:
    """Digits after the point that show four significant digits of the largest value."""
    if largest == 0:
        return min(at_most, 2)
    return max(0, min(at_most, 3 - math.floor(math.log10(largest))))


def _fixed(value: float | None, decimals: int) -> str:
    if value is None or math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{decimals}f}".replace(",", "\u202f")  # narrow no-break space: thousands as in SI
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.replace("-", "")


def _significant(value: float | None) -> str:
    """Three significant digits; powers of ten where zeros would drown them."""
    if value is None or not math.isfinite(value):
        return _fixed(value, 0)
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return _fixed(value, max(0, 2 - math.floor(math.log10(abs(value)))))
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _share(name: str, label: str, max_decimals: int, *, lower_is_better: bool | None = True) -> Metric:
    """A fraction of a whole, shown in percent."""
    return Metric(name, label, "%", 100, lower_is_better, max_decimals, bounds=(0.0, 1.0))


_MIB, _SUM, _MAX = 1 / 2**20, OfEpochs("sum"), OfEpochs("max")
_ALL = (
    Metric("epoch_s", "Time per epoch", "s", compared="time per epoch after the warm-up"),
    Metric("train_s", "Training time", "s", source=_SUM, in_summary=True, in_figure=True),
    Metric("wall_s", "Wall time", "s", includes_compilation=True, in_summary=True, in_figure=True),
    Metric("evaluation_s", "Evaluation time", "s", source=_SUM, in_summary=True),
    Metric(
        "first_step_s",
        "First step",
        "s",
        source=OfPhase("first_step"),
        compared="first step, compilation included",
        includes_compilation=True,
        in_summary=True,
    ),
    Metric("user_s", "User CPU time", "s", source=_SUM, in_summary=True, in_figure=True),
    Metric("system_s", "System CPU time", "s", source=_SUM, in_summary=True, in_figure=True),
    Metric("device_s", "GPU time", "s", source=_SUM, in_summary=True, in_figure=True),
    Metric(
        "throughput_images_per_s",
        "Throughput",
        "images/s",
        lower_is_better=False,
        max_decimals=1,
        compared="throughput",
        in_summary=True,
    ),
    replace(_share("final_validation_error", "Final validation error", 2), in_summary=True),
    Metric("peak_memory_bytes", "Peak memory", "MiB", _MIB, max_decimals=0, source=_MAX, in_summary=True),
    Metric(
        "device_peak_memory_bytes",
        "Peak GPU memory",
        "MiB",
        _MIB,
        max_decimals=0,
        source=_MAX,
        in_summary=True,
    ),
    Metric(
        "total_s",  # of a cluster's runs a column of its own, since the launch
        "Total since launch",
        "s",
        compared="total time, start-up and evaluation included",
        parts=("wall_s",),
        includes_compilation=True,
    ),
    Metric("cpu_s", "CPU time", "s", compared="CPU time", parts=("user_s", "system_s")),
    Metric(
        "energy_j",
        "Energy of the processors",
        "J",
        source=OfRecord("energy", "packages_j"),
        compared="energy of the processors while training",
        in_summary=True,
        in_figure=True,
    ),
    Metric(
        "device_energy_j",
        "Energy of the GPU",
        "J",
        source=OfRecord("energy", "device_j"),
        compared="energy of the GPU while training",
        in_summary=True,
        in_figure=True,
    ),
    _share("validation_error", "Validation error", 2),
    Metric("validation_loss", "Validation loss", "", max_decimals=4),
    Metric("train_loss", "Training loss", "", max_decimals=4),
    # Of runs on a cluster.
    Metric("median_task_s", "Median task", "s"),
    Metric("task_s", "Task time", "s"),
    Metric("gc_s", "Garbage collection per task", "ms", factor=1000, max_decimals=1),
    Metric("core_s", "Core time", "core-s"),
    _share("share", "Share", 1, lower_is_better=None),
    Metric("bytes", "Size", "MiB", _MIB, max_decimals=1),
    _share("train_accuracy", "Training accuracy", 2, lower_is_better=False),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}

# A difference of two error rates: percentage points.
ERROR_DIFFERENCE = Metric(
    "error_difference", "Error difference", "pp", factor=100, max_decimals=2, bounds=(-1.0, 1.0)
)
# The first's time over the second's: no unit.
RATIO = Metric("ratio", "Ratio of times", "", lower_is_better=None, ratio=True)
