"""The convnet of Keras's historical CIFAR-10 example (``examples/cifar10_cnn.py`` up to Keras 2.3)."""

from typing import Any, Tuple


def build(input_shape: Tuple[int, ...], num_classes: int) -> Any:
    """Keras model: four convolutions in two blocks, dense 512; 1,250,858 parameters on 32 x 32 x 3."""
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    for num_filters in (32, 64):
        x = layers.Conv2D(num_filters, (3, 3), padding="same", activation="relu")(x)
        x = layers.Conv2D(num_filters, (3, 3), activation="relu")(x)
        x = layers.MaxPooling2D((2, 2))(x)
        x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(512, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
