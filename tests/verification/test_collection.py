"""Jobs that show what contestants compute: who keeps the others waiting is named."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakeoff.events import Event, Message
from bakeoff.launchers.base import Launch
from bakeoff.verification import collection
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.records import RunEnded


def test_who_still_computes_is_said_every_few_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = []

    def hangs(launch: Launch) -> Generator[RunEnded, None, None]:
        until = time.monotonic() + 60
        while len(told) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        yield RunEnded("timeout", "no end after 3600 s")

    monkeypatch.setattr(collection, "_REMINDER_S", 0.02)
    contestant: Any = SimpleNamespace(
        settings=TrialSettings("torch", "torch"), label="mnist · torch", verified_id="v"
    )
    environment: Any = SimpleNamespace(digest="d", scratch=tmp_path)
    found = collection.collect(
        contestant,
        collection.Needs(environment, tmp_path),
        seed=1,
        folder=tmp_path,
        launcher=hangs,
        listener=told.append,
    )
    assert (found.evidence, found.reason) == (None, "timeout: no end after 3600 s")
    first, second, third, *_ = [one.line for one in told if isinstance(one, Message)]
    assert first == "mnist · torch: computing in float32"
    for words in (second, third):
        assert words.startswith("mnist · torch: still computing after ")
        assert words.endswith("min; stopped after 60")
