"""The worker's GPU: its seconds, by the calls to a driver's library of our own, and which one it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bakeoff_worker
from bakeoff_worker.device import DeviceMeter, hide_others, is_out_of_memory, meter_for

WORKER_ROOT = str(Path(bakeoff_worker.__file__).parents[1])

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


@pytest.fixture
def ask(nvml, tmp_path):
    """What the meter answers for an epoch of 10 s, and the calls that it made."""

    def answer(samples, init=0, visible=None, wall_s=10.0):
        log = tmp_path / "calls"
        variables = dict(
            os.environ,
            LD_LIBRARY_PATH=str(nvml),
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


@pytest.mark.parametrize(
    ("visible", "call"),
    [(None, "handle 0"), ("2", "handle 2"), ("3,1", "handle 3"), ("GPU-invented-2", "uuid 2")],
)
def test_the_first_visible_gpu_is_the_one_metered(ask, visible, call):
    answer, calls = ask("own,50", visible=visible)
    assert call.split() in calls and answer["device_s"] == pytest.approx(5.0)


@pytest.mark.parametrize("visible", ["MIG-invented", "GPU-unknown", ""])
def test_part_of_a_gpu_and_one_that_the_driver_does_not_know_are_unknown(ask, monkeypatch, visible):
    """Once, the first card's figures were taken for them."""
    monkeypatch.setenv("FAKE_NVML_ENERGY_MJ", "1000")
    answer, calls = ask("own,50", visible=visible)
    assert (answer["device_s"], answer["joules"]) == (None, None)
    assert "handle" not in [call for call, _ in calls]


def test_a_card_that_is_split_tells_nothing_of_a_run_on_one_part(ask, monkeypatch):
    """Its counter of joules is of all parts."""
    monkeypatch.setenv("FAKE_NVML_ENERGY_MJ", "1000")
    monkeypatch.setenv("FAKE_NVML_CARDS", "NVIDIA A100|40960|8.0|1|0")
    answer, _ = ask("own,50", visible="0")
    assert (answer["device_s"], answer["joules"]) == (None, None)


@pytest.mark.parametrize(
    ("visible", "number", "left"),
    [(None, 0, "0"), (None, 2, "2"), ("3,1", 1, "1"), ("GPU-a,MIG-b", 1, "MIG-b"), ("0", 1, ""), ("", 0, "")],
)
def test_a_process_is_left_one_card(visible, number, left):
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    hide_others(number, environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": left, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_what_frameworks_call_out_of_memory():
    """torch.OutOfMemoryError, tensorflow.errors.ResourceExhaustedError, and XLA's status as JAX shows it."""
    kinds = [type(name, (RuntimeError,), {}) for name in ("OutOfMemoryError", "ResourceExhaustedError")]
    assert all(is_out_of_memory(kind("any words")) for kind in kinds)
    assert is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might"))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


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
