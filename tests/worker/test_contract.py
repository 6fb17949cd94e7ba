"""What every contestant promises to the loop, `fake` first."""

import itertools
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
    if backend != "fake":
        # Threads that wait on busy processors spin. What compiles in the first epoch costs every run.
        others = (run(backend, home=home, epochs=2, model_options=options) for _ in range(2))
        assert any(map(_compiles_before_its_epochs, itertools.chain([found], others)))


def _compiles_before_its_epochs(found):
    of_first, of_second = (epoch.user_s + epoch.system_s for epoch in found.epochs[:2])
    return of_first < 3 * of_second + 2
