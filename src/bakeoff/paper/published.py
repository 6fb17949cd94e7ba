"""The paper's own figures of its distributed half, as printed, with their conditions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """One row of the paper's Table 1. error: as printed; a percentage but for the last row."""

    dataset: str
    layout: str
    backend: str
    total_min: float
    task_min: float
    gc_ms: float
    error: str

    @property
    def times(self) -> tuple[float, float, float]:
        """Total and per core in minutes, garbage collection in milliseconds."""
        return self.total_min, self.task_min, self.gc_ms


TABLE: tuple[Printed, ...] = (
    Printed("MNIST", "5 × 4", "Theano", 50.0, 41.0, 80.0, "0.74"),
    Printed("MNIST", "5 × 4", "TensorFlow", 8.29, 6.95, 81.25, "0.75"),
    Printed("MNIST", "4 × 5", "Theano", 57.0, 40.0, 87.75, "0.70"),
    Printed("MNIST", "4 × 5", "TensorFlow", 9.31, 7.18, 83.5, "0.74"),
    Printed("Fashion-MNIST", "5 × 4", "Theano", 61.71, 27.03, 77.52, "printed as 0.091"),
)
CONDITIONS = (
    "Other machines, other versions: nodes of a real cluster, CPU, 60,000 images, 50 epochs, 4 simulations; "
    "Elephas's mode and the batch size are not stated. “Per core” is the median task time, “management” the "
    "JVM's garbage collection per task. To stand beside the figures measured here, never to be averaged "
    "with them."
)
EPOCHS, IMAGES = 50, 60_000
# In epochs: over these its figures show mean and standard deviation of the error.
WINDOWS = (50, 200)
# Up to so many, a figure of a window would show what that of each epoch does.
FEW_EPOCHS = 10
