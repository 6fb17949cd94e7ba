"""Augmentation inside the model: drawn anew for each batch while it trains, left out where it is judged."""

from keras import layers, models


def build(input_shape, num_classes):
    return models.Sequential(
        [
            layers.Input(shape=input_shape),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.2),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
