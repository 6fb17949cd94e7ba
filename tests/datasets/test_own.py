"""The user's own data as arrays, image folders, Parquet and programs, right and wrong."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bakeoff.datasets import prepare
from bakeoff.datasets.own.checks import checked
from bakeoff.datasets.own.program import read_program
from bakeoff.datasets.own.raw import Raw
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import DatasetError

pytestmark = pytest.mark.slow


def arrays(**changes: Any) -> dict[str, Any]:
    """Right arrays: 8 + 4 images of 5 x 4 in colour, 2 classes."""
    random = np.random.default_rng(0)
    right = {
        "x_train": random.integers(0, 256, (8, 5, 4, 3), np.uint8),
        "y_train": np.arange(8) % 2,
        "x_test": random.integers(0, 256, (4, 5, 4, 3), np.uint8),
        "y_test": np.arange(4) % 2,
    }
    return right | changes


def npz(folder: Path, **changes: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays(**changes))
    return path


def load(prepared: Any, name: str) -> Any:
    return np.load(prepared.path / f"{name}.npy")


# ---- .npz and what every form is checked for ------------------------------------------------------


def test_npz(tmp_path: Path, around: Surroundings) -> None:
    prepared = prepare.prepare(str(npz(tmp_path)), around)
    assert (prepared.name, prepared.num_classes, prepared.image_shape) == ("mine.npz", 2, (5, 4, 3))
    assert (prepared.num_train, prepared.num_test) == (8, 4)
    assert load(prepared, "x_train").dtype == np.uint8 and load(prepared, "y_train").dtype == np.int64
    assert np.array_equal(load(prepared, "x_test"), arrays()["x_test"])
    assert prepare.prepare(str(tmp_path / "mine.npz"), around) == prepared


def test_floats_grey_images_and_columns_of_labels(tmp_path: Path, around: Surroundings) -> None:
    right = arrays()
    path = npz(
        tmp_path,
        x_train=right["x_train"][..., 0] / 255,
        x_test=right["x_test"][..., 0] / 255,
        y_train=right["y_train"].astype(np.uint8)[:, None],
    )
    prepared = prepare.prepare(str(path), around)
    assert prepared.image_shape == (5, 4, 1) and load(prepared, "x_train").dtype == np.float32
    assert load(prepared, "y_train").shape == (8,)


def test_edited_file_is_another_entry(tmp_path: Path, around: Surroundings) -> None:
    first = prepare.prepare(str(npz(tmp_path)), around)
    second = prepare.prepare(str(npz(tmp_path, y_test=np.ones(4, int))), around)
    assert first.path != second.path and first.digest != second.digest


def with_nan(shape: tuple[int, ...]) -> Any:
    images = np.zeros(shape, np.float32)
    images[2, 1, 1, 0] = np.nan
    return images


WRONG = {
    "images of int64": ({"x_train": np.zeros((8, 5, 4, 3), int)}, "x_train: got dtype int64, expected uint8"),
    "images of bool": ({"x_test": np.zeros((4, 5, 4, 3), bool)}, "x_test: got dtype bool"),
    "images of text": ({"x_test": np.full((4, 5, 4, 3), "a")}, "x_test: got dtype <U1"),
    "flat images": (
        {"x_train": np.zeros((8, 60), np.uint8)},
        r"x_train: got shape \(8, 60\), expected \(N, H, W\)",
    ),
    "channels first": ({"x_train": np.zeros((8, 3, 32, 32), np.uint8)}, "looks like channels first"),
    "no height": ({"x_train": np.zeros((8, 0, 4, 3), np.uint8)}, "expected no empty axis"),
    "NaN": (
        {"x_train": with_nan((8, 5, 4, 3))},
        "x_train: got NaN or infinite pixels in 1 images, first in image 2",
    ),
    "beyond float32": (
        {"x_train": np.full((8, 5, 4, 3), 1e300)},
        "x_train: got NaN or infinite pixels in 8 images",
    ),
    "other test shape": (
        {"x_test": np.zeros((4, 6, 4, 3), np.uint8)},
        r"x_test: got images of shape \(6, 4, 3\)",
    ),
    "other test dtype": ({"x_test": np.zeros((4, 5, 4, 3))}, "x_test: got float32, expected uint8"),
    "no test images": ({"x_test": np.zeros((0, 5, 4, 3), np.uint8)}, "x_test: got no images"),
    "no labels": ({"y_test": np.zeros(0, int)}, "y_test: got no labels"),
    "too few labels": ({"y_train": np.arange(7) % 2}, "y_train: got 7 labels, expected 8"),
    "negative": ({"y_train": np.arange(8) % 2 - 1}, "y_train: got label -1"),
    "fractions": ({"y_train": np.arange(8) / 2}, "y_train: got dtype float64, expected whole numbers"),
    "one-hot": ({"y_train": np.eye(2)[np.arange(8) % 2]}, r"y_train: got shape \(8, 2\)"),
    "one class": ({"y_train": np.zeros(8, int)}, "y_train: got the one class 0"),
    "gap": ({"y_train": np.arange(8) % 2 * 2}, "y_train: got labels up to 2 without 1, expected 0 to 1"),
    "from 1": ({"y_train": np.arange(8) % 2 + 1}, "y_train: got labels up to 2 without 0"),
    "unknown in test": ({"y_test": np.arange(4)}, "y_test: got label 3, expected 0 to 1"),
    "objects": ({"x_train": np.array([[1], [1, 2]], dtype=object)}, "x_train: got dtype object"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arrays(tmp_path: Path, around: Surroundings, changes: dict[str, Any], message: str) -> None:
    path = npz(tmp_path, **changes)
    with pytest.raises(DatasetError, match=message) as caught:
        prepare.prepare(str(path), around)
    assert caught.value.message.startswith(f"{path}: ")
    assert not list((around.root / "datasets").glob("user-*"))


def test_missing_array_and_files_that_are_no_npz(tmp_path: Path, around: Surroundings) -> None:
    np.savez(tmp_path / "few.npz", x_train=np.zeros((1, 2, 2)), y=1)
    with pytest.raises(DatasetError, match="got arrays x_train, y; missing y_train, x_test, y_test"):
        prepare.prepare(str(tmp_path / "few.npz"), around)
    whole = npz(tmp_path).read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"bad\.npz: can't be read as \.npz"):
            prepare.prepare(str(tmp_path / "bad.npz"), around)
    (tmp_path / "mine.mat").write_text("1,2")
    with pytest.raises(DatasetError, match=r"ending in \.mat, expected a \.npz"):
        prepare.prepare(str(tmp_path / "mine.mat"), around)


@given(
    labels=st.lists(st.integers(-2, 6), min_size=1, max_size=12),
    test=st.lists(st.integers(-2, 6), max_size=4),
)
def test_labels_are_taken_just_when_they_number_the_classes(labels: list[int], test: list[int]) -> None:
    raw = {
        "x_train": np.zeros((len(labels), 2, 2), np.uint8),
        "y_train": np.array(labels, int),
        "x_test": np.zeros((len(test), 2, 2), np.uint8),
        "y_test": np.array(test, int),
    }
    classes = set(labels)
    right = len(classes) > 1 and classes == set(range(len(classes))) and test and set(test) <= classes
    try:
        assert checked("mine", Raw(raw)).num_classes == len(classes) and right
    except DatasetError:
        assert not right


# ---- image folders --------------------------------------------------------------------------------


def picture(path: Path, size: tuple[int, int] = (4, 5), mode: str = "RGB", value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "I;16") else (value, 0, 0)).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """cats and dogs, 2 + 1 of each, 4 wide and 5 high."""
    folder = tmp_path / "pets"
    for value, name in enumerate(("cat", "dog")):
        picture(folder / "train" / name / "1.png", value=value)
        picture(folder / "train" / name / "2.png", value=value)
        picture(folder / "test" / name / "3.jpg", value=value)
    return folder


def test_image_folder(pictures: Path, around: Surroundings) -> None:
    (pictures / "train" / "cat" / ".DS_Store").write_bytes(b"hidden")
    prepared = prepare.prepare(str(pictures), around)
    assert (prepared.image_shape, prepared.num_classes, prepared.num_train) == ((5, 4, 3), 2, 4)
    assert load(prepared, "y_train").tolist() == [0, 0, 1, 1]
    assert load(prepared, "x_train")[:, 0, 0, 0].tolist() == [0, 0, 1, 1]
    assert '"cat",\n  "dog"' in (prepared.path / "about.json").read_text()


def test_images_of_many_sizes_need_image_size(pictures: Path, around: Surroundings) -> None:
    picture(pictures / "train" / "dog" / "wide.png", (9, 5))
    with pytest.raises(
        DatasetError, match=r"several sizes, expected 4 x 5 as in .*1\.png; .*wide\.png: 9 x 5"
    ) as caught:
        prepare.prepare(str(pictures), around)
    assert "image_size" in caught.value.hint
    prepared = prepare.prepare(str(pictures), around, 6)
    assert prepared.image_shape == (6, 6, 3) and prepared.path.name.endswith("@6")


def test_grey_among_colour_becomes_colour(pictures: Path, around: Surroundings) -> None:
    picture(pictures / "train" / "dog" / "grey.png", mode="L", value=7)
    assert load(prepare.prepare(str(pictures), around), "x_train")[-1].tolist() == [[[7, 7, 7]] * 4] * 5


def test_wrong_folders(pictures: Path, around: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="got no class folders, expected train/<class>/"):
        prepare.prepare(str(tmp_path / "empty"), around)
    (pictures / "train" / "dog" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DatasetError, match=r"bad\.png: can't be read as an image"):
        prepare.prepare(str(pictures), around)
    (pictures / "train" / "dog" / "bad.png").unlink()
    Image.new("F", (4, 5)).save(pictures / "train" / "dog" / "deep.tif")
    with pytest.raises(DatasetError, match=r"deep\.tif: got pixels of mode F, expected 8 or 16 bits"):
        prepare.prepare(str(pictures), around)
    (pictures / "train" / "dog" / "deep.tif").rename(pictures / "train" / "dog" / "notes.txt")
    with pytest.raises(DatasetError, match=r"no images, but in class folders: .*notes\.txt"):
        prepare.prepare(str(pictures), around)
    (pictures / "train" / "dog" / "notes.txt").unlink()
    picture(pictures / "test" / "horse" / "1.png")
    with pytest.raises(DatasetError, match="got classes horse, which train doesn't have"):
        prepare.prepare(str(pictures), around)


# ---- Parquet --------------------------------------------------------------------------------------


def encoded(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 5), value).save(buffer, "PNG")
    return buffer.getvalue()


def table(**changes: Any) -> pl.DataFrame:
    columns = {
        "image": [encoded(value) for value in (1, 2, 3, 4)],
        "label": [0, 1, 1, 0],
        "split": ["train", "test", "train", "test"],
    }
    return pl.DataFrame(columns | changes)


def parquet(folder: Path, frame: pl.DataFrame) -> str:
    frame.write_parquet(folder / "mine.parquet")
    return str(folder / "mine.parquet")


FLAT = [[value] * 20 for value in (1, 2, 3, 4)]
TABLES = {
    "encoded": table(),
    "in a struct": table(image=[{"bytes": encoded(value), "path": None} for value in (1, 2, 3, 4)]),
    "lists": table(image=pl.Series(FLAT, dtype=pl.List(pl.UInt8)), shape=[[5, 4]] * 4),
    "arrays of a shape": table(
        image=pl.Series(np.array(FLAT, np.uint8).reshape(4, 5, 4), dtype=pl.Array(pl.UInt8, (5, 4)))
    ),
    "text labels": table(label=["cat", "dog", "dog", "cat"]),
    "categories": table(split=pl.Series(["train", "test", "train", "test"], dtype=pl.Categorical)),
}


@pytest.mark.parametrize("frame", TABLES.values(), ids=TABLES.keys())
def test_parquet(tmp_path: Path, around: Surroundings, frame: pl.DataFrame) -> None:
    prepared = prepare.prepare(parquet(tmp_path, frame), around)
    assert prepared.image_shape == (5, 4, 1)
    assert load(prepared, "x_train")[:, 0, 0, 0].tolist() == [1, 3]
    assert load(prepared, "y_test").tolist() == [1, 0]
    assert load(prepared, "x_train").dtype == np.uint8


WRONG_TABLES = {
    "no image": (table().drop("image"), "got columns label; split; missing image"),
    "another split": (table(split=["train", "test", "dev", "test"]), "column split: got dev, expected train"),
    "empty cells": (table(label=[0, None, 1, 0]), "column label: got 1 empty cells"),
    "fractional labels": (table(label=[0.5, 1, 1, 0]), "column label: got Float64"),
    "text images": (table(image=["a", "b", "c", "d"]), "column image: got String"),
    "damaged image": (
        table(image=[encoded(1), b"no", encoded(1), encoded(1)]),
        "row 1: can't be read as an image",
    ),
    "lists without shape": (table(image=FLAT), "no column shape"),
    "wrong length": (table(image=FLAT, shape=[[4, 4]] * 4), "row 0: image: got 20 numbers, expected 16"),
    "two shapes": (table(image=FLAT, shape=[[5, 4], [4, 5], [5, 4], [5, 4]]), "got 2 different shapes"),
    "int64 pixels": (table(image=FLAT, shape=[[5, 4]] * 4), "x_train: got dtype int64"),
}


@pytest.mark.parametrize(("frame", "message"), WRONG_TABLES.values(), ids=WRONG_TABLES.keys())
def test_wrong_parquet(tmp_path: Path, around: Surroundings, frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        prepare.prepare(parquet(tmp_path, frame), around)


def test_no_parquet(tmp_path: Path, around: Surroundings) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DatasetError, match=r"mine\.parquet: can't be read as Parquet"):
        prepare.prepare(str(tmp_path / "mine.parquet"), around)


# ---- load() ---------------------------------------------------------------------------------------

RIGHT = """
import numpy as np, helper_beside
def load():
    print("noise on stdout")
    x = np.zeros((helper_beside.N, 3, 3), "uint8")
    return (x, np.arange(len(x)) % 2), (x[:2], [0, 1])
"""


def program(folder: Path, text: str) -> Path:
    (folder / "helper_beside.py").write_text("N = 6")
    (folder / "mine.py").write_text(text)
    return folder / "mine.py"


def test_program(tmp_path: Path, around: Surroundings) -> None:
    prepared = prepare.prepare(str(program(tmp_path, RIGHT)), around)
    assert (prepared.num_train, prepared.num_test, prepared.image_shape) == (6, 2, (3, 3, 1))


def ran(folder: Path) -> int:
    """How often `counted` ran."""
    return len((folder / "runs.log").read_text()) if (folder / "runs.log").exists() else 0


def counted(folder: Path, text: str) -> Path:
    """A program that leaves a mark beside it each time that it runs."""
    made = program(folder, f"{text}\nopen({str(folder / 'runs.log')!r}, 'a').write('.')\n")
    time.sleep(0.05)  # what is written while it runs can't be told from what it read
    return made


def test_program_runs_again_when_anything_that_it_read_has_changed(
    tmp_path: Path, around: Surroundings
) -> None:
    path = str(counted(tmp_path, RIGHT))
    first = prepare.prepare(path, around)
    assert prepare.prepare(path, around) == first and ran(tmp_path) == 1
    (tmp_path / "helper_beside.py").touch()
    assert prepare.prepare(path, around) == first and ran(tmp_path) == 1
    (tmp_path / "helper_beside.py").write_text("N = 7  # what the file's own text doesn't show")
    time.sleep(0.05)
    assert prepare.prepare(path, around).num_train == 7 and ran(tmp_path) == 2
    assert prepare.prepare(path, around, anew=True).num_train == 7 and ran(tmp_path) == 3


BLIND_SPOTS = {
    "another process": "import subprocess; subprocess.run(['true'])",
    "the network": "import socket; socket.getaddrinfo('127.0.0.1', 9)",
    "native code": "import polars",
}


@pytest.mark.parametrize("deed", BLIND_SPOTS.values(), ids=BLIND_SPOTS)
def test_program_that_can_not_be_seen_into_runs_each_time(
    tmp_path: Path, around: Surroundings, deed: str
) -> None:
    path = str(counted(tmp_path, f"{deed}\n{RIGHT}"))
    assert prepare.prepare(path, around) == prepare.prepare(path, around)
    assert ran(tmp_path) == 2


def test_program_that_asks_for_a_variable(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(
        counted(tmp_path, "import os\n" + RIGHT.replace("helper_beside.N", "int(os.getenv('SIZE', 4))"))
    )
    assert prepare.prepare(path, around).num_train == 4
    monkeypatch.setenv("SIZE", "5")
    assert prepare.prepare(path, around).num_train == 5 and ran(tmp_path) == 2


def test_two_programs_of_one_text_beside_other_files(tmp_path: Path, around: Surroundings) -> None:
    for name, size in (("one", 4), ("other", 8)):
        (tmp_path / name).mkdir()
        program(tmp_path / name, RIGHT)
        (tmp_path / name / "helper_beside.py").write_text(f"N = {size}")
        os.utime(tmp_path / name / "helper_beside.py", (1, 1))
    sizes = [prepare.prepare(str(tmp_path / name / "mine.py"), around).num_train for name in ("one", "other")]
    assert sizes == [4, 8]


WRONG_PROGRAMS = {
    "raises": (
        "def load():\n    raise RuntimeError('the disk is on fire')",
        "RuntimeError: the disk is on fire",
    ),
    "syntax": ("def load(:", "SyntaxError"),
    "no load": ("x = 1", r"has no function load\(\)"),
    "three things": ("def load():\n    return 1, 2, 3", r"returned tuple, expected \(\(x_train, y_train\)"),
    "objects": ("def load():\n    return ([{}], [0]), ([{}], [0])", "x_train: got Python objects"),
    "exits": ("import sys\ndef load():\n    sys.exit(0)", "ended before it returned"),
    "crashes": ("import os\ndef load():\n    os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
    "wrong data": ("def load():\n    return ([[[0]]], [0]), ([[[0]]], [0])", "x_train: got dtype int64"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_PROGRAMS.values(), ids=WRONG_PROGRAMS.keys())
def test_wrong_programs(tmp_path: Path, around: Surroundings, text: str, message: str) -> None:
    path = program(tmp_path, text)
    with pytest.raises(DatasetError, match=message) as caught:
        prepare.prepare(str(path), around)
    assert caught.value.message.startswith(str(path))


def test_program_out_of_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    path = program(
        tmp_path,
        "import os, subprocess, time\n"
        "def load():\n"
        f"    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "    time.sleep(600)\n",
    )
    with pytest.raises(DatasetError, match=r"load\(\) had not returned after 4 s"):
        read_program(path, time_limit_s=4)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_lives, pids))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# ---- what data are known by -----------------------------------------------------------------------


def test_data_are_known_by_their_arrays_whatever_they_came_from(
    tmp_path: Path, pictures: Path, around: Surroundings
) -> None:
    folder = prepare.prepare(str(pictures), around)
    moved = pictures.rename(tmp_path / "moved")
    (tmp_path / "linked").symlink_to(moved)
    rows = [(path.read_bytes(), path.parent.name, path.parts[-3]) for path in sorted(moved.rglob("*.*g"))]
    table = pl.DataFrame(rows, {"image": pl.Binary, "label": pl.String, "split": pl.String}, orient="row")
    table.write_parquet(tmp_path / "pets.parquet")
    for name in ("moved", "linked", "pets.parquet"):
        other = prepare.prepare(str(tmp_path / name), around)
        assert (other.digest, other.path) == (folder.digest, folder.path), name
    for split in ("train", "test"):
        (moved / split / "dog").rename(moved / split / "wolf")
    assert prepare.prepare(str(moved), around).digest != folder.digest


def test_folders_behind_links(tmp_path: Path, around: Surroundings) -> None:
    found = []
    for name, shades in (("one", (10, 20)), ("other", (30, 40))):
        for split in ("train", "test"):
            (tmp_path / name / split).mkdir(parents=True)
            for value, kind in zip(shades, ("cat", "dog"), strict=True):
                picture(tmp_path / "stock" / name / split / kind / "1.png", value=value)
                (tmp_path / name / split / kind).symlink_to(tmp_path / "stock" / name / split / kind)
        found.append(prepare.prepare(str(tmp_path / name), around))
    assert [load(one, "x_train")[:, 0, 0, 0].tolist() for one in found] == [[10, 20], [30, 40]]
    picture(tmp_path / "stock" / "one" / "train" / "cat" / "1.png", value=11)
    assert load(prepare.prepare(str(tmp_path / "one"), around), "x_train")[0, 0, 0, 0] == 11


def test_links_that_lead_nowhere_or_back(pictures: Path, around: Surroundings) -> None:
    link = pictures / "train" / "cat" / "link"
    link.symlink_to(pictures / "train")
    with pytest.raises(DatasetError, match=r"cat/link: is a link back to .*/train, which it lies in"):
        prepare.prepare(str(pictures), around)
    link.unlink()
    link.symlink_to(pictures / "gone.png")
    with pytest.raises(DatasetError, match=r"cat/link: is a link to .*gone\.png, where nothing is"):
        prepare.prepare(str(pictures), around)


EDITS = ("pixel", "label", "order", "touch", "rewrite", "stamp put back")


@given(edits=st.lists(st.sampled_from(EDITS), max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_arrays_are_those_of_now_after_any_edits(tmp_path_factory: Any, edits: list[str]) -> None:
    folder = tmp_path_factory.mktemp("edits")
    around, now = Surroundings(folder / "cache"), arrays()
    path = npz(folder)
    for number, edit in enumerate(["nothing", *edits], 1):
        stamp = path.stat()
        if edit == "touch":
            path.touch()
        elif edit != "nothing":
            if edit in ("pixel", "stamp put back"):
                now["x_train"][0, 0, 0, 0] = number
            elif edit == "label":
                now["y_test"] = np.roll(now["y_test"], number)
            elif edit == "order":
                now["x_train"] = now["x_train"][::-1].copy()
            np.savez(path, **now)
        if edit == "stamp put back":
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        prepared = prepare.prepare(str(path), around)
        assert all(np.array_equal(load(prepared, name), array) for name, array in now.items())
        assert prepare.known_in(around, str(path), None, 1) == prepared
