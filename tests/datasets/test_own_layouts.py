"""The layouts in which people's data lie: splits, stray files, Kaggle's CSV, Hugging Face's Parquet."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.datasets.test_own import arrays, encoded, load, picture

from bakeoff.datasets import prepare
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import DatasetError


def read(path: Path, around: Surroundings, side: int | None = None) -> Any:
    return prepare.prepare(str(path), around, side)


def class_folders(folder: Path, num: int = 10) -> Path:
    """`num` images of cats (value 1 to num) and as many of dogs (from 101), 4 x 5 pixels."""
    for first, name in ((1, "cat"), (101, "dog")):
        for number in range(num):
            picture(folder / name / f"{number}.png", mode="L", value=first + number)
    return folder


# ---- splits ---------------------------------------------------------------------------------------


def test_class_folders_alone_are_split_by_class_and_always_alike(
    tmp_path: Path, around: Surroundings
) -> None:
    prepared = read(class_folders(tmp_path / "pets"), around)
    assert (prepared.num_train, prepared.num_test) == (16, 4)
    assert load(prepared, "y_test").tolist() == [0, 0, 1, 1]
    assert prepared.notes[0].startswith("no test images of its own: 20% of each class, 4 of 20 images")
    drawn = set(load(prepared, "x_test")[:, 0, 0, 0].tolist())
    assert read(class_folders(tmp_path / "moved"), around).digest == prepared.digest
    picture(tmp_path / "pets" / "cat" / "another.png", mode="L", value=99)
    again = set(load(read(tmp_path / "pets", around), "x_test")[:, 0, 0, 0].tolist())
    assert len(drawn - again) <= 1, "one more image changes one place of the draw at most"


@pytest.mark.parametrize(
    ("folders", "num_test", "note"),
    [
        (("Train", "TEST"), 10, ()),
        (("training", "valid"), 10, ("the validation images are the test images: there are no others",)),
        (
            ("train", "test", "val"),
            10,
            ("10 validation images are left out: nothing trains or tests on them",),
        ),
        (("train",), 2, None),
    ],
)
def test_split_folders_by_any_name(
    tmp_path: Path, around: Surroundings, folders: tuple[str, ...], num_test: int, note: Any
) -> None:
    for name in folders:
        class_folders(tmp_path / "pets" / name, 5)
    prepared = read(tmp_path / "pets", around)
    assert prepared.num_test == num_test
    assert note is None or prepared.notes == note
    assert prepared.notes == read(tmp_path / "pets", around).notes, "as when they were read"


def test_splits_that_can_not_be_told(tmp_path: Path, around: Surroundings) -> None:
    class_folders(tmp_path / "one", 1)
    with pytest.raises(DatasetError, match="one image only of cat; dog"):
        read(tmp_path / "one", around)
    class_folders(tmp_path / "two" / "train", 2)
    class_folders(tmp_path / "two" / "Training", 2)
    with pytest.raises(DatasetError, match="two folders of train images, Training and train"):
        read(tmp_path / "two", around)
    class_folders(tmp_path / "outer" / "pets" / "train", 2)
    with pytest.raises(DatasetError, match="got no class folders") as caught:
        read(tmp_path / "outer" / "pets" / "train" / "cat", around)
    assert caught.value.hint
    class_folders(tmp_path / "wrapped" / "pets" / "photos", 2)
    with pytest.raises(DatasetError, match="got the one class folder pets, expected two at least") as caught:
        read(tmp_path / "wrapped", around)
    assert caught.value.hint == f"name the folder in it: {tmp_path / 'wrapped' / 'pets'}"
    class_folders(tmp_path / "tested" / "test", 2)
    with pytest.raises(DatasetError, match="got test and no train folder"):
        read(tmp_path / "tested", around)


# ---- what lies in folders -------------------------------------------------------------------------


def test_stray_files_are_passed_over_and_counted(tmp_path: Path, around: Surroundings) -> None:
    folder = class_folders(tmp_path / "pets", 4)
    clean = read(folder, around).digest
    for name in ("cat/Thumbs.db", "dog/Thumbs.db", "dog/.DS_Store", "__MACOSX/cat/._1.png", "__MACOSX/x.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image")
    (folder / "labels.csv").write_text("beside,them")
    prepared = read(folder, around)
    assert prepared.digest == clean
    assert prepared.notes[-1] == "passed over, left by the system: Thumbs.db (2); x.png (1)"


def test_empty_class_folders_are_named(tmp_path: Path, around: Surroundings) -> None:
    folder = class_folders(tmp_path / "pets", 4)
    (folder / "bird").mkdir()
    with pytest.raises(DatasetError, match="bird has no images; expected some in each class folder"):
        read(folder, around)


def test_all_damaged_images_are_named_at_once(tmp_path: Path, around: Surroundings) -> None:
    folder = class_folders(tmp_path / "pets", 8)
    for number in range(5):
        (folder / "cat" / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"5 of 16 images can't be used: .*no image.*and 2 more"):
        read(folder, around)


def test_image_files_of_many_kinds(tmp_path: Path, around: Surroundings) -> None:
    """Turned as EXIF says, first frame, 16 bits as floats."""
    folder = class_folders(tmp_path / "pets" / "train", 2)
    class_folders(tmp_path / "pets" / "test", 1)
    wide = Image.new("L", (5, 4), 0)
    wide.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    wide.save(folder / "dog" / "a.png", exif=exif)
    frames = [Image.new("L", (4, 5), value) for value in (40, 50)]
    frames[0].save(folder / "dog" / "b.gif", save_all=True, append_images=frames[1:])
    for name in ("c.webp", "d.tiff"):
        Image.new("L", (4, 5), 60).save(
            folder / "dog" / name, **({"lossless": True} if "webp" in name else {})
        )
    prepared = read(tmp_path / "pets", around)
    images = load(prepared, "x_train")
    assert images.dtype == np.uint8 and images.shape == (8, 5, 4, 3)
    turned, animated, webp, tiff = images[load(prepared, "y_train") == 1][2:]
    assert turned[0, -1, 0] == 255 and turned[0, 0, 0] == 0
    assert (animated[0, 0, 0], webp[0, 0, 0], tiff[0, 0, 0]) == (40, 60, 60)
    Image.fromarray(np.full((5, 4), 32768, np.uint16)).save(folder / "dog" / "e.png")
    images = load(read(tmp_path / "pets", around), "x_train")
    assert images.dtype == np.float32
    assert images[0, 0, 0, 0] == np.float32(1 / 255) and images[-1, 0, 0, 0] == np.float32(32768 / 65535)


# ---- arrays ---------------------------------------------------------------------------------------


def test_arrays_by_other_names(tmp_path: Path, around: Surroundings) -> None:
    right = arrays()
    np.savez(tmp_path / "own.npz", **right)
    medical = {
        f"{split}_{kind}": right[f"{axis}_{split}"]
        for split in ("train", "test")
        for kind, axis in (("images", "x"), ("labels", "y"))
    }
    np.savez(tmp_path / "medmnist.npz", **medical, val_images=right["x_test"], val_labels=right["y_test"])
    np.savez(tmp_path / "capitals.npz", **{name.replace("x", "X"): one for name, one in right.items()})
    np.savez(
        tmp_path / "texts.npz",
        **right
        | {f"y_{split}": np.array(["cat", "dog"])[right[f"y_{split}"]] for split in ("train", "test")},
    )
    digest = read(tmp_path / "own.npz", around).digest
    medmnist = read(tmp_path / "medmnist.npz", around)
    assert medmnist.digest == digest and "4 validation images are left out" in medmnist.notes[0]
    assert read(tmp_path / "capitals.npz", around).digest == digest
    named = read(tmp_path / "texts.npz", around)
    assert load(named, "y_train").tolist() == right["y_train"].tolist()
    assert json.loads((named.path / "about.json").read_text())["class_names"] == ["cat", "dog"]


def test_labels_that_are_no_classes(tmp_path: Path, around: Surroundings) -> None:
    for changes, message, hint in (
        ({"y_test": np.array(["cow"] * 4)}, "y_test: got texts, but numbers", ""),
        ({"y_train": np.ones((8, 3), int)}, "got shape", "multi-label"),
        ({"y_train": np.eye(2)[np.arange(8) % 2]}, "got shape", "one-hot"),
    ):
        np.savez(tmp_path / "wrong.npz", **arrays(**changes))
        with pytest.raises(DatasetError, match=message) as caught:
            read(tmp_path / "wrong.npz", around)
        assert hint in caught.value.hint


def test_a_claim_beyond_memory_is_refused_before_anything_is_read(
    tmp_path: Path, around: Surroundings
) -> None:
    np.savez(tmp_path / "small.npz", **arrays())
    header = np.lib.format.header_data_from_array_1_0(arrays()["x_train"]) | {
        "shape": (200_000, 1000, 1000, 3)
    }
    with (
        zipfile.ZipFile(tmp_path / "small.npz") as small,
        zipfile.ZipFile(tmp_path / "claims.npz", "w") as claims,
    ):
        for name in small.namelist():
            if name != "x_train.npy":
                claims.writestr(name, small.read(name))
        with claims.open("x_train.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, header)
            member.write(bytes(1000))
    with pytest.raises(DatasetError, match=r"x_train: claims 200,000 x 1,000 x 1,000 x 3 .*558\.8 GiB"):
        read(tmp_path / "claims.npz", around)


@pytest.mark.parametrize("form", ["lists.parquet", "bytes.parquet", "pixels.csv"])
def test_a_table_beyond_memory_is_refused_before_it_is_read(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    num, path = 1000, tmp_path / form
    if form == "pixels.csv":
        lines = [
            "label," + ",".join(f"p{pixel}" for pixel in range(64)),
            *["0," + ",".join(["7"] * 64)] * num,
        ]
        path.write_text("\n".join(lines))
    else:
        png = io.BytesIO()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(png, "png")
        image = png.getvalue() if form == "bytes.parquet" else [0] * 64
        pl.DataFrame({"image": [image] * num, "label": [0] * num, "shape": [[8, 8]] * num}).write_parquet(
            path
        )

    def read_whole(*arguments: object, **options: object) -> None:
        raise AssertionError("read before its size was looked at")

    monkeypatch.setattr(pl, "read_parquet", read_whole)
    monkeypatch.setattr(pl, "read_csv", read_whole)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=60 * num))
    with pytest.raises(DatasetError, match=r"claims 1,000 x .* GiB of memory are free"):
        read(path, around)


# ---- tables ---------------------------------------------------------------------------------------


def rows(num: int = 10, **more: Any) -> dict[str, Any]:
    """Kaggle's: a label and 4 pixels; label 2 is missing."""
    labels = [(0, 1, 3)[row % 3] for row in range(num)]
    return {"label": labels, **{f"pixel{p}": [row + p for row in range(num)] for p in range(4)}, **more}


def test_csv_as_kaggle_has_it(tmp_path: Path, around: Surroundings) -> None:
    pl.DataFrame(rows(12)).write_csv(tmp_path / "digits.csv")
    prepared = read(tmp_path / "digits.csv", around)
    assert prepared.image_shape == (2, 2, 1) and (prepared.num_train, prepared.num_test) == (9, 3)
    assert load(prepared, "x_train").dtype == np.uint8
    assert "labels 0, 1, 3 are numbered from 0 without gaps" in prepared.notes
    folder = tmp_path / "sign"
    folder.mkdir()
    pl.DataFrame(rows(6)).write_csv(folder / "sign_mnist_train.csv")
    pl.DataFrame(rows(3)).write_csv(folder / "sign_mnist_test.csv")
    both = read(folder, around)
    assert (both.num_train, both.num_test) == (6, 3)
    pl.DataFrame(rows(3)).drop("label").write_csv(folder / "sign_mnist_test.csv")
    unlabelled = read(folder, around)
    assert (unlabelled.num_train, unlabelled.num_test) == (3, 3)
    assert any("sign_mnist_test.csv has no labels" in note for note in unlabelled.notes)
    moved = folder.rename(tmp_path / "elsewhere")
    assert read(moved, around).digest == unlabelled.digest, "the draw hangs on no path"
    moved.rename(folder)
    with pytest.raises(DatasetError, match="is the train split alone") as caught:
        read(folder / "sign_mnist_train.csv", around)
    assert str(folder) in caught.value.hint


def test_csv_without_header_and_with_pixels_in_one_column(tmp_path: Path, around: Surroundings) -> None:
    pl.DataFrame(rows(6)).with_columns(label=pl.Series([0, 1, 0, 1, 0, 1])).write_csv(
        tmp_path / "plain.csv", include_header=False
    )
    plain = read(tmp_path / "plain.csv", around)
    assert plain.image_shape == (2, 2, 1) and plain.num_classes == 2
    faces = {
        "emotion": [0, 1, 0, 1],
        "pixels": ["1 2 3 4", "5 6 7 8", "9 9 9 9", "0 255 0 255"],
        "Usage": ["Training", "Training", "PrivateTest", "PublicTest"],
    }
    pl.DataFrame(faces).write_csv(tmp_path / "fer.csv")
    prepared = read(tmp_path / "fer.csv", around)
    assert (prepared.num_train, prepared.num_test) == (2, 1)
    assert load(prepared, "x_train")[1].ravel().tolist() == [5, 6, 7, 8]
    assert "1 validation images are left out" in prepared.notes[0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (rows(6) | {"pixel4": [0] * 6}, "got 5 pixels a row, expected those of a square grey image"),
        (rows(6) | {"pixel3": [300] * 6}, "got pixels from 0 to 300"),
        (rows(6) | {"pixel3": ["a"] * 6}, "column pixel3: got String"),
        ({name: cells for name, cells in rows(6).items() if name != "label"}, "missing label"),
    ],
)
def test_wrong_csv(tmp_path: Path, around: Surroundings, columns: dict[str, Any], message: str) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "wrong.csv")
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "wrong.csv", around)


def test_parquet_as_hugging_face_lays_it(tmp_path: Path, around: Surroundings) -> None:
    """One file for each split, ``img``, a struct, ClassLabel names in the metadata."""
    features = {"img": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    data = tmp_path / "data"
    data.mkdir()
    for split, num in (("train", 4), ("test", 2), ("validation", 2)):
        images = [{"bytes": encoded(value), "path": f"{value}.png"} for value in range(1, num + 1)]
        pl.DataFrame({"img": images, "label": [row % 2 for row in range(num)]}).write_parquet(
            data / f"{split}-00000-of-00001.parquet", metadata=metadata
        )
    prepared = read(tmp_path, around)
    assert (prepared.num_train, prepared.num_test, prepared.num_classes) == (4, 2, 2)
    assert load(prepared, "x_train")[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert json.loads((prepared.path / "about.json").read_text())["class_names"] == ["cat", "dog"]
    assert "2 validation images are left out" in prepared.notes[0]
    paths = [{"bytes": None, "path": f"{value}.png"} for value in range(1, 5)]
    pl.DataFrame(
        {"image": paths, "label": [0, 1, 0, 1]},
        {"image": pl.Struct({"bytes": pl.Binary, "path": pl.String}), "label": pl.Int64},
    ).write_parquet(tmp_path / "paths.parquet")
    with pytest.raises(DatasetError, match="4 of 4 images are paths"):
        read(tmp_path / "paths.parquet", around)


def test_parquet_without_split(tmp_path: Path, around: Surroundings) -> None:
    images = [encoded(value) for value in range(1, 11)]
    pl.DataFrame({"image": images, "label": [row % 2 for row in range(10)]}).write_parquet(
        tmp_path / "all.parquet"
    )
    prepared = read(tmp_path / "all.parquet", around)
    assert (prepared.num_train, prepared.num_test) == (8, 2)
