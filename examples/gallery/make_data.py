"""Writes the gallery's data beside itself: noisy stripes in each form that its studies read."""

import io
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

HERE = Path(__file__).parent
CLASSES = ("lying", "standing", "leaning")


def stripes(num_images: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (num_images, 16, 16) in bytes, and their class numbers."""
    y = np.arange(num_images) % 3
    rows, columns = np.mgrid[:16, :16]
    directions = np.stack([rows, columns, (rows + columns) / np.sqrt(2)])[y]
    phases = random.uniform(0, 2 * np.pi, (num_images, 1, 1))
    clean = np.sin(directions * 1.2 + phases) + random.normal(0, 0.5, (num_images, 16, 16))
    return np.clip(128 + 40 * clean, 0, 255).astype(np.uint8), y


def encoded(image: np.ndarray) -> dict[str, object]:
    """An image as Hugging Face's tables have it."""
    png = io.BytesIO()
    Image.fromarray(image).save(png, "png")
    return {"bytes": png.getvalue(), "path": None}


if __name__ == "__main__":
    (x, y), (x_test, y_test) = (stripes(num, np.random.default_rng(num)) for num in (300, 90))
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        folder = HERE / "stripes" / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    pixels = {f"pixel{place}": column for place, column in enumerate(x.reshape(len(x), -1).T)}
    pl.DataFrame({"label": y, **pixels}).write_csv(HERE / "stripes.csv")
    two, two_test = y < 2, y_test < 2
    arrays = {"x_train": x[two], "y_train": y[two], "x_test": x_test[two_test], "y_test": y_test[two_test]}
    np.savez(HERE / "two.npz", **arrays)
    (HERE / "hugging_face").mkdir(exist_ok=True)
    for split, images, labels in (("train", x, y), ("test", x_test, y_test)):
        table = pl.DataFrame({"image": [encoded(image) for image in images], "label": labels})
        table.write_parquet(HERE / "hugging_face" / f"{split}-00000-of-00001.parquet")
