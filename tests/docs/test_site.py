"""The site of the docs, as far as it shows without building it, for which Sphinx would be needed."""

from __future__ import annotations

import ast
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_is_in_the_navigation() -> None:
    statements = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8")).body
    (named,) = (
        one.value
        for one in statements
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "NAVIGATION"
    )
    pages = [one.value for one in ast.walk(named) if isinstance(one, ast.Constant)]
    parts = [key.value for key in named.keys]
    found = sorted(page for page in pages if page not in parts)
    assert found == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")
