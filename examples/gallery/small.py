"""A network small enough for a table of pixels."""

from keras import layers, models


def build(input_shape, num_classes):
    return models.Sequential(
        [
            layers.Input(shape=input_shape),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
