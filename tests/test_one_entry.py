"""What one more report item, quantity or command takes: one module, and one entry in one list."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import bakeoff
from bakeoff import report
from bakeoff.cli import arguments
from bakeoff.metrics import METRICS, Metric, OfPhase
from bakeoff.races.sections import Section
from bakeoff.report import items, vega
from bakeoff.report.item import Item, Table, numbers, words
from bakeoff.store.reader import Reader

SOURCE = Path(bakeoff.__file__).parent


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented runs of two contestants, three repeats of each."""
    file = tmp_path_factory.mktemp("one-entry") / "smoke.sqlite"
    bakeoff.run(bakeoff.load("smoke", ["repeats=3"]), file, progress=False)
    return file


def test_a_report_item_is_one_module_and_one_entry(store: Path, tmp_path: Path, monkeypatch) -> None:
    """It is in the page with its chart, its table among the others, and no format was told of it."""

    def shortest(section: Section) -> Iterator[Item]:
        rows = tuple((str(one.name), "0.25") for one in section.contestants)
        frame = pl.DataFrame({"who": [row[0] for row in rows], "value": [0.25] * len(rows)})
        position = {"x": vega.quantity("value", "Shortest epoch (s)"), "y": vega.nominal("who")}
        yield Item(
            "shortest",
            "How short can an epoch be?",
            draw=lambda: vega.chart([vega.layer("point", position)], frame, height=80),
            caption="The shortest epoch of each contestant.",
            alt="A dot for each contestant.",
            table=Table("shortest", "Shortest epochs", (*words("Contestant"), *numbers("s")), rows),
        )

    module = types.SimpleNamespace(items=shortest)
    monkeypatch.setattr(items, "OF_SECTIONS", (*items.OF_SECTIONS, module.items))
    with Reader(store) as reader:
        page = report.render(reader, tmp_path / "page.html").read_text()
        tables = {table.name: table for table in report.tables(reader)}
    assert "How short can an epoch be?" in page
    assert "The shortest epoch of each contestant." in page
    assert "Shortest epoch (s)" in page
    assert tables["shortest"].rows[0][1] == "0.25"


def test_a_quantity_is_one_entry(store: Path, tmp_path: Path, monkeypatch) -> None:
    """The store gives it, pairs are compared in it, and table and figure show it."""
    quantity = Metric(
        "build_s",
        "Building",
        "s",
        source=OfPhase("build"),
        compared="time to build",
        in_summary=True,
        in_figure=True,
    )
    with Reader(store) as reader:
        before = {table.name: table for table in report.tables(reader)}
    assert not any("Building" in row[0] for table in before.values() for row in table.rows)
    monkeypatch.setitem(METRICS, quantity.name, quantity)
    with Reader(store) as reader:
        runs = reader.runs()
        page = report.render(reader, tmp_path / "page.html").read_text()
        tables = report.tables(reader)
    assert (runs["build_s"] > 0).all()
    assert any(row[0] == "Building (s)" for table in tables for row in table.rows)
    assert "time to build" in page


def test_a_command_is_one_module_and_one_entry() -> None:
    """No module of commands is named outside of the command line, nor by `arguments` but as a command's."""
    actions = arguments.parser()._subparsers._group_actions  # type: ignore[union-attr]
    commands = [one for action in actions for one in action.choices.values()]
    modules = {one.get_default("module") for one in commands} - {None}
    assert len(modules) > 10
    for module in modules:
        assert (SOURCE / "cli" / f"{module}.py").is_file()
    naming = re.compile(rf"bakeoff\.cli(?:\.| import )({'|'.join(sorted(modules))})\b")
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in SOURCE.rglob("*.py")
        for name in naming.findall(path.read_text(encoding="utf-8"))
    }
    assert not found
