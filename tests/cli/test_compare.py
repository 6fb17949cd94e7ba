"""`bakeoff compare` on results of the real program, and on a store that says who is faster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.store.writer import Condition, StudyRow, Writer
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import EpochRecord, Facts, RunEnded, to_line

RESULTS = Path(__file__).parents[2] / "results"
FAST, SLOW = (TrialSettings(name, name, epochs=1) for name in ("tensorflow", "jax"))


def store(
    path: Path,
    slow_s: float = 2.0,
    document: dict[str, Any] | None = None,
    error: float = 0.01,
    datasets: Sequence[str] = ("mnist",),
    num_blocks: int = 6,
) -> Path:
    """Two contestants on each data set, of which the second takes `slow_s` instead of 1 s."""
    settings = [replace(one, dataset=name) for name in datasets for one in (FAST, SLOW)]
    specs = tuple(
        RunSpec(one, one.backend, block, block, place, 7 + block)
        for block in range(num_blocks)
        for place, one in enumerate(settings)
    )
    noise = np.random.default_rng(1).normal(0, 0.005, len(specs))
    with Writer(path) as writer:
        writer.begin_study(StudyRow("d" * 64, "pair", "A pair", document or {}, specs))
        for spec, off in zip(specs, noise, strict=True):
            run = writer.begin_run(
                spec,
                study_digest="d" * 64,
                condition=Condition("m", spec.settings.environment, {"description": "a machine"}),
                environment={"name": spec.settings.environment},
                command=("bakeoff", "run", "pair"),
            )
            train_s = (1.0 if spec.settings.backend == FAST.backend else slow_s) * float(np.exp(off))
            records = (
                Facts({}, {}, {"num_evaluation_images": 1_000_000}),
                EpochRecord(1, 60_000, train_s, 0.1, 0.1, 0.9, 0.2, error, train_s, 0.0, 2**29),
            )
            writer.spool_path(run).write_text("".join(f"{to_line(record)}\n" for record in records))
            writer.ingest(run)
            writer.end_run(run, RunEnded("ok"), disturbance={"disturbed": False}, wall_s=train_s + 3)
    return path


def test_a_clear_pair(program: Any) -> None:
    store(program.store)
    told = program("compare").stdout
    assert "Margins: ±2 % in time and 0.25 pp in error, at 95 % confidence." in told
    assert "\nmnist: tensorflow trains 2." in told or "\nmnist: tensorflow trains 1.99" in told
    assert "at non-inferior error (difference 0.00 pp" in told
    for part in (
        "track: out-of-the-box",
        "not certified",
        "Repeat it with: bakeoff run pair",
        "CPU time 0.5",
    ):
        assert part in told, part
    assert "chosen" not in told.lower()


def test_an_undecided_pair_has_an_exit_code_of_its_own(program: Any) -> None:
    store(program.store, slow_s=1.005)
    told = program("compare", "--margin", "0.5%", code=9).stdout
    assert "\nUndecided, 1 of 1:\nmnist: tensorflow against jax" in told and "would decide it" in told


def test_what_is_alike_stands_together(program: Any) -> None:
    """Of three data sets, two have the same verdict; what is said of both is said once."""
    store(program.store, datasets=("mnist", "cifar10"))
    store(program.store, slow_s=1.005, datasets=("fashion_mnist",))
    lines = program("compare", "--margin", "0.5%", code=9).stdout.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("mnist: tensorflow trains "))
    assert lines[first + 1].startswith("cifar10: tensorflow trains ")
    assert lines[first + 2] == "  track: out-of-the-box"
    assert any(line.startswith("  cifar10: target: ") for line in lines), "each has a target of its own"
    assert lines.count("  track: out-of-the-box") == 2, "once for the pair, once for the undecided"
    assert lines[lines.index("Undecided, 1 of 3:") + 1].startswith("fashion_mnist: tensorflow against jax")


def test_why_two_train_differently_is_told_once_and_pointed_at(program: Any) -> None:
    program("import", RESULTS / "sweep" / "sweep.bundle.zip")
    told = program("compare", "sweep", code=9).stdout
    above, _, below = told.partition("\n\n[1] theano · baseline: gradients, conv2d_1/bias")
    assert above.count("they do not train the same thing [1]") > 1
    assert "max-pooling window tie" in below and "max-pooling window tie" not in above
    assert told.count("Repeat it with:") == 1


def test_a_few_blocks_give_ratios_without_intervals(program: Any) -> None:
    store(program.store, num_blocks=4, datasets=("mnist", "fashion_mnist", "cifar10"))
    told = program("compare", code=9).stdout
    assert "tensorflow to jax: without intervals, from 4 paired blocks: time per epoch" in told
    assert "; CPU time 0.50" in told


def test_margins_given_now_are_said_to_be_chosen_after_the_runs(program: Any) -> None:
    store(program.store, slow_s=1.04, document={"rules": {"margin": 0.01}})
    assert "tensorflow trains 1.04" in program("compare").stdout
    told = program("compare", "--margin", "10%").stdout
    assert "practically the same time" in told
    assert "These margins were chosen after the runs. The study's own are ±1 % in time" in told


def test_the_target_may_be_ones_own(program: Any) -> None:
    store(program.store, error=0.03)
    assert "neither reaches an error of 1.00 %" in program("compare").stdout  # MNIST's built-in one
    assert "tensorflow reaches an error of 5.00 % " in program("compare", "--target", "5%").stdout


def test_json_has_all_of_it(program: Any) -> None:
    store(program.store)
    told = json.loads(program("compare", "pair", "--json").stdout)
    (race,) = told["sections"][0]["races"]
    (found,) = race["comparisons"]
    assert found["verdict"]["kind"] == "faster" and found["is_decided"]
    assert found["verdict"]["time"]["ratio"] == pytest.approx(0.5, rel=0.02)
    assert (found["first"], found["second"]) == (FAST.trial_id, SLOW.trial_id)
    assert len(found["run_ids"]) == 12 and found["command"] == "bakeoff run pair"
    assert race["ranking"]["order"] == [0, 1] and told["rules"] == told["rules_of_the_study"]


def test_where_the_study_names_its_comparisons_only_they_count(program: Any) -> None:
    asked = {"margin": 0.005, "comparisons": [["0" * 16, "1" * 16]]}
    store(program.store, slow_s=1.005, document={"rules": asked})
    told = program("compare", code=1).stdout
    assert "\nThe study does not ask about 1 other pair:\nmnist: tensorflow against jax: undecided" in told
    assert told.endswith("\nWithout runs to compare: 1 pair that the study names.\n")
    document = json.loads(program("compare", "--json", code=1).stdout)
    assert document["sections"][0]["races"][0]["comparisons"][0]["is_aside"]


@pytest.mark.parametrize("margin", ["two", "-1%", "200%"])
def test_a_share_that_is_none_is_refused(program: Any, margin: str) -> None:
    assert "expected a share such as 2%" in program("compare", f"--margin={margin}", code=2).stderr


def test_nobody_to_compare_with(program: Any) -> None:
    program(
        "run", "tiny.toml", "--set", "global_batch_size=10", "--set", "repeats=1", "--no-report", "--quiet"
    )
    assert "no two contestants to compare" in program("compare", code=8).stderr
