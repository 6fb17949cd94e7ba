"""Larger training sets: labels kept, pixels changed a little, the same ones for everybody."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from bakeoff.datasets import augment, entries, prepare
from bakeoff.datasets.entries import Prepared
from bakeoff.datasets.sources import Surroundings
from bakeoff.errors import DatasetError, MachineError


def quiet(done: int, total: int) -> None:
    """Nobody waits for these."""


def pictures(count: int, height: int, width: int, channels: int, dtype: str = "uint8") -> Any:
    """Soft blobs, unlike in all images and channels, over all of the dtype's range (floats: -2 to 3)."""
    noise = np.random.default_rng(5).normal(size=(count, height, width, channels))
    soft = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    unit = (soft - soft.min()) / (soft.max() - soft.min())
    return (unit * 255).astype("uint8") if dtype == "uint8" else (unit * 5 - 2).astype("float32")


def augmented(folder: Path, images: Any, scale: int, seed: str = "seed") -> Any:
    augment.augment(images, scale, seed, folder / "x.npy", quiet)
    return np.load(folder / "x.npy")


# ---- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 14, 3), (5, 4, 2)])
def test_turning_and_shifting_is_what_scipy_does(shape: tuple[int, int, int]) -> None:
    images = pictures(6, *shape, "float32").astype("float64")
    random = np.random.default_rng(0)
    turns, shifts = random.uniform(-0.087, 0.087, 6), random.uniform(-2, 2, (6, 2))
    centre = (np.array(shape[:2]) - 1) / 2
    for image, turn, shift, got in zip(
        images, turns, shifts, augment.moved(images, turns, shifts), strict=True
    ):
        cosine, sine = math.cos(turn), math.sin(turn)
        matrix = np.array([[cosine, -sine], [sine, cosine]])  # of (row, column)
        offset = centre + shift[::-1] - matrix @ centre
        for channel in range(shape[2]):
            expected = ndimage.affine_transform(image[:, :, channel], matrix, offset, order=1, mode="nearest")
            np.testing.assert_allclose(got[:, :, channel], expected, atol=1e-9)


def test_a_shift_by_whole_pixels_moves_them_and_edges_go_on() -> None:
    image = pictures(1, 6, 7, 1)
    moved = augment.moved(image, np.zeros(1), np.array([[2.0, -1.0]]))[0, :, :, 0]
    plain = image[0, :, :, 0]
    assert np.array_equal(moved[1:, :-2], plain[:-1, 2:])
    assert np.array_equal(moved[0, :-2], plain[0, 2:]) and np.array_equal(moved[1:, -1], plain[:-1, -1])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_copies_differ_a_little_and_each_its_own_way(tmp_path: Path, dtype: str) -> None:
    images = pictures(40, 28, 28, 1, dtype)
    many = augmented(tmp_path, images, 4)
    assert many.shape == (160, 28, 28, 1) and many.dtype == images.dtype
    copies = many.reshape(4, *images.shape).astype("float64")
    assert np.array_equal(copies[0], images)
    spread = images.std()
    for one in range(4):
        for other in range(one):
            change = np.abs(copies[one] - copies[other]).mean(axis=(1, 2, 3)) / spread
            assert change.min() > 0.02, "no image stays as it is"
    for copy in copies[1:]:  # each is nearer to its own original than to any other: its label holds
        distance = ((copy[:, np.newaxis] - copies[0]) ** 2).mean(axis=(2, 3, 4))
        assert np.array_equal(distance.argmin(axis=1), np.arange(40))


def test_brightness_and_contrast_change_by_a_tenth_at_most_and_black_stays_black(tmp_path: Path) -> None:
    flat = np.full((500, 3, 3, 1), 100, np.uint8)
    levels = augmented(tmp_path, flat, 2)[500:]
    assert (levels.min(), levels.max()) == (90, 110)
    assert np.ptp(levels, axis=(1, 2, 3)).max() == 0, "what is flat stays flat"
    halves = np.zeros((500, 40, 40, 1), np.uint8)
    halves[:, 20:] = 100
    changed = augmented(tmp_path, halves, 2)[500:].astype(int)
    contrast = changed[:, -1, 20, 0] - changed[:, 0, 20, 0]
    # Contrast and brightness multiply; what falls below black is cut off.
    assert 81 <= contrast.min() < 88 and 105 < contrast.max() <= 116
    assert not augmented(tmp_path, np.zeros((20, 8, 8, 3), np.uint8), 3).any()


@given(
    count=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.integers(1, 5),
    low=st.floats(-(2.0**127), 2.0**127, width=32),
    high=st.floats(-(2.0**127), 2.0**127, width=32),
)
def test_floats_of_any_size_stay_finite_and_within_their_bounds(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    height: int,
    width: int,
    channels: int,
    low: float,
    high: float,
) -> None:
    images = np.random.default_rng(1).choice(
        np.array([low, high], np.float32), (count, height, width, channels)
    )
    many = augmented(tmp_path_factory.getbasetemp(), images, 3)
    assert np.isfinite(many).all()
    assert many.min() >= images.min() and many.max() <= images.max()


def test_more_copies_begin_with_fewer_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(30, 9, 8, 3)
    four = augmented(tmp_path, images, 4)
    monkeypatch.setattr(augment, "_CHUNK_BYTES", 5 * images[0].nbytes)  # 4 pieces a copy, not one
    sixteen = augmented(tmp_path, images, 16)
    assert np.array_equal(sixteen[: len(four)], four)


def test_the_seed_decides(tmp_path: Path) -> None:
    images = pictures(10, 9, 8, 1)
    first, again, other = (augmented(tmp_path, images, 2, seed) for seed in ("a", "a", "b"))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_pixels_are_those_that_were_measured_with_before(tmp_path: Path) -> None:
    """Fails where the recipe changed: then raise `augment.RECIPE_VERSION`, and give the new digest here."""
    ramp = (np.arange(3 * 12 * 11 * 3) * 37 % 256).astype(np.uint8).reshape(3, 12, 11, 3)
    digest = hashlib.sha256(augmented(tmp_path, ramp, 3, "fixed").tobytes()).hexdigest()
    assert (augment.RECIPE_VERSION, digest[:16]) == (1, "1f21ee8c0df836ed")


# ---- entries --------------------------------------------------------------------------------------


@pytest.fixture
def whole(grey: Any, around: Surroundings, tmp_path: Path) -> Prepared:
    """The tiny grey set in the cache."""
    supplied = dataclasses.replace(around, directory=grey.write(tmp_path / "mine", grey.idx()))
    return prepare.prepare_entry(grey.entry, supplied)


def load(prepared: Prepared, name: str) -> Any:
    return np.load(prepared.path / f"{name}.npy")


def test_a_scaled_entry_has_the_original_first_all_labels_and_the_same_test_images(
    grey: Any, around: Surroundings, whole: Prepared
) -> None:
    scaled = prepare.prepare_scaled(whole, around, 4)
    assert scaled.path.name == "grey@x4-a1" and scaled.path.parent == whole.path.parent
    assert (scaled.num_train, scaled.num_test, scaled.image_shape) == (80, 5, (6, 4, 1))
    assert np.array_equal(load(scaled, "x_train")[:20], grey.arrays["x_train"])
    assert np.array_equal(load(scaled, "y_train"), np.tile(grey.arrays["y_train"], 4))
    for name in ("x_test", "y_test"):
        assert np.array_equal(load(scaled, name), grey.arrays[name])
    about = json.loads((scaled.path / "about.json").read_text())
    assert (about["scale"], about["made_from"], about["num_classes"]) == (4, whole.digest, 10)
    assert about["source"] == {"kind": "augmented", "detail": str(whole.path)}


def test_it_is_made_once_and_follows_the_set_that_it_was_made_from(
    around: Surroundings, whole: Prepared
) -> None:
    scaled = prepare.prepare_scaled(whole, around, 2)
    made = (scaled.path / "x_train.npy").stat().st_mtime_ns
    assert prepare.prepare_scaled(whole, around, 2) == scaled
    assert (scaled.path / "x_train.npy").stat().st_mtime_ns == made
    other = prepare.prepare_scaled(dataclasses.replace(whole, digest="other"), around, 2)
    assert other.path == scaled.path and other.digest != scaled.digest, "another set has other changes"


def test_a_damaged_copy_is_found_and_made_anew(around: Surroundings, whole: Prepared) -> None:
    scaled = prepare.prepare_scaled(whole, around, 2)
    pixels = bytearray((scaled.path / "x_train.npy").read_bytes())
    pixels[-1] ^= 1
    (scaled.path / "x_train.npy").write_bytes(pixels)
    found = {one.key: one.damaged for one in prepare.verify_in(around.root, "grey")}
    assert not found["grey"] and "x_train.npy" in found["grey@x2-a1"][0]
    assert prepare.prepare_scaled(whole, around, 2) == scaled
    assert not entries.damage(scaled.path)


def folder_of_images(target: Path) -> Path:
    for split, count in (("train", 6), ("test", 2)):
        for kind in ("cat", "dog"):
            (target / split / kind).mkdir(parents=True)
            for number, image in enumerate(pictures(count, 10, 8, 3)):
                Image.fromarray(image).save(target / split / kind / f"{number}.png")
    return target


def floats(target: Path) -> Path:
    images = pictures(16, 6, 6, 1, "float32")
    np.savez(
        target,
        x_train=images[:12],
        y_train=np.arange(12) % 2,
        x_test=images[12:],
        y_test=np.arange(4) % 2,
    )
    return target


@pytest.mark.parametrize(
    ("make", "name", "dtype"), [(folder_of_images, "pets", "uint8"), (floats, "mine.npz", "float32")]
)
def test_own_data_are_scaled_too_and_resized_before(
    tmp_path: Path, around: Surroundings, make: Callable[[Path], Path], name: str, dtype: str
) -> None:
    source = str(make(tmp_path / name))
    plain = prepare.prepare(source, around, 5)
    scaled = prepare.prepare(source, around, 5, 3)
    assert scaled.path.name == f"{plain.path.name}@x3-a1" and scaled.name == name
    assert (scaled.num_train, scaled.image_shape) == (36, (5, 5, plain.image_shape[2]))
    assert load(scaled, "x_train").dtype == dtype
    assert np.array_equal(load(scaled, "x_train")[:12], load(plain, "x_train"))
    assert not np.array_equal(load(scaled, "x_train")[12:24], load(plain, "x_train"))
    assert np.array_equal(load(scaled, "y_train"), np.tile(load(plain, "y_train"), 3))


@pytest.mark.parametrize("scale", [0, -1, augment.MAX_SCALE + 1])
def test_impossible_scales(scale: int, around: Surroundings) -> None:
    with pytest.raises(DatasetError, match=rf"data_scale: got {scale}, expected 1 to {augment.MAX_SCALE}"):
        prepare.prepare("mnist", around, None, scale)


def test_no_room_for_copies_is_said_before_they_are_made(tmp_path: Path) -> None:
    endless = np.broadcast_to(np.uint8(0), (1 << 40, 28, 28, 1))
    with pytest.raises(MachineError, match="no room for 16 times the training images"):
        augment.augment(endless, 16, "seed", tmp_path / "x.npy", quiet)
    assert not list(tmp_path.iterdir())


_DIE_IN_COPY_2 = """
import dataclasses, os, pickle, signal, sys
from bakeoff.datasets import augment, prepare
whole, around = pickle.load(sys.stdin.buffer)
augment._CHUNK_BYTES = 1  # an image at a time

def die(progress):
    if progress.total_bytes and progress.done_bytes > progress.total_bytes // 2:
        os.kill(os.getpid(), signal.SIGKILL)

prepare.prepare_scaled(whole, dataclasses.replace(around, listener=die), 4)
"""


def test_what_a_killed_process_left_is_never_used(around: Surroundings, whole: Prepared) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _DIE_IN_COPY_2], input=pickle.dumps((whole, around)), check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    folder = around.root / "datasets"
    (left,) = folder.glob(".building-grey@x4*")
    assert (left / "entry" / "x_train.npy").stat().st_size > 80 * 24, "as large as a whole one, half filled"
    assert not (folder / "grey@x4-a1").exists()
    assert [one.key for one in prepare.status_in(around.root) if one.path] == ["grey"]
    scaled = prepare.prepare_scaled(whole, around, 4)
    assert not entries.damage(scaled.path) and load(scaled, "x_train")[60:].any(axis=(1, 2, 3)).all()
    assert not list(folder.glob(".building-*"))
