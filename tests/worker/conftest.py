"""Jobs run through the real launcher, in our own interpreter (`fake`) or in a contestant's environment."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bakeoff_worker
from bakeoff.environments import Environment
from bakeoff.launchers.base import Launch
from bakeoff.launchers.local import launch
from bakeoff_worker.job import Job, RunPaths, RunSpec, TrialSettings
from bakeoff_worker.records import EpochRecord, Facts, Outcomes, PhaseEnded, Record, RunEnded, RunWarning

WORKER_ROOT = Path(bakeoff_worker.__file__).parents[1]
HOME = {
    "tensorflow": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "theano": "theano",
    "tensorflow1": "vintage",
}


@dataclass(frozen=True)
class Finished:
    """All that one run reported."""

    records: tuple[Record, ...]

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
    def outcomes(self) -> Outcomes:
        (outcomes,) = self.of(Outcomes)
        return outcomes  # type: ignore[no-any-return]

    @property
    def wrong(self) -> Any:
        """Whether each evaluation image was got wrong, (num_images,)."""
        packed = np.frombuffer(base64.b64decode(self.outcomes.wrong), "uint8")
        return np.unpackbits(packed)[: self.outcomes.num_images].astype(bool)

    @property
    def facts(self) -> Facts:
        (facts,) = self.of(Facts)
        return facts  # type: ignore[no-any-return]

    @property
    def warnings(self) -> list[RunWarning]:
        return self.of(RunWarning)

    @property
    def phases(self) -> dict[str, PhaseEnded]:
        return {phase.name: phase for phase in self.of(PhaseEnded)}


Run = Callable[..., Finished]


@pytest.fixture(scope="session")
def environment(
    framework: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Environment]:
    """The environment of that name; our own interpreter for `fake`."""

    def of(name: str) -> Environment:
        if name == "fake":
            return Environment(name, Path(sys.executable), {}, "", "own", tmp_path_factory.mktemp("scratch"))
        return framework(name)

    return of


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 + 300 noisy images, 28 x 28 x 1, of ten classes that a few epochs tell apart."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.RandomState(0)
    for name, count in (("train", 1000), ("test", 300)):
        y = rng.randint(0, 10, count)
        x = rng.randint(0, 100, (count, 28, 28, 1))
        for index, label in enumerate(y):
            x[index, 2 * label : 2 * label + 8, 4:24] += 120
        np.save(folder / f"x_{name}.npy", x.astype("uint8"))
        np.save(folder / f"y_{name}.npy", y.astype("uint8"))
    (folder / "about.json").write_text(json.dumps({"num_classes": 10}))
    return folder


@pytest.fixture(scope="session")
def compute(
    environment: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """Arrays by ``case/name`` that one contestant computes for the cases given; see ``compute.py``.

    flags: more of ``THEANO_FLAGS``.
    """

    def arrays(backend: str, home: str, cases: Mapping[str, Any], flags: str = "") -> dict[str, Any]:
        found, folder = environment(home), tmp_path_factory.mktemp("compute")
        job, output = folder / "job.json", folder / "output.npz"
        job.write_text(json.dumps({"backend": backend, "scratch": str(found.scratch), "cases": cases}))
        command = [found.python, Path(__file__).with_name("compute.py"), WORKER_ROOT, job, output]
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **found.variables}
        if flags:
            variables["THEANO_FLAGS"] = f"{variables.get('THEANO_FLAGS', '')},{flags}"
        child = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=folder)
        assert child.returncode == 0, child.stderr[-3000:]
        with np.load(output) as file:
            return dict(file)

    return arrays


@pytest.fixture(scope="session")
def run(
    dataset: Path, environment: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Runs one job to its end: ``run("jax", epochs=1)``; settings by name."""

    def finish(
        backend: str,
        *,
        home: str | None = None,
        model_file: Path | None = None,
        scratch_folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        profile: str | None = None,
        **settings: Any,
    ) -> Finished:
        name = home or HOME.get(backend, "fake")
        found = environment(name)
        found = replace(found, variables={**found.variables, **(variables or {})})
        settings.setdefault("epochs", 1)
        trial = TrialSettings(backend=backend, environment=name, **settings)
        folder = tmp_path_factory.mktemp("run")
        paths = RunPaths(
            dataset=str(dataset),
            model_file=str(model_file) if model_file else None,
            scratch=str(scratch_folder or found.scratch),
            records=str(folder / "records.jsonl"),
            profile=profile,
        )
        job = Job(RunSpec(trial, backend, 0, 0, 0, seed=7), paths)
        return Finished(tuple(launch(Launch(job, found, folder / "log"))))

    return finish
