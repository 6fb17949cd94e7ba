"""What was found, for a study file, and as a program of plain Keras that does the same without Bakeoff."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bakeoff import registry
from bakeoff.errors import BakeoffError
from bakeoff.execute import Provision
from bakeoff.launchers.local import INHERITED
from bakeoff.refine.space import Option, changed
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import LOSSES

# By backend, Keras's own name of it. Theano is not among them: what today's Python lacks, Bakeoff puts back.
_KERAS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch", "tensorflow1": "tensorflow"}
_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "rmsprop": "RMSprop", "sgd": "SGD"}
# Settings that the program has; of all others it knows the default alone, but for those that change no epoch.
_TOLD = frozenset(
    (
        *("backend", "environment", "model", "model_options", "dataset", "train_images", "epochs", "content"),
        *(
            "global_batch_size",
            "optimizer",
            "optimizer_options",
            "learning_rate",
            "loss",
            "threads",
            "device",
        ),
        *("pin_cpus", "jit", "precision", "data_layout", "keep_memory", "steps_per_execution"),
        *("equivalent_layers", "variables", "autotune_input"),
    )
)
_NO_MATTER = frozenset(
    (
        *("evaluation_images", "evaluation_split", "validation_fraction", "time_limit_s", "entry", "order"),
        *("turn_steps", "image_size", "data_scale", "distribution_options", "schedule_options", "gpu"),
    )
)
# Labels of one sigmoid have another form, and double precision other switches on each backend.
_KNOWN: Mapping[str, Collection[str]] = {
    "optimizer": _OPTIMIZERS,
    "loss": set(LOSSES) - {"binary_crossentropy"},
    "device": {"cpu"},
    "precision": {"float32", "mixed_bfloat16", "mixed_float16"},
}
_TIME_LIMIT_S = 3600.0

# A contestant's settings and what it runs with, or why it can't.
Ready = tuple[TrialSettings, Provision | BakeoffError]


@dataclass(frozen=True)
class Outside:
    """The programs, and what they took, run once each.

    files: of the contestant as it was, and tuned. seconds: of an epoch, of each; None where a run failed.
    failure: why there is no program, or how its run ended; empty where well.
    """

    files: tuple[Path, Path] | None = None
    seconds: tuple[float, float] | None = None
    failure: str = ""


def toml(settings: TrialSettings, chosen: Sequence[Option]) -> str:
    """The settings that the options change, as a study's ``[defaults]``."""
    tuned = changed(settings, *(option.changes for option in chosen))
    keys = dict.fromkeys(key for option in chosen for key in option.changes)
    return "\n".join(["[defaults]", *(f"{key} = {_value(getattr(tuned, key))}" for key in keys)])


def shown(default: Ready, tuned: Ready, place: Path) -> Outside:
    """Write both programs, and run each once.

    place: the files are named ``place-default.py`` and ``place-tuned.py``.
    """
    if reason := why_none(tuned[0]):
        return Outside(failure=reason)
    files = place.with_name(f"{place.name}-default.py"), place.with_name(f"{place.name}-tuned.py")
    seconds = []
    for file, (settings, provision) in zip(files, (default, tuned), strict=True):
        if isinstance(provision, BakeoffError):
            return Outside(failure=provision.message)
        file.write_text(program(settings, provision, file.name))
        done = _run(file, provision)
        if isinstance(done, str):
            return Outside(files, failure=f"{file.name}: {done}")
        seconds.append(done)
    return Outside(files, (seconds[0], seconds[1]))


def why_none(settings: TrialSettings) -> str:
    """Why Bakeoff writes no program of plain Keras for such a contestant; empty where it does."""
    if settings.backend not in _KERAS:
        return f"Bakeoff writes none for {settings.backend}"
    for name, known in _KNOWN.items():
        if getattr(settings, name) not in known:
            return f"{name} = {getattr(settings, name)}"
    plain = TrialSettings(settings.backend, settings.environment)
    others = {field.name for field in dataclasses.fields(settings)} - _TOLD - _NO_MATTER
    asked = [name for name in sorted(others) if getattr(settings, name) != getattr(plain, name)]
    return ", ".join(f"{name} = {getattr(settings, name)}" for name in asked)


def program(settings: TrialSettings, provision: Provision, name: str) -> str:
    """The contestant in plain Keras, under the name of its file. See `why_none`."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("bakeoff.refine"),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    model = provision.model_file or resources.files("bakeoff_worker.models") / f"{settings.model}.py"
    values: dict[str, Any] = {
        field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)
    }
    known = registry.environments().get(settings.environment)
    values |= {
        "stack": known.summary if known else f"environment {settings.environment}",
        "title": f"{Path(settings.model).stem} on {Path(settings.dataset).stem}",
        "name": name,
        "keras_backend": _KERAS[settings.backend],
        "optimizer": _OPTIMIZERS[settings.optimizer],
        "variables": {**_threads(settings), **(settings.variables or {})},
        "model": _without_future(model.read_text()),
    }
    return templates.get_template("program.py.j2").render(values)


def _without_future(source: str) -> str:
    """A model's file as it may stand in the middle of another."""
    lines = (line for line in source.splitlines() if not line.startswith("from __future__"))
    return "\n".join(lines).strip()


def _threads(settings: TrialSettings) -> Mapping[str, str]:
    """Variables that say their number, and must stand before the framework is imported."""
    if settings.threads is None:
        return {}
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    if settings.backend == "jax":
        names.append("NPROC")
    return dict.fromkeys(names, str(settings.threads))


def _run(file: Path, provision: Provision) -> float | str:
    """Seconds of an epoch, on average; or how it ended."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    command = [str(provision.environment.python), str(file), str(provision.dataset)]
    try:
        done = subprocess.run(
            command,
            env=inherited,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"still running after {_TIME_LIMIT_S:g} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    seconds = [float(line["seconds"]) for line in lines]
    return sum(seconds) / len(seconds)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {json.dumps(text)}" for name, text in value.items()) + " }"
    return json.dumps(value)
