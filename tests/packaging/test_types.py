"""Whoever imports Bakeoff gets types for all of it, as pyright sees an installed package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYRIGHT = "pyright@1.1.414"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npx") is None, reason="pyright comes from npm")
def test_every_public_type_is_known(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for package in ("bakeoff", "bakeoff_worker"):
        shutil.copytree(ROOT / "src" / package, site / package)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    done = subprocess.run(
        ["npx", "--yes", PYRIGHT, "--verifytypes", "bakeoff", "--ignoreexternal", "--outputjson"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout[done.stdout.index("{") :])
    unknown = [one["message"] for one in found["generalDiagnostics"] if one["severity"] == "error"]
    counts = found["typeCompleteness"]["exportedSymbolCounts"]
    assert counts["withKnownType"] > 1000, "pyright found another package"
    assert found["typeCompleteness"]["completenessScore"] == 1, "\n".join(unknown)
