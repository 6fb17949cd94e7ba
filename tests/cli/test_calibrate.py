"""`bakeoff calibrate` for real, with the backend that trains nothing."""

from __future__ import annotations

import json
import signal

import pytest

from bakeoff.store.reader import Reader

ENTRANTS = "matrix.entrant=[{entry='A'}, {entry='B'}, {entry='C'}, {handicap=1.0}]"
SMALL = (
    *("calibrate", "--backend", "fake", "--blocks", 6, "--set", ENTRANTS, "--set", "dataset=digits.npz"),
    *("--set", "model=invented.py", "--set", "model_options.epoch_s=0.02", "--set", "train_images=40"),
    *("--set", "evaluation_images=20", "--set", "global_batch_size=10"),
)


@pytest.fixture
def calibrate(program):
    """The smallest calibration there is; its exit code says whether the machine passed, which is up to it."""

    def run(*options: object) -> tuple[int, str]:
        process = program.start(*SMALL, *options)
        out, err = process.communicate(timeout=300)
        assert process.returncode in (0, 1), out + err
        assert "Traceback" not in out + err
        return process.returncode, out

    return run


def test_a_calibration_says_what_it_found_and_another_measures_anew(done, calibrate) -> None:
    code, out = calibrate("--json")
    found = json.loads(out)
    assert found["passed"] == (code == 0)
    assert (found["num_entries"], found["num_blocks"], found["num_runs"]) == (3, 6, 24)
    (slowed,) = found["found"]
    assert slowed["handicap"] == 1.0 and slowed["ratio"]["ratio"] > 1.3
    _, out = calibrate("--quiet")
    assert "calibrated on" in out and "identical entries told apart" in out
    assert "repeat 1" not in out
    words = " ".join(out.split())
    assert (
        "it can tell apart in ten minutes differences of" in words and ", in an hour differences of" in words
    )
    with Reader(done.store) as reader:
        studies = reader.studies()
        seeds = reader.runs().filter(study="calibration")["seed"].n_unique()
    assert studies["study"].to_list() == ["calibration", "calibration", "tiny"]
    assert seeds == 12, "two calibrations of six blocks share no run"
    # Other commands mean the study.
    assert "tiny" in done("show", "--json").stdout
    assert "handicap" in done("show", "calibration").stdout


def test_a_calibration_that_was_stopped_goes_on(program, calibrate) -> None:
    process = program.start(*SMALL)
    program.wait_for_epoch()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    calibrate("--quiet")
    with Reader(program.store) as reader:
        assert len(reader.studies()) == 1
        assert len(reader.runs().filter(status="ok")) == 24


def test_a_wrong_option_is_a_mistake_of_the_study(program) -> None:
    process = program("calibrate", "--backend", "keras", code=3)
    assert "did you mean" in process.stderr
    process = program("calibrate", "--blocks", 2, code=2)
    assert "expected at least 6" in process.stderr
