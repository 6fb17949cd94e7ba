"""Builds for GPUs: gigabytes that nobody downloads unasked, for drivers and cards that few machines have."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bakeoff import cards, registry
from bakeoff.environments import creation
from bakeoff.errors import EnvironmentFailure
from bakeoff.registry import EnvironmentSpec

# NVIDIA's own packages: what brings them brings a build for GPUs.
_CUDA_PACKAGES = re.compile(r"^(nvidia-[\w-]+|jax-cuda[\w-]+)==", re.MULTILINE)


@dataclass(frozen=True)
class Download:
    """What is to be downloaded for environments with CUDA before they can be used.

    names: of the environments. size_bytes: of their wheels, one that several share counted once, as the locks
    give it; None: a lock of the user's does not say. disk_bytes: what the environments take, at least.
    """

    names: tuple[str, ...]
    size_bytes: int | None
    disk_bytes: int

    @property
    def size(self) -> str:
        """For people."""
        if self.size_bytes is None:
            return "gigabytes (the lock does not say how many)"
        return f"{self.size_bytes / 1e9:.1f} GB"


# Passes if the user wants that download.
# Raises: EnvironmentFailure: they don't, or can't be asked.
Consent = Callable[[Download], None]


def unasked(download: Download) -> None:
    """The consent of who was not asked: none.

    Raises:
        EnvironmentFailure: always.
    """
    raise EnvironmentFailure(
        f"{', '.join(download.names)}: {download.size} of CUDA would be downloaded, and nobody was asked",
        f"Make them first: bakeoff env create {' '.join(download.names)} --yes",
    )


def agreed(download: Download) -> None:
    """The consent of who was asked, and said yes."""


def has_cuda(spec: EnvironmentSpec) -> bool:
    """Whether making it downloads CUDA: by the catalogue, or by the lock that a study brings."""
    if spec.cuda or spec.lock is None:
        return spec.cuda is not None
    try:
        return bool(_CUDA_PACKAGES.search(spec.lock.read_text()))
    except (OSError, UnicodeDecodeError):  # `creation.digest` says so
        return False


def download(specs: Sequence[EnvironmentSpec]) -> Download | None:
    """What making these would download, of those with CUDA that are not there yet; None: nothing."""
    missing = [
        spec
        for spec in specs
        if has_cuda(spec) and not creation.is_ready(creation.folder(creation.root(), spec))
    ]
    if not missing:
        return None
    wheels = {name: size for spec in missing for name, size in spec.wheels.items()}
    return Download(
        names=tuple(spec.name for spec in missing),
        size_bytes=sum(wheels.values()) if all(spec.wheels for spec in missing) else None,
        disk_bytes=sum(spec.disk_bytes for spec in missing),
    )


def ask(specs: Sequence[EnvironmentSpec], consent: Consent) -> None:
    """Pass if there is room for what these would download, and the user wants it.

    Raises:
        EnvironmentFailure: one of the two is missing.
    """
    if wanted := download(specs):
        creation.check_room(" and ".join(wanted.names), wanted.disk_bytes, creation.root())
        consent(wanted)


def check_for_cpu(spec: EnvironmentSpec) -> None:
    """Pass unless a run on the CPU would download CUDA.

    Raises:
        EnvironmentFailure: it would; with the size.
    """
    if wanted := download([spec]):
        alike = [
            environment
            for environment in registry.environments().values()
            if set(environment.backends) & set(spec.backends)
        ]
        ours = [
            environment_spec.name
            for environment_spec in alike
            if environment_spec.cuda is None and not environment_spec.has_spark and spec.cuda
        ]
        raise EnvironmentFailure(
            f"environment {spec.name} would download {wanted.size} of CUDA for a run on the CPU",
            f'Use {" or ".join(ours) or "a build for CPUs, such as environment torch"}, or device = "gpu".',
        )


def check_card(spec: EnvironmentSpec, number: int) -> None:
    """Pass if this machine's driver, and the card of that number, serve the build, as far as is known.

    Raises:
        EnvironmentFailure: they don't; says what is there, what is needed, and what does fit.
    """
    if spec.cuda is None:
        return
    obstacle = _obstacle(spec, number)
    if obstacle is None:
        return
    others = (environment for environment in registry.environments().values() if environment.cuda)
    fitting = [other.name for other in others if _obstacle(other, number) is None]
    raise EnvironmentFailure(
        f"environment {spec.name} {obstacle}",
        (f"What fits: {', '.join(fitting)}. " if fitting else "")
        + "Or name an interpreter of yours that has the framework for this machine: [environments.NAME].",
    )


def _obstacle(spec: EnvironmentSpec, number: int) -> str | None:
    """Why a build does not fit here."""
    assert spec.cuda is not None
    here = platform.system(), platform.machine()
    if here != ("Linux", "x86_64"):
        return f"is for Linux on x86-64; this is {here[0]} on {here[1]}"
    found = cards.usable()
    if number >= len(found):
        return f"needs an NVIDIA card; {_counted(found, number)}"
    card = found[number]
    major = re.match(r"\d+", card.driver)
    if major and int(major[0]) < spec.cuda.driver:
        return (
            f"(CUDA {spec.cuda.version}) needs NVIDIA's driver {spec.cuda.driver} or newer; this machine has "
            f"{card.driver}"
        )
    oldest, newest = spec.cuda.capabilities
    if card.capability and not (oldest <= card.capability and card.capability[0] <= newest[0]):
        return (
            f"serves cards of compute capability {oldest[0]}.{oldest[1]} to {newest[0]}.x; the {card.name} "
            f"has {card.capability[0]}.{card.capability[1]}"
        )
    return None


def _counted(found: Sequence[cards.Card], number: int) -> str:
    if not found:
        return "this machine shows none (its driver lists none)"
    return f"gpu is {number}, but there are {len(found)}, counted from 0"
