"""A study that chooses from its own results how to go on: on invented times, and as the real program."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Collection, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bakeoff import identity, session, study
from bakeoff.events import messages
from bakeoff.execute import Tally
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff.store.reader import Reader
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, Record, RunEnded

pytestmark = pytest.mark.slow

THEN = """
name = "then"
title = "What follows"
repeats = 3
seed = 3

[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
epochs = 2

[matrix]
model_options.width = [1, 2]
global_batch_size = [10, 20]

[[trials]]
model = "lenet5"
global_batch_size = 10

[follow_up]
choose = "model_options.width"

[follow_up.set]
epochs = 3
"""
REASON = (
    r"width (\d) goes on: (\S+) times the training time with \d "
    r"\(95 % interval (\S+) to (\S+), (\d+) pairs\)"
)
Seconds = Mapping[tuple[int, int], float]


class Launcher:
    """Invented runs: seconds by width and batch; a width or batch that is not listed fails.

    idle: widths and batches whose loss never falls. launched: the specs, in order.
    """

    def __init__(self, seconds: Seconds, noise: float = 0.01, idle: Collection[tuple[int, int]] = ()) -> None:
        self.seconds, self.noise, self.idle = dict(seconds), noise, idle
        self.launched: list[RunSpec] = []

    def __call__(self, request: Launch) -> Generator[Record, None, None]:
        spec = request.job.spec
        if request.job.paths.looks:
            yield from fake.launch(request)
            return
        self.launched.append(spec)
        width = spec.settings.model_options.get("width", 0)
        which = (width, spec.settings.global_batch_size)
        train_s = self.seconds.get(which)
        if train_s is None:
            yield RunEnded("failed", "told to")
            return
        chance = random.Random(f"{spec.label} {spec.seed}")
        for epoch in range(1, spec.settings.epochs + 1):
            second_s = train_s * chance.lognormvariate(0.0, self.noise)
            loss = 1.0 if which in self.idle else 1.0 / epoch
            yield EpochRecord(epoch, 40, second_s, 0.1, loss, 0.5, 1.0, 0.5, None, None, None)
        yield RunEnded("ok")

    @property
    def widths(self) -> list[int]:
        """Of the runs of the follow-up, in their order; 0 where there is none."""
        return [s.settings.model_options.get("width", 0) for s in self.launched if s.settings.epochs == 3]


ALONE = {(0, 10): 5.0}  # has no width
FIRST_FASTER = ALONE | {(1, 10): 1.0, (2, 10): 1.2, (1, 20): 10.0, (2, 20): 12.0}
SECOND_FASTER = ALONE | {(1, 10): 1.2, (2, 10): 1.0, (1, 20): 12.0, (2, 20): 10.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """A folder with the study ``then.toml`` and all that it needs."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(cache))
    (tmp_path / "then.toml").write_text(THEN)
    (tmp_path / "invented.py").write_text("def build(input_shape, num_classes, width=1): ...\n")
    generator = np.random.default_rng(0)
    images = {
        f"x_{split}": generator.integers(0, 256, (number, 28, 28, 1), np.uint8)
        for split, number in (("train", 40), ("test", 20))
    }
    np.savez(tmp_path / "digits.npz", **images, y_train=np.arange(40) % 10, y_test=np.arange(20) % 10)
    return tmp_path


def run(folder: Path, launcher: Launcher, *overrides: str) -> tuple[Tally, list[str]]:
    """The study in the folder, run on invented times; how runs ended, and what the user was told."""
    told: list[str] = []
    tally = session.run(
        study.load(folder / "then.toml", overrides),
        folder / "bakeoff.sqlite",
        listener=messages(told.append),
        launcher=launcher,
    )
    return tally, told


def reason(told: list[str]) -> tuple[int, float, float, float, int]:
    """Value, ratio, interval and number of pairs, from the one line that says what goes on."""
    found = [match for line in told if (match := re.match(REASON, line))]
    assert len(found) == 1, told
    value, ratio, low, high, pairs = found[0].groups()
    return int(value), float(ratio), float(low), float(high), int(pairs)


def test_the_better_value_goes_on_and_the_reason_is_told_in_a_line(folder: Path) -> None:
    launcher = Launcher(SECOND_FASTER)
    tally, told = run(folder, launcher)
    # 2 x 2 trials and the one without a width, then 2 of width 2 and the one without.
    assert tally.counts == {"ok": 5 * 3 + 3 * 3} and tally.all_ok
    assert sorted(launcher.widths) == [0] * 3 + [2] * 6
    assert [spec.settings.epochs for spec in launcher.launched] == [2] * 15 + [3] * 9
    value, ratio, low, high, pairs = reason(told)
    assert value == 2 and low < ratio < high < 1 and pairs == 6
    assert ratio == pytest.approx(1 / 1.2, rel=0.02)
    assert not any("undecided" in line or "lower" in line for line in told)
    assert "then epochs 3: 9 of 9 runs to do" in told[-1]


def test_an_undecided_difference_is_said_to_be_and_the_lower_one_goes_on(folder: Path) -> None:
    launcher = Launcher(ALONE | {(1, 10): 1.0, (2, 10): 1.5, (1, 20): 1.4, (2, 20): 1.0}, noise=0.1)
    _, told = run(folder, launcher)
    _, ratio, low, high, _ = reason(told)
    assert low < ratio < 1 < high
    assert sum(line.endswith(": undecided, the lower one is taken") for line in told) == 1


def test_the_same_command_again_has_nothing_to_do_and_keeps_the_choice(folder: Path) -> None:
    run(folder, Launcher(FIRST_FASTER))
    again = Launcher({})
    tally, told = run(folder, again)
    assert again.launched == [] and tally.counts == {}
    assert "width 1 was chosen before, and stays" in told
    assert told[-1].startswith("then epochs 3: 0 of 9 runs to do")


def test_a_mended_run_does_not_overturn_the_choice(folder: Path) -> None:
    """At first only width 1 works; later width 2 does too, and is faster."""
    _, told = run(folder, Launcher({key: s for key, s in SECOND_FASTER.items() if key[0] != 2}))
    assert "width 1 goes on: not compared with 2: no run with it ended well and learnt" in told
    mended = Launcher(SECOND_FASTER)
    tally, told = run(folder, mended)
    assert "width 1 was chosen before, and stays" in told
    assert {spec.settings.model_options.get("width") for spec in mended.launched} == {2}
    assert mended.widths == [] and tally.counts == {"ok": 6}


def test_failed_runs_and_runs_without_a_partner_do_not_count(folder: Path) -> None:
    """Width 2 is the slower where both work; where it works alone it is ten times as fast."""
    _, told = run(folder, Launcher({(0, 10): 5.0, (1, 10): 1.0, (2, 10): 1.2, (2, 20): 0.1}))
    (line,) = (line for line in told if " goes on: " in line)
    found = re.match(r"width 1 goes on: ([0-9.]+) times the training time with 2 \(3 pairs\)", line)
    assert found and float(found[1]) == pytest.approx(1 / 1.2, rel=0.02)
    assert line.endswith(": too few repeats to say, the lower one is taken")


def test_a_value_whose_contestants_learnt_nothing_is_not_chosen_however_fast(folder: Path) -> None:
    """Width 2 is faster where it learns nothing, and slower where it does."""
    launcher = Launcher(FIRST_FASTER | {(2, 10): 0.1}, idle=[(2, 10)])
    _, told = run(folder, launcher)
    (line,) = (line for line in told if " goes on: " in line)
    assert line.startswith("width 1 goes on: 0.8") and "(3 pairs)" in line
    assert [line for line in told if "learnt nothing" in line] == [
        "invented · width 2 · epochs 2 · batch 10 learnt nothing, so that its times don't count: "
        "its training loss went from 1 to 1 (in 3 of 3 runs)"
    ]
    assert 2 not in launcher.widths


def test_where_nothing_was_learnt_nothing_is_chosen(folder: Path) -> None:
    launcher = Launcher(FIRST_FASTER, idle=FIRST_FASTER)
    _, told = run(folder, launcher)
    assert told[-1] == (
        "no run with any width ended well and learnt anything, so none can be chosen: epochs 3 is not run"
    )
    assert launcher.widths == []


def test_without_a_good_run_nothing_follows(folder: Path) -> None:
    launcher = Launcher({(0, 10): 5.0})
    tally, told = run(folder, launcher)
    assert tally.counts == {"ok": 3, "failed": 12} and not tally.all_ok
    assert " so none can be chosen" in told[-1]
    assert launcher.widths == []
    with Reader(folder / "bakeoff.sqlite") as reader:
        assert reader.studies()["num_planned"].to_list() == [15]


def test_more_repeats_choose_again_from_more_results(folder: Path) -> None:
    run(folder, Launcher(FIRST_FASTER))
    more = Launcher(FIRST_FASTER)
    tally, told = run(folder, more, "repeats=5")
    assert tally.counts == {"ok": 5 * 2 + 3 * 2}
    assert reason(told)[0] == 1 and reason(told)[-1] == 10


def test_a_single_value_goes_on_without_a_choice(folder: Path) -> None:
    launcher = Launcher(ALONE | {(3, 10): 1.0, (3, 20): 1.0})
    _, told = run(folder, launcher, "matrix.model_options.width=[3]")
    assert "width 3 goes on: there is no other" in told


def test_what_the_store_says_of_the_study(folder: Path) -> None:
    run(folder, Launcher(SECOND_FASTER))
    with Reader(folder / "bakeoff.sqlite") as reader:
        (row,) = reader.studies().rows(named=True)
        runs = reader.runs("then")
    assert (row["num_planned"], row["num_ok"], row["num_trials"]) == (24, 24, 8)
    assert set(runs.filter(status="ok").group_by("label").len()["len"]) == {3}
    branch = json.loads(row["document"])["follow_up"]["branches"][1]
    assert branch["value"] == 2
    assert (
        set(branch["compared"])
        <= set(runs["trial_id"])
        >= {identity.known(study.load(folder / "then.toml")).trials[0].trial_id}
    )


# ---- the real program, with real processes --------------------------------------------------------

REAL = """
name = "real"
repeats = 2
seed = 3

[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
global_batch_size = 10
epochs = 2

[matrix]
model_options.epoch_s = [0.4, 0.0]

[follow_up]
choose = "model_options.epoch_s"

[follow_up.set]
epochs = 3
"""


def test_the_program_plans_runs_and_resumes_what_follows(program: Any) -> None:
    program.write("real.toml", REAL)
    planned = program("plan", "real.toml").stdout
    assert "2 trials × 2 repeats = 4 runs" in planned
    assert "then: 1 trial × 2 repeats = 2 runs with epochs 3 on the better epoch s (0.4 or 0.0)" in planned
    plan = json.loads(program("plan", "real.toml", "--json").stdout)
    assert len(plan["runs"]) == 4
    assert [branch["value"] for branch in plan["follow_up"]["branches"]] == [0.4, 0.0]
    assert all(len(branch["runs"]) == 2 for branch in plan["follow_up"]["branches"])

    done = program("run", "real.toml", "--no-report", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    numbers = [(e["index"], e["total"]) for e in events if e["event"] == "run_started"]
    assert numbers == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 6), (5, 6)], "runs are counted on"
    assert "epoch s 0.0 goes on: " in done.stderr and "too few repeats to say" in done.stderr
    runs = program.runs()
    assert runs["status"].to_list() == ["ok"] * 6
    assert runs["settings.epochs"].to_list() == [2] * 4 + [3] * 2
    assert all(json.loads(text)["epoch_s"] == 0.0 for text in runs["settings.model_options"][4:])

    again = program("run", "real.toml", "--no-report", "--json")
    assert again.stdout == "" and "epoch s 0.0 was chosen before" in again.stderr
    assert "time: about" in program("plan", "real.toml").stdout
    assert "6" in next(line for line in program("studies").stdout.splitlines() if line.startswith("real "))


def test_an_interrupted_follow_up_goes_on(program: Any) -> None:
    program.write("real.toml", REAL)
    slow = ("--set", "matrix.model_options.epoch_s=[1.0, 0.3]")
    process = program.start("run", "real.toml", "--quiet", "--no-report", *slow)
    program.wait_for_epoch()
    program.wait_for(lambda: len(program.runs()) == 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    program("run", "real.toml", "--quiet", "--no-report", *slow)
    runs = program.runs()
    assert runs["status"].to_list().count("ok") == 6
    follows = runs.filter(pl.col("settings.epochs") == 3)
    assert {json.loads(text)["epoch_s"] for text in follows["settings.model_options"]} == {0.3}


def test_nothing_that_ended_well_is_exit_code_1(program: Any) -> None:
    program.write("real.toml", REAL)
    done = program("run", "real.toml", "--no-report", "--json", "--set", 'model_options.fault="exit"', code=1)
    assert "no run with any epoch s ended well" in done.stderr
    assert len(program.runs()) == 4
