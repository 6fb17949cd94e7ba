"""A small residual network whose blocks are layers of its own."""

from keras import activations, layers, models


class Residual(layers.Layer):
    """Two convolutions, each with batch normalization, and a shortcut."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.first = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.second = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.norms = [layers.BatchNormalization(), layers.BatchNormalization()]

    def call(self, x, training=None):
        y = activations.relu(self.norms[0](self.first(x), training=training))
        return activations.relu(x + self.norms[1](self.second(y), training=training))


def build(input_shape, num_classes, filters=8, depth=2):
    inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(inputs)
    for _ in range(depth):
        x = Residual(filters)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
