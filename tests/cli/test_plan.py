"""`plan` says what can't run here, and makes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bakeoff import machine
from bakeoff.cli import plan as plan_command
from bakeoff.cli.arguments import parser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(program: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program where no other Python, no compiler, no Java and no GPU can be found."""
    for name in ("HOME", "PATH", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(program.folder))
    for name in ("PYENV_ROOT", "CONDA_EXE", "CONDA_PREFIX", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return program


def test_a_missing_compiler_and_interpreter(bare: Any) -> None:
    made = sorted(bare.cache.rglob("*"))
    out = bare("plan", "vintage-3", code=1).stdout
    assert "can't run here: theano (vintage), tensorflow1: environment vintage needs g++" in out
    (bare.folder / "g++").write_text("#!/bin/sh\n")
    (bare.folder / "g++").chmod(0o755)
    out = " ".join(bare("plan", "vintage-3", code=1).stdout.split())
    assert "can't run here: theano (vintage), tensorflow1: no Python 3.7 with headers" in out
    assert "Install Python 3.7" in out
    assert sorted(bare.cache.rglob("*")) == made
    assert not bare.store.exists()


def test_a_gpu_that_is_not_there(bare: Any) -> None:
    out = bare("plan", "tiny.toml", "--set", "device=gpu", code=1).stdout
    assert "4 runs" in out, "the plan is shown all the same"
    assert "can't run here: batch 10, batch 20: the study asks for device gpu" in out.replace(
        "batch 20, batch 10", "batch 10, batch 20"
    )
    assert "--set device=cpu" in out


def test_a_java_that_does_not_fit(bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(bare.folder / "nowhere"))
    out = bare("plan", "quick-distributed", code=1).stdout
    assert "JAVA_HOME is " in out


def test_a_setting_that_a_backend_declines(program: Any) -> None:
    told = json.loads(program("plan", "quick", "--set", "jit=false", "--json", code=1).stdout)
    reasons = {one["reason"] for one in told["cannot_run"].values()}
    assert any("theano would be skipped: Theano always compiles" in reason for reason in reasons)
    backends = {run["trial_id"]: run["settings"]["backend"] for run in told["runs"]}
    assert {backends[trial_id] for trial_id in told["cannot_run"]} == {"theano"}


def test_an_interpreter_of_the_study_that_is_not_there(program: Any) -> None:
    text = (program.folder / "tiny.toml").read_text()
    text = text.replace('backend = "fake"', 'backend = "torch"\nenvironment = "mine"')
    program.write("own.toml", text + '\n[environments.mine]\npython = "nowhere/bin/python"\n')
    out = program("plan", "own.toml", code=1).stdout
    assert "nowhere/bin/python: no such file" in out.replace("\n", "")


def test_what_can_run_is_not_spoken_of(program: Any) -> None:
    assert "can't run here" not in program("plan", "tiny.toml").stdout
    assert json.loads(program("plan", "tiny.toml", "--json").stdout)["cannot_run"] == {}


def test_backends_are_asked_without_their_frameworks() -> None:
    code = (
        "import sys; from bakeoff import registry; from bakeoff_worker import backends, job\n"
        "for name in registry.backends(): backends.skip_reason(job.TrialSettings(name, name))\n"
        "assert not {'tensorflow', 'jax', 'torch', 'theano', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_show_has_certificates_and_warnings(program: Any) -> None:
    program("import", ROOT / "results" / "verdicts" / "cost.bundle.zip")
    out = "".join(program("show", "study-question", what).stdout for what in ("--certificates", "--warnings"))
    assert "Certificates" in out and "different" in out and "conv2d_1/bias" in out
    assert "Warnings" in out and "reads its step counter" in out
    (certificate,) = json.loads(program("show", "study-question", "--certificates", "--json").stdout)
    assert certificate["verdict"] == "different" and certificate["kind"] == "pair"
    warnings = json.loads(program("show", "study-question", "--warnings", "--json").stdout)
    assert {one["label"] for one in warnings} == {"tensorflow1"} and len(warnings) == 14
    (line,) = (
        line for line in program("show", "study-question", "--warnings").stdout.splitlines() if "14" in line
    )
    assert "tensorflow1" in line
    assert "Warnings" not in program("show", "closest-today").stdout


def test_nothing_to_plan_from_and_a_difference_that_is_none(program: Any) -> None:
    refused = program("plan", "tiny.toml", "--to-see", "3%", code=8).stderr
    assert "too few runs to plan from" in refused and "bakeoff calibrate" in refused
    error = program("plan", "tiny.toml", "--to-see=-3%", code=2).stderr
    assert "such as 3%, 0.03 or 3" in error


def test_what_it_takes_to_see_a_difference(
    program: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planned from runs that are kept, as if this machine had made them."""
    program("import", ROOT / "results" / "verdicts" / "cost.bundle.zip")
    machine_id = program.runs()["machine_id"][0]
    monkeypatch.setattr(machine, "identity", lambda: {"machine_id": machine_id})
    path = str(ROOT / "results" / "verdicts" / "closest-today.toml")
    asked = ("plan", path, "--set", "seed=3", "--to-see", "5", "--store", str(program.store))
    typed = parser().parse_args(asked)
    assert typed.to_see == 0.05
    assert plan_command.main(typed) == 0
    shown = capsys.readouterr().out
    typed.json = True
    assert plan_command.main(typed) == 0
    found = json.loads(capsys.readouterr().out)
    (projection,) = (one for one in found["projections"] if one["difference"] == 0.05)
    assert projection["num_runs"] == 2 * projection["num_blocks"]
    command = f"--set seed=3 --max-blocks={projection['num_blocks']}"
    assert f"to see 5 %: bakeoff run {path} {command}" in shown.replace("\n", " ")
    assert "(9 degrees of freedom)" in shown and "as written, within 30 blocks" in shown


@pytest.mark.parametrize("wrong", ["x", "0", "-3%", "nan", "inf", "5000%"])
def test_what_is_no_difference(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["plan", "quick", f"--to-see={wrong}"])
    assert "such as 3%, 0.03 or 3" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["3%", "0.03", "3", " 3 %"])
def test_what_is_one(typed: str) -> None:
    assert parser().parse_args(["plan", "quick", f"--to-see={typed}"]).to_see == pytest.approx(0.03)
