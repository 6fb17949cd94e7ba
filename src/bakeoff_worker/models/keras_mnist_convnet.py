"""Keras's "Simple MNIST convnet" example (keras.io/examples/vision/mnist_convnet)."""

from typing import Any, Tuple


def build(input_shape: Tuple[int, ...], num_classes: int) -> Any:
    """Keras model: two convolutions with pooling, dropout, softmax; 34,826 parameters on 28 x 28 x 1."""
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    for num_filters in (32, 64):
        x = layers.Conv2D(num_filters, (3, 3), activation="relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
