"""Study files written for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.errors import StudyError
from bakeoff.study import Study, load

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a study from its TOML text, as ``study.toml`` in the test's folder."""

    def load_it(text: str, *overrides: str) -> Study:
        file = tmp_path / "study.toml"
        file.write_text(text, encoding="utf-8")
        return load(file, overrides)

    return load_it


@pytest.fixture
def mistakes(tmp_path: Path, load_text: Load) -> Mistakes:
    """All that is wrong with a study's text, without the folder."""

    def problems(text: str, *overrides: str) -> list[str]:
        with pytest.raises(StudyError) as caught:
            load_text(text, *overrides)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return problems
