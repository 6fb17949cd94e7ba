"""Stores to test on."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # store_sample serves the tests and the scripts that they start

from store_sample import study, write_sample

from bakeoff.store.writer import Writer

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "results.sqlite"


@pytest.fixture
def full(path: Path) -> Path:
    """A store with the study's four runs, all of them ok."""
    write_sample(path)
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    """A writer of a new store that knows the study."""
    with Writer(path) as writer:
        writer.begin_study(study())
        yield writer


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of our own, while permissions hold for us: root is nobody for the test's duration."""
    folder = Path(tempfile.mkdtemp(prefix="bakeoff-test-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)
