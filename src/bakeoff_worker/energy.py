"""Joules while training, read from the machine's own counters just outside the clocks of each epoch.

Processors and their memory: Linux's powercap files (RAPL, of Intel and AMD). They count the whole machine,
other programs included; since 2020 (CVE-2020-8694) only root may read them unless the administrator lets
others; virtual machines rarely have them. GPU: the driver's counter of the board (NVML, from Volta on).
"""

import glob
import os
from typing import Dict, List, Optional

from bakeoff_worker.device import DeviceMeter
from bakeoff_worker.records import EnergyUsed

POWERCAP = "/sys/class/powercap"


class EnergyMeter:
    """Sums the joules of the epochs between each `start` and `stop`."""

    def __init__(self, device: DeviceMeter, powercap: str = POWERCAP) -> None:
        self._device = device
        self._counters = [folder for folder in _zones(powercap) if _microjoules(folder) is not None]
        self._packages_j: List[Optional[float]] = []
        self._device_j: List[Optional[float]] = []

    def start(self) -> None:
        """An epoch is about to begin."""
        self._device_before = self._device.joules()
        self._before = {folder: _microjoules(folder) for folder in self._counters}

    def stop(self) -> None:
        """It is over."""
        after = {folder: _microjoules(folder) for folder in self._counters}
        device_after = self._device.joules()
        self._packages_j.append(_used_j(self._before, after))
        known = device_after is not None and self._device_before is not None
        self._device_j.append(device_after - self._device_before if known else None)  # type: ignore[operator]

    def used(self) -> Optional[EnergyUsed]:
        """The joules of all epochs; None where nothing can be read on this machine."""
        packages_j, device_j = _total(self._packages_j), _total(self._device_j)
        return None if packages_j is None and device_j is None else EnergyUsed(packages_j, device_j)


def _zones(powercap: str) -> List[str]:
    """Folders of the processors' packages, and of memory where it is not counted with them.

    ``core`` and ``uncore`` are parts of a package; ``psys`` holds it all once more, on laptops;
    ``intel-rapl-mmio`` reads the same counters another way.
    """
    zones = sorted(glob.glob(os.path.join(powercap, "intel-rapl:*")))
    names = {folder: _text(folder, "name") for folder in zones}
    return [folder for folder, name in names.items() if name.startswith("package") or name == "dram"]


def _used_j(before: Dict[str, Optional[int]], after: Dict[str, Optional[int]]) -> Optional[float]:
    """Joules between two readings; a counter that has begun again from 0 has done so once."""
    total_uj = 0
    for folder, later in after.items():
        earlier = before[folder]
        if later is None or earlier is None:
            return None
        if later < earlier:
            later += int(_text(folder, "max_energy_range_uj") or 0) + 1
        total_uj += later - earlier
    return total_uj / 1e6 if after else None


def _microjoules(folder: str) -> Optional[int]:
    text = _text(folder, "energy_uj")
    return int(text) if text.isdigit() else None


def _total(values: List[Optional[float]]) -> Optional[float]:
    """The sum; None if a value is unknown, or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().strip()
    except OSError:
        return ""
