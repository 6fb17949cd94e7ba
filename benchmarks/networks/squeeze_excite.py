"""Channels weighed by what they hold, as in squeeze-and-excitation networks, with swish."""

from keras import layers, models


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(12, 3, strides=2, activation="swish")(inputs)
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(12, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="swish")(weights))
    x = layers.Multiply()([x, weights])
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(12, 3, activation="swish")(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
