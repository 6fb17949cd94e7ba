"""GPU seconds: their arithmetic and the calls to the driver, against a driver's library of our own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bakeoff_worker
from bakeoff_worker.device import DeviceMeter, meter_for

WORKER_ROOT = str(Path(bakeoff_worker.__file__).parents[1])

# The three calls with the signatures of nvml.h. Samples come from the environment: "pid,percent pid,percent".
DRIVER = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
struct Sample { unsigned pid; unsigned long long time_us; unsigned sm, memory, encoder, decoder; };
static void say(const char *what, unsigned long long value) {
  FILE *log = fopen(getenv("FAKE_NVML_LOG"), "a");
  fprintf(log, "%s %llu\n", what, value);
  fclose(log);
}
extern "C" {
int nvmlInit_v2() { say("init", 0); return atoi(getenv("FAKE_NVML_INIT")); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  say("handle", index);
  *device = (void *)0x5eed5eed5eedULL;
  return 0;
}
typedef unsigned long long Time;
int nvmlDeviceGetProcessUtilization(void *device, Sample *samples, unsigned *count, Time since) {
  if (device != (void *)0x5eed5eed5eedULL) return 2;
  std::vector<Sample> found;
  char *text = strdup(getenv("FAKE_NVML_SAMPLES"));
  for (char *word = strtok(text, " "); word; word = strtok(0, " ")) {
    unsigned pid, percent;
    if (sscanf(word, "%u,%u", &pid, &percent) == 2) found.push_back({pid, since + 1, percent, 99, 98, 97});
  }
  free(text);
  say(samples ? "samples" : "count", since);
  if (!samples || *count < found.size()) { *count = found.size(); return found.empty() ? 6 : 7; }
  memcpy(samples, found.data(), found.size() * sizeof(Sample));
  *count = found.size();
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *used_mj) {
  const char *text = getenv("FAKE_NVML_ENERGY_MJ");
  if (device != (void *)0x5eed5eed5eedULL || !text) return 3;  // not supported
  *used_mj = strtoull(text, 0, 10);
  return 0;
}
}
"""

PROGRAM = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
os.environ["FAKE_NVML_SAMPLES"] = os.environ["FAKE_NVML_SAMPLES"].replace("own", str(os.getpid()))
from bakeoff_worker import device
meter = device.meter_for("gpu")
before = time.time()
meter.start()
found = {"device_s": meter.stop(float(sys.argv[2])), "joules": meter.joules(), "kind": type(meter).__name__}
print(json.dumps(dict(found, started_us=before * 1e6)))
"""


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Folder of a libnvidia-ml.so.1 that says what it is told to say."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.cpp").write_text(DRIVER)
    library, source = folder / "libnvidia-ml.so.1", folder / "driver.cpp"
    subprocess.run(["g++", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return folder


@pytest.fixture
def ask(driver, tmp_path):
    """What the meter answers for an epoch of 10 s, and the calls that it made."""

    def answer(samples, init=0, visible=None, wall_s=10.0):
        log = tmp_path / "calls"
        variables = dict(
            os.environ,
            LD_LIBRARY_PATH=str(driver),
            FAKE_NVML_SAMPLES=samples,
            FAKE_NVML_INIT=str(init),
            FAKE_NVML_LOG=str(log),
        )
        variables.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            variables["CUDA_VISIBLE_DEVICES"] = visible
        command = [sys.executable, "-c", PROGRAM, WORKER_ROOT, str(wall_s)]
        output = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
        return json.loads(output.stdout), [line.split() for line in log.read_text().splitlines()]

    return answer


def test_device_seconds_are_the_mean_share_of_the_epoch(ask):
    answer, calls = ask("own,40 own,60 own,80")
    assert answer["device_s"] == pytest.approx(6.0)
    assert [call for call, _ in calls] == ["init", "handle", "count", "samples"]


def test_only_samples_since_the_epoch_began_are_asked_for(ask):
    answer, calls = ask("own,40")
    (since,) = {int(value) for call, value in calls if call in ("count", "samples")}
    started_us = int(answer["started_us"])  # the driver counts whole microseconds
    assert started_us <= since <= started_us + 1e6


def test_other_processes_on_the_device_do_not_count(ask):
    assert ask("1,100 own,30 1,100")[0]["device_s"] == pytest.approx(3.0)


def test_a_device_that_idled_took_zero_seconds(ask):
    assert ask("own,0 own,0")[0]["device_s"] == 0.0


@pytest.mark.parametrize("samples", ["", "1,100"])
def test_no_sample_of_ours_is_unknown_rather_than_zero(ask, samples):
    assert ask(samples)[0]["device_s"] is None


def test_epochs_too_short_for_the_drivers_period_are_unknown(ask):
    """On an H200, samples of epochs of 0.4 s were off by up to 43 % (results/gpu)."""
    assert ask("own,40 own,60", wall_s=1.9)[0]["device_s"] is None
    assert ask("own,40 own,60", wall_s=2.0)[0]["device_s"] == pytest.approx(1.0)


def test_a_driver_that_does_not_start_is_unknown(ask):
    answer, calls = ask("own,50", init=9)
    assert answer["device_s"] is None
    assert [call for call, _ in calls] == ["init"]


@pytest.mark.parametrize(("visible", "index"), [(None, 0), ("2", 2), ("3,1", 3)])
def test_the_first_visible_gpu_is_the_one_metered(ask, visible, index):
    _, calls = ask("own,50", visible=visible)
    assert ["handle", str(index)] in calls


def test_joules_are_the_boards_counter(ask, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_ENERGY_MJ", str(2**40 + 250))
    assert ask("own,50")[0]["joules"] == pytest.approx((2**40 + 250) / 1000, rel=1e-15)


def test_a_board_without_a_counter_has_unknown_joules(ask):
    assert ask("own,50")[0]["joules"] is None
    assert ask("own,50", init=9)[0]["joules"] is None


def test_a_cpu_has_no_device_time():
    meter = meter_for("cpu")
    meter.start()
    assert type(meter) is DeviceMeter
    assert meter.stop(1.0) is None
    assert meter.joules() is None
