"""The examples do what they say."""

from __future__ import annotations

import ast
import html
import json
import re
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest

import bakeoff
from bakeoff.cli import main
from bakeoff_worker.job import RunSpec
from bakeoff_worker.records import Record

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, to run in."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    monkeypatch.chdir(tmp_path / "examples")
    return tmp_path / "examples"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for another machine fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def cells() -> Iterator[str]:
    """The notebook's cells of code."""
    for cell in json.loads((EXAMPLES / "notebook.ipynb").read_text())["cells"]:
        assert not cell.get("outputs"), "saved with outputs"
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


@pytest.mark.usefixtures("no_network")
def test_the_notebook_runs_and_shows_its_charts_without_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    shown = []
    for cell in cells():
        tree = ast.parse(cell)
        last = tree.body.pop()
        exec(compile(tree, "notebook", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), names))
    assert names["tally"].counts == {"ok": 12}
    assert "12 of 12 runs to do" in capsys.readouterr().err, "progress is shown by default"
    pages = [one._repr_html_() for one in shown if hasattr(one, "_repr_html_")]
    assert len(pages) == 6, "the study, comparisons, charts and frames"
    charts = names["charts"]
    assert {f"mnist: {name}" for name in ("ratios", "times", "error", "error-time")} <= set(charts)
    for chart in charts.values():
        root = ElementTree.fromstring(chart._repr_svg_())
        assert len([mark for mark in root.iter("{http://www.w3.org/2000/svg}path") if mark.get("d")]) >= 5
    for page in pages:
        assert not re.search(r"<script|(src|href)\s*=", page), "something is loaded"
    assert len(names["runs"]) == 12


def test_a_chart_is_saved_in_the_format_of_its_name(folder: Path) -> None:
    bakeoff.run("smoke", "saved.sqlite", progress=False)
    chart = next(iter(bakeoff.open_results("saved.sqlite").charts().values()))
    assert chart.save("chart.svg").read_text().startswith("<svg")
    assert chart.save("chart.png").read_bytes().startswith(b"\x89PNG")
    page = chart.save("chart.html").read_text()
    assert "vega" in page and not re.search(r"<script[^>]+src=", page)
    with pytest.raises(bakeoff.BakeoffError, match=r"figures: expected svg, png, html, json; got jpeg"):
        chart.save("chart.jpeg")


def test_running_again_from_python_runs_nothing_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Seen(bakeoff.Handler):
        kinds: ClassVar[list[str]] = []

        def recorded(self, spec: RunSpec, record: Record) -> None:
            self.kinds.append(type(record).__name__)

    study = bakeoff.load("smoke")
    assert bakeoff.run(study, "again.sqlite", progress=Seen()).counts == {"ok": 4}
    assert Seen.kinds.count("EpochRecord") == 12
    assert bakeoff.run("smoke", "again.sqlite").counts == {}
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{study.title}: 0 of 4 runs to do")
    assert bakeoff.run("smoke", "again.sqlite", progress=False).counts == {}
    assert capsys.readouterr() == ("", "")


def test_verdicts_from_python_are_those_of_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bakeoff.run(bakeoff.load("smoke", ["repeats=8"]), "one.sqlite", progress=False)
    main(["compare", "--store", "one.sqlite", "--json", "--margin", "5%"])
    told = json.loads(capsys.readouterr().out)["sections"][0]["races"][0]["comparisons"]
    compared = bakeoff.compare(store="one.sqlite", margin=0.05)
    rows = list(compared.frame.iter_rows(named=True))
    assert len(rows) == len(compared) == len(told) == 1
    for row, one in zip(rows, told, strict=True):
        assert row["sentence"] == one["sentence"] and row["verdict"] == one["verdict"]["kind"]
        assert row["ratio"] == one["verdict"]["time"]["ratio"]
        assert row["is_decided"] == one["is_decided"]
        assert row["sentence"] in str(compared) and html.escape(row["sentence"]) in compared._repr_html_()
    assert bakeoff.open_results("one.sqlite").verdicts("smoke").columns == compared.frame.columns


def test_facts_are_tidy(folder: Path) -> None:
    bakeoff.run("smoke", "facts.sqlite", progress=False)
    facts = bakeoff.open_results("facts.sqlite").facts("smoke")
    versions = facts.filter(stage="observed", fact="versions.numpy")
    assert versions["value"].to_list() == [np.__version__] * 4
    assert facts.select("run_id", "stage", "fact").is_duplicated().sum() == 0


def test_public_names_are_there_and_no_others() -> None:
    assert dir(bakeoff) == [
        *("BakeoffError", "Charts", "Comparisons", "Handler", "Results", "Study", "Tally", "__version__"),
        *("compare", "load", "open_results", "run"),
    ]
    for name in dir(bakeoff):
        assert getattr(bakeoff, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'race'"):
        bakeoff.race  # noqa: B018


def test_the_own_study_is_right(folder: Path) -> None:
    runpy.run_path("make_data.py", run_name="__main__")
    study = bakeoff.load("my-study.toml")
    assert [trial.settings.model_options["width"] for trial in study.trials] == [16, 64] * 3
    assert main(["plan", "my-study.toml"]) == 0


def test_the_own_study_runs(folder: Path) -> None:
    runpy.run_path("make_data.py", run_name="__main__")
    changes = ["repeats=1", "epochs=5", "model_options.width=16", 'matrix.backend=["tensorflow", "torch"]']
    study = bakeoff.load("my-study.toml", changes)
    assert bakeoff.run(study, progress=False).counts == {"ok": 2}
    runs = bakeoff.open_results("bakeoff.sqlite").runs(study.name)
    assert runs["final_validation_error"].max() < 0.3


def test_the_own_trainer_trains_what_keras_on_torch_trains(folder: Path) -> None:
    """On images of 16 x 16; the page about it shows this very file and study."""
    runpy.run_path("make_data.py", run_name="__main__")
    changes = ["repeats=1", "epochs=1", "dataset=stripes.npz", "train_images=all", "evaluation_images=all"]
    changes.append("global_batch_size=50")
    study = bakeoff.load("my-trainer.toml", changes)
    assert bakeoff.run(study, progress=False).counts == {"ok": 2}
    results = bakeoff.open_results("bakeoff.sqlite")
    (certificate,) = results.certificates(study.name).iter_rows(named=True)
    assert certificate["verdict"] == "same"
    errors = results.runs(study.name)["final_validation_error"]
    assert errors.max() < 0.5, "chance is 0.67 of three classes"
    page = (EXAMPLES.parent / "docs" / "contestants.md").read_text(encoding="utf-8")
    for file in ("my_trainer.py", "my-trainer.toml"):
        assert (EXAMPLES / file).read_text(encoding="utf-8") in page


@pytest.mark.parametrize("name", ["transformer", "resnet", "table", "two-classes", "parquet"])
def test_a_study_of_the_gallery_runs(folder: Path, name: str) -> None:
    """On one backend; that others train the same is what `make bench-field` shows of the same networks."""
    runpy.run_path("gallery/make_data.py", run_name="__main__")
    study = bakeoff.load(f"gallery/{name}.toml", ["repeats=1", 'matrix.backend=["torch"]'])
    assert bakeoff.run(study, progress=False).counts == {"ok": 1}
    (error,) = bakeoff.open_results("bakeoff.sqlite").runs(study.name)["final_validation_error"]
    assert error < (0.35 if name == "two-classes" else 0.55), "chance is 0.5 of two classes, 0.67 of three"
