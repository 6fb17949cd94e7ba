"""The table [farm], of a study and of the user's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakeoff import study
from bakeoff.errors import StudyError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "bakeoff").mkdir()
    return tmp_path / "bakeoff" / "settings.toml"


def test_a_studys_keys_go_before_the_users_and_change_no_study(settings: Path) -> None:
    plain = study.load("smoke")
    settings.write_text('[farm]\npartition = "mine"\ntime = "1-02:30:00"\n')
    asked = study.load("smoke", ("farm.partition=theirs", "farm.nodes=3"))
    assert (asked.farm.partition, asked.farm.nodes, asked.farm.time_min) == ("theirs", 3, 1590)
    assert study.user_farm().partition == "mine"
    assert asked.digest == plain.digest and asked.document() == plain.document()


@pytest.mark.parametrize(("text", "minutes"), [("90", 90), ("30:30", 31), ("1:30:00", 90), ("2-12", 3600)])
def test_times_are_read_as_slurm_reads_them(settings: Path, text: str, minutes: int) -> None:
    assert study.load("smoke", (f"farm.time='{text}'",)).farm.time_min == minutes


def test_mistakes_are_named_with_their_file(settings: Path) -> None:
    settings.write_text('[farm]\nstaging = "carried"\n')
    with pytest.raises(StudyError, match=r"settings\.toml: \$\.farm\.staging"):
        study.load("smoke")
    settings.unlink()
    with pytest.raises(StudyError, match=r"--set farm\.time: expected minutes"):
        study.load("smoke", ("farm.time='soon'",))
