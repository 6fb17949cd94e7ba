"""What a report says of distributed runs, against numbers worked by hand (see spread_study)."""

import dataclasses
import html
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

sys.path.append(str(Path(__file__).parent))  # spread_study serves several test files

from spread_study import Trial, follow_up, frames, write

from bakeoff import stats
from bakeoff.races.frames import read
from bakeoff.races.marks import Mark
from bakeoff.report import Frames, render, screen, tables, to_latex, to_markdown
from bakeoff.report.contents import compose
from bakeoff.report.formats.marks import SYMBOLS, marked, note
from bakeoff.report.item import Part, State, Table
from bakeoff.report.items import parts
from bakeoff.report.items.cluster import accounts, comparisons, sentences, tasks, time_budget, totals
from bakeoff.report.items.cluster.runs import Cluster, cluster
from bakeoff.store.reader import Reader
from bakeoff.store.writer import CertificateRow, Writer

pytestmark = pytest.mark.slow

# One run of repeat 0: tasks of 10 and 11 s from second 7 on, evaluation until 21, stop at 22.
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


def part_of(shown: Frames, title: str) -> Part:
    """What a report says of a section's distributed runs."""
    return next(part for part in parts(compose(shown)) if part.title == f"{title} on a cluster")


def cells(table: Table, *first: str) -> dict[str, str]:
    """The row that begins like this, by heading; of equal headings the first."""
    (row,) = [row for row in table.rows if row[: len(first)] == first]
    found: dict[str, str] = {}
    for column, cell in zip(table.columns, row, strict=True):
        found.setdefault(column.title, cell)
    return found


# ---- Table 1 and the budget ---------------------------------------------------------------------


def test_distributed_runs_have_totals_tasks_collection_and_error(tmp_path: Path) -> None:
    found = of(tmp_path, *TWO, repeats=3)
    row = cells(totals.distributed_runs(found), "2 × 1", "theano")
    summary = stats.summarize([11 + 11 * (1 + 0.01 * repeat) for repeat in range(3)])
    assert row["Simulations"] == "3"
    assert row["Total since launch (s)"] == f"{summary.mean:.2f} ± {summary.sd:.2f}"
    assert row["95 % interval"] == f"{summary.low:.2f} to {summary.high:.2f}"
    assert row["Median task (s)"] == "10.60 ± 0.10"  # 10.5, 10.605, 10.71
    assert row["Garbage collection per task (ms)"] == row["Its median over tasks (ms)"] == "80.0 ± 0.0"
    assert row["Final validation error (%)"] == "1.00 ± 0.00"


def test_long_totals_are_in_minutes(tmp_path: Path) -> None:
    found = of(tmp_path, Trial("theano", "2x1", task_s=2400.0, step_s=0.0), repeats=1)
    row = cells(totals.distributed_runs(found), "2 × 1", "theano")
    assert row["Total since launch (min)"] == f"{2411 / 60:.2f}"
    assert row["Median task (min)"] == "40.00"


def test_the_budget_adds_up_by_hand(tmp_path: Path) -> None:
    found = of(tmp_path, *TWO, repeats=1)
    table = time_budget.budget_table(found)
    core_s = {row[1]: float(row[2]) for row in table.rows}
    assert core_s == {
        "Training": 12.4,
        "Exchange with the parameter server": 0.5,
        "Model rebuilt and compiled": 1.0,
        "Reading and moving data": 1.9,
        "Importing the framework": 4.0,
        "Starting Python workers": 2.0,
        "Shuffle and result transfer": 0.5,
        "(De)serialization": 0.3,
        "Scheduler delay": 0.4,
        "Idle: waiting for other tasks": 1.0,
        "Idle: the driver works alone": 12.0,
        "Idle: executors not there yet": 8.0,
        "All task slots, launch to stop": 44.0,
    }
    (said_of_it,) = sentences.where_time_went(found)
    assert said_of_it.startswith(
        "theano · 2x1: 71.8 % of the total is not training. The largest avoidable item"
    )
    assert "“Idle: the driver works alone”, 27.3 %" in said_of_it


def test_beside_the_tasks(tmp_path: Path) -> None:
    found = of(tmp_path, Trial("theano", "2x1", num_failed=1), *TWO[1:], repeats=1)
    table = accounts.beside(found)

    def mean(measure: str) -> str:
        return cells(table, measure)["Mean"]

    assert mean("No task running: the driver alone (s)") == "10.00"  # until 6 and from 18 on
    assert mean("Tasks: CPU of Python (s)") == "5.250"
    assert mean("Tasks: CPU of the JVM's threads (s)") == "1.100"
    assert mean("Tasks: of it inside Python (%)") == f"{100 * 18.4 / 20.4:.1f}"
    assert mean("Executor: peak memory of its JVM (MiB)") == "512"
    assert mean("Driver: peak memory of its Python (MiB)") == "256"
    assert mean("Attempts that failed") == "1.0"
    (retried,) = sentences.retries(found)
    assert retried.startswith("theano · 2x1: 1 attempt of tasks failed and 0 executors were lost")


def test_task_times_show_the_whole_distribution(tmp_path: Path) -> None:
    row = cells(tasks.task_table(of(tmp_path, *TWO, repeats=3)), "theano · 2x1")
    assert (row["Tasks"], row["Stages per run"], row["Min"], row["Max"]) == ("6", "1", "10.00", "11.22")


def test_an_epoch_a_round_counts_its_stages(tmp_path: Path) -> None:
    found = of(tmp_path, Trial("theano", options={"rounds": 2, "mode": "synchronous"}), repeats=1)
    run = found.runs.row(0, named=True)
    assert (run["num_stages"], run["num_tasks"], run["median_task_s"], run["stage_medians_s"]) == (
        2,
        4,
        10.5,
        21,
    )
    assert found.section.epochs["epoch"].to_list() == [1, 2]


# ---- layouts ------------------------------------------------------------------------------------


def test_layout_against_layout(tmp_path: Path) -> None:
    found = of(tmp_path, *LAYOUTS)
    slower, equal = comparisons.layout_table(found).rows
    assert slower[:6] == ("theano", "2 × 1", "1 × 2", "faster", "1.18", "1.18 to 1.18")
    assert equal[:5] == ("tensorflow", "1 × 2", "2 × 1", "practically equal", "1.00")
    first, second = sentences.layout_claims(found)
    assert first.claim == "theano: 2 × 1, which trains 1.18× faster than 1 × 2"
    assert "in total 2 × 1 is 1.09× as fast" in first.numbers
    assert (
        second.claim
        == "tensorflow: 1 × 2 or 2 × 1: practically equal, ratio of times (1 × 2's over 2 × 1's) 1.00"
    )


def test_two_simulations_are_too_few(tmp_path: Path) -> None:
    told = next(iter(sentences.layout_claims(of(tmp_path, *LAYOUTS, repeats=2))))
    assert told.state is State.UNDECIDED
    assert (
        told.claim
        == "theano: 2 × 1 or 1 × 2: too few repeats to say, ratio of times (2 × 1's over 1 × 2's) 0.846"
    )


def test_the_follow_up_is_chosen_from_the_results(tmp_path: Path) -> None:
    then = {
        layout: [
            Trial("theano", layout, changes={"dataset": "fashion_mnist"}),
            Trial("theano", "", changes={"dataset": "fashion_mnist"}),
        ]
        for layout in ("2x1", "1x2")
    }
    document = follow_up(LAYOUTS, then)
    both = frames(tmp_path / "a", (*LAYOUTS, *then["2x1"]), document=document)
    remarks = part_of(both, "mnist").remarks
    (choice,) = [one for one in remarks if one.startswith("The follow-up")]
    assert choice.startswith(
        "The follow-up (dataset fashion_mnist) goes on with layout 2 × 1: 0.920 times the"
    )
    assert "undecided, so the lower mean decides" in choice and "It ran with" not in choice
    assert not [one for one in part_of(both, "fashion_mnist").remarks if "follow-up" in one]

    other = frames(tmp_path / "b", (*LAYOUTS, *then["1x2"]), document=document)
    remarks = part_of(other, "mnist").remarks
    assert any(
        one.endswith("It ran with 1 × 2: that was chosen before the last results came in.") for one in remarks
    )
    none = frames(tmp_path / "c", LAYOUTS, document=document)
    remarks = part_of(none, "mnist").remarks
    assert any(one.endswith("It has no good run yet.") for one in remarks)


# ---- one machine --------------------------------------------------------------------------------


def test_speed_up_efficiency_and_the_error_paid(tmp_path: Path) -> None:
    trials = (dataclasses.replace(TWO[0], cpus=4, error=0.03), TWO[1])
    row = cells(comparisons.machine_table(of(tmp_path, *trials)), "theano · 2x1", "theano · one machine")
    assert row["Speed-up, training"] == "0.727"  # 8 ÷ 11 in every block
    assert (row["Cores there"], row["Task slots"]) == ("4", "2")
    assert (row["Speed-up ÷ cores (%)"], row["Speed-up ÷ slots (%)"]) == ("18.2", "36.4")
    assert (row["Cores busy, one machine"], row["Cores busy, cluster"]) == ("2.000", f"{5.25 / 11:.3f}")
    assert row["Error paid (pp)"] == "2.00"


@pytest.mark.parametrize(
    ("task_s", "train_s", "claim"),
    [
        (10.0, 8.0, "Don't distribute theano on 2 × 1: training takes 1.38 times as long as on one machine"),
        (10.0, 60.0, "Distribute theano on 2 × 1: it trains 5.45× faster than on one machine"),
        (
            10.0,
            13.0,
            "Distribute theano on 2 × 1 for longer work only: training is 1.18× faster, the whole job is not",
        ),
        (
            10.0,
            11.0,
            "Distribute theano on 2 × 1? Practically equal: "
            "training takes 1.00 times as long as on one machine",
        ),
    ],
)
def test_should_it_be_distributed_at_all(tmp_path: Path, task_s: float, train_s: float, claim: str) -> None:
    trials = Trial("theano", "2x1", task_s=task_s), Trial("theano", "", train_s=train_s)
    (found,) = sentences.machine_claims(of(tmp_path, *trials))
    assert found.claim == claim
    assert re.match(r"\(95 % CI [\d.]+–[\d.]+, 6 paired blocks\); the whole job (is|takes) ", found.numbers)
    assert found.numbers.endswith(
        "the error paid is 0.00 pp (95 % CI −0.03 to +0.03)"
    )  # the test set's share


def test_another_environment_or_other_data_are_another_problem(tmp_path: Path) -> None:
    single = Trial("theano", "", environment="theano")
    less = Trial("theano", "", label="less", changes={"train_images": 500})
    found = of(tmp_path, TWO[0], single, less)
    assert found.machine == ()
    assert list(sentences.machine_claims(found)) == []


def test_threads_and_batch_of_one_machine_are_its_own_affair(tmp_path: Path) -> None:
    single = Trial("theano", "", changes={"threads": 2, "global_batch_size": 100})
    assert len(of(tmp_path, TWO[0], single).machine) == 1


def test_shared_cores_are_said(tmp_path: Path) -> None:
    (remark,) = sentences.shared_cores(of(tmp_path / "a", Trial("theano", "5x4", step_s=0.0), repeats=1))
    assert remark.startswith("20 task slots share 2 cores here")
    for number, trial in enumerate((Trial(cpus=2), Trial("theano", "5x4", cpus=None))):
        assert list(sentences.shared_cores(of(tmp_path / str(number), trial, repeats=1))) == []


def test_cold_and_warm_executors(tmp_path: Path) -> None:
    warm = Trial(
        "theano",
        "2x1",
        task_s=8.0,
        label="mnist · theano · 2x1 · executors warm",
        options={"executors": "warm"},
    )
    cold = Trial("theano", "2x1", label="mnist · theano · 2x1 · executors cold")
    found = of(tmp_path, warm, cold)
    (remark,) = sentences.warmth(found)
    assert "with cold executors training takes 1.22 times as long as with warm ones" in remark  # 11 ÷ 9
    assert "warming up helps" in remark
    told = {(row[0], row[1]): row[3] for row in accounts.beside(found).rows}
    cold_run, warm_run = (f"theano · 2x1 · executors {executors}" for executors in ("cold", "warm"))
    assert float(told["Warm-up (s)", warm_run]) == 5.0 and told["Warm-up (s)", cold_run] == "–"
    for measure, seconds in (("Python workers started, per slot (s)", 1.0), ("Imports, per slot (s)", 2.0)):
        assert float(told[measure, cold_run]) == seconds
        assert float(told[measure, warm_run]) == 0.0


def test_cost_grows_with_the_data(tmp_path: Path) -> None:
    trials = [
        Trial(
            "theano",
            layout,
            task_s=10.0 * scale - 1.0,
            train_s=8.0 * scale,
            changes={"data_scale": scale},
            label=f"mnist · theano · {layout or 'one machine'} · data scale {scale}",
        )
        for layout in ("2x1", "")
        for scale in (1, 4)
    ]
    found = of(tmp_path, *trials)
    scales = comparisons.scaling(found)
    assert scales.select("contestant", "layout", "data_scale").rows() == [
        ("theano", "2 × 1", 1),
        ("theano", "2 × 1", 4),
        ("theano", None, 1),
        ("theano", None, 4),
    ]
    rows = comparisons.growth_table(found, scales).rows
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        ("theano · 2 × 1", "×1", "1", "1.00"),
        ("theano · 2 × 1", "×4", "4", "4.00"),
        ("theano · one machine", "×1", "1", "1.00"),
        ("theano · one machine", "×4", "4", "4.00"),
    ]
    assert len(found.machine) == 2  # each size against its own
    assert comparisons.scaling(of(tmp_path / "b", *TWO)).height == 0


# ---- races --------------------------------------------------------------------------------------


def compared(contents: Any) -> set[frozenset[str]]:
    return {
        frozenset((one.first.name, one.second.name))
        for section in contents.sections
        for race in section.races
        for one in race.comparisons
    }


@pytest.mark.parametrize("backends", [("theano",), ("theano", "tensorflow")])
def test_one_machine_and_a_cluster_never_race(tmp_path: Path, backends: tuple[str, ...]) -> None:
    trials = [Trial(backend, layout) for backend in backends for layout in ("2x1", "1x2", "")]
    contents = compose(frames(tmp_path / "s", trials, repeats=1))
    pairs = compared(contents)
    assert pairs and all(len({"one machine" in name for name in pair}) == 1 for pair in pairs)
    (section,) = contents.sections
    assert set(section.axes) == {"distribution", "distribution_options.layout"}
    settings = [race.setting for race in section.races]
    assert "one machine" in settings and not any("default" in setting for setting in settings)


def test_a_release_that_averages_meets_one_that_was_corrected(tmp_path: Path) -> None:
    synchronous = {"mode": "synchronous"}
    trials = [
        Trial("tensorflow", version="7.3.0", options=synchronous),
        Trial("theano", options={**synchronous, "merge": "averaged"}, label="theano · averaged"),
        Trial("theano", options=synchronous, label="theano · summed"),
    ]
    contents = compose(frames(tmp_path / "s", trials, repeats=1))
    assert compared(contents) == {frozenset(("tensorflow · 2x1", "theano · averaged"))}
    found = cluster(contents.sections[0], contents)
    variants = {row[0]: row[5] for row in accounts.disclosure(found).rows}
    assert variants == {
        "tensorflow · 2x1": "as released",
        "theano · averaged · 2 × 1": "corrected: averaged",
        "theano · summed · 2 × 1": "as released",
    }


@pytest.mark.parametrize(
    ("verdict", "digest", "said"),
    [
        ("same", "theano_spark", "yes: one round is the sum"),
        ("different", "theano_spark", "no: one round is the sum"),
        ("not compared", "theano_spark", "can't be: one round is the sum"),
        ("same", "another environment", "never: bakeoff verify would tell"),
        (None, "", "never: bakeoff verify would tell"),
    ],
)
def test_whether_a_round_was_verified_is_told(
    tmp_path: Path, verdict: str | None, digest: str, said: str
) -> None:
    trial = Trial("theano", "2x1", options={"mode": "synchronous"})
    path = write(tmp_path / "store.sqlite", [trial], repeats=1)
    if verdict is not None:
        words = {"words": "one round is the sum"}
        with Writer(path) as writer:
            row = CertificateRow(trial.settings.verified_round_id, digest, "", "", "m", 1, verdict, words)
            writer.add_certificates([row])
    with Reader(path) as reader:
        contents = compose(read(reader))
    table = accounts.disclosure(cluster(contents.sections[0], contents))
    assert cells(table, "theano · 2x1")["Verified"] == said
    assert (Mark.UNCERTIFIED in table.marks) == (verdict == "different")


def test_no_asynchronous_round_can_be_verified(tmp_path: Path) -> None:
    row = cells(accounts.disclosure(of(tmp_path, *TWO, repeats=1)), "theano · 2x1")
    assert row["Verified"].startswith("can't be: what a round gives")


def test_what_elephas_does_is_told_from_the_runs(tmp_path: Path) -> None:
    row = cells(accounts.disclosure(of(tmp_path, *TWO, repeats=1)), "theano · 2x1")
    assert (row["Elephas"], row["Mode"], row["Every"], row["Rounds"]) == (
        "0.4.5",
        "asynchronous",
        "epoch",
        "1",
    )
    assert (
        row["What it does"]
        == "the changes of all shards are summed; a shard no larger than a batch is skipped"
    )


# ---- samples ------------------------------------------------------------------------------------

SHORT = (
    Trial("theano", "2x1", skipped=150),
    Trial("tensorflow", "2x1"),
    Trial("theano", "1x2"),
    Trial("theano", ""),
    Trial("tensorflow", ""),
)


def test_skipped_samples_are_marked_wherever_their_run_is_named(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", SHORT)
    contents = compose(shown)
    assert [one.name for one in contents.sections[0].contestants if one.is_short] == ["theano · 2x1"]
    for table in tables(shown):
        for row in table.rows:
            for cell in row:
                # Named without its layout, it is told apart by another column or races on that layout.
                assert "theano · 2x1" not in cell or "theano · 2x1 †" in marked(cell), table.name
        daggers = any("†" in marked(cell) for row in table.rows for cell in row)
        assert daggers == (Mark.SHORT in table.marks)
        assert (note(Mark.SHORT) in to_markdown(table)) == daggers
        assert (r"$\dagger$ Some of its samples" in to_latex(table)) == daggers
    found = cluster(contents.sections[0], contents)
    row = cells(accounts.sample_table(found), "theano · 2x1")
    assert [row[title] for title in ("Asked", "Trained", "Skipped", "Skipped shards")] == [
        "2\u202f000",
        "1\u202f850",
        "150",
        "1",
    ]
    (remark,) = sentences.skipped_samples(found)
    assert "Not trained: theano · 2x1 7.5 %" in remark
    for one in (*sentences.layout_claims(found), *sentences.machine_claims(found)):
        about_it = "2 × 1" in one.claim and "theano" in one.claim
        assert about_it == (Mark.SHORT in {badge.mark for badge in one.badges})


def test_the_screen_and_the_page_mark_them_too(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", SHORT)
    grid = screen(shown).grid
    assert grid is not None
    (row,) = [one for one in grid.marked_rows if Mark.SHORT in one.marks]
    assert row == "theano"
    assert Mark.SHORT in [one.mark for one in screen(shown).sentences]
    text = html.unescape(render(shown, tmp_path / "report.html").read_text(encoding="utf-8"))
    captions = re.findall(r"<figcaption.*?</figcaption>", text)
    timelines = [one for one in captions if "Every task of one run" in one]
    marks = [("theano · 2x1" in one, "†" in one) for one in timelines]
    assert set(marks) == {(True, True), (False, False)}
    of_the_cluster = [one for one in captions if "Total time" in one or "training tasks" in one]
    assert of_the_cluster and all("†" in one for one in of_the_cluster)
    assert text.count(f"{SYMBOLS[Mark.SHORT]}</b> {Mark.SHORT.value}") == 1, "said once"
    whole = render(frames(tmp_path / "t", TWO), tmp_path / "whole.html").read_text(encoding="utf-8")
    assert Mark.SHORT.value not in html.unescape(whole)


def test_a_failed_run_that_skipped_is_marked_among_the_troubles(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", SHORT)
    run = shown.runs.filter(pl.col("samples_skipped") > 0)["run_id"][0]
    failed = pl.when(pl.col("run_id") == run).then(pl.lit("killed")).otherwise("status")
    shown = dataclasses.replace(shown, runs=shown.runs.with_columns(status=failed))
    text = render(shown, tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(
        r'<th scope="row">mnist · theano · 2x1 <abbr class="mark" title="[^"]+">†</abbr></th>', text
    )


def test_samples_that_vanish_without_being_skipped_count_as_left_out(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", TWO)
    lost = pl.col("samples_trained") - 1
    shown = dataclasses.replace(shown, runs=shown.runs.with_columns(samples_trained=lost))
    assert compose(shown).sections[0].contestants[0].name.marks == (Mark.SHORT,)


# ---- pages --------------------------------------------------------------------------------------


def test_a_page_of_a_distributed_study(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", [*LAYOUTS, *TWO[1:]])
    text = html.unescape(render(shown, tmp_path / "report.html").read_text(encoding="utf-8"))
    for words in (
        "mnist on a cluster",
        "Should I distribute at all?",
        "Distributed runs on mnist: mean ± SD over simulations",
        "#3f56e8",  # training, in the charts
    ):
        assert words in text
    assert "Where the error stops improving" not in text  # measured once a run
    assert "paper" not in re.sub(r"<script.*?</script>|For a paper|for-a-paper", "", text, flags=re.DOTALL)
    names = re.findall(r'<table id="([^"]+)"', text)
    assert len(names) == len(set(names))
    numbers = [int(number) for number in re.findall(r"<b>Figure (\d+)\.", text)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_page_without_distributed_runs_is_as_before(race: Any, tmp_path: Path) -> None:
    text = html.unescape(render(race(epochs=3), tmp_path / "report.html").read_text(encoding="utf-8"))
    plain = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "on a cluster" not in plain and "conclusions" not in plain


def test_frames_of_tasks_are_read_only_where_something_was_distributed(tmp_path: Path) -> None:
    with Reader(write(tmp_path / "s", [Trial("theano", "")], repeats=1)) as reader:
        asked: list[str] = []

        class Spy:
            def __getattr__(self, name: str) -> Any:
                asked.append(name)
                return getattr(reader, name)

        found = read(Spy())
    assert isinstance(found, Frames) and not {"tasks", "executors", "samples"} & set(asked)


def test_runs_without_tasks_or_facts_leave_gaps_and_break_nothing(tmp_path: Path) -> None:
    shown = frames(tmp_path / "s", [*LAYOUTS, *TWO[1:]])
    bare = dataclasses.replace(
        shown,
        tasks=shown.tasks.clear(),
        executors=shown.executors.clear(),
        samples=shown.samples.clear(),
        phases=shown.phases.clear(),
        facts=shown.facts.clear(),
    )
    text = render(bare, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "mnist on a cluster" in text and "None" not in re.sub(
        r"<script.*?</script>", "", text, flags=re.DOTALL
    )


def test_show_marks_runs_and_contestants(tmp_path: Path) -> None:
    store = write(tmp_path / "s", SHORT, repeats=1)
    command = [sys.executable, "-m", "bakeoff", "show", "--store", str(store)]
    wide = {**os.environ, "COLUMNS": "160"}
    for more, expected in (([], "theano 11.00 † 11.00 8.00"), (["--runs"], "theano · 2x1 †")):
        shown = subprocess.run([*command, *more], env=wide, capture_output=True, text=True, check=True).stdout
        words = " ".join(shown.split())
        assert expected in words and "silently left out of its training" in words
        assert "tensorflow · 2x1 †" not in words
