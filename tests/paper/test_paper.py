"""What a report adds to the paper's own studies, and to no other."""

import dataclasses
import html
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))  # spread_study serves several test files

from spread_study import Trial, frames

from bakeoff import study
from bakeoff.paper import conclusions, printed
from bakeoff.report import Frames, render
from bakeoff.report.contents import compose
from bakeoff.report.items import BOUND_TO, parts
from bakeoff.report.items.cluster.runs import Cluster, cluster

TWO = (Trial("theano", "2x1"), Trial("theano", ""))
LAYOUTS = (
    Trial("theano", "2x1"),
    Trial("theano", "1x2", task_s=12.0),
    Trial("tensorflow", "2x1", task_s=5.0, version="7.3.0"),
    Trial("tensorflow", "1x2", task_s=5.0, version="7.3.0"),
)


def of(tmp_path: Path, *trials: Trial, **options: Any) -> Cluster:
    """The first section's distributed runs."""
    contents = compose(frames(tmp_path / "store.sqlite", trials, **options))
    return cluster(contents.sections[0], contents)


def test_the_papers_own_figures_stand_apart_for_its_data_sets(tmp_path: Path) -> None:
    mnist = printed(of(tmp_path / "a", *TWO).section)
    assert [row[3] for row in mnist.rows] == ["50", "8.29", "57", "9.31"]
    assert "never to be averaged" in mnist.remark
    other = Trial("theano", changes={"dataset": "cifar10"})
    assert printed(of(tmp_path / "b", other).section).rows == ()


@pytest.mark.parametrize(
    ("interval", "num", "verdict"),
    [
        ((3.0, 12.0), 6, conclusions.REPRODUCED),
        ((5.0, 7.0), 5, conclusions.UNDECIDED),
        ((5.0, 13.0), 9, conclusions.UNDECIDED),
        ((12.1, 13.0), 6, conclusions.CONTRADICTED),
        ((1.0, 2.9), 6, conclusions.CONTRADICTED),
        (None, 6, conclusions.UNDECIDED),
    ],
)
def test_an_interval_is_judged_by_the_stated_rule(interval: Any, num: int, verdict: str) -> None:
    assert conclusions.judge(interval, num, (3.0, 12.0)) == verdict


def paper(**changes: Any) -> list[Trial]:
    """The paper's contestants, about in its proportions: Theano's total on 5 × 4 is 6 times TensorFlow's."""
    common: dict[str, Any] = {"environment": "vintage_spark", "changes": {"epochs": 50, "train_images": None}}
    return [
        Trial("theano", "5x4", task_s=229.0, step_s=0.0, error=0.0074, **common | changes),
        Trial("tensorflow1", "5x4", task_s=29.0, step_s=0.0, error=0.0075, **common | changes),
        Trial("theano", "4x5", task_s=262.0, step_s=0.0, error=0.0070, **common | changes),
        Trial("tensorflow1", "4x5", task_s=34.0, step_s=0.0, error=0.0074, **common | changes),
    ]


def verdicts(found: Cluster) -> list[str]:
    return [one.verdict for one in conclusions.conclusions(found)]


def test_the_papers_own_numbers_reproduce_its_conclusions(tmp_path: Path) -> None:
    found = of(tmp_path, *paper())
    assert verdicts(found) == [conclusions.REPRODUCED] * 7 + [conclusions.UNTESTABLE]
    by_claim = {one.claim: one for one in conclusions.conclusions(found)}
    assert "theano · 5x4 6.0" in by_claim["Theano takes about six times TensorFlow's total"].here
    said_of = " ".join(conclusions.conditions(found))
    for words in (
        "processes of one machine with 2 cores",
        "Epochs: 50 (the paper: 50)",
        "all training images",
        "asynchronous, as released",
    ):
        assert words in said_of


def test_the_opposite_contradicts_them(tmp_path: Path) -> None:
    trials = paper(gc_s=0.300)
    times = {"theano5x4": 20.0, "theano4x5": 10.0, "tensorflow15x4": 60.0, "tensorflow14x5": 40.0}
    trials = [
        dataclasses.replace(
            one, task_s=times[one.backend + one.layout], error=0.02 if one.backend == "theano" else 0.05
        )
        for one in trials
    ]
    trials = [dataclasses.replace(one, gc_s=0.6) if one.backend == "theano" else one for one in trials]
    found = verdicts(of(tmp_path, *trials))
    assert found[:6] == [conclusions.CONTRADICTED] * 6


def test_what_was_not_run_can_not_be_tested(tmp_path: Path) -> None:
    found = of(tmp_path, *LAYOUTS)
    layouts, six, _, _, _, level, *_ = conclusions.conclusions(found)
    assert layouts.verdict == conclusions.UNTESTABLE
    assert layouts.here == "no contestant ran on both; the layouts here are 1 × 2 and 2 × 1"
    assert level.here == "2 epochs instead of 50; 1,000 training images instead of 60,000"
    assert six.verdict in (conclusions.UNDECIDED, conclusions.CONTRADICTED)


def test_contestants_that_disagree_are_undecided(tmp_path: Path) -> None:
    trials = paper()
    trials[3] = dataclasses.replace(trials[3], task_s=20.0)
    layouts = conclusions.conclusions(of(tmp_path, *trials))[0]
    assert layouts.verdict == conclusions.UNDECIDED
    assert layouts.here.count(": reproduced here") == layouts.here.count(": contradicted here") == 1


def test_the_mode_of_the_papers_time_goes_before_others(tmp_path: Path) -> None:
    common: dict[str, Any] = {"environment": "vintage_spark", "changes": {"epochs": 50, "train_images": None}}
    others = [
        Trial(
            backend,
            "5x4",
            task_s=50.0,
            step_s=0.0,
            label=f"{backend} averaged",
            options={"mode": "synchronous", "merge": "averaged"},
            **common,
        )
        for backend in ("theano", "tensorflow1")
    ]
    six = conclusions.conclusions(of(tmp_path, *paper(), *others))[1]
    assert six.verdict == conclusions.REPRODUCED and "averaged" not in six.here


def bound(shown: Frames) -> Frames:
    """The same, as a study of the paper's."""
    return dataclasses.replace(shown, study="paper-distributed")


def test_no_conclusions_without_the_papers_pair(tmp_path: Path) -> None:
    assert "conclusions" not in [part.anchor for part in parts(compose(bound(frames(tmp_path / "s", TWO))))]


@pytest.mark.slow
def test_a_study_of_ones_own_never_meets_the_paper(tmp_path: Path) -> None:
    single = Trial("theano", "", environment="vintage_spark", changes={"epochs": 50, "train_images": None})
    shown = frames(tmp_path / "s", [*paper(), single])
    page = tmp_path / "report.html"
    words = ("The paper's conclusions", "What the paper printed for mnist", "reproduced here")
    own = html.unescape(render(shown, page).read_text(encoding="utf-8"))
    assert [one for one in words if one in own] == []
    of_the_paper = html.unescape(render(bound(shown), page).read_text(encoding="utf-8"))
    assert [one for one in words if one not in of_the_paper] == []
    assert "Theano takes about six times TensorFlow's total: reproduced here" in of_the_paper


def test_another_network_under_the_papers_name_does_not_either(tmp_path: Path) -> None:
    trials = [dataclasses.replace(one, changes={**one.changes, "model": "lenet5"}) for one in paper()]
    shown = bound(frames(tmp_path / "s", trials))
    assert "conclusions" not in [part.anchor for part in parts(compose(shown))]


def test_built_in_studies_that_are_bound_are_there() -> None:
    built_in = [name for name in BOUND_TO if not name.startswith("table-1")]
    assert [study.load(name).name for name in built_in] == built_in
