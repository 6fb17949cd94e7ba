"""GPU busy time and energy of an epoch, asked from the driver at epoch borders; nothing samples in between.

Definition, the same for every framework: the driver (NVML) keeps, for each process, samples of the share
of time in which at least one of its kernels ran. Their mean over an epoch times the epoch's wall seconds
are its device seconds. The samples are coarse (whole percents, a period of up to a second), so that epochs
shorter than two periods have no answer. On an H200 the driver said 28 to 35 % too much of epochs of 2 to 3 s,
and up to 43 % too little of epochs of 0.4 s, against each framework's own profiler (``results/gpu``).
"""

import ctypes
import os
import time
from typing import Any, MutableMapping, Optional

_SHORTEST_S = 2.0  # twice the longest period that nvml.h names for its samples


class DeviceMeter:
    """Of a CPU: nothing to meter."""

    def start(self) -> None:
        """Begin an epoch."""

    def stop(self, wall_s: float) -> Optional[float]:
        """Device seconds of the epoch that took `wall_s`; None where there is no device or no answer."""
        return None

    def joules(self) -> Optional[float]:
        """Energy that the device has used since its driver was loaded; None where nobody counts it."""
        return None


class _Sample(ctypes.Structure):
    """``nvmlProcessUtilizationSample_t``."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("time_stamp_us", ctypes.c_ulonglong),
        ("sm_percent", ctypes.c_uint),
        ("memory_percent", ctypes.c_uint),
        ("encoder_percent", ctypes.c_uint),
        ("decoder_percent", ctypes.c_uint),
    ]


class NvmlMeter(DeviceMeter):
    """Reads the driver's own samples of this process on the one GPU that it sees; of part of one, nothing."""

    def __init__(self, library: Any) -> None:
        self._nvml = library
        self._device = ctypes.c_void_p()
        self._since_us = 0
        self._works = (
            library.nvmlInit_v2() == 0
            and _find(library, _first_visible_gpu(), self._device) == 0
            and not _is_split(library, self._device)
        )

    def start(self) -> None:
        """Note the time from which the driver's samples count."""
        self._since_us = int(time.time() * 1e6)

    def stop(self, wall_s: float) -> Optional[float]:
        """Mean share of the epoch's samples times its wall seconds."""
        if not self._works or wall_s < _SHORTEST_S:
            return None
        count = ctypes.c_uint(0)
        since = ctypes.c_ulonglong(self._since_us)
        self._nvml.nvmlDeviceGetProcessUtilization(self._device, None, ctypes.byref(count), since)
        if not count.value:
            return None
        samples = (_Sample * count.value)()
        if self._nvml.nvmlDeviceGetProcessUtilization(self._device, samples, ctypes.byref(count), since) != 0:
            return None
        own = [sample.sm_percent for sample in samples[: count.value] if sample.pid == os.getpid()]
        return wall_s * sum(own) / len(own) / 100.0 if own else None

    def joules(self) -> Optional[float]:
        """The board's counter, of millijoules, for all programs on it."""
        count = getattr(self._nvml, "nvmlDeviceGetTotalEnergyConsumption", None)  # older drivers have none
        used_mj = ctypes.c_ulonglong(0)
        if not self._works or count is None or count(self._device, ctypes.byref(used_mj)) != 0:
            return None
        return used_mj.value / 1e3


def meter_for(device: str) -> DeviceMeter:
    """The meter for ``cpu`` or ``gpu``; one that answers None where the driver's library is missing."""
    if device != "gpu":
        return DeviceMeter()
    try:
        return NvmlMeter(ctypes.CDLL("libnvidia-ml.so.1"))
    except OSError:
        return DeviceMeter()


def hide_others(number: int, environ: MutableMapping[str, str]) -> None:
    """Leave this process one card, before a framework is imported: they take memory on all that they see.

    number: from 0, among those that CUDA_VISIBLE_DEVICES names, else among all in the order of nvidia-smi.
    """
    environ["CUDA_DEVICE_ORDER"] = (
        "PCI_BUS_ID"  # CUDA's own order has the fastest first; the driver's has not
    )
    words = environ.get("CUDA_VISIBLE_DEVICES")
    if words is None:
        environ["CUDA_VISIBLE_DEVICES"] = str(number)
    else:
        environ["CUDA_VISIBLE_DEVICES"] = "".join(words.split(",")[number : number + 1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is how a framework says that its GPU has no more memory.

    PyTorch and TensorFlow have a class for it. JAX has XLA's status, with which its message begins. Where not
    its allocator but a library asked for memory, PyTorch has CUDA's own words.
    """
    kinds = ("OutOfMemoryError", "ResourceExhaustedError")
    words = ("RESOURCE_EXHAUSTED", "CUDA error: out of memory")
    return type(error).__name__ in kinds or str(error).startswith(words)


def _first_visible_gpu() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def _is_split(library: Any, device: Any) -> bool:
    """Whether the card has instances (MIG): what the driver says is of them all, and of no process."""
    ask = getattr(library, "nvmlDeviceGetMigMode", None)  # older drivers have none
    mode, pending = ctypes.c_uint(0), ctypes.c_uint(0)
    return ask is not None and ask(device, ctypes.byref(mode), ctypes.byref(pending)) == 0 and mode.value == 1


def _find(library: Any, name: str, device: Any) -> int:
    """NVML's handle of a card, by its number or its UUID; 0 where there is one."""
    if name.isdigit():
        return int(library.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(device)))
    return int(library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(device)))
