"""What each measured quantity is called, and how it is written: the only place where units convert."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

NO_VALUE = "–"


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    name: column of the store's frames. label: for headings. unit: as shown, not as stored.
    factor: shown value = stored value x factor. lower_is_better: None where neither is.
    max_decimals: digits after the point, at most. ratio: each value by its own size, since they may
    span powers of ten. bounds: between what it lies, as stored: no interval goes beyond.
    """

    name: str
    label: str
    unit: str
    factor: float = 1.0
    lower_is_better: bool | None = True
    max_decimals: int = 3
    ratio: bool = False
    bounds: tuple[float, float] = (0.0, math.inf)

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


_ALL = (
    Metric("train_s", "Training time", "s"),
    Metric("wall_s", "Wall time", "s"),
    Metric("evaluation_s", "Evaluation time", "s"),
    Metric("first_step_s", "First step", "s"),
    Metric("user_s", "User CPU time", "s"),
    Metric("system_s", "System CPU time", "s"),
    Metric("device_s", "GPU time", "s"),
    Metric("throughput_images_per_s", "Throughput", "images/s", lower_is_better=False, max_decimals=1),
    Metric("peak_memory_bytes", "Peak memory", "MiB", factor=1 / 2**20, max_decimals=0),
    Metric("device_peak_memory_bytes", "Peak GPU memory", "MiB", factor=1 / 2**20, max_decimals=0),
    _share("final_validation_error", "Final validation error", 2),
    _share("validation_error", "Validation error", 2),
    Metric("validation_loss", "Validation loss", "", max_decimals=4),
    Metric("train_loss", "Training loss", "", max_decimals=4),
    # Of runs on a cluster.
    Metric("total_s", "Total since launch", "s"),
    Metric("median_task_s", "Median task", "s"),
    Metric("task_s", "Task time", "s"),
    Metric("gc_s", "Garbage collection per task", "ms", factor=1000, max_decimals=1),
    Metric("core_s", "Core time", "core-s"),
    Metric("cpu_s", "CPU time", "s"),
    _share("share", "Share", 1, lower_is_better=None),
    Metric("bytes", "Size", "MiB", factor=1 / 2**20, max_decimals=1),
    _share("train_accuracy", "Training accuracy", 2, lower_is_better=False),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}

# A difference of two error rates: percentage points.
ERROR_DIFFERENCE = Metric(
    "error_difference", "Error difference", "pp", factor=100, max_decimals=2, bounds=(-1.0, 1.0)
)
# The first's time over the second's: no unit.
RATIO = Metric("ratio", "Ratio of times", "", lower_is_better=None, ratio=True)
