"""Parquet files for executors: every row an image of the arrays, whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bakeoff.datasets import parquet, parquet_files, prepare
from bakeoff.datasets.entries import Prepared
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import MachineError


@pytest.fixture
def grey_set(grey: Any, around: Surroundings, tmp_path: Path) -> Prepared:
    """20 images of 6 x 4 in grey."""
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    return prepare.prepare_entry(grey.entry, supplied)


def own(folder: Path, around: Surroundings, dtype: str, count: int = 30) -> Prepared:
    """`count` images of 5 x 4 in colour, sorted by class."""
    images = np.random.default_rng(0).integers(0, 256, (count, 5, 4, 3), np.uint8).astype(dtype)
    labels = np.sort(np.arange(count) % 3)
    np.savez(folder / "mine.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])
    return prepare.prepare(str(folder / "mine.npz"), around)


def rows_of(path: Path) -> pl.DataFrame:
    """All rows, in the order of the files."""
    return pl.concat([pl.read_parquet(file) for file in sorted(path.glob("*.parquet"))])


def same_rows(prepared: Prepared, path: Path) -> bool:
    """Whether each row holds the image and label of its index, and each image has one row."""
    about = json.loads((path / "_about.json").read_text())
    x, y = (np.load(prepared.path / f"{name}_train.npy") for name in "xy")
    rows = rows_of(path)
    shape = about["height"], about["width"], about["channels"]
    images = [np.frombuffer(cell, about["dtype"]).reshape(shape) for cell in rows["image"]]
    return (
        sorted(rows["index"]) == list(range(len(x)))
        and np.array_equal(np.stack(images), x[rows["index"].to_numpy()])
        and np.array_equal(rows["label"].to_numpy(), y[rows["index"].to_numpy()])
    )


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_each_row_is_an_image_of_the_arrays(tmp_path: Path, around: Surroundings, dtype: str) -> None:
    prepared = own(tmp_path, around, dtype)
    path = parquet_files(prepared, 4)
    assert path == around.root / "parquet" / prepared.path.name / "4-files"
    assert rows_of(path).schema == {"index": pl.Int32, "label": pl.Int32, "image": pl.Binary}
    about = json.loads((path / "_about.json").read_text())
    assert about["dtype"] == dtype
    assert (about["num_rows"], about["num_classes"], about["made_from"]) == (30, 3, prepared.digest)
    assert same_rows(prepared, path)


def test_scaled_sets_have_all_copies(around: Surroundings, grey_set: Prepared) -> None:
    scaled = prepare.prepare_scaled(grey_set, around, 4)
    path = parquet_files(scaled, 4)
    assert len(rows_of(path)) == 80 and same_rows(scaled, path)


@pytest.mark.parametrize(("count", "num_files", "sizes"), [(30, 4, [8, 8, 7, 7]), (12, 40, [1] * 12)])
def test_files_have_the_same_number_of_rows(
    tmp_path: Path, around: Surroundings, count: int, num_files: int, sizes: list[int]
) -> None:
    path = parquet_files(own(tmp_path, around, "uint8", count), num_files)
    about = json.loads((path / "_about.json").read_text())
    assert [file["num_rows"] for file in about["files"]] == sizes
    assert [len(pl.read_parquet(path / file["name"])) for file in about["files"]] == sizes
    # Spark passes over what begins with _ or a dot: nothing but Parquet may be left.
    assert {file.suffix for file in path.iterdir() if file.name[0] not in "_."} == {".parquet"}


def test_files_that_would_be_too_large_become_a_multiple(
    grey_set: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_FILE_BYTES", 5 * 24)  # 20 images of 24 bytes, in 2 files of 10
    path = parquet_files(grey_set, 2)
    assert len(list(path.glob("*.parquet"))) == 4 and same_rows(grey_set, path)


def test_each_file_is_a_sample_even_of_sorted_data(tmp_path: Path, around: Surroundings) -> None:
    path = parquet_files(own(tmp_path, around, "uint8", 300), 4)
    for file in path.glob("*.parquet"):
        assert pl.read_parquet(file)["label"].value_counts()["count"].min() > 10


def test_a_file_tells_by_itself_what_its_bytes_are(grey_set: Prepared) -> None:
    file = next(parquet_files(grey_set, 2).glob("*.parquet"))
    about = json.loads(pl.read_parquet_metadata(file)["bakeoff"])
    assert (about["height"], about["width"], about["channels"], about["dtype"]) == (6, 4, 1, "uint8")


def contents(path: Path) -> dict[str, tuple[int, int]]:
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in path.iterdir()}


def test_they_are_made_once(grey_set: Prepared) -> None:
    made = contents(parquet_files(grey_set, 4))
    assert contents(parquet_files(grey_set, 4)) == made
    assert parquet_files(grey_set, 2) != parquet_files(grey_set, 4)


def test_two_makings_agree_to_the_byte(around: Surroundings, grey_set: Prepared, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(grey_set, path=tmp_path / "other" / "datasets" / "grey")
    elsewhere.path.parent.mkdir(parents=True)
    elsewhere.path.symlink_to(grey_set.path)
    first, second = (parquet_files(prepared, 2) for prepared in (grey_set, elsewhere))
    assert first != second
    assert {file.name: file.read_bytes() for file in first.iterdir()} == {
        file.name: file.read_bytes() for file in second.iterdir()
    }


def _truncate(file: Path) -> None:
    os.truncate(file, 100)


@pytest.mark.parametrize("name", ["part-00001.parquet", "_about.json"])
@pytest.mark.parametrize("spoil", [Path.unlink, _truncate])
def test_damaged_files_are_made_anew(grey_set: Prepared, name: str, spoil: Any) -> None:
    path = parquet_files(grey_set, 3)
    whole = {file.name: file.read_bytes() for file in path.iterdir()}
    spoil(path / name)
    assert parquet_files(grey_set, 3) == path
    assert {file.name: file.read_bytes() for file in path.iterdir()} == whole


def test_files_of_other_arrays_are_replaced(around: Surroundings, grey_set: Prepared) -> None:
    path = parquet_files(grey_set, 2)
    others = np.load(grey_set.path / "x_train.npy")[::-1]
    np.save(grey_set.path / "x_train.npy", others)
    changed = dataclasses.replace(grey_set, digest="of the other arrays")
    assert not same_rows(changed, path)
    assert parquet_files(changed, 2) == path and same_rows(changed, path)


def test_a_cache_that_cannot_be_written_says_so(around: Surroundings, grey_set: Prepared) -> None:
    (around.root / "parquet").write_text("not a folder")
    with pytest.raises(MachineError, match="can't be written"):
        parquet_files(grey_set)


_DIE_AT_HALF = """
import os, pickle, signal, sys
from bakeoff.datasets import parquet_files

def die(progress):
    if progress.done_bytes >= progress.total_bytes // 2:
        os.kill(os.getpid(), signal.SIGKILL)

parquet_files(pickle.load(sys.stdin.buffer), 4, listener=die)
"""


def test_what_a_killed_process_left_is_never_used(around: Surroundings, grey_set: Prepared) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _DIE_AT_HALF], input=pickle.dumps(grey_set), check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    folder = around.root / "parquet" / "grey"
    (left,) = folder.iterdir()
    assert left.name.startswith(".building-") and len(list(left.rglob("*.parquet"))) == 2
    path = parquet_files(grey_set, 4)
    assert same_rows(grey_set, path)
    assert list(folder.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing(around: Surroundings, grey_set: Prepared) -> None:
    """With a real limit to the size of files, in a process of its own."""
    program = (
        "import pickle, resource, signal, sys\n"
        "from bakeoff.datasets import parquet_files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))\n"
        "parquet_files(pickle.load(sys.stdin.buffer), 2)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(grey_set), check=False, capture_output=True
    )
    assert ended.returncode == 1 and b"File too large" in ended.stderr
    assert not list((around.root / "parquet" / "grey").iterdir())
