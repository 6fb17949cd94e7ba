"""Dense layers over patches and channels in turn, as in MLP-Mixer; blocks are layers of one's own."""

from keras import Model, layers


class Mixing(layers.Layer):
    def __init__(self, patches, channels, **options):
        super().__init__(**options)
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.across = [layers.Dense(24, activation="gelu"), layers.Dense(patches)]
        self.within = [layers.Dense(24, activation="gelu"), layers.Dense(channels)]
        self.turn = layers.Permute((2, 1))

    def call(self, x):
        y = self.turn(self.norms[0](x))
        for layer in self.across:
            y = layer(y)
        x = x + self.turn(y)
        y = self.norms[1](x)
        for layer in self.within:
            y = layer(y)
        return x + y


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Reshape((16, 12))(layers.Conv2D(12, 7, strides=7)(inputs))
    x = Mixing(16, 12)(Mixing(16, 12)(x))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
