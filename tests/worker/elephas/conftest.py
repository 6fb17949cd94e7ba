"""Real runs on a real embedded cluster, small: a few nodes of a core or two, a thousand images."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bakeoff import environments
from bakeoff.environments import Environment, creation
from bakeoff.launchers.base import Launch
from bakeoff.launchers.local import launch
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings
from bakeoff_worker.models.catalogue import MODELS, OPTIMIZERS
from bakeoff_worker.records import (
    EpochRecord,
    ExecutorRecord,
    Facts,
    Outcomes,
    PhaseEnded,
    Record,
    RunEnded,
    RunStarted,
    RunWarning,
    SamplesAccounted,
    TaskRecord,
)

HOME = {"tensorflow": "tensorflow_spark", "theano": "theano_spark", "tensorflow1": "vintage_spark"}


@dataclass(frozen=True)
class Finished:
    """All that one run reported. wall_s: from its launch until nothing was left of it."""

    records: tuple[Record, ...]
    wall_s: float

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def ended(self) -> RunEnded:
        (ended,) = self.of(RunEnded)
        return ended  # type: ignore[no-any-return]

    @property
    def epochs(self) -> list[EpochRecord]:
        return self.of(EpochRecord)

    @property
    def num_wrong(self) -> int:
        """Evaluation images that it got wrong in the end."""
        (outcomes,) = self.of(Outcomes)
        return int(np.unpackbits(np.frombuffer(base64.b64decode(outcomes.wrong), "uint8")).sum())

    @property
    def facts(self) -> Facts:
        (facts,) = self.of(Facts)
        return facts  # type: ignore[no-any-return]

    @property
    def warnings(self) -> list[str]:
        return [warning.message for warning in self.of(RunWarning)]

    @property
    def phases(self) -> dict[str, PhaseEnded]:
        return {phase.name: phase for phase in self.of(PhaseEnded)}

    @property
    def unaccounted_s(self) -> float:
        """Seconds of the run in no phase; `application` holds others."""
        phases = [one.wall_s for name, one in self.phases.items() if name != "application"]
        return self.wall_s - sum(phases)

    @property
    def training(self) -> list[TaskRecord]:
        return [task for task in self.of(TaskRecord) if task.purpose == "training"]

    @property
    def executors(self) -> list[ExecutorRecord]:
        return [one for one in self.of(ExecutorRecord) if one.executor != "driver"]

    @property
    def samples(self) -> SamplesAccounted:
        (samples,) = self.of(SamplesAccounted)
        return samples  # type: ignore[no-any-return]


Watch = Callable[[Record, int], None]


@pytest.fixture
def spread(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    dataset: Path,
    framework: Callable[[str], Environment],
) -> Iterator[Callable[..., Finished]]:
    """Runs one job on a cluster: ``spread("tensorflow", options={"layout": "2x1"}, epochs=2)``.

    Its network is dense layers alone unless told otherwise: Theano compiles those in seconds.

    watch: is given each record and the driver's process id, while the driver waits.

    One run at a time has a parameter server, also of tests side by side: Elephas knows but one port.
    """

    def finish(
        backend: str,
        *,
        home: str | None = None,
        options: Mapping[str, Any] | None = None,
        java: Path | None = None,
        parquet: Path | None = None,
        data: Path | None = None,
        variables: Mapping[str, str] | None = None,
        watch: Watch | None = None,
        model_file: Path | None = None,
        **settings: Any,
    ) -> Finished:
        name = home or HOME[backend]
        found = framework(name)
        found = replace(found, variables={**found.variables, **(variables or {})})
        chosen = {**DISTRIBUTIONS["elephas"], "layout": "2x1", "batch_size_per_task": 50, **(options or {})}
        trial = TrialSettings(
            backend=backend,
            environment=name,
            distribution="elephas",
            distribution_options=chosen,
            model_options=settings.pop("model_options", {"filters": [], "dense": [32], "dropout": 0.0}),
            optimizer_options=OPTIMIZERS["adam"],
            **settings,
        )
        assert set(trial.model_options) <= set(MODELS["study_cnn"])
        paths = RunPaths(
            dataset=str(data or dataset),
            model_file=str(model_file) if model_file else None,
            scratch=str(found.scratch),
            records=str(tmp_path / "records.jsonl"),
            parquet=str(parquet) if parquet else None,
            java=str(java or environments.java.find("3.5").home),
        )
        Path(paths.records).unlink(missing_ok=True)
        job = Job(RunSpec(trial, backend, 0, 0, 0, seed=7), paths)
        records = []
        driver = 0
        alone = nullcontext() if chosen["mode"] == "synchronous" else creation.exclusive(port, lambda: None)
        with alone:
            started = time.perf_counter()
            for record in launch(Launch(job, found, tmp_path / "log")):
                records.append(record)
                driver = getattr(record, "pid", driver) if isinstance(record, RunStarted) else driver
                if watch is not None:
                    watch(record, driver)
            return Finished(tuple(records), time.perf_counter() - started)

    shared = tmp_path_factory.getbasetemp()
    port = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "port-4000"
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield finish
    left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    assert not left, f"left over: {[one.cmdline() for one in left]}"
