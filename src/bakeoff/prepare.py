"""Everything that runs need, made ready or found wanting before the first of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bakeoff import datasets, environments, machine
from bakeoff.environments import Environment
from bakeoff.errors import BakeoffError, DatasetError, EnvironmentFailure, MachineError
from bakeoff.execute import Provision
from bakeoff.study import Study
from bakeoff_worker.models.catalogue import MODELS
from bakeoff_worker.records import RunSpec, TrialSettings


def prepare(
    study: Study,
    specs: Sequence[RunSpec],
    *,
    data_directory: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    on_download: Callable[[datasets.Progress], None] = lambda progress: None,
) -> Mapping[str, Provision | BakeoffError]:
    """By trial_id, what its runs need, or why they can't run. Creates environments and fetches data.

    tell: is given a line for people when something takes time. on_download: is told of each step and byte
        of fetching data.

    Raises:
        MachineError: a GPU is asked for on a machine without one.
    """
    settings = {spec.trial_id: spec.settings for spec in specs}
    check_devices(settings.values())
    environment_of: dict[tuple[str, str], Environment | BakeoffError] = {}
    for name, backend in dict.fromkeys((one.environment, one.backend) for one in settings.values()):
        try:
            environment_of[name, backend] = environments.ensure(
                name, request=study.environments.get(name), backend=backend, on_progress=tell
            )
        except EnvironmentFailure as failure:
            tell(f"{failure.message}\n{failure.hint}")
            environment_of[name, backend] = failure
    folder_of: dict[tuple[str, int | None], Path | BakeoffError] = {}
    for dataset, image_size in dict.fromkeys((one.dataset, one.image_size) for one in settings.values()):
        try:
            folder_of[dataset, image_size] = datasets.ensure(
                dataset, image_size=image_size, directory=data_directory, on_progress=on_download
            ).path
        except DatasetError as failure:
            tell(f"{failure.message}\n{failure.hint}")
            folder_of[dataset, image_size] = failure
    return {
        trial_id: _provision(
            one, environment_of[one.environment, one.backend], folder_of[one.dataset, one.image_size]
        )
        for trial_id, one in settings.items()
    }


def _provision(
    settings: TrialSettings, environment: Environment | BakeoffError, folder: Path | BakeoffError
) -> Provision | BakeoffError:
    """What a trial runs on; the environment's failure goes before the data's."""
    if isinstance(environment, BakeoffError):
        return environment
    if isinstance(folder, BakeoffError):
        return folder
    return Provision(environment, folder, None if settings.model in MODELS else Path(settings.model))


def check_devices(settings: Iterable[TrialSettings]) -> None:
    """Raise before anything runs where a trial asks for a GPU and this machine shows none."""
    if any(one.device == "gpu" for one in settings) and not machine.identity().get("gpus"):
        raise MachineError(
            "the study asks for device gpu, but this machine shows no GPU (nvidia-smi lists none)",
            "Run with --set device=cpu, or on a machine whose driver works: `bakeoff doctor` tells.",
        )
