"""study_cnn on mnist: plain Keras on jax, without Bakeoff.

    python jax-tuned.py FOLDER

Ran with Keras 3.15.1 on JAX 0.10.2 (CPU).
FOLDER has x_train.npy, images (N, H, W, C), and y_train.npy, their class numbers (N,).
Prints the seconds and the loss of each epoch, as lines of JSON.
"""

import ctypes

for option, value in ((-8, 1), (-4, 0), (-1, -1), (-2, 64 << 20)):
    ctypes.CDLL(None).mallopt(option, value)  # first of all: what is freed is kept for the next step

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np
import keras
from keras import layers

MaxPooling2D = layers.MaxPooling2D
operations = keras.ops if hasattr(keras, "ops") else keras.backend


class ReshapeAndMaximum(layers.Layer):
    """Max-pooling over windows that tile the image."""

    def __init__(self, size, **options):
        super().__init__(**options)
        self.down, self.across = size

    def call(self, x):
        height, width, channels = (int(size) for size in x.shape[1:])
        x = x[:, : height - height % self.down, : width - width % self.across]
        windows = (height // self.down, self.down, width // self.across, self.across)
        return operations.max(operations.reshape(x, (-1, *windows, channels)), axis=(2, 4))

    def compute_output_shape(self, shape):
        return MaxPooling2D((self.down, self.across)).compute_output_shape(shape)


def pooling(pool_size=2, strides=None, padding="valid", **options):
    size = (pool_size, pool_size) if isinstance(pool_size, int) else tuple(pool_size)
    tiles = padding == "valid" and strides in (None, pool_size, size)
    return (
        ReshapeAndMaximum(size, **options) if tiles else MaxPooling2D(size, strides, padding, **options)
    )


layers.MaxPooling2D = pooling

"""The study's network: two convolutions with pooling, dropout, three dense layers."""

from typing import Any, Sequence, Tuple


def build(
    input_shape: Tuple[int, ...],
    num_classes: int,
    filters: Sequence[int] = (30, 15),
    kernel_sizes: Sequence[int] = (5, 3),
    pool_size: int = 2,
    dropout: float = 0.2,
    dense: Sequence[int] = (128, 50),
    activation: str = "relu",
) -> Any:
    """Keras model: conv and max-pool per filter count, dropout, flatten, dense layers, softmax.

    59,933 parameters with the defaults on 28 x 28 x 1.
    """
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    for num_filters, kernel_size in zip(filters, kernel_sizes):
        x = layers.Conv2D(num_filters, (kernel_size, kernel_size), activation=activation)(x)
        x = layers.MaxPooling2D((pool_size, pool_size))(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    for num_units in dense:
        x = layers.Dense(num_units, activation=activation)(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))

x = np.load(os.path.join(sys.argv[1], "x_train.npy"))[:6000]
x = np.divide(x, 255 if x.dtype == np.uint8 else 1, dtype="float32")
classes = np.load(os.path.join(sys.argv[1], "y_train.npy"))
y = np.eye(classes.max() + 1, dtype="float32")[classes[: len(x)]]
model = build(x.shape[1:], int(classes.max()) + 1, filters=[30, 15], kernel_sizes=[5, 3], pool_size=2, dropout=0.2, dense=[128, 50], activation='relu')
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-07, amsgrad=False),
    loss="categorical_crossentropy",
)
for epoch in range(1 + 3):  # the first one compiles, and is not counted
    started = time.perf_counter()
    history = model.fit(x, y, batch_size=200, epochs=1, verbose=0).history
    seconds = time.perf_counter() - started
    if epoch:
        print(json.dumps({"seconds": seconds, "loss": float(history["loss"][0])}), flush=True)
