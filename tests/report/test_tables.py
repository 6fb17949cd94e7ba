import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bakeoff import stats
from bakeoff.races.sentences import sentence
from bakeoff.report import Frames, Table, tables, to_latex, to_markdown
from bakeoff.report.contents import compose
from bakeoff.report.item import Column
from bakeoff.report.items import parts
from bakeoff.report.items.conditions import provenance, versions
from bakeoff.report.items.errors import plateau_table, plateaus
from bakeoff.report.items.times import results
from bakeoff.report.items.troubles import disturbed, failures, left_out, warnings
from bakeoff.report.items.verdicts import pairs_table

SNAPSHOTS = Path(__file__).parent / "snapshots"


def same(text: str, name: str) -> None:
    """Compare with the stored snapshot; delete that to accept a change on the next run."""
    path = SNAPSHOTS / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path} was missing: written now; look at it and run again")
    assert text == path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def both(race: Callable[..., Frames], spoil: Callable[..., Frames]) -> Frames:
    """Two data sets, one run failed and one skipped."""
    frames = race(datasets=("mnist", "cifar10"), backends=("tensorflow", "theano"), repeats=7, epochs=3)
    frames = spoil(frames, 1, "killed", "killed by signal 9", "line one\nline | two")
    return spoil(frames, 6, "skipped", "no compiler")


def test_markdown(both: Frames) -> None:
    same("\n".join(map(to_markdown, tables(both))), "tables.md")


def test_latex(both: Frames) -> None:
    same("\n".join(map(to_latex, tables(both))), "tables.tex")


def test_summary_holds_every_statistic(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=3)
    (section,) = compose(frames).sections
    table = results(section)
    titles = [column.title for column in table.columns]
    assert {"Repeats", "Mean", "Variance", "SD", "Min", "Max", "Failed", "Skipped"} <= set(titles)
    row = dict(zip(titles, table.rows[0], strict=True))
    found = stats.summarize(frames.runs["train_s"].to_numpy())
    assert row["Metric"] == "Training time (s)" and row["Contestant"] == "jax" and row["Repeats"] == "3"
    assert float(row["Mean"]) == pytest.approx(found.mean, rel=1e-3)
    assert float(row["Variance"]) == pytest.approx(found.variance, rel=1e-2)


def test_failures_are_counted_and_enter_no_mean(both: Frames) -> None:
    mnist, cifar = compose(both).sections
    by_name = {row[1]: row for row in results(mnist).rows if row[0] == "Training time (s)"}
    assert by_name["theano"][2] == "6" and by_name["theano"][-2:] == ("1", "0")
    by_name = {row[1]: row for row in results(cifar).rows if row[0] == "Training time (s)"}
    assert by_name["tensorflow"][2] == "6" and by_name["tensorflow"][-2:] == ("0", "1")


def test_cold_and_warm_first_steps_share_no_mean(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(repeats=3)).sections
    rows = {row[1]: row for row in results(section).rows if row[0] == "First step (s)"}
    assert rows["theano, cold cache"][2] == "1" and rows["theano, warm cache"][2] == "2"
    assert rows["jax"][2] == "3"


def test_verdicts_name_every_pair(race: Callable[..., Frames]) -> None:
    (section,) = compose(race()).sections
    rows = pairs_table(section).rows
    assert len(rows) == 6
    assert rows[0][:3] == ("tensorflow", "torch", "faster")


def test_two_repeats_are_too_few_to_say(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(repeats=2)).sections
    assert {row[2] for row in pairs_table(section).rows} == {"too few repeats to say"}


def test_a_sentence_says_the_numbers(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(backends=("tensorflow", "jax"))).sections
    text = sentence(section.races[0].comparisons[0])
    assert re.fullmatch(
        r"tensorflow trains [\d.]+× faster than jax \(95 % CI [\d.]+–[\d.]+, 6 paired blocks\), "
        r"at non-inferior error \(difference [+−]?[\d.]+ pp, 95 % CI [+−]?[\d.]+ to [+−]?[\d.]+, "
        r"margin 0.25 pp\)",
        text,
    )


def test_a_pair_without_a_common_block_says_so(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = spoil(race(backends=("tensorflow", "jax"), repeats=1), 0, "failed", "x")
    (section,) = compose(frames).sections
    assert "no block in which both ended well" in sentence(section.races[0].comparisons[0])


def test_one_block_has_no_interval(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(backends=("tensorflow", "jax"), repeats=1)).sections
    text = sentence(section.races[0].comparisons[0])
    assert "too few repeats to say" in text and "(no interval, 1 paired block; error difference" in text


def test_troubles_have_reason_and_last_lines(both: Frames) -> None:
    rows = failures(compose(both)).rows
    assert rows == (
        ("mnist · theano", "0", "killed", "killed by signal 9", "line one\nline | two"),
        ("cifar10 · tensorflow", "1", "skipped", "no compiler", "–"),
    )


def test_a_failure_that_was_made_good_says_so(
    race: Callable[..., Frames], spoil: Callable[..., Frames]
) -> None:
    frames = race(backends=("jax",), repeats=1)
    first = spoil(frames, 0, "interrupted", "stopped").runs.with_columns(run_id=pl.lit("first"))
    again = Frames("", pl.concat([first, frames.runs]), frames.epochs)
    assert failures(compose(again)).rows[0][2] == "interrupted, later ok"


def test_disturbed_runs_are_flagged(race: Callable[..., Frames]) -> None:
    (row,) = disturbed(compose(race())).rows
    assert row[:2] == ("mnist · tensorflow", "1")
    assert "load: 1.7" in row[2]


def test_disturbed_runs_say_why_where_the_machine_knows(race: Callable[..., Frames]) -> None:
    frames = race()
    reasons = pl.lit('{"disturbed": true, "load": 3.0, "reasons": ["others used 10 % of the CPU"]}')
    frames = Frames("", frames.runs.with_columns(disturbance=reasons), frames.epochs)
    assert disturbed(compose(frames)).rows[0][2] == "others used 10 % of the CPU"


def test_warnings_are_told_once_with_their_number(race: Callable[..., Frames]) -> None:
    frames = race(backends=("jax",), repeats=3)
    told = frames.runs.select("run_id", "label").with_columns(message=pl.lit("hot"), remedy=pl.lit("cool it"))
    contents = compose(Frames("", frames.runs, frames.epochs, frames.facts, warnings=told))
    assert warnings(contents).rows == (("mnist · jax", "hot", "cool it", "3"),)


def test_other_conditions_are_named(race: Callable[..., Frames]) -> None:
    frames = race(repeats=3)
    late = pl.col("repeat") == 2
    runs = frames.runs.with_columns(
        machine_id=pl.when(late).then(pl.lit("m2")).otherwise(pl.col("machine_id")),
        condition_id=pl.when(late).then(pl.lit("c9")).otherwise(pl.col("condition_id")),
    )
    (row,) = left_out(compose(Frames("", runs, frames.epochs))).rows
    assert row[:2] == ("c9", "another machine") and row[-1] == "4"


def test_versions_are_by_environment(race: Callable[..., Frames]) -> None:
    table = versions(compose(race()))
    columns = [column.title for column in table.columns]
    rows = {row[0]: dict(zip(columns, row, strict=True)) for row in table.rows}
    assert rows["keras"]["theano"] == "2.3.1" and rows["keras"]["jax"] == "3.15.1"
    assert rows["torch"]["jax"] == "–"


def test_provenance_keeps_asked_resolved_and_observed_apart(race: Callable[..., Frames]) -> None:
    rows = {row[:2]: row[2:] for row in provenance(compose(race(backends=("jax",)))).rows}
    assert rows[("jax", "threads")] == ("default", "–", "–")
    assert rows[("jax", "intra op threads")] == ("–", "–", "2")
    assert rows[("jax", "initial weights sha256")][2] == "6 different values"


def test_the_plateau_table_says_why_there_is_none(race: Callable[..., Frames]) -> None:
    (section,) = compose(race(backends=("jax",), epochs=3)).sections
    (row,) = plateau_table(section, plateaus(section)).rows
    assert row == ("jax", "–", "–", "too few epochs: 3, at least 10 are needed")


def test_nothing_is_said_of_a_plateau_of_a_few_epochs(race: Callable[..., Frames]) -> None:
    def names(epochs: int) -> list[str]:
        return [item.name for part in parts(compose(race(epochs=epochs))) for item in part.items]

    assert "plateau" in names(20) and "plateau" not in names(3)


@pytest.mark.parametrize("write", [to_markdown, to_latex])
def test_tables_of_nothing(write: Any) -> None:
    assert write(Table("t", "Nothing", (Column("A", False),), ()))


def test_markdown_escapes() -> None:
    table = Table("t", "T", (Column("A", False),), (("<b>*|_`\n#",),))
    assert r"| \<b\>\*\|\_\`<br>\# |" in to_markdown(table)


def test_latex_escapes() -> None:
    table = Table("t", "100 %", (Column("A & B", False),), (("$_{}~^\\#−1.00 × 10⁻⁴",),))
    text = to_latex(table)
    assert r"\caption{100 \%}" in text and r"A \& B \\" in text
    escaped = r"\$\_\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\#$-$1.00 $\times$ 10$^{-4}$"
    assert escaped in text
