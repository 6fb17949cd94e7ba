"""Residual blocks, each a layer that holds layers, as hand-written ResNets have them."""

from keras import activations, layers, models


class Residual(layers.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.first = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norm = layers.BatchNormalization()
        self.second = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")

    def build(self, shape):
        for layer in (self.first, self.norm, self.second):
            layer.build(shape)
        super().build(shape)

    def call(self, x, training=None):
        y = activations.relu(self.norm(self.first(x), training=training))
        return activations.relu(x + self.second(y))

    def compute_output_shape(self, shape):
        return shape


def build(input_shape, num_classes):
    return models.Sequential(
        [
            layers.Input(shape=input_shape),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            Residual(8),
            Residual(8),
            layers.GlobalAveragePooling2D(),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
