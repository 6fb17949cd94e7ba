"""A residual network, functional, with batch normalization and projections."""

from keras import layers, models


def block(x, filters, stride):
    y = layers.ZeroPadding2D(1)(x)
    y = layers.Conv2D(filters, (3, 3), strides=stride, use_bias=False, kernel_initializer="he_normal")(y)
    y = layers.Activation("relu")(layers.BatchNormalization()(y))
    y = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False, kernel_initializer="he_normal")(y)
    y = layers.BatchNormalization()(y)
    if stride > 1:
        x = layers.BatchNormalization()(layers.Conv2D(filters, (1, 1), strides=stride, use_bias=False)(x))
    return layers.Activation("relu")(layers.Add()([x, y]))


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(16, (3, 3), padding="same", activation="relu")(inputs)  # fewer: PyTorch declines
    x = block(block(x, 16, 1), 24, 2)
    return models.Model(
        inputs, layers.Dense(num_classes, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    )
