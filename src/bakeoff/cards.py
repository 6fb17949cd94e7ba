"""NVIDIA's cards on this machine, as their driver tells: NVML, through NVIDIA's own nvidia-ml-py.

Cards stand in the order of nvidia-smi, which is that of the bus. ``CUDA_VISIBLE_DEVICES`` narrows them and
orders them anew, by numbers of that order or by UUIDs; a study's ``gpu = N`` counts among what is left.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Card:
    """One card. capability: CUDA's compute capability, (major, minor). has_mig: it is split into instances.

    What the driver does not tell is None.
    """

    name: str
    uuid: str
    driver: str
    memory_mib: int | None
    capability: tuple[int, int] | None
    has_mig: bool


@dataclass(frozen=True)
class State:
    """A card at one moment, before a run, at the border of an epoch, or after it. What is not told is None.

    is_lost: it no longer answers (NVML_ERROR_GPU_IS_LOST). num_processes: programs that compute on it.
    slowed_s: seconds that heat has slowed it, since the driver was loaded.
    """

    is_lost: bool
    num_processes: int | None = None
    clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    slowed_s: float | None = None


@dataclass(frozen=True)
class Use:
    """A card over a run. Clock, temperature and power are those at the borders of epochs.

    num_others: other programs that computed on it, just before the run or just after it, whichever is more.
    clock_ratio: lowest clock ÷ the first. slowed_s: seconds that heat slowed it.
    """

    name: str
    num_others: int | None
    clock_ratio: float | None
    min_clock_mhz: int | None
    max_temperature_c: int | None
    max_power_w: float | None
    slowed_s: float | None


def every() -> tuple[Card, ...]:
    """All cards of this machine; none where the driver is missing or does not answer."""
    nvml = _nvml()
    if nvml is None:
        return ()
    try:
        nvml.nvmlInit()
        driver = str(nvml.nvmlSystemGetDriverVersion())
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return ()
    return tuple(_card(nvml, handle, driver) for handle in handles)


def usable(environ: Mapping[str, str] = os.environ) -> tuple[Card, ...]:
    """Those that programs may use. As CUDA does it, a word of the variable that names none ends the list."""
    cards = every()
    words = environ.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        return cards
    found: list[Card] = []
    for word in filter(None, words.split(",")):
        named = [
            card
            for index, card in enumerate(cards)
            if word == str(index) or (word.startswith("GPU-") and card.uuid.startswith(word))
        ]
        if word.startswith("MIG-"):
            named = _holding(word)
        if not named:
            break
        found.append(named[0])
    return tuple(found)


def state(card: Card) -> State:
    """The card now; some milliseconds."""
    nvml = _nvml()
    assert nvml is not None, "whoever has a card has a driver"
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(card.uuid)
        nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        return State(is_lost=error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_NOT_FOUND))

    def told(function: Callable[..., Any], *arguments: Any) -> Any:
        return _told(nvml, function, handle, *arguments)

    processes = told(nvml.nvmlDeviceGetComputeRunningProcesses)
    power_mw = told(nvml.nvmlDeviceGetPowerUsage)
    slowed = told(nvml.nvmlDeviceGetViolationStatus, nvml.NVML_PERF_POLICY_THERMAL)
    return State(
        is_lost=False,
        num_processes=None if processes is None else len(processes),
        clock_mhz=told(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
        temperature_c=told(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        power_w=None if power_mw is None else power_mw / 1e3,
        slowed_s=None if slowed is None else slowed.violationTime / 1e9,
    )


def use(card: Card, before: State, epochs: Sequence[State], after: State) -> Use:
    """What a run met on its card, from its states before it, at each epoch's end, and after it."""
    clocks = [epoch.clock_mhz for epoch in epochs if epoch.clock_mhz]
    processes = [one.num_processes for one in (before, after) if one.num_processes is not None]
    known = before.slowed_s is not None and after.slowed_s is not None
    return Use(
        name=card.name,
        num_others=max(processes, default=None),
        clock_ratio=min(clocks) / clocks[0] if clocks else None,
        min_clock_mhz=min(clocks, default=None),
        max_temperature_c=max((epoch.temperature_c for epoch in epochs if epoch.temperature_c), default=None),
        max_power_w=max((epoch.power_w for epoch in epochs if epoch.power_w), default=None),
        slowed_s=after.slowed_s - before.slowed_s if known else None,  # type: ignore[operator]
    )


def _nvml() -> Any | None:
    """nvidia-ml-py, whose import takes a sixth of a second; None without a driver's library."""
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    import pynvml

    return pynvml


def _card(nvml: Any, handle: Any, driver: str) -> Card:
    memory = _told(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _told(nvml, nvml.nvmlDeviceGetCudaComputeCapability, handle)
    mig = _told(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return Card(
        name=str(_told(nvml, nvml.nvmlDeviceGetName, handle) or "unknown"),
        uuid=str(_told(nvml, nvml.nvmlDeviceGetUUID, handle) or ""),
        driver=driver,
        memory_mib=None if memory is None else memory.total >> 20,
        capability=None if capability is None else (capability[0], capability[1]),
        has_mig=bool(mig and mig[0]),
    )


def _holding(instance: str) -> list[Card]:
    """The card that an instance (MIG) is a part of."""
    nvml = _nvml()
    if nvml is None:
        return []
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(instance)
        whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        return [_card(nvml, whole, str(nvml.nvmlSystemGetDriverVersion()))]
    except nvml.NVMLError:
        return []


def _told(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the driver answers; None where it does not know, or not of this card."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None
