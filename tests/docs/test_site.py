"""The site of the docs, as far as it shows without building it."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_is_in_the_navigation() -> None:
    pages = [page for part in runpy.run_path(str(DOCS / "conf.py"))["NAVIGATION"].values() for page in part]
    assert sorted(pages) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")
