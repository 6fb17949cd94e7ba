"""Writes stripes.npz: 2,000 training and 400 test images of noisy stripes, in three classes."""

import numpy as np


def stripes(num_images: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (num_images, 16, 16) in bytes, and their classes: stripes that lie, stand or lean."""
    y = random.integers(0, 3, num_images)
    rows, columns = np.mgrid[:16, :16]
    phases = random.uniform(0, 2 * np.pi, (num_images, 1, 1))
    directions = np.stack([rows, columns, (rows + columns) / np.sqrt(2)])[y]
    clean = np.sin(directions * 1.2 + phases) + random.normal(0, 0.8, (num_images, 16, 16))
    return np.clip(128 + 40 * clean, 0, 255).astype(np.uint8), y


if __name__ == "__main__":
    random = np.random.default_rng(0)
    (x_train, y_train), (x_test, y_test) = stripes(2000, random), stripes(400, random)
    np.savez("stripes.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
