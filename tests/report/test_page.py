import html.parser
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bakeoff.errors import ReportError
from bakeoff.report import Frames, Options, render
from bakeoff.store.reader import Reader
from bakeoff.store.writer import Condition, StudyRow, Writer
from bakeoff_worker.job import RunSpec, TrialSettings
from bakeoff_worker.records import EpochRecord, Facts, PhaseEnded, RunEnded

pytestmark = pytest.mark.slow


class Page(html.parser.HTMLParser):
    """What a page loads, shows and leaves open."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.loads += [
            values[key] or "" for key in ("src", "href", "data", "poster", "action") if key in values
        ]
        if "id" in values:
            self.ids.append(values["id"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not (self.open and self.open[-1] == "style"):
            self.text += data


def page(path: Path) -> Page:
    found = Page(path.read_text(encoding="utf-8"))
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert [url for url in found.loads if not url.startswith("#")] == []
    return found


def test_a_report_is_one_file_that_loads_nothing(race: Callable[..., Frames], tmp_path: Path) -> None:
    path = render(race(datasets=("mnist", "cifar10"), epochs=3), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == [path]
    found = page(path)
    assert "default-src 'none'" in path.read_text(encoding="utf-8")
    for part in ("Summary", "mnist", "cifar10", "tensorflow trains", "Methods", "bakeoff run invented"):
        assert part in found.text


def test_figures_and_tables_are_numbered_through(race: Callable[..., Frames], tmp_path: Path) -> None:
    text = page(render(race(datasets=("mnist", "cifar10"), epochs=3), tmp_path)).text
    for kind in ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"{kind} (\d+)\.", text)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_cache_that_can_keep_nothing_costs_no_report(
    race: Callable[..., Frames], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report").write_text("a file where a folder should be")
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path))
    assert "</html>" in render(race(), tmp_path / "page.html").read_text()


def test_the_script_of_vega_is_there_once(race: Callable[..., Frames], tmp_path: Path) -> None:
    scripts = page(render(race(), tmp_path)).scripts
    assert sum(len(script) > 500_000 for script in scripts) == 1


def test_a_folder_gets_a_report_html(race: Callable[..., Frames], tmp_path: Path) -> None:
    assert render(race(epochs=1), tmp_path / "new" / "folder") == tmp_path / "new" / "folder" / "report.html"


def test_figures_come_as_files_of_the_same_charts(race: Callable[..., Frames], tmp_path: Path) -> None:
    render(race(backends=("jax", "torch"), epochs=2), tmp_path / "a.html", figures=("svg", "png"))
    files = sorted(path.name for path in (tmp_path / "a-figures").iterdir())
    names = ("01-summary", "02-ratios", "03-times")
    assert files[:6] == [f"{name}.{suffix}" for name in names for suffix in ("png", "svg")]
    svg = (tmp_path / "a-figures" / "03-times.svg").read_text()
    assert svg.startswith("<svg") and "Training time (s)" in svg and "torch" in svg
    assert (tmp_path / "a-figures" / "03-times.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_figure_format_is_refused(race: Callable[..., Frames], tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="expected svg, png; got gif"):
        render(race(), tmp_path, figures=("gif",))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(race: Callable[..., Frames], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="can't be written") as caught:
        render(race(epochs=1), tmp_path / "file" / "report.html")
    assert caught.value.hint


def test_time_and_command_may_be_given(race: Callable[..., Frames], tmp_path: Path) -> None:
    options = Options(command="make results", generated_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    text = page(render(race(epochs=1), tmp_path, options=options)).text
    assert "make results" in text and "2026-01-02 03:04 UTC" in text


# ---- poor results -------------------------------------------------------------------------------


def test_an_empty_store(race: Callable[..., Frames], tmp_path: Path) -> None:
    frames = race()
    empty = Frames("", frames.runs.clear(), frames.epochs.clear(), frames.facts.clear())
    found = page(render(empty, tmp_path))
    assert "Nothing has been run yet" in found.text
    assert sum(len(script) > 500_000 for script in found.scripts) == 0


def test_only_failures(race: Callable[..., Frames], tmp_path: Path) -> None:
    frames = race(repeats=1)
    runs = frames.runs.with_columns(status=pl.lit("failed"), reason=pl.lit("no such file"))
    text = page(render(Frames("", runs, frames.epochs.clear()), tmp_path)).text
    assert "No run on this data set has ended well yet" in text
    assert text.count("no such file") == 2 * 4, "in short, and among the troubles"


@pytest.mark.parametrize("options", [{"repeats": 1}, {"epochs": 1}, {"repeats": 1, "epochs": 1}])
def test_little_to_show(race: Callable[..., Frames], tmp_path: Path, options: dict[str, int]) -> None:
    assert "Results on mnist" in page(render(race(**options), tmp_path)).text


def test_one_contestant(race: Callable[..., Frames], tmp_path: Path) -> None:
    assert "nothing to compare" in page(render(race(backends=("jax",)), tmp_path)).text


def test_errors_that_are_all_no_number(race: Callable[..., Frames], tmp_path: Path) -> None:
    frames = race(backends=("jax", "torch"))
    nan = pl.lit(float("nan"))
    runs = frames.runs.with_columns(final_validation_error=nan)
    epochs = frames.epochs.with_columns(validation_error=nan, validation_loss=nan, train_loss=nan)
    text = page(render(Frames("", runs, epochs, frames.facts), tmp_path)).text
    assert "learnt nothing: its loss is no number" in text and "are not compared" in text


def test_a_run_that_still_runs(
    race: Callable[..., Frames], spoil: Callable[..., Frames], tmp_path: Path
) -> None:
    assert "1 running" in page(render(spoil(race(repeats=2), 7, "running", ""), tmp_path)).text


HOSTILE = "</script><script>alert(1)</script><img src=http://x/y> & “ünï” \u2028"


def test_hostile_text_stays_text(
    invented: Callable[..., Frames], trial: Any, spoil: Callable[..., Frames], tmp_path: Path
) -> None:
    frames = invented([trial("jax", label=HOSTILE), trial("torch")], repeats=2)
    frames = spoil(frames, 1, "failed", HOSTILE, HOSTILE)
    found = page(render(frames, tmp_path))
    assert "<img src=http://x/y> & “ünï”" in found.text
    assert not any("alert(1)" in script and "x/y" not in script for script in found.scripts)
    (data,) = [json.loads(script) for script in found.scripts if script.startswith('{"themes"')]
    assert HOSTILE in json.dumps(data, ensure_ascii=False)


# ---- with a real store --------------------------------------------------------------------------


def test_a_real_store(tmp_path: Path) -> None:
    """Through the writer and the reader, as the program does."""
    store = tmp_path / "store.sqlite"
    specs = tuple(
        RunSpec(TrialSettings(backend, backend, epochs=2), backend, repeat, repeat, place, 7 + repeat)
        for repeat in range(6)
        for place, backend in enumerate(("jax", "torch"))
    )
    with Writer(store) as writer:
        writer.begin_study(StudyRow("d" * 64, "real", "A real store", {}, specs))
        for spec in specs:
            slow = 2.0 if spec.label == "torch" else 1.0
            run = writer.begin_run(
                spec,
                study_digest="d" * 64,
                condition=Condition("m", spec.label, {"description": "a machine"}),
                environment={"name": spec.label},
                command=("bakeoff", "run", "real"),
            )
            writer.append(run, 0, PhaseEnded("first_step", 0.5, 0.4, 0.1))
            writer.append(
                run, 1, Facts({}, {}, {"versions": {"keras": "3.15.1"}, "num_evaluation_images": 10})
            )
            for epoch in (1, 2):
                time = slow * (1 + 0.01 * spec.repeat)
                losses = 0.5 / epoch, 0.9, 0.6, 0.1 / epoch
                record = EpochRecord(epoch, 100, time, 0.1, *losses, time, 0.1, 2**28)
                writer.append(run, 1 + epoch, record)
            writer.end_run(run, RunEnded("ok"), disturbance={"disturbed": False}, wall_s=3 * slow)
    with Reader(store) as reader:
        text = page(render(reader, tmp_path / "report.html")).text
        assert page(render(reader, tmp_path / "again.html", study="real")).text
    assert "A real store" in text and "a machine" in text
    assert "jax trains 2.00× faster than torch" in text


def test_a_thousand_runs_make_a_small_file(race: Callable[..., Frames], tmp_path: Path) -> None:
    datasets = ("mnist", "fashion_mnist", "cifar10")
    path = render(race(datasets=datasets, repeats=84, epochs=200), tmp_path)
    assert path.stat().st_size < 10_000_000


@pytest.mark.parametrize(("steps", "words"), [(None, "an epoch"), (20, "20 steps")])
def test_that_contestants_took_turns_is_said(
    race: Callable[..., Frames], tmp_path: Path, steps: int | None, words: str
) -> None:
    frames = race(epochs=1)
    assert "in turn" not in page(render(frames, tmp_path)).text
    order = {"settings.order": pl.lit("alternating"), "settings.turn_steps": pl.lit(steps, pl.Int64)}
    turns = Frames("", frames.runs.with_columns(**order), frames.epochs)
    text = page(render(turns, tmp_path)).text
    assert f"alternating: the contestants of a race train {words} each in turn, the others stopped" in text
