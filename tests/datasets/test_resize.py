"""Resizing: what Pillow does, for any number of channels, bytes and floats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bakeoff.datasets import resize


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.integers(1, 5),
    side=st.integers(1, 12),
    dtype=st.sampled_from(["uint8", "float32"]),
    value=st.integers(0, 255),
)
def test_flat_images_stay_flat(
    height: int, width: int, channels: int, side: int, dtype: str, value: int
) -> None:
    small = resize.one(np.full((height, width, channels), value, dtype), side)
    assert small.shape == (side, side, channels) and small.dtype == dtype
    assert np.allclose(small, value, atol=1e-3)


def test_channels_are_resized_alike() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    together = resize.one(image, 4)
    apart = [resize.one(image[:, :, c : c + 1], 4)[:, :, 0] for c in range(3)]
    assert np.array_equal(together, np.stack(apart, axis=-1))
    reference = Image.fromarray(image).resize((4, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(together, np.asarray(reference))


def test_reduction_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))[:, :, None]
    assert resize.one(stripes, 8)[:, 1:-1].std() < 1  # grey; picking pixels would give black, white, or moire


def test_all_images_in_order_with_progress(tmp_path: Path) -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    seen: list[tuple[int, int]] = []
    resize.resize(images, 2, tmp_path / "x.npy", lambda done, total: seen.append((done, total)))
    assert np.load(tmp_path / "x.npy")[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert seen[-1] == (20, 20)


@pytest.mark.parametrize("side", [1, resize.MAX_SIDE])
def test_possible_sides(side: int) -> None:
    resize.check(side)
