"""Everything that runs need, made ready or found wanting before the first of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bakeoff import cards, datasets, environments
from bakeoff.datasets import Prepared
from bakeoff.environments import Consent, Download, Environment
from bakeoff.environments.java import Java
from bakeoff.errors import BakeoffError, DatasetError, EnvironmentFailure, MachineError
from bakeoff.events import Listener, ignore, tell
from bakeoff.execute import Provision
from bakeoff.study import DATASETS, Study
from bakeoff_worker import backends
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.models.catalogue import MODELS


def prepare(
    study: Study,
    specs: Sequence[RunSpec],
    *,
    data_directory: Path | None = None,
    listener: Listener = ignore,
    consent: Consent = environments.unasked,
) -> Mapping[str, Provision | BakeoffError]:
    """By trial_id, what its runs need, or why they can't run. Creates environments and fetches data.

    listener: is told what takes time or went wrong, and of each step of fetching data. consent: is asked
    once, before CUDA is downloaded.

    Raises:
        MachineError: a GPU is asked for on a machine without one.
        EnvironmentFailure: CUDA would be downloaded, and there is no room for it, or no consent.
    """
    settings = {spec.trial_id: spec.settings for spec in specs}
    check_devices(settings.values())
    environment_of: dict[_Place, Environment | BakeoffError] = {}
    places = dict.fromkeys(map(_place, settings.values()))
    unfit = {place: _raised(partial(_check_device, study, place)) for place in places}
    environments.ask([one.environment for one in places if not unfit[one]], study.environments, consent)
    for place in places:
        try:
            if obstacle := unfit[place]:
                raise obstacle
            environment_of[place] = environments.ensure(
                place.environment,
                request=study.environments.get(place.environment),
                backend=place.backend,
                listener=listener,
                consent=environments.agreed,
            )
        except EnvironmentFailure as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            environment_of[place] = failure
    data_of: dict[_DataKey, Prepared | BakeoffError] = {}
    for key in dict.fromkeys(_data_key(setting) for setting in settings.values()):
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
    for key in dict.fromkeys(_data_key(setting) for setting in settings.values() if _reads_parquet(setting)):
        prepared = data_of[key]
        if isinstance(prepared, BakeoffError):
            continue
        try:
            parquet_of[key] = datasets.parquet_files(prepared, listener=listener)
        except (DatasetError, MachineError) as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            parquet_of[key] = failure
    java_of: dict[str, Java | BakeoffError] = {}
    for name in dict.fromkeys(
        setting.environment for setting in settings.values() if setting.distribution != "single"
    ):
        try:
            java_of[name] = environments.java.find(_spark(name), listener)
        except EnvironmentFailure as failure:
            tell(listener, f"{failure.message}\n{failure.hint}")
            java_of[name] = failure
    return {
        trial_id: _provision(
            one,
            environment_of[_place(one)],
            data_of[_data_key(one)],
            parquet_of.get(_data_key(one)) if _reads_parquet(one) else None,
            java_of[one.environment] if one.distribution != "single" else None,
        )
        for trial_id, one in settings.items()
    }


def served(settings: TrialSettings) -> str | None:
    """The backend that a trial's environment has to serve; None: a file of the user's may run in any."""
    return None if settings.contestant else settings.backend


def _spark(environment: str) -> str:
    """What tells which Spark an environment has; of those that a study brings nothing is known."""
    return environment if environment in environments.catalogue() else "3.5"


class _Place(NamedTuple):
    """Where runs are: what makes environments differ, and what may be in their way."""

    environment: str
    backend: str | None
    distribution: str
    device: str
    gpu: int


def _place(settings: TrialSettings) -> _Place:
    return _Place(
        settings.environment, served(settings), settings.distribution, settings.device, settings.gpu
    )


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
    checks = {place: partial(_check_place, study, place) for place in map(_place, trials.values())}
    of_place = {place: obstacle for place, check in checks.items() if (obstacle := _raised(check))}
    found: dict[str, BakeoffError] = {}
    for trial_id, settings in trials.items():
        obstacle = (
            _raised(partial(_check_accepted, settings))
            or _raised(partial(check_devices, [settings]))
            or of_place.get(_place(settings))
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


def download(study: Study, specs: Iterable[RunSpec]) -> Download | None:
    """What these runs would download first, of builds with CUDA that fit this machine; None: nothing."""
    places = dict.fromkeys(_place(spec.settings) for spec in specs)
    fit = [place.environment for place in places if not _raised(partial(_check_device, study, place))]
    return environments.download(fit, study.environments)


def _check_place(study: Study, place: _Place) -> None:
    request = study.environments.get(place.environment)
    environments.check(place.environment, request=request, backend=place.backend)
    _check_device(study, place)
    if place.distribution != "single":
        environments.java.check(_spark(place.environment))


def _check_device(study: Study, place: _Place) -> None:
    request = study.environments.get(place.environment)
    environments.check_device(
        place.environment, request=request, backend=place.backend, device=place.device, gpu=place.gpu
    )


def _check_accepted(settings: TrialSettings) -> None:
    if reason := backends.skip_reason(settings):
        raise EnvironmentFailure(f"{settings.backend} would be skipped: {reason}", "Leave it out.")


def check_devices(settings: Iterable[TrialSettings]) -> None:
    """Raise before anything runs where a trial asks for a GPU that programs can't use here."""
    asked = [setting.gpu for setting in settings if setting.device == "gpu"]
    if not asked:
        return
    num_cards = len(cards.usable())
    if num_cards == 0:
        raise MachineError(
            "the study asks for device gpu, but this machine shows no GPU (NVIDIA's driver lists none, or "
            "CUDA_VISIBLE_DEVICES hides it)",
            "Run with --set device=cpu, or on a machine whose driver works: `bakeoff doctor` tells.",
        )
    if max(asked) >= num_cards:
        raise MachineError(
            f"the study asks for gpu = {max(asked)}, but this machine shows {num_cards}, counted from 0",
            "Choose one of those that `bakeoff doctor` lists.",
        )
