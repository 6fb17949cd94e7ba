"""What items say: claims and what stands behind them, ranking, disclosure, trust, the checklist."""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bakeoff import races, report, stats
from bakeoff.races.marks import Label, Mark
from bakeoff.races.sections import Section
from bakeoff.report import Frames, figures, render
from bakeoff.report.contents import compose
from bakeoff.report.figures import Palette
from bakeoff.report.formats.marks import note
from bakeoff.report.item import Claim, Item, State, Table, Tone
from bakeoff.report.items import break_even, certificates, sweeps, trade_off, troubles, verdicts
from bakeoff.report.items.checklist import Answer, bibtex, methods_paragraph
from bakeoff.report.items.conditions import trust, what_ran


def with_phases(frames: Frames) -> Frames:
    """What comes once takes a tenth of the training, of theano as long as the training itself."""
    rows = [
        {"run_id": run_id, "phase": phase, "wall_s": train_s * (0.2 if backend == "theano" else 0.02)}
        for run_id, backend, train_s in frames.runs.select("run_id", "backend", "train_s").iter_rows()
        for phase in ("interpreter", "import", "data", "build", "first_step")
    ]
    return dataclasses.replace(frames, phases=pl.DataFrame(rows))


def certified(frames: Frames, *pairs: tuple[str, str], verdict: str = "same", words: str = "") -> Frames:
    """The frames with certificates of pairs of backends."""
    found = frames.runs.unique("backend").rows_by_key("backend", named=True, unique=True)
    rows = [
        {
            f"{side}_{key}": found[name][column]
            for side, name in (("one", a), ("other", b))
            for key, column in (("trial", "trial_id"), ("environment_digest", "environment_digest"))
        }
        | {"verdict": verdict, "words": words}
        for a, b in pairs
    ]
    return dataclasses.replace(frames, certificates=pl.DataFrame(rows))


def section_of(frames: Frames) -> Section:
    (section,) = races.compose(frames)
    return section


def data_of(chart: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = chart.rows
    return rows


def item_of(section: Section) -> Item:
    """The item of verdicts."""
    return next(verdicts.items(section))


def claim_of(section: Section) -> Claim:
    return verdicts.claim(section.races[0].comparisons[0])


def ranking_of(section: Section) -> Table:
    table = verdicts.ranking_table(section)
    assert table is not None
    return table


# ---- claims -------------------------------------------------------------------------------------


def test_a_statement_has_track_certificate_runs_and_command(race: Callable[..., Frames]) -> None:
    section = section_of(race(backends=("tensorflow", "jax")))
    (told,) = item_of(section).open_claims
    assert told.claim.startswith("tensorflow trains ")
    assert [(badge.words, badge.mark) for badge in told.badges] == [
        ("out-of-the-box", None),
        ("not certified", Mark.UNCERTIFIED),
    ]
    assert told.command == "bakeoff run invented"
    trials = {one.short: one.trial_id for one in section.contestants}
    assert told.runs == tuple((name, f"runs-{trials[name]}") for name in ("tensorflow", "jax"))


def test_the_leader_stays_open_and_the_fold_says_what_is_undecided_in_it(
    race: Callable[..., Frames],
) -> None:
    item = item_of(section_of(race(repeats=2)))
    assert item.open_claims == () and item.fold == "6 comparisons, 6 undecided"
    item = item_of(section_of(race()))
    assert len(item.open_claims) == 3 and item.fold == "3 more comparisons"


def test_certified_pairs_carry_no_mark(race: Callable[..., Frames]) -> None:
    frames = race(backends=("tensorflow", "jax", "torch"))
    some = section_of(certified(frames, ("tensorflow", "jax"))).races[0]
    told = [certificates.labelled(one, "vs") for one in some.comparisons]
    assert {str(one): one.marks for one in told} == {
        "tensorflow vs jax": (),
        "tensorflow vs torch": (Mark.UNCERTIFIED,),
        "torch vs jax": (Mark.UNCERTIFIED,),
    }
    said = certificates.note([some])
    assert said == "Not certified to train the same thing: tensorflow and torch, torch and jax."
    every = [("tensorflow", "jax"), ("tensorflow", "torch"), ("jax", "torch")]
    assert certificates.note(section_of(certified(frames, *every)).races) == ""
    assert certificates.note(section_of(frames).races) == "", "the mark says it"


def test_contestants_that_train_different_things_are_told_with_the_reason(
    race: Callable[..., Frames],
) -> None:
    frames = certified(
        race(backends=("tensorflow", "jax")), ("tensorflow", "jax"), verdict="different", words="epsilon"
    )
    told = claim_of(section_of(frames))
    assert any(badge.tone is Tone.BAD and "different" in badge.words for badge in told.badges)
    assert any("epsilon" in remark for remark in told.remarks)


def test_a_comparison_that_hinges_on_what_counts_says_so(race: Callable[..., Frames]) -> None:
    (one,) = section_of(race(backends=("tensorflow", "jax"))).races[0].comparisons
    hinging = dataclasses.replace(one, hinge="without the one run disturbed: undecided")
    told = verdicts.claim(hinging)
    assert "hinges on which runs count" in [badge.words for badge in told.badges]
    assert any(remark.startswith("Hinges on which runs count: without") for remark in told.remarks)
    assert not any("inges" in remark for remark in verdicts.claim(one).remarks)


def test_a_refused_comparison_gives_its_reason_and_no_figure(
    invented: Callable[..., Frames], trial: Any
) -> None:
    frames = invented([trial("jax", changes={"threads": 1}), trial("torch")], repeats=4)
    section = section_of(frames)
    (one,) = section.races[0].comparisons
    told = verdicts.claim(one)
    assert told.state is State.REFUSED and "mixed tracks" in told.numbers
    assert "refused" in verdicts.overview([section])
    assert list(break_even.items(section)) == []
    assert verdicts.ranking_table(section) is None


def test_the_overview_counts(race: Callable[..., Frames]) -> None:
    frames = race()
    section = section_of(frames)
    few = section_of(race(repeats=2))
    text = verdicts.overview([section, few])
    never = "not verified to train the same thing: bakeoff verify would tell."
    assert text == f"12 comparisons: 6 decided, 6 undecided. 12 pairs are {never}"
    some = verdicts.overview([section_of(certified(frames, ("tensorflow", "jax")))])
    assert some.endswith(f" 1 pair is certified to train the same thing; 5 pairs are {never}")
    assert verdicts.overview([section_of(race(backends=("jax",)))]) == ""


def test_the_rules_are_those_that_the_study_was_stored_with(race: Callable[..., Frames]) -> None:
    frames = dataclasses.replace(
        race(), document=json.dumps({"rules": {"margin": 0.05, "error_margin": 0.01, "is_sequential": True}})
    )
    text = verdicts.rules([section_of(frames)])
    assert "±5 % in time and 1 percentage points in error" in text and "until" in text


# ---- tables -------------------------------------------------------------------------------------


def test_the_ranking_has_places_and_groups(race: Callable[..., Frames]) -> None:
    frames = race(backends=("tensorflow", "torch", "jax"), repeats=6)
    section = section_of(frames)
    table = ranking_of(section)
    assert [row[:2] for row in table.rows] == [("1", "tensorflow"), ("2", "torch"), ("3", "jax")]
    assert [row[-1] for row in table.rows] == ["a", "b", "c"]
    mean = frames.runs.filter(backend="torch")["train_s"].mean()
    assert float(table.rows[1][2]) == pytest.approx(mean, rel=1e-2)


def test_who_is_not_told_apart_shares_places_and_a_group(invented: Callable[..., Frames], trial: Any) -> None:
    frames = invented([trial("tensorflow"), trial("fake"), trial("theano")], repeats=6)
    table = ranking_of(section_of(frames))
    assert {row[0] for row in table.rows[:2]} == {"1 to 2"} and {row[-1] for row in table.rows[:2]} == {"a"}
    assert table.rows[2][0] == "3" and table.rows[2][-1] == "b"


def test_what_ran_is_what_was_seen_not_what_was_asked(invented: Callable[..., Frames], trial: Any) -> None:
    frames = invented([trial("jax", changes={"threads": 4}), trial("torch", changes={"threads": 4})])
    seen = pl.lit(json.dumps({"threads": 2, "jit": True, "versions": {"jax": "0.10.2", "keras": "3.15.1"}}))
    frames = dataclasses.replace(frames, facts=frames.facts.with_columns(observed=seen))
    table = what_ran(races.compose(frames))
    headings = [column.title for column in table.columns]
    row = dict(zip(headings, table.rows[0], strict=True))
    assert row["Contestant"] == "jax" and row["Asked for"] == "threads 4"
    assert row["Threads"] == "2" and row["Compiled"] == "yes"
    assert row["Framework"] == "jax 0.10.2, keras 3.15.1"
    assert "Layout" not in headings


def test_data_sets_on_which_all_ran_alike_share_rows(race: Callable[..., Frames]) -> None:
    table = what_ran(races.compose(race(datasets=("mnist", "cifar10"))))
    assert len(table.rows) == 4
    assert {row[0] for row in table.rows} == {"mnist, cifar10"}


def test_every_run_is_in_the_table_of_runs_with_what_became_of_it(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = spoil(race(backends=("tensorflow", "jax"), repeats=4), 1, "killed", "killed by signal 9")
    section = section_of(frames)
    table = troubles.runs_table(section)
    assert {row[2] for row in table.rows} == set(frames.runs["run_id"])
    by_run = {row[2]: row for row in table.rows}
    assert by_run[frames.runs["run_id"][1]][3] == "killed"
    assert "killed" in by_run[frames.runs["run_id"][1]][-1]
    assert "disturbed" in by_run[frames.runs["run_id"][2]][-1]
    assert set(table.anchors) == {"tensorflow", "jax"}


# ---- figures ------------------------------------------------------------------------------------


def test_time_and_error_have_both_intervals(race: Callable[..., Frames]) -> None:
    runs = race(backends=("jax", "torch"), repeats=5).runs.with_columns(contestant=pl.col("backend"))
    mine = runs.filter(backend="jax")
    images = dict.fromkeys(runs["trial_id"], 10_000)
    chart = figures.time_and_error(runs, images, Palette.of([("jax", "jax"), ("torch", "torch")]))
    (row,) = [row for row in data_of(chart) if row["contestant"] == "jax"]
    time = stats.summarize(mine["train_s"].to_numpy(), bounds=stats.POSITIVE)
    error = stats.error_rate(mine["final_validation_error"].to_numpy(), 10_000)
    assert [row[key] for key in ("time", "time_low", "time_high")] == pytest.approx(
        [time.mean, time.low, time.high], rel=1e-3
    )
    assert [row[key] / 100 for key in ("error", "seed_low", "seed_high", "error_low", "error_high")] == (
        pytest.approx([error.rate, error.seed_low, error.seed_high, error.low, error.high], rel=1e-3)
    )
    assert row["error_low"] < row["seed_low"] < row["error"] < row["seed_high"] < row["error_high"]


def test_two_repeats_have_no_bars(race: Callable[..., Frames]) -> None:
    runs = race(backends=("jax",), repeats=2).runs.with_columns(contestant=pl.col("backend"))
    (row,) = data_of(figures.time_and_error(runs, {}, Palette.of([("jax", "jax")])))
    assert row["time_low"] is None and row["seed_low"] is None and row["error_low"] is None


def test_every_data_set_has_its_own(race: Callable[..., Frames]) -> None:
    sections = races.compose(race(datasets=("mnist", "cifar10")))
    found = [item for section in sections for item in trade_off.items(section)]
    assert [item.name for item in found] == ["time-and-error"] * 2
    assert [sorted(row["contestant"] for row in item.draw().rows) for item in found if item.draw] == [
        ["jax", "tensorflow", "theano", "torch"]
    ] * 2


def costs(once: Sequence[float], epoch: Sequence[float]) -> stats.Costs:
    return stats.Costs(np.array(once), np.array([[value] * 3 for value in epoch]))


def test_break_even_is_marked_where_both_take_the_same_time() -> None:
    found = stats.break_even(costs([20, 20.2, 19.9], [1, 1.01, 1]), costs([0, 0.1, 0], [2, 2.01, 2]), 100)
    rows = data_of(figures.break_even([figures.Curve("a", "b", found, 3)]))
    (mark,) = [row for row in rows if row["kind"] == "at"]
    assert mark["epochs"] == pytest.approx(20, abs=0.5) and mark["ratio"] == 1
    assert {row["epochs"] for row in rows if row["kind"] == "measured"} == {1, 2, 3}
    assert min(row["epochs"] for row in rows if row["kind"] == "projected") == 3
    assert max(row["epochs"] for row in rows) == 100


def test_break_even_is_drawn_where_what_comes_once_was_timed(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax", "theano"), epochs=4)
    assert list(break_even.items(section_of(frames))) == []
    (found,) = break_even.items(section_of(with_phases(frames)))
    assert "Break-even on mnist" in found.caption and "takes less total time" in found.alt
    assert found.draw and {row["pair"] for row in found.draw().rows} == {"jax ÷ theano"}
    assert [one.marks for one in found.labels if isinstance(one, Label)] == [(Mark.UNCERTIFIED,)]


# ---- trust --------------------------------------------------------------------------------------


def test_a_machine_that_was_never_calibrated_is_told(race: Callable[..., Frames]) -> None:
    frames = race()
    found = trust(frames.runs.clear(), frames.runs)
    assert found is not None and found.is_doubtful and "never calibrated" in found.words


def test_nothing_is_said_where_nobody_looked(race: Callable[..., Frames]) -> None:
    frames = race()
    assert trust(None, frames.runs) is None
    assert trust(frames.runs, frames.runs.clear()) is None


# ---- page and terminal --------------------------------------------------------------------------


def test_links_lead_to_the_runs(race: Callable[..., Frames], tmp_path: Path) -> None:
    text = render(with_phases(race(epochs=3)), tmp_path / "report.html").read_text(encoding="utf-8")
    targets = set(re.findall(r'href="#(runs-[^"]+)"', text))
    assert len(targets) == 4
    assert targets == set(re.findall(r'<tbody id="(runs-[^"]+)"', text))
    assert "Repeat: <code>bakeoff run invented</code>" in text
    assert text.index("trains fastest") < text.index("Figure 1.") < text.index("What each contestant ran")


def test_a_doubtful_machine_stands_above_the_verdicts(race: Callable[..., Frames], tmp_path: Path) -> None:
    frames = race(epochs=2)
    frames = dataclasses.replace(frames, calibrations=frames.runs.clear())
    text = render(frames, tmp_path / "report.html").read_text(encoding="utf-8")
    assert 0 < text.index('class="warning">This machine was never') < text.index('<ul class="verdicts">')


# ---- who learnt nothing -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idle(race: Callable[..., Frames]) -> Frames:
    """PyTorch is at chance after its last epoch: it always says one class of ten."""
    frames = race(backends=("jax", "torch", "theano"), repeats=6, epochs=3)
    chance = {"chance_error": 0.9, "chance_loss": 2.303}
    told = [json.dumps({**json.loads(one), **chance}) for one in frames.facts["observed"]]
    is_torch = pl.col("backend") == "torch"
    return dataclasses.replace(
        frames,
        facts=frames.facts.with_columns(observed=pl.Series(told)),
        runs=frames.runs.with_columns(
            final_validation_error=pl.when(is_torch).then(0.9).otherwise("final_validation_error")
        ),
    )


def test_who_learnt_nothing_is_called_out_wherever_it_is_named(idle: Frames) -> None:
    (section,) = races.compose(idle)
    torch = next(one for one in section.contestants if one.backend == "torch")
    assert torch.name == "torch" and torch.name.is_warning
    for table in report.tables(idle):
        named = [cell for row in table.rows for cell in row if cell == "torch"]
        assert named and all(isinstance(cell, Label) and cell.is_warning for cell in named), table.name
        assert note(Mark.NOTHING_LEARNT) in report.to_markdown(table).replace("\\", "")
        assert "torch ✗" in report.to_markdown(table)
        assert r"\textbf{$\otimes$ Learnt nothing" in report.to_latex(table)
    warned = [one for one in item_of(section).claims if one.is_warning]
    assert len(warned) == 2 and all("torch" in one.claim and one.state is State.REFUSED for one in warned)
    assert "1 decided, 2 refused" in verdicts.overview([section])


def test_the_page_has_it_in_red(idle: Frames, tmp_path: Path) -> None:
    text = report.render(idle, tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(
        r'class="call-out">torch <abbr class="mark" title="Learnt nothing[^"]*">✗</abbr></th>', text
    )
    assert '<strong class="call-out">' in text
    captions = re.findall(r"<figcaption.*?</figcaption>", text, re.S)
    with_torch = [one for one in captions if "learnt nothing" in one.lower()]
    assert with_torch and all('<span class="call-out">✗ Learnt nothing' in one for one in with_torch)


def test_a_figure_without_it_says_nothing_of_it(race: Callable[..., Frames], tmp_path: Path) -> None:
    text = report.render(race(backends=("jax", "torch")), tmp_path / "report.html").read_text(
        encoding="utf-8"
    )
    assert note(Mark.NOTHING_LEARNT) not in text and "✗" not in text


def test_the_screen_has_it_in_red(idle: Frames) -> None:
    found = report.screen(idle)
    assert found.grid and [one for one in found.grid.rows if isinstance(one, Label) and one.is_warning] == [
        "torch"
    ]
    (cell,) = (one for (row, _), one in found.grid.cells.items() if found.grid.rows[row] == "torch")
    assert cell.tone is Tone.BAD and cell.ratio is None
    (told,) = (one for one in found.sentences if one.tone is Tone.BAD)
    assert told.mark is Mark.NOTHING_LEARNT
    assert told.text.startswith("torch learnt nothing: its final error is 90.00 %")


# ---- for a paper --------------------------------------------------------------------------------


def test_the_checklist_is_filled_from_the_store(race: Callable[..., Frames]) -> None:
    answers = {one.question: one for one in report.checklist(race(backends=("jax", "torch")))}
    assert answers["Was each measurement repeated?"].answer is Answer.YES
    assert answers["Was the machine quiet?"].answer is Answer.NO
    assert "1 of 12 runs" in answers["Was the machine quiet?"].words
    assert answers["Do the compared programs train the same thing?"].answer is Answer.UNKNOWN
    assert answers["Can it be repeated?"].words == "bakeoff run invented"
    few = {one.question: one.answer for one in report.checklist(race(repeats=1))}
    assert few["Was each measurement repeated?"] is Answer.NO
    assert few["Do contestants start from the same weights?"] is Answer.YES
    assert few["Are all comparisons decided?"] is Answer.NO
    same = certified(race(backends=("jax", "torch")), ("jax", "torch"))
    sure = {one.question: one.answer for one in report.checklist(same)}
    assert sure["Do the compared programs train the same thing?"] is Answer.YES
    assert report.to_checklist(report.checklist(same)).startswith("- [x] **Do the compared programs")


def test_the_methods_paragraph_has_the_studys_own_numbers(race: Callable[..., Frames]) -> None:
    contents = compose(race(backends=("jax", "torch"), epochs=3))
    text = methods_paragraph(contents)
    assert "jax (jax 0.10.2, keras 3.15.1) and torch" in text and "2026" in text
    assert "12 training runs of 3 epochs, 6 for each" in text
    assert "decided: 1 of 1." in text and "Of 1 pairs, 0 were certified" in text
    assert "year = {2026}" in bibtex(contents)


def test_exponents_take_a_size_that_the_data_set_gives_among_the_others(
    trial: type, invented: Callable[..., Frames]
) -> None:
    """Time goes with the square of the side: 14, 28 (which the study leaves to the data) and 42."""
    trials = [
        trial("torch", changes={"image_size": side}, label=f"size {side}", slower=((side or 28) / 28) ** 2)
        for side in (14, None, 42)
    ]
    (section,) = races.compose(invented(trials, epochs=2))
    (item,) = sweeps.items(section)
    (row,) = [row for row in item.table.rows if row[1] == "Training time"]
    assert row[-1] == "3" and float(row[2]) == pytest.approx(2, abs=0.1)
