"""Joules, from counters made of files and from an invented device."""

import pytest

from bakeoff_worker.device import DeviceMeter
from bakeoff_worker.energy import EnergyMeter
from bakeoff_worker.records import EnergyUsed


class Board(DeviceMeter):
    """Counts what it is told to."""

    def __init__(self, *readings):
        self._readings = list(readings)

    def joules(self):
        return self._readings.pop(0)


@pytest.fixture
def counters(tmp_path):
    """Sets the counters of a machine with two packages; folders as the kernel names them."""
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }

    def read_next(**microjoules):
        for folder, name in zones.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "name").write_text(name + "\n")
            (tmp_path / folder / "max_energy_range_uj").write_text("999999999\n")
            value = microjoules.get(name.replace("-", "_"), 7)
            (tmp_path / folder / "energy_uj").write_text(f"{value}\n")
        return str(tmp_path)

    return read_next


def test_packages_and_memory_are_summed_over_epochs_and_nothing_twice(counters):
    meter = EnergyMeter(
        DeviceMeter(), counters(package_0=1_000_000, package_1=5_000_000, dram=0, core=0, psys=0)
    )
    meter.start()
    counters(package_0=3_000_000, package_1=5_500_000, dram=250_000, core=9_000_000, psys=9_000_000)
    meter.stop()
    counters(package_0=50_000_000, package_1=50_000_000)  # evaluation, say: does not count
    meter.start()
    counters(package_0=51_000_000, package_1=50_000_000)
    meter.stop()
    assert meter.used() == EnergyUsed(packages_j=pytest.approx(3.75), device_j=None)


def test_a_counter_that_begins_again_is_followed(counters):
    meter = EnergyMeter(DeviceMeter(), counters(package_0=999_000_000, package_1=0))
    meter.start()
    counters(package_0=500_000, package_1=0)
    meter.stop()
    assert meter.used().packages_j == pytest.approx(1.5)


def test_what_cannot_be_read_is_unknown(counters, tmp_path):
    folder = counters()
    for zone in ("intel-rapl:0", "intel-rapl:0:1", "intel-rapl:1"):
        (tmp_path / zone / "energy_uj").unlink()
        (tmp_path / zone / "energy_uj").mkdir()  # as unreadable to root as to anybody
    for powercap in (folder, str(tmp_path / "none")):
        meter = EnergyMeter(DeviceMeter(), powercap)
        meter.start()
        meter.stop()
        assert meter.used() is None


def test_a_board_counts_apart_and_one_lost_reading_makes_its_sum_unknown(tmp_path):
    meter = EnergyMeter(Board(10.0, 14.0, 20.0, 21.0), str(tmp_path))
    for _ in range(2):
        meter.start()
        meter.stop()
    assert meter.used() == EnergyUsed(packages_j=None, device_j=5.0)
    meter = EnergyMeter(Board(10.0, 14.0, 20.0, None), str(tmp_path))
    for _ in range(2):
        meter.start()
        meter.stop()
    assert meter.used() is None


def test_a_run_without_an_epoch_used_nothing_known(counters):
    assert EnergyMeter(DeviceMeter(), counters()).used() is None
