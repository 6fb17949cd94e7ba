

def test_nothing_is_left_to_compile_in_the_first_epoch(backend, home, run):
    """What is compiled there costs every run, other programs' work only some: up to three runs."""
    if backend == "fake":
        pytest.skip("compiles nothing")
    for _ in range(3):
        found = run(backend, home=home, epochs=2, global_batch_size=100, model_options={"filters": [8, 4]})
        of_first, of_second = (one.user_s + one.system_s for one in found.epochs)
        if of_first < 3 * of_second + 2:
            return
    raise AssertionError(f"{of_first:.1f} CPU seconds in the first epoch, {of_second:.1f} in the second")
"""What every contestant promises to the loop, `fake` first."""

import json
import subprocess
from pathlib import Path

import pytest

import bakeoff_worker

WORKER_ROOT = Path(bakeoff_worker.__file__).parents[1]
REAL = [
    *(("tensorflow", "tensorflow"), ("jax", "jax"), ("torch", "torch")),
    *(("theano", "theano"), ("tensorflow1", "vintage"), ("theano", "vintage")),
    *(("plain_tensorflow", "tensorflow"), ("plain_jax", "jax"), ("plain_torch", "torch")),
]


def pytest_generate_tests(metafunc):
    cases = [pytest.param("fake", "fake", id="fake")]
    for backend, home in REAL:
        marks = [pytest.mark.slow]
        is_as_others = (backend, home) == ("theano", "vintage")  # as on today's Python
        # What records hold is the loop's doing, whoever trains.
        if is_as_others or (backend.startswith("plain") and "run" in metafunc.fixturenames):
            marks.append(pytest.mark.exhaustive)
        cases.append(pytest.param(backend, home, id=f"{backend}-in-{home}", marks=marks))
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize(("backend", "home"), cases)


def test_the_contract_holds(backend, home, environment, tmp_path):
    found = environment(home)
    command = [found.python, Path(__file__).with_name("contract.py"), WORKER_ROOT, backend, found.scratch]
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), **found.variables}
    child = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert child.returncode == 0, child.stderr[-3000:]
    answers = json.loads(child.stdout.splitlines()[-1])
    assert answers["observed"]["num_parameters"] > 0
    assert len(answers["observed"]["initial_weights_sha256"]) == 64
    if backend != "fake":
        common = {
            "threads",
            "blas",
            "jit",
            "precision",
            "data_layout",
            "device",
            "deterministic",
            "compile_cache",
        }
        assert common <= set(answers["observed"])
        assert answers["resolved"]["optimizer"]["learning_rate"] == pytest.approx(1e-3)


def test_a_run_is_recorded_whole(backend, home, run):
    options = {"filters": [8, 4]} if backend != "fake" else {"epoch_s": 0.01}
    found = run(backend, home=home, epochs=3, global_batch_size=100, model_options=options)
    assert found.ended.status == "ok", found.ended
    assert list(found.phases) == [
        *("interpreter", "import", "data", "build", "first_step", "training", "evaluation"),
        *("outcomes", "end"),
    ]
    assert [epoch.epoch for epoch in found.epochs] == [1, 2, 3]
    first, *_, last = found.epochs
    assert last.train_loss < first.train_loss
    assert last.validation_error < 0.9, "better than guessing"
    assert (found.outcomes.epoch, found.outcomes.num_images) == (3, 300)
    assert found.wrong.sum() == round(300 * last.validation_error)
    for epoch in found.epochs:
        assert 0 < epoch.train_s < 60
        assert 0 <= epoch.validation_error <= 1
        assert epoch.num_images == 1000
        assert epoch.device_s is None
