"""``make bench-quick-distributed``: wall time of ``make quick-distributed`` on a fresh clone.

Cloned into an empty folder, with a home, caches and downloads of its own, all empty. A second clone follows
with the first one's downloads (uv's and pip's caches, Bakeoff's data sets), its environments made anew. The
seconds that clusters take to start and to end are read from the store.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bakeoff.store.reader import Reader
from benchmarks.goals import Figure, conclude

_STUDY = "quick-distributed"
_GOAL_S = 600  # once everything is downloaded


def main() -> int:
    """Clone, run, time; 0 if every run ended well and in time."""
    arguments = _arguments()
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix="bench-quick-distributed-") as name:
        folder = Path(name)
        figures = [_figure("with downloads", _run(root, folder / "first", folder))]
        if not arguments.once:
            shutil.rmtree(folder / ".cache" / "bakeoff" / "environments", ignore_errors=True)
            figures.append(_figure("without", _run(root, folder / "second", folder), _GOAL_S))
        with Reader(folder / "first" / "bakeoff.sqlite") as reader:
            phases, runs = reader.phases(_STUDY), reader.runs(_STUDY)
            ok = runs.filter(status="ok")
            for phase, words in (("cluster", "cluster start-up"), ("context", "application and executors")):
                figures.append(_median(words, phases.filter(phase=phase)["wall_s"].to_list()))
            figures.append(_median("tear-down", phases.filter(phase="cluster_end")["wall_s"].to_list()))
            figures.append(Figure(f"runs {len(ok)} of {len(runs)} ok", "all", len(ok) == len(runs)))
    return conclude("quick-distributed", figures)


def _run(root: Path, clone: Path, home: Path) -> float:
    """Wall seconds of ``make quick-distributed`` in a new clone."""
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    for settings in (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".npmrc"):
        if (Path.home() / settings).is_file():  # where packages come from is the machine's business
            (home / settings).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path.home() / settings, home / settings)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BAKEOFF_", "XDG_"))}
    cache = home / ".cache"
    began = time.monotonic()
    subprocess.run(
        ["make", _STUDY],
        cwd=clone,
        check=True,
        env={
            **kept,
            "HOME": str(home),
            "PYENV_ROOT": os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")),
            "XDG_CACHE_HOME": str(cache),
            "PIP_CACHE_DIR": str(cache / "pip"),
            "UV_CACHE_DIR": str(cache / "uv"),
            "npm_config_cache": str(cache / "npm"),
        },
    )
    return time.monotonic() - began


def _figure(words: str, seconds: float, goal_s: float | None = None) -> Figure:
    text = f"{words} {seconds:.0f} s"
    return Figure(text) if goal_s is None else Figure(text, f"≤ {goal_s:g} s", seconds <= goal_s)


def _median(words: str, seconds: Sequence[float]) -> Figure:
    return Figure(f"{words} {statistics.median(seconds):.1f} s [{min(seconds):.1f}, {max(seconds):.1f}]")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-quick-distributed", description=__doc__)
    parser.add_argument("--once", action="store_true", help="with downloads only")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
