"""Layers of one's own: a scale of ones, a draw through Keras, a module held in a list, a loss of its own."""

import keras
from keras import layers, ops


class Scale(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


class Jitter(layers.Layer):
    """Each image brighter or darker by a random factor while training."""

    def __init__(self, strength, **options):
        super().__init__(**options)
        self.strength = strength
        self.seeds = keras.random.SeedGenerator(7)

    def call(self, x, training=None):
        if not training:
            return x
        shape = (ops.shape(x)[0], 1, 1, 1)
        return x * keras.random.uniform(shape, 1 - self.strength, 1 + self.strength, seed=self.seeds)


class Branches(layers.Layer):
    """Convolutions side by side, the outputs' size held small by a loss of their own."""

    def __init__(self, filters, **options):
        super().__init__(**options)
        self.convolutions = [layers.Conv2D(filters, size, padding="same") for size in (1, 3, 5)]
        self.scale = Scale()

    def call(self, x):
        y = ops.concatenate([convolution(x) for convolution in self.convolutions], axis=-1)
        self.add_loss(1e-3 * ops.mean(ops.square(y)))
        return self.scale(ops.relu(y))


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = Jitter(0.2)(inputs)
    x = layers.MaxPooling2D(2)(Branches(4)(x))
    x = Scale()(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
