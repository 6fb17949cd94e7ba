"""Augmentation inside the model, as in most vision examples of keras.io."""

import keras
from keras import layers


def build(input_shape, num_classes):
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.05),
            layers.RandomZoom(0.1),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.2),
        ]
    )
    return keras.Sequential(
        [
            layers.Input(shape=input_shape),
            augmentation,
            layers.GaussianNoise(0.05),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.SpatialDropout2D(0.1),
            layers.Flatten(),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
