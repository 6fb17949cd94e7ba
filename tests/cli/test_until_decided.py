"""A study that adds blocks until all is decided: on invented times, and as the real program."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff import races, session, stats, study
from bakeoff.events import messages
from bakeoff.execute import Tally
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff.store.reader import Reader
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import EpochRecord, Record, RunEnded

pytestmark = pytest.mark.slow

RACE = """
name = "race"
repeats = 2
seed = 3

[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
epochs = 2

[matrix]
model_options.width = [1, 2, 3]

[verdicts]
until_decided = true
"""


class Launcher:
    """Invented runs: seconds an epoch by width; a width that is not listed fails.

    noise: standard deviation of the logarithm of a run's time. stop_at: number of the run, from 0, in
    which the user presses Ctrl-C. launched: the specs, in order.
    """

    def __init__(self, seconds: Mapping[int, float], noise: float = 0.01, stop_at: int = -1) -> None:
        self.seconds, self.noise, self.stop_at = seconds, noise, stop_at
        self.launched: list[RunSpec] = []

    def __call__(self, request: Launch) -> Generator[Record, None, None]:
        spec = request.job.spec
        if request.job.paths.looks:
            yield from fake.launch(request)
            return
        if len(self.launched) == self.stop_at:
            raise KeyboardInterrupt
        self.launched.append(spec)
        width = spec.settings.model_options["width"]
        if width not in self.seconds:
            yield RunEnded("failed", "told to")
            return
        chance = random.Random(f"{spec.label} {spec.seed}")
        run_s = self.seconds[width] * chance.lognormvariate(0.0, self.noise)
        for epoch in range(1, spec.settings.epochs + 1):
            yield EpochRecord(epoch, 40, run_s, 0.1, 1.0 / epoch, 0.5, 1.0, 0.5, None, None, None)
        yield RunEnded("ok")

    @property
    def blocks(self) -> Mapping[int, int]:
        """By width, how many runs there were."""
        return Counter(spec.settings.model_options["width"] for spec in self.launched)

    @property
    def names(self) -> list[tuple[str, int, int, int]]:
        """What was launched, in order."""
        return [(spec.trial_id, spec.repeat, spec.position, spec.seed) for spec in self.launched]


CLEAR = {1: 1.0, 2: 1.2, 3: 1.5}
WIDTH_3_MORE = ((1, 2), (2, 2), (3, 4))
TWO_ARE_CLOSE = {1: 1.0, 2: 1.03, 3: 2.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """A folder with the study ``race.toml`` and all that it needs."""
    monkeypatch.setenv("BAKEOFF_CACHE", str(cache))
    (tmp_path / "race.toml").write_text(RACE)
    (tmp_path / "invented.py").write_text("def build(input_shape, num_classes, width=1): ...\n")
    generator = np.random.default_rng(0)
    images = {
        f"x_{split}": generator.integers(0, 256, (number, 8, 8, 1), np.uint8)
        for split, number in (("train", 40), ("test", 20))
    }
    np.savez(tmp_path / "digits.npz", **images, y_train=np.arange(40) % 10, y_test=np.arange(20) % 10)
    return tmp_path


def run(
    folder: Path, launcher: Launcher, *overrides: str, store: str = "bakeoff.sqlite"
) -> tuple[Tally, list[str]]:
    """The study in the folder, run on invented times; how runs ended, and what the user was told."""
    told: list[str] = []
    tally = session.run(
        study.load(folder / "race.toml", overrides),
        folder / store,
        listener=messages(told.append),
        launcher=launcher,
        verify=False,
    )
    return tally, told


def test_clear_differences_take_the_fewest_blocks(folder: Path) -> None:
    launcher = Launcher(CLEAR)
    tally, told = run(folder, launcher)
    assert launcher.blocks == {1: 6, 2: 6, 3: 6}
    assert (tally.counts, tally.num_undecided) == ({"ok": 18}, 0)
    assert "race: until 3 comparisons are decided, in 6 blocks at least, within 50 blocks" in told[-3]
    first, *lines = told[-2].split("\n  ")
    assert first == "after block 6: 3 of 3 comparisons are decided"
    assert len(lines) == 3 and lines[0].startswith("width 1 trains 1.2")
    assert told[-1] == "all is decided after 6 blocks"


def schedules(folder: Path) -> set[stats.Schedule]:
    """How the number of blocks of the study's comparisons was settled, as its store says."""
    with Reader(folder / "bakeoff.sqlite") as reader:
        frames = races.read(reader, "race")
    (section,) = races.compose(frames)
    return {one.verdict.schedule for race in section.races for one in race.comparisons}


def test_blocks_that_are_added_to_a_fixed_number_are_known_as_that(folder: Path) -> None:
    """Stopped early; as planned; raised after a look, which is said; and never forgotten."""
    fixed = "verdicts.until_decided=false"
    with pytest.raises(KeyboardInterrupt):
        run(folder, Launcher(TWO_ARE_CLOSE, stop_at=10), fixed, "repeats=6")
    assert schedules(folder) == {stats.Schedule.UNFINISHED}
    _, told = run(folder, Launcher(TWO_ARE_CLOSE), fixed, "repeats=6")
    assert schedules(folder) == {stats.Schedule.FIXED} and "race was run before" not in " ".join(told)
    _, told = run(folder, Launcher(TWO_ARE_CLOSE), fixed, "repeats=8")
    assert schedules(folder) == {stats.Schedule.CHANGED}
    assert "race was run before with 6 repeats, now 8" in " ".join(told)


def test_what_was_run_until_decided_is_no_number_fixed_beforehand(folder: Path) -> None:
    run(folder, Launcher(CLEAR))
    assert schedules(folder) == {stats.Schedule.UNTIL_DECIDED}
    run(folder, Launcher(CLEAR), "verdicts.until_decided=false", "repeats=6")
    assert schedules(folder) == {stats.Schedule.CHANGED}


def test_whoever_has_nothing_left_to_decide_sits_out(folder: Path) -> None:
    launcher = Launcher(TWO_ARE_CLOSE, noise=0.03)
    tally, told = run(folder, launcher)
    blocks = launcher.blocks
    assert blocks[3] == 6 < blocks[1] == blocks[2] and tally.num_undecided == 0
    after_six = next(line for line in told if line.startswith("after block 6"))
    assert after_six.startswith("after block 6: 2 of 3 comparisons are decided")
    assert "\n  width 1 against width 2: undecided" in after_six and "more block" in after_six
    assert after_six.endswith("\n  sitting out: width 3")
    assert [line.split(":")[0] for line in told if line.startswith("after block")] == [
        f"after block {number}" for number in range(6, blocks[1] + 1)
    ]
    # Said once when it is decided, not again after every block.
    assert sum("faster than width 3" in line for line in told) == 1


def test_blocks_are_whole_and_interleaved(folder: Path) -> None:
    launcher = Launcher(TWO_ARE_CLOSE, noise=0.03)
    run(folder, launcher)
    numbers = [spec.block for spec in launcher.launched]
    assert numbers == sorted(numbers)
    orders = {
        tuple(spec.settings.model_options["width"] for spec in launcher.launched if spec.block == number)
        for number in range(6)
    }
    assert len(orders) > 1
    assert all(spec.repeat == spec.block for spec in launcher.launched)


def test_equal_contestants_are_called_so(folder: Path) -> None:
    tally, told = run(folder, Launcher({1: 1.0, 2: 1.0, 3: 1.0}, noise=0.003))
    assert tally.num_undecided == 0
    assert "".join(told).count("take practically the same time") == 3


def test_a_spent_budget_of_blocks_leaves_it_undecided_and_a_raised_one_goes_on(folder: Path) -> None:
    noisy = Launcher(TWO_ARE_CLOSE, noise=0.1)
    tally, told = run(folder, noisy, "verdicts.max_blocks=8")
    assert noisy.blocks == {1: 8, 2: 8, 3: 6} and tally.num_undecided == 1
    assert told[-1] == "1 comparison is undecided: the budget of 8 blocks is spent; --max-blocks N raises it"
    more = Launcher(TWO_ARE_CLOSE, noise=0.1)
    tally, told = run(folder, more, "verdicts.max_blocks=10")
    assert more.blocks == {1: 2, 2: 2} and {spec.block for spec in more.launched} == {8, 9}
    assert not any("other rules" in line for line in told)
    with Reader(folder / "bakeoff.sqlite") as reader:
        assert len(reader.studies()) == 1


def test_a_spent_budget_of_hours_leaves_it_undecided(folder: Path) -> None:
    launcher = Launcher(CLEAR)
    tally, told = run(folder, launcher, "verdicts.max_hours=1e-9")
    assert launcher.blocks == {1: 1, 2: 1, 3: 1} and tally.num_undecided == 3
    assert told[-1].startswith("3 comparisons are undecided: ") and "--max-hours H raises it" in told[-1]


def test_an_interrupted_study_goes_on_as_if_it_had_not_been(folder: Path) -> None:
    whole = Launcher(TWO_ARE_CLOSE, noise=0.03)
    _, told = run(folder, whole, store="whole.sqlite")
    assert len(whole.launched) > 19
    for stop_at in (0, 4, 19):  # before anything, among the first blocks, and among those of the close two
        first = Launcher(TWO_ARE_CLOSE, noise=0.03, stop_at=stop_at)
        with pytest.raises(KeyboardInterrupt):
            run(folder, first, store=f"{stop_at}.sqlite")
        then = Launcher(TWO_ARE_CLOSE, noise=0.03)
        _, told_then = run(folder, then, store=f"{stop_at}.sqlite")
        assert first.names + then.names == whole.names
        assert told_then[-1] == told[-1]


def test_the_same_command_again_has_nothing_to_do(folder: Path) -> None:
    _, told = run(folder, Launcher(TWO_ARE_CLOSE, noise=0.03))
    again = Launcher({})
    tally, told_again = run(folder, again)
    assert again.launched == [] and (tally.counts, tally.num_undecided) == ({}, 0)
    assert told_again[-1] == told[-1]
    assert sum(line.startswith("after block") for line in told_again) == 1


def test_a_contestant_that_keeps_failing_sits_out(folder: Path) -> None:
    launcher = Launcher({1: 1.0, 2: 1.2})
    tally, told = run(folder, launcher)
    assert launcher.blocks == {1: 6, 2: 6, 3: 3}
    assert tally.num_undecided == 2
    assert "width 3 ended badly 3 times running (last: failed)" in told[-2]
    assert told[-1] == "2 comparisons are undecided, and more blocks would not help"
    mended = Launcher(CLEAR)
    tally, _ = run(folder, mended)
    assert mended.blocks == {3: 6} and (tally.counts, tally.num_undecided) == ({"ok": 6}, 0)


def test_planned_is_what_was_asked_for_so_far(folder: Path) -> None:
    launcher = Launcher(TWO_ARE_CLOSE, noise=0.03)
    run(folder, launcher)
    with Reader(folder / "bakeoff.sqlite") as reader:
        (row,) = reader.studies().rows(named=True)
    assert row["num_planned"] == row["num_ok"] == len(launcher.launched)
    rules = json.loads(row["document"])["rules"]
    assert rules["is_sequential"] and len(rules["comparisons"]) == 3


def test_blocks_that_are_there_are_looked_at_in_their_turn(folder: Path) -> None:
    """A fixed study of twelve blocks ran before: the verdict comes after six of them, as it would have."""
    run(folder, Launcher(CLEAR), "verdicts.until_decided=false", "repeats=12")
    launcher = Launcher({})
    tally, told = run(folder, launcher)
    assert launcher.launched == [] and tally.num_undecided == 0
    assert told[-1] == "all is decided after 6 blocks"
    with Reader(folder / "bakeoff.sqlite") as reader:
        assert sorted(reader.studies()["num_planned"].to_list()) == [18, 36]


def test_other_rules_after_the_first_run_are_told_of(folder: Path) -> None:
    run(folder, Launcher(CLEAR), "verdicts.until_decided=false")
    _, told = run(folder, Launcher(CLEAR), "verdicts.margin=5%")
    (line,) = [line for line in told if "other rules" in line]
    assert "now: 5 % margin of times (before: 2 % margin of times), until decided (before: a fixed" in line
    _, told = run(folder, Launcher(CLEAR), "verdicts.margin=5%", "epochs=3")
    assert not any("other rules" in line for line in told), "another study by the same rules"


def test_who_is_not_asked_about_runs_as_often_as_repeats_say(folder: Path) -> None:
    text = RACE.replace("until_decided", 'compare = [["width 1", "width 2"]]\nuntil_decided')
    (folder / "race.toml").write_text(text)
    launcher = Launcher(CLEAR)
    tally, _ = run(folder, launcher)
    assert launcher.blocks == {1: 6, 2: 6, 3: 2} and tally.num_undecided == 0
    more = Launcher(CLEAR)
    run(folder, more, "repeats=9")
    assert more.blocks == {3: 7}


def test_what_follows_is_decided_too(folder: Path) -> None:
    then = '[follow_up]\nchoose = "global_batch_size"\nset.epochs = 3\n'
    text = RACE.replace("[1, 2, 3]", "[1, 2]\nglobal_batch_size = [10, 20]") + then
    (folder / "race.toml").write_text(text)
    launcher = Launcher({1: 1.0, 2: 1.2})
    tally, told = run(folder, launcher)
    assert tally.counts == {"ok": len(launcher.launched)} and tally.num_undecided == 0
    assert sum(spec.settings.epochs == 3 for spec in launcher.launched) == 12
    assert "then epochs 3: until 1 comparison is decided" in "".join(told)
    assert told[-1] == "all is decided after 6 blocks"


# ---- the real program, with real processes --------------------------------------------------------


def test_the_program_adds_blocks_within_its_budget_and_says_what_is_open(program: Any) -> None:
    """A budget that the first block spends: its time is known only afterwards."""
    planned = program("plan", "tiny.toml", "--until-decided", "--max-blocks", 7).stdout
    assert "2 trials until decided, in 6 to 7 repeats each: 12 to 14 runs" in planned
    assert "1 comparison, by 95 % intervals that hold after every block" in planned
    wanted = ("run", "tiny.toml", "--until-decided", "--max-hours", 0.0001, "--no-report", "--no-verify")
    done = program(*wanted, "--json", code=9)
    assert program.runs()["status"].to_list() == ["ok"] * 2
    assert "until 1 comparison is decided, in 6 blocks at least, within 50 blocks and 0.36 s" in done.stderr
    assert "1 comparison is undecided: " in done.stderr and "--max-hours H raises it" in done.stderr
    again = program(*wanted, "--json", code=9)
    assert again.stdout == "" and len(program.runs()) == 2


def test_a_budget_without_a_question_is_refused(program: Any) -> None:
    done = program("run", "tiny.toml", "--max-hours", 1, code=3)
    assert "--max-hours: goes with a study that runs until decided" in done.stderr


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--max-hours", "more than 0; got `0.0`"), ("--max-blocks", "at least 1; got `0`")],
)
def test_a_budget_of_nothing_is_refused_and_not_taken_for_none(
    program: Any, option: str, expected: str
) -> None:
    done = program("run", "tiny.toml", "--until-decided", option, 0, code=3)
    assert f"{option}: expected {expected}" in done.stderr


def test_what_is_not_compared_is_said_and_not_run_for(folder: Path) -> None:
    """Width 3 has more epochs, which is no question of who is faster: it runs as often as `repeats` says."""
    widths = (f"{{ model_options.width = {width}, epochs = {epochs} }}" for width, epochs in WIDTH_3_MORE)
    text = RACE.replace("model_options.width = [1, 2, 3]", f"entrant = [{', '.join(widths)}]")
    (folder / "race.toml").write_text(text)
    launcher = Launcher(CLEAR)
    tally, told = run(folder, launcher)
    assert launcher.blocks == {1: 6, 2: 6, 3: 2} and tally.num_undecided == 0
    said = [line for line in told if "are not compared" in line]
    assert len(said) == 2 and "different work: epochs 2 and 4" in said[0]
