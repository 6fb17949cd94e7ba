"""A dense network with batch normalization, dropout and a penalty."""

from keras import layers, models, regularizers


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Flatten()(inputs)
    for width in (32, 16):
        x = layers.Dense(width, kernel_initializer="he_normal", kernel_regularizer=regularizers.l2(1e-4))(x)
        x = layers.Dropout(0.3)(layers.Activation("relu")(layers.BatchNormalization()(x)))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
