"""The folder of a run is gone afterwards, however its owner ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.launchers.scratch import scratch

_OWNER = """
import sys, time
from bakeoff.launchers.scratch import scratch

with scratch("test-") as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_it_is_removed_after_a_normal_end_and_after_an_error(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch("test-") as folder:
        assert folder.parent == tmp_path and folder.name.startswith("test-")
        (folder / "file").write_text("x")
    with pytest.raises(RuntimeError, match="told to"), scratch("test-") as folder:
        raise RuntimeError("told to")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_removed_when_its_owner_is_killed(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert (folder / "deep" / "file").is_file() and folder.parent == tmp_path
        os.killpg(owner.pid, number)  # as Ctrl-C does: everything in the group
        owner.wait()
        assert wait_for(lambda: not folder.exists())
