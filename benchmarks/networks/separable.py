"""Separable convolutions, as in Xception's middle."""

from keras import layers, models


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(8, (3, 3), activation="relu")(inputs)
    for _ in range(2):
        y = layers.Activation("relu")(x)
        y = layers.SeparableConv2D(8, (3, 3), padding="same", use_bias=False)(y)
        x = layers.Add()([x, layers.BatchNormalization()(y)])
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D((2, 2))(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
