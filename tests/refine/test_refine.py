"""A search through the real program's own runs, on invented times."""

from __future__ import annotations

import functools
import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from bakeoff import refine, study
from bakeoff.cli import main
from bakeoff.errors import StudyError
from bakeoff.launchers import fake
from bakeoff.launchers.base import Launch
from bakeoff.refine import outside
from bakeoff.refine.search import Fate
from bakeoff.refine.space import Knob
from bakeoff.store.reader import Reader
from bakeoff_worker.records import PhaseEnded, Record, RunEnded

pytestmark = pytest.mark.slow

STUDY = """
name = "invented"
seed = 3
[defaults]
backend = "fake"
dataset = "digits.npz"
model = "invented.py"
epochs = 2
handicap = 0.5
evaluation_split = "validation"
[verdicts]
errors = "measured"
error_margin = "10pp"
"""


def knob(name: str, **changes: object) -> Knob:
    return Knob(name, lambda settings, machine: [changes])


# The invented launcher's times depend on the backend and the handicap alone.
FASTER, ALIKE, SLOWER = (
    knob("faster", handicap=0.0),
    knob("alike", pin_cpus=True),
    knob("slower", handicap=2.0),
)
UNSEEN = Knob("unseen", lambda settings, machine: [{"threads": 1}], seen=("versions",))


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> study.Study:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 1), np.uint8)
    np.savez(
        tmp_path / "digits.npz",
        x_train=images,
        y_train=np.arange(400) % 10,
        x_test=images[:20],
        y_test=np.arange(20) % 10,
    )
    (tmp_path / "invented.py").write_text("def build(input_shape, num_classes):\n    pass\n")
    (tmp_path / "invented.toml").write_text(STUDY)
    return study.load(tmp_path / "invented.toml")


class Launcher:
    """The invented one. stop_at: number of the run in which the user presses Ctrl-C; fails: one who fails."""

    def __init__(self, stop_at: int = -1, fails: int = -1) -> None:
        self.stop_at, self.fails, self.num_runs = stop_at, fails, 0

    def __call__(self, request: Launch) -> Generator[Record, None, None]:
        if request.job.paths.looks:
            yield from fake.launch(request)
            return
        if self.num_runs == self.stop_at:
            raise KeyboardInterrupt
        self.num_runs += 1
        if request.job.spec.settings.threads == self.fails:
            yield RunEnded("failed", "told to fail")
            return
        for record in fake.launch(request):
            # What our own question after the training takes is no part of a run: invented, it would be all.
            if not (isinstance(record, PhaseEnded) and record.name == "outcomes"):
                yield record


def run(
    chosen: study.Study, folder: Path, launcher: Launcher, *knobs: Knob, budget_s: float = 60.0
) -> refine.Refinement:
    return refine.refine(
        chosen,
        chosen.trials[0].label,
        folder / "store.sqlite",
        budget_s=budget_s,
        knobs=knobs,
        launcher=launcher,
        verify=False,
    )


def in_the_end(found: refine.Refinement) -> tuple[object, ...]:
    search = found.search
    return search.fates, search.measured, search.winner, found.verdict, found.sentence


def test_what_helps_is_found_confirmed_and_told(chosen, tmp_path, monkeypatch, capsys) -> None:
    knobs = (FASTER, ALIKE, SLOWER, UNSEEN, knob("bad", threads=7))
    found = run(chosen, tmp_path, Launcher(fails=7), *knobs)
    fates = found.search.fates
    assert fates["handicap = 0"] is Fate.HELPS and fates["handicap = 2"] is Fate.SLOWER
    assert fates["threads = 1"] is Fate.NO_EFFECT and fates["threads = 7"] is Fate.FAILED
    assert found.search.measured["threads = 7"].failure == "failed: told to fail"
    assert found.is_confirmed and found.is_decided and found.verdict is not None
    assert "handicap = 0" in found.search.winner.name
    # Invented times hang on the trial, and it on the folder: the interval is another in each run of the test.
    low, high = found.verdict.time.low, found.verdict.time.high
    assert 0.9 * low < 1 / 1.5 < 1.1 * high and high < 0.9 and high - low < 0.2
    assert outside.toml(found.settings, found.search.winner.options).startswith("[defaults]\nhandicap = 0.0")
    with Reader(tmp_path / "store.sqlite") as reader:
        runs = reader.runs()
    confirming = runs.filter(study=found.study)
    assert set(confirming["label"]) == {"default", found.search.winner.name}
    assert not set(confirming["seed"]) & set(runs.join(confirming, on="run_id", how="anti")["seed"])

    # The same command again: nothing runs, and all is told.
    again = Launcher()
    known = functools.partial(refine.refine, knobs=knobs, launcher=again)
    monkeypatch.setattr("bakeoff.cli.refine.refine", known)
    command = ["refine", str(tmp_path / "invented.toml"), "--store", str(tmp_path / "store.sqlite")]
    command += ["--budget", "60s", "--no-verify", "--quiet"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "failed: told to fail" in said and "had no effect" in said and "handicap = 0.0\n" in said
    assert f"tuned track, on fresh blocks: {found.sentence}" in said and found.study in said
    assert main([*command, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["is_confirmed"] and document["ratio"] == found.verdict.time.ratio
    assert {one["change"]: one["fate"] for one in document["tried"]} == {k: v.value for k, v in fates.items()}
    assert again.num_runs == 0


def test_an_interrupted_search_goes_on_and_ends_as_if_it_had_not_been(chosen, tmp_path) -> None:
    launcher = Launcher()
    whole = run(chosen, tmp_path, launcher, FASTER, ALIKE, SLOWER)
    (tmp_path / "cut").mkdir()
    for stop_at in (stops := (0, 3, 14)):
        with pytest.raises(KeyboardInterrupt):
            run(chosen, tmp_path / "cut", Launcher(stop_at), FASTER, ALIKE, SLOWER)
    last = Launcher()
    cut = run(chosen, tmp_path / "cut", last, FASTER, ALIKE, SLOWER)
    assert in_the_end(cut) == in_the_end(whole)
    assert last.num_runs + sum(stops) == launcher.num_runs
    # What is being confirmed stays, whatever the budget.
    for budget_s in (60.0, 6000.0):
        again = Launcher()
        same = run(chosen, tmp_path / "cut", again, FASTER, ALIKE, SLOWER, budget_s=budget_s)
        assert in_the_end(same) == in_the_end(whole) and again.num_runs == 0


def test_the_test_images_choose_nobody(chosen, tmp_path) -> None:
    on_test = study.load(tmp_path / "invented.toml", ["evaluation_split=test"])
    with pytest.raises(StudyError, match="must not be of test images"):
        run(on_test, tmp_path, Launcher(), FASTER)


def test_a_default_that_fails_is_said_and_nothing_is_searched(chosen, tmp_path) -> None:
    launcher = Launcher(fails=None)  # type: ignore[arg-type]
    found = run(chosen, tmp_path, launcher, FASTER, ALIKE)
    assert found.failure == "failed: told to fail" and launcher.num_runs == 1
