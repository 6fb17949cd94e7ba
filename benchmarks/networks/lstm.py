"""A bidirectional LSTM over the rows of an image."""

from keras import layers, models


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Reshape((input_shape[0], input_shape[1] * input_shape[2]))(inputs)
    x = layers.Bidirectional(layers.LSTM(10, dropout=0.1))(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
