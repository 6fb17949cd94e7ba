"""The ``load()`` of a user's Python file, called in a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from bakeoff import inputs
from bakeoff.datasets.catalogue import ARRAYS
from bakeoff.datasets.own.raw import Raw, looked
from bakeoff.errors import DatasetError
from bakeoff.inputs import Inputs

TIME_LIMIT_S = 1800.0


def read_program(path: Path, time_limit_s: float = TIME_LIMIT_S) -> tuple[Raw, Inputs | None]:
    """What the ``load()`` of a Python file returns, called in a process of its own, and what it read.

    None instead of the latter where it did what can't be seen into (asked the network, started processes,
    loaded native code that may open files by itself), or where files were written meanwhile.

    Raises:
        DatasetError: it failed, crashed, took too long, or returned something else; with its last lines.
    """
    began_ns = inputs.now_ns()
    with tempfile.TemporaryDirectory(prefix="bakeoff-load-") as folder:
        status, last_lines = _run_program(path, Path(folder), time_limit_s)
        if status is None:
            raise DatasetError(
                f"{path}: load() had not returned after {time_limit_s:g} s\n{last_lines}".rstrip(),
                "let it write its arrays to a .npz file once, and name that file",
            )
        if status != 0:
            ended = f"was killed by {signal.Signals(-status).name}" if status < 0 else "failed"
            raise DatasetError(
                f"{path}: load() {ended}:\n{last_lines}", "run the file alone to see all it says"
            )
        try:
            arrays = {name: np.load(Path(folder) / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
            seen = json.loads((Path(folder) / "read.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(f"{path}: load() ended before it returned ({error})") from error
        made_from = None if seen["blind_spots"] else looked(inputs.paths_of(seen, path))
        return Raw(arrays), made_from if made_from and made_from.settled_before(began_ns) else None


def _run_program(path: Path, folder: Path, time_limit_s: float) -> tuple[int | None, str]:
    """Exit status (None: out of time) and the last lines that the program wrote to its error output."""
    # -P: a module beside the user's file must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", "bakeoff.datasets.load_program", str(path.absolute()), str(folder)]
    with (folder / "output.txt").open("w+b") as output:
        # stdin stays open as long as we live; the child ends when it closes.
        child = subprocess.Popen(
            command,
            cwd=path.absolute().parent,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # or the order of a set of texts is another each time
        )
        try:
            status: int | None = child.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(child)
        output.seek(max(0, output.seek(0, io.SEEK_END) - 4000))
        return status, "\n".join(output.read().decode(errors="replace").strip().splitlines()[-6:])


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started; nothing happens if they have ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    if child.stdin:
        child.stdin.close()
    child.wait()
