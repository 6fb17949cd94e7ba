"""What is committed under results/ and shown in the docs is what today's program says (``make results``)."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from bakeoff.report import Frames

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HINT = "`make results` draws and writes everything anew; see what changed before you commit it"


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


results, examples, picture = script("results"), script("examples"), script("picture")
BLOCKS = tuple(examples.blocks())
OUTPUTS = [block for block in BLOCKS if block.language == "console"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bundles' stores are made, each once."""
    return tmp_path_factory.mktemp("stores")


def assert_same(path: Path, fresh: str) -> None:
    """The file is as it would be drawn now; else the first line that is not, without a megabyte of others."""
    committed = path.read_text(encoding="utf-8")
    if committed == fresh:
        return
    lines = enumerate(zip(committed.splitlines(), fresh.splitlines(), strict=False), 1)
    number, (old, new) = next((one for one in lines if one[1][0] != one[1][1]), (0, ("its end", "another")))
    pytest.fail(
        f"{path.relative_to(ROOT)}, line {number}:\n  committed: {old[:300]}\n  today: {new[:300]}\n{HINT}"
    )


@pytest.mark.parametrize("drawing", results.DRAWINGS, ids=lambda drawing: drawing.name)
class TestDrawing:
    """One study's report and tables."""

    @pytest.fixture
    def frames(self, drawing: object, folder: Path) -> Frames:
        return results.frames_of(drawing, folder)

    def test_the_report_is_todays(self, drawing: object, frames: Frames) -> None:
        fresh = results.draw_report(drawing, frames)
        assert not re.search(r"(?<![\w./])/(?:home|root|tmp|work|Users|var)/\w", fresh), "a path of a machine"
        assert_same(results.RESULTS / drawing.report, fresh)

    def test_the_tables_are_todays(self, drawing: object, frames: Frames) -> None:
        if drawing.has_tables:
            assert_same(results.RESULTS / drawing.tables, results.draw_tables(frames))


def test_all_that_is_drawn_is_listed() -> None:
    listed = {name for one in results.DRAWINGS for name in (one.bundle, one.report)}
    listed |= {one.tables for one in results.DRAWINGS if one.has_tables}
    there = {
        str(path.relative_to(results.RESULTS))
        for pattern in ("*.zip", "*.html", "*-tables.md")
        for path in results.RESULTS.rglob(pattern)
    }
    assert there == listed


def test_the_picture_in_the_readme_shows_the_committed_report() -> None:
    assert picture.shown() == picture.digest(), HINT
    with Image.open(picture.PICTURE) as image:
        assert image.size == (picture.WIDTH, picture.HEIGHT)
        assert len(image.convert("L").getcolors(256) or ()) > 20, "an empty page"
    assert picture.PICTURE.stat().st_size < 500_000


@pytest.mark.parametrize("block", OUTPUTS, ids=str)
def test_each_output_is_what_its_command_gives(block: object) -> None:
    assert block.source, f"{block}: no comment above says what gives this output; see scripts/examples.py"
    assert block.text == examples.output(block), f"{block}: {HINT}"


def test_each_fenced_block_says_what_it_is() -> None:
    assert len(OUTPUTS) >= 4
    for block in BLOCKS:
        assert block.language in examples.LANGUAGES, f"{block}: ```{block.language}"
        assert not block.source or block.language == "console", f"{block}: an output is fenced as console"


def test_invented_times_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    assert examples.follow_up(tmp_path / "here") == examples.follow_up(tmp_path / "there")
