"""Everything that runs need, made ready or found wanting before the first of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bakeoff import datasets, environments, machine
from bakeoff.datasets import Prepared
from bakeoff.environments import Environment
from bakeoff.environments.java import Java
from bakeoff.errors import BakeoffError, DatasetError, EnvironmentFailure, MachineError
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision
from bakeoff.study import DATASETS, Study
from bakeoff_worker import backends
from bakeoff_worker.models.catalogue import MODELS
from bakeoff_worker.records import RunSpec, TrialSettings


def prepare(
    study: Study,
    specs: Sequence[RunSpec],
    *,
    data_directory: Path | None = None,
    listener: Listener = ignore,
) -> Mapping[str, Provision | BakeoffError]:
    """By trial_id, what its runs need, or why they can't run. Creates environments and fetches data.

    listener: is told what takes time or went wrong, and of each step of fetching data.

    Raises:
        MachineError: a GPU is asked for on a machine without one.
    """
    settings = {spec.trial_id: spec.settings for spec in specs}
    check_devices(settings.values())
    environment_of: dict[tuple[str, str | None], Environment | BakeoffError] = {}
    for name, backend in dict.fromkeys(map(place, settings.values())):
        try:
            environment_of[name, backend] = environments.ensure(
                name, request=study.environments.get(name), backend=backend, listener=listener
            )
        except EnvironmentFailure as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            environment_of[name, backend] = failure
    data_of: dict[_DataKey, Prepared | BakeoffError] = {}
    for key in dict.fromkeys(_data_key(one) for one in settings.values()):
        # No room for the set itself stops everything; no room for copies of it, what needs them.
        failures = (DatasetError,) if key.scale == 1 else (DatasetError, MachineError)
        try:
            ready = data_of[key] = datasets.ensure(
                key.name,
                image_size=key.image_size,
                scale=key.scale,
                directory=data_directory,
                listener=listener,
            )
            for note in ready.notes:
                tell(listener, f"{key.name}: {note}")
        except failures as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            data_of[key] = failure
    parquet_of: dict[_DataKey, Path | BakeoffError] = {}
    for key in dict.fromkeys(_data_key(one) for one in settings.values() if _reads_parquet(one)):
        prepared = data_of[key]
        if isinstance(prepared, BakeoffError):
            continue
        try:
            parquet_of[key] = datasets.parquet_files(prepared, listener=listener)
        except (DatasetError, MachineError) as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            parquet_of[key] = failure
    java_of: dict[str, Java | BakeoffError] = {}
    for name in dict.fromkeys(one.environment for one in settings.values() if one.distribution != "single"):
        try:
            java_of[name] = environments.java.find(_spark(name), listener)
        except EnvironmentFailure as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            java_of[name] = failure
    return {
        trial_id: _provision(
            one,
            environment_of[place(one)],
            data_of[_data_key(one)],
            parquet_of.get(_data_key(one)) if _reads_parquet(one) else None,
            java_of[one.environment] if one.distribution != "single" else None,
        )
        for trial_id, one in settings.items()
    }


def place(settings: TrialSettings) -> tuple[str, str | None]:
    """Where a trial runs, and the backend that the environment has to serve; a file may run in any."""
    return settings.environment, None if settings.contestant else settings.backend


def _spark(environment: str) -> str:
    """What tells which Spark an environment has; of those that a study brings nothing is known."""
    return environment if environment in environments.catalogue() else "3.5"


class _DataKey(NamedTuple):
    """What makes prepared data differ."""

    name: str
    image_size: int | None
    scale: int


def _data_key(settings: TrialSettings) -> _DataKey:
    return _DataKey(settings.dataset, settings.image_size, settings.data_scale)


def _reads_parquet(settings: TrialSettings) -> bool:
    """Whether a cluster's executors read the training images from Parquet files."""
    return (
        settings.distribution == "elephas" and settings.distribution_options.get("data_source") == "parquet"
    )


def _provision(
    settings: TrialSettings,
    environment: Environment | BakeoffError,
    data: Prepared | BakeoffError,
    parquet: Path | BakeoffError | None,
    java: Java | BakeoffError | None,
) -> Provision | BakeoffError:
    """What a trial runs on; the environment's failure goes before Java's, and that before the data's."""
    if isinstance(environment, BakeoffError):
        return environment
    if isinstance(java, BakeoffError):
        return java
    if isinstance(data, BakeoffError):
        return data
    if isinstance(parquet, BakeoffError):
        return parquet
    factors = settings.class_weights
    if isinstance(factors, list) and len(factors) != data.num_classes:
        return DatasetError(
            f"class_weights has {len(factors)} numbers, but {data.name} has {data.num_classes} classes",
            'Give one for each class, or write class_weights = "balanced".',
        )
    model_file = None if settings.model in MODELS else Path(settings.model)
    content = data_content(settings, data)
    return Provision(environment, data.path, model_file, parquet, java, content)


def data_content(settings: TrialSettings, data: Prepared) -> Mapping[str, str]:
    """What a trial's data are, as `TrialSettings.content` has it; nothing where their name says it all."""
    content = {}
    if settings.dataset not in DATASETS or settings.image_size is not None:
        content["dataset"] = f"arrays:{data.base_digest}"
    if settings.data_scale > 1:
        content["scaled"] = f"arrays:{data.digest}"
    return content


def obstacles(study: Study, specs: Iterable[RunSpec]) -> Mapping[str, BakeoffError]:
    """By trial_id, why its runs can't run here, as far as shows without making anything. None: not in it.

    What only a try tells (a download, the framework's own refusal) is not looked for.
    """
    trials = {spec.trial_id: spec.settings for spec in specs}
    places = dict.fromkeys((*place(one), one.distribution) for one in trials.values())
    checks = {one: partial(_check_place, study, *one) for one in places}
    of_place = {one: obstacle for one, check in checks.items() if (obstacle := _raised(check))}
    found: dict[str, BakeoffError] = {}
    for trial_id, one in trials.items():
        obstacle = (
            of_place.get((*place(one), one.distribution))
            or _raised(partial(check_devices, [one]))
            or _raised(partial(_check_accepted, one))
        )
        if obstacle:
            found[trial_id] = obstacle
    return found


def _raised(check: Callable[[], None]) -> BakeoffError | None:
    try:
        check()
    except BakeoffError as obstacle:
        return obstacle
    return None


def _check_place(study: Study, environment: str, backend: str | None, distribution: str) -> None:
    environments.check(environment, request=study.environments.get(environment), backend=backend)
    if distribution != "single":
        environments.java.check(_spark(environment))


def _check_accepted(settings: TrialSettings) -> None:
    if reason := backends.skip_reason(settings):
        raise EnvironmentFailure(f"{settings.backend} would be skipped: {reason}", "Leave it out.")


def check_devices(settings: Iterable[TrialSettings]) -> None:
    """Raise before anything runs where a trial asks for a GPU and this machine shows none."""
    if any(one.device == "gpu" for one in settings) and not machine.identity().get("gpus"):
        raise MachineError(
            "the study asks for device gpu, but this machine shows no GPU (nvidia-smi lists none)",
            "Run with --set device=cpu, or on a machine whose driver works: `bakeoff doctor` tells.",
        )
