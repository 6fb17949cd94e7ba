"""A backend with invented times and errors, for tests and demonstrations: nothing is trained.

`model_options` steer it: ``epoch_s`` (how long an epoch sleeps), ``error`` (final error), ``best_epoch``
(after which its validation loss falls no more), and ``fault`` with ``fault_epoch``: ``raise``, ``nan``,
``exit``, ``segfault``, ``hang``, ``garbage``, ``memory``, ``gpu_memory``, ``skip``; ``outcomes`` has it fail
when it is asked which images it got wrong.
"""

import ctypes
import os
import time
from typing import Any, Mapping, Optional, Tuple

import numpy as np

from bakeoff_worker import weights
from bakeoff_worker.backends.base import BackendBase


class Backend(BackendBase):
    """Sleeps for the time asked; its error falls as 1 / epoch."""

    def skip_reason(self) -> Optional[str]:
        """Declines when told to."""
        return "told to skip" if self._option("fault", None) == "skip" else None

    def start(self) -> None:
        """Nothing to import."""

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """One weight, drawn as everybody's are; a model of the user's is called, and its result ignored."""
        if self.paths.model_file:
            build_model(input_shape, num_classes)
        self.epoch, self.seed = 0, seed
        self.weight: Any = weights.draw("GlorotUniform", {}, (input_shape[0], num_classes), seed, 0)

    def first_step(self, x: Any, y: Any) -> None:
        """Instant."""

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """Sleep, or fail as told."""
        self.epoch += 1
        time.sleep(self._option("epoch_s", 0.0))
        if self.epoch == self._option("fault_epoch", 1):
            self._fail(self._option("fault", None))
        loss = float("nan") if self._option("fault", None) == "nan" else 1.0 / self.epoch
        return loss, 1 - self._error()

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """The error that this epoch has."""
        return 1.1 / max(1, min(self.epoch, self._option("best_epoch", self.epoch))), 1 - self._error()

    def wrong(self, x: Any, y: Any) -> Any:
        """As many as the error says; some images are hard in every repeat, for every contestant."""
        if self._option("fault", None) == "outcomes":
            raise RuntimeError("told to raise")
        difficulty = sum(np.random.RandomState(seed).normal(size=len(x)) for seed in (0, self.seed))
        wrong = np.zeros(len(x), dtype=bool)
        wrong[np.argsort(difficulty)[: int(round(self._error() * len(x)))]] = True
        return wrong

    def observed(self) -> Mapping[str, Any]:
        """The digest that every backend reports."""
        return {"initial_weights_sha256": weights.sha256([self.weight]), "num_parameters": self.weight.size}

    def _error(self) -> float:
        return float(self._option("error", 0.1)) + 0.4 / max(1, self.epoch)

    def _option(self, name: str, default: Any) -> Any:
        return self.settings.model_options.get(name, default)

    def _fail(self, fault: Optional[str]) -> None:
        if fault == "raise":
            raise RuntimeError("told to raise")
        if fault == "memory":
            raise MemoryError("told to run out of memory")
        if fault == "gpu_memory":
            raise RuntimeError("RESOURCE_EXHAUSTED: told to run out of the GPU's memory")
        if fault == "exit":
            os._exit(3)
        if fault == "segfault":
            ctypes.string_at(0)
        if fault == "hang":
            time.sleep(3600)
        if fault == "garbage":
            with open(self.paths.records, "a") as records:
                records.write("this is no record\n")
