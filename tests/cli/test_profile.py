"""``bakeoff profile``, through the real program."""

from __future__ import annotations

import json

import pytest

from bakeoff.profile.profiled import from_document
from bakeoff.store.reader import Reader

pytestmark = pytest.mark.slow


def test_a_profile_is_shown_and_kept_and_is_no_run(program) -> None:
    shown = program("profile", "tiny.toml", "--trial", "batch 20", "--set", "seed=4").stdout
    assert "not accounted for" in shown and "batch 10" not in shown
    with Reader(program.store) as reader:
        assert reader.runs().is_empty() and reader.epochs().is_empty()
        (kept,) = reader.profiles().iter_rows(named=True)
    profiled = from_document(kept["label"], json.loads(kept["document"]))
    assert profiled.settings.global_batch_size == 20 and profiled.has("budget")
    assert profiled.document() == json.loads(kept["document"])


def test_what_cannot_be_profiled_says_why_and_stops_nobody(program) -> None:
    settings = ("--set", "model_options.fault=raise", "--set", "model_options.fault_epoch=2")
    shown = program("profile", "tiny.toml", *settings, code=1).stdout
    assert shown.count("no profile: failed: RuntimeError: told to raise") == 2


def test_a_label_that_the_study_does_not_have(program) -> None:
    said = program("profile", "tiny.toml", "--trial", "batch 30", code=3).stderr
    assert "has no contestant 'batch 30'" in said and "batch 10, batch 20" in said


def test_a_study_in_the_store_is_profiled_by_its_name(done) -> None:
    shown = done("profile", "tiny", "--trial", "batch 20").stdout
    assert "steady steps" in shown
    with Reader(done.store) as reader:
        (kept,) = reader.profiles("tiny").iter_rows(named=True)
        assert kept["trial_id"] in reader.runs("tiny")["trial_id"].to_list()
    said = done("profile", "tiny", "--set", "seed=4", code=3).stderr
    assert "tiny is in the store as it ran; expected no --set with it" in said and "run tiny.toml" in said
