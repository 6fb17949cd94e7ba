"""GPUs through the real program, on drivers and cards that are invented (tests/nvml.cpp).

What this can't show: that a framework runs on a card, how fast, and what a real driver answers.
"""

from __future__ import annotations

import json
import os
import pty
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUIET = ("--quiet", "--no-report", "--no-verify")
RTX_5090 = "NVIDIA GeForce RTX 5090|32607|12.0|0|0"
H100 = "NVIDIA H100|81559|9.0|0|0"
Machine = Callable[..., Any]


@pytest.fixture
def machine(program: Any, nvml: Path) -> Machine:
    """The program on a machine with these cards, and variables of the stand-in; ``one.toml`` has one run."""
    tiny = (program.folder / "tiny.toml").read_text()
    one = tiny.partition("[matrix]")[0].replace("repeats = 2", "repeats = 1") + 'device = "gpu"\n'
    program.write("one.toml", one)

    def build(*cards: str, driver: str = "580.159.04", **variables: str) -> Any:
        program.variables.update(
            LD_LIBRARY_PATH=str(nvml),
            FAKE_NVML_CARDS=";".join(cards),
            FAKE_NVML_DRIVER=driver,
            UV_OFFLINE="1",  # whatever goes wrong, nothing large is downloaded
            **variables,
        )
        return program

    return build


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("driver", "download", "obstacle"),
    [
        ("580.159.04", "6.8 GB", None),
        (
            "550.54.14",
            "4.0 GB",
            "torch_gpu (CUDA 13.0) needs NVIDIA's driver 580 or newer; this machine has 550",
        ),
    ],
)
def test_the_plan_says_what_fits_and_what_is_downloaded(
    machine: Machine, driver: str, download: str, obstacle: str | None
) -> None:
    """Wheels that TensorFlow and JAX share are counted once."""
    out = words(machine(H100, driver=driver)("plan", "quick-gpu", code=1 if obstacle else 0).stdout)
    assert f"before the first run: {download} of CUDA to download" in out
    assert ("can't run here" in out) == bool(obstacle)
    assert obstacle is None or (obstacle in out and "What fits: tensorflow_gpu, jax_gpu." in out)


def test_doctor_says_which_build_fits_which_card(machine: Machine) -> None:
    program = machine(
        H100, RTX_5090, "NVIDIA A100|40960|8.0|1|0", "NVIDIA H100|81559|9.0|0|2", driver="550.1"
    )
    found = {one["subject"]: one for one in json.loads(program("doctor", "--json", code=0).stdout)}
    assert found["GPU 0"]["detail"] == "NVIDIA H100, 81,559 MiB, compute capability 9.0, driver 550.1"
    assert found["GPU 2"]["state"] == "warning" and "MIG" in found["GPU 2"]["detail"]
    assert "2 other programs compute on it" in found["GPU 3"]["detail"]
    for name, numbers in (("tensorflow_gpu", "0, 2, 3"), ("jax_gpu", "0, 1, 2, 3")):
        told = found[f"environment {name}"]
        assert f"fits GPU {numbers}; not made yet: 3.4 GB to download" in told["detail"]
    told = found["environment torch_gpu"]
    assert told["state"] == "warning" and "needs NVIDIA's driver 580" in told["detail"]
    assert "tensorflow_gpu, jax_gpu" in told["remedy"]


def test_nothing_is_downloaded_unasked(machine: Machine) -> None:
    program = machine(H100)
    err = words(program("run", "quick-gpu", *QUIET, code=4).stderr)
    assert ": nothing was downloaded: 6.8 GB need your consent" in err
    assert all(name in err for name in ("tensorflow_gpu", "jax_gpu", "torch_gpu"))
    assert f"Go on with: bakeoff run quick-gpu {' '.join(QUIET)} --yes" in err
    assert not list(program.cache.glob("environments/*_gpu-*"))
    assert program.runs().is_empty()


@pytest.mark.parametrize(("answer", "is_begun"), [("y\n", True), ("\n", False)])
def test_a_terminal_is_asked(machine: Machine, answer: str, is_begun: bool) -> None:
    ours, theirs = pty.openpty()
    process = machine().start("env", "create", "torch_gpu", stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, deadline = "", time.monotonic() + 60
    while "[y/N]" not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(ours, 4096).decode()
    os.write(ours, answer.encode())
    try:
        while text := os.read(ours, 4096).decode():
            shown += text
    except OSError:  # how Linux says that nobody holds the terminal any more
        pass
    os.close(ours)
    assert process.wait(60) == 4, "offline it can't be made, asked or not"
    assert "torch_gpu: not made yet: 2.8 GB of packages with CUDA" in words(shown)
    assert ("making Keras 3.15.1 on PyTorch 2.13.0 (CUDA 13.0)" in words(shown)) == is_begun
    assert ("nothing was downloaded" in shown) != is_begun


def test_too_small_a_disk_is_said_before_anything_is_asked(machine: Machine) -> None:
    program = machine(H100)
    small = "lambda path: collections.namedtuple('Usage', 'free')(5 * 10**9)"
    program.write("sitecustomize.py", f"import shutil, collections\nshutil.disk_usage = {small}\n")
    program.variables["PYTHONPATH"] = str(program.folder)
    err = words(program("run", "quick-gpu", "--yes", *QUIET, code=4).stderr)
    assert re.search(r"environment \w+ and \w+ and \w+ needs 23\.9 GB in .*; 5\.0 GB are free", err)
    assert "download" not in err


def test_theano_and_tensorflow_1_say_why_they_cannot(machine: Machine) -> None:
    out = words(machine(H100)("plan", "vintage-3", "--set", "device=gpu", code=1).stdout)
    assert "theano would be skipped: Theano's GPU library (libgpuarray)" in out
    assert "tensorflow1 would be skipped: the TensorFlow 1.15 of environment vintage needs CUDA 10.0" in out


def test_a_card_is_chosen_and_the_others_are_hidden(machine: Machine) -> None:
    program = machine(H100, RTX_5090)
    program("run", "one.toml", *QUIET, "--set", "gpu=1")
    (run,) = program.runs().iter_rows(named=True)
    assert run["status"] == "ok"
    assert json.loads(run["disturbance"])["gpu"]["name"] == "NVIDIA GeForce RTX 5090"
    program.variables["CUDA_VISIBLE_DEVICES"] = "1"
    err = words(program("run", "one.toml", *QUIET, "--set", "gpu=1", code=7).stderr)
    assert "the study asks for gpu = 1, but this machine shows 1, counted from 0" in err
