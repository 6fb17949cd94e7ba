"""What the screen at a study's end says: whom it calls the fastest, and what it refuses to say."""

import dataclasses
import json
from collections.abc import Callable, Mapping

import polars as pl
import pytest

from bakeoff.races.marks import Mark
from bakeoff.report import Frames, screen
from bakeoff.report.contents import compose
from bakeoff.report.item import Tone
from bakeoff.report.items import verdicts
from bakeoff.report.items.summary import Cell, Screen


def cells(found: Screen) -> Mapping[tuple[str, str], Cell]:
    """By contestant and race."""
    assert found.grid is not None
    grid = found.grid
    return {(str(grid.rows[row]), grid.columns[column]): cell for (row, column), cell in grid.cells.items()}


def texts(found: Screen, tone: Tone) -> list[str]:
    return [one.text for one in found.sentences if one.tone is tone]


@pytest.fixture(scope="module")
def quick(race: Callable[..., Frames]) -> Frames:
    """Three data sets, four backends far apart, every pair certified but one with theano."""
    frames = race(datasets=("mnist", "fashion_mnist", "cifar10"), epochs=2)
    trials = frames.runs.unique("trial_id", maintain_order=True)
    ids = {(row["dataset"], row["backend"]): row["trial_id"] for row in trials.iter_rows(named=True)}
    pairs = [
        (one, other, "different" if data == "mnist" and "theano" in (a, b) else "same", a, b)
        for (data, a), one in ids.items()
        for (same_data, b), other in ids.items()
        if data == same_data and a < b
    ]
    rows = [
        {
            "kind": "pair",
            "one_trial": one,
            "other_trial": other,
            "verdict": verdict,
            "words": "",
            "one_environment_digest": f"d-{a}",
            "other_environment_digest": f"d-{b}",
        }
        for one, other, verdict, a, b in pairs
    ]
    return dataclasses.replace(frames, certificates=pl.DataFrame(rows))


def test_times_the_fastest_and_who_that_is(quick: Frames) -> None:
    found = screen(quick)
    assert found.grid is not None
    assert found.grid.rows == ("tensorflow", "torch", "jax", "theano"), "the fastest first"
    assert found.grid.columns == ("mnist", "fashion_mnist", "cifar10")
    assert found.grid.level == "95 % CI"
    by_name = cells(found)
    for data in found.grid.columns:
        assert by_name["tensorflow", data].tone is Tone.DECIDED and by_name["tensorflow", data].ratio is None
        ratio = by_name["torch", data].ratio
        assert ratio is not None and ratio.ratio == pytest.approx(4.0, rel=0.1)
        assert ratio.low is not None and 1 < ratio.low < ratio.ratio
        marks = (Mark.UNCERTIFIED,) if data == "mnist" else ()
        assert by_name["theano", data].marks == marks, "of the pair with the fastest"
    assert texts(found, Tone.DECIDED) == ["tensorflow trains fastest on all data sets."]
    assert [one.text for one in found.header][:2] == ["invented", f"72 of 72 runs, {took(quick)}"]


def test_pairs_that_the_study_names_come_before_all_others(quick: Frames) -> None:
    trials = quick.runs.unique("trial_id", maintain_order=True)
    ids = {(row["dataset"], row["backend"]): row["trial_id"] for row in trials.iter_rows(named=True)}
    named = [[ids[data, "torch"], ids[data, "jax"]] for data in ("mnist", "fashion_mnist", "cifar10")]
    frames = dataclasses.replace(quick, document=json.dumps({"rules": {"comparisons": named}}))
    (section, *_) = compose(frames).sections
    shown = [claim for claim in verdicts.claims(section) if claim.is_leading]
    assert [claim.claim.split(" trains ")[0] for claim in shown] == ["torch"]
    told = texts(screen(frames), Tone.DECIDED)
    assert told == [
        "torch trains 1.78× faster than jax on mnist.",
        "torch trains 1.75× faster than jax, but whether at non-inferior error is undecided on fashion_mnist "
        "and cifar10.",
    ]
    (overview,) = (words for words in texts(screen(frames), Tone.PLAIN) if "comparisons: " in words)
    assert overview.startswith("3 comparisons: 1 decided, 2 decided on time, not on error. ")
    assert overview.endswith("The study does not ask about 15 other pairs.")


def took(frames: Frames) -> str:
    seconds = round(frames.runs["wall_s"].sum())
    return (
        f"{seconds // 3600} h {seconds // 60 % 60} min"
        if seconds >= 3600
        else f"{seconds // 60} min {seconds % 60} s"
    )


def test_close_contestants_are_undecided_in_text_and_tone(
    race: Callable[..., Frames], trial: type, invented: Callable[..., Frames]
) -> None:
    frames = invented(
        [trial("torch"), trial("torch", changes={"threads": 1}, slower=1.005, label="slower")], epochs=2
    )
    found = screen(frames)
    (second,) = (cell for cell in cells(found).values() if cell.ratio is not None)
    assert second.tone is Tone.OPEN
    (told,) = (one for one in texts(found, Tone.OPEN) if "trains fastest" in one)
    assert told.startswith("Undecided who trains fastest: ") and " or " in told
    assert not texts(found, Tone.DECIDED)
    assert "More repeats would tell: run it again with --until-decided." in texts(found, Tone.PLAIN)


def test_undecided_ones_stand_in_the_races_order_whoever_took_less_time(
    trial: type, invented: Callable[..., Frames]
) -> None:
    slower = {"mnist": (1.0, 1.03), "cifar10": (1.03, 1.0)}
    trials = [
        trial(backend, dataset=data, slower=factor * (0.25 if backend == "torch" else 1.0))
        for data, factors in slower.items()
        for backend, factor in zip(("tensorflow", "torch"), factors, strict=True)
    ]
    found = screen(invented(trials, epochs=2))
    (told,) = (one for one in texts(found, Tone.OPEN) if "trains fastest" in one)
    assert told == "Undecided who trains fastest on mnist and cifar10: tensorflow or torch."


def test_without_an_interval_nobody_is_called_the_fastest(race: Callable[..., Frames]) -> None:
    found = screen(race(repeats=1, epochs=2))
    assert found.grid and found.grid.level == ""
    assert {cell.tone for cell in cells(found).values()} == {Tone.OPEN, Tone.PLAIN}
    assert "Too few repeats to say who trains fastest: tensorflow took the least time." in texts(
        found, Tone.OPEN
    )


def test_one_contestant_has_a_time_and_no_verdict(race: Callable[..., Frames]) -> None:
    found = screen(race(backends=("jax",), epochs=2))
    (cell,) = cells(found).values()
    assert cell.ratio is None and cell.tone is Tone.PLAIN
    assert not any("fastest" in one.text for one in found.sentences)


def test_a_swept_setting_makes_a_column_for_each_value(trial: type, invented: Callable[..., Frames]) -> None:
    trials = [
        trial(backend, changes={"threads": threads}, label=f"{backend} · threads {threads}")
        for threads in (1, 2)
        for backend in ("tensorflow", "torch")
    ]
    found = screen(invented(trials, epochs=2))
    assert found.grid and found.grid.rows == ("tensorflow", "torch")
    assert found.grid.rows[1].marks == (Mark.UNCERTIFIED,)
    assert found.grid.columns == ("mnist (threads 1)", "mnist (threads 2)")
    assert "tensorflow trains faster than torch on mnist (threads 1) and mnist (threads 2)." in texts(
        found, Tone.DECIDED
    )


def test_what_failed_is_said_once_with_its_reason(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = race(backends=("tensorflow", "jax"), repeats=2, epochs=2)
    for run in (1, 3):
        frames = spoil(frames, run, "failed", "no such module: jax\nmore")
    found = screen(frames)
    assert cells(found)["jax", "mnist"] == Cell("failed", tone=Tone.BAD)
    assert texts(found, Tone.BAD) == ["jax: 2 runs failed: no such module: jax"]
    assert "Missing: 2 runs; the same command goes on with them." in texts(found, Tone.OPEN)
    assert not texts(found, Tone.DECIDED), "nobody to be faster than"


def test_worse_errors_are_said_where_the_faster_one_has_them(
    trial: type, invented: Callable[..., Frames]
) -> None:
    frames = invented([trial("tensorflow"), trial("torch")], epochs=2)
    is_first = pl.col("backend") == "tensorflow"
    wrong = pl.when(is_first).then(0.2).otherwise("final_validation_error")
    frames = dataclasses.replace(
        frames, runs=frames.runs.with_columns(final_validation_error=wrong), outcomes=frames.outcomes.clear()
    )
    found = screen(frames)
    assert "tensorflow trains faster than torch, but at worse error." in texts(found, Tone.PLAIN)


def test_the_header_says_whether_the_machine_was_calibrated(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), epochs=2)
    assert all("calibrat" not in one.text for one in screen(frames).header), "nobody looked"
    known = dataclasses.replace(frames, calibrations=frames.runs.clear())
    assert [one.tone for one in screen(known).header if one.text == "never calibrated"] == [Tone.OPEN]


def test_nothing_ran(race: Callable[..., Frames]) -> None:
    ran = race(backends=("jax",), repeats=1, epochs=1)
    found = screen(Frames("none", ran.runs.clear(), ran.epochs.clear(), num_planned=4))
    assert found.grid is None and [one.text for one in found.header] == ["none", "0 of 4 runs, 0 s"]
