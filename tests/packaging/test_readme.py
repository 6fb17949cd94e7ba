"""What the README shows works as it stands. Its command lines are tested in tests/cli/test_docs.py."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bakeoff

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The README's blocks of code in that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_study_is_right(folder: Path) -> None:
    (folder / "batches.toml").write_text(blocks("toml")[0])
    study = bakeoff.load("batches.toml", ["epochs=3"])
    assert len(study.trials) * study.repeats == 60


def test_the_own_network_and_data_are_right(folder: Path) -> None:
    (folder / "my_model.py").write_text(blocks("python")[0])
    for split in ("train", "test"):
        for kind in ("cat", "dog"):
            place = folder / "my_images" / split / kind
            place.mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(place / "1.png")
    (folder / "mine.toml").write_text(blocks("toml")[1])
    assert len(bakeoff.load("mine.toml").trials) == 3


def test_the_python_example_runs() -> None:
    names: dict[str, object] = {}
    exec(compile(blocks("python")[1], str(README), "exec"), names)
    assert len(names["epochs"]) == 12


def test_every_link_leads_somewhere() -> None:
    for page in (README, *(README.parent / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
