"""The examples of docs/data.md, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bakeoff.datasets import prepare
from bakeoff.datasets.sources import Surroundings

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def test_every_example_makes_a_data_set(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL):
        if "def load" in example:
            Path("mine.py").write_text(example)
        else:
            exec(example, {})
    prepared = [prepare.prepare(name, around) for name in ("mine.npz", "mine.parquet", "mine.py")]
    assert [one.image_shape for one in prepared] == [(28, 28, 1)] * 3
    assert [one.num_train for one in prepared] == [80, 4, 8]
