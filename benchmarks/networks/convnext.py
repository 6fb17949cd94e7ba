"""Depthwise convolutions, layer normalization, gelu and a learnt scale from a constant, as in ConvNeXt."""

import keras
from keras import layers


class LayerScale(layers.Layer):
    def build(self, shape):
        self.gamma = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.Constant(0.1), name="gamma"
        )

    def call(self, x):
        return x * self.gamma


def block(x):
    y = layers.DepthwiseConv2D(5, padding="same")(x)
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    y = layers.Dense(4 * x.shape[-1], activation="gelu")(y)
    return layers.Add()([x, LayerScale()(layers.Dense(x.shape[-1])(y))])


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 4, strides=4)(inputs))
    x = layers.GlobalAveragePooling2D()(block(block(x)))
    return keras.Model(
        inputs, layers.Dense(num_classes, activation="softmax")(layers.LayerNormalization()(x))
    )
