"""A vision transformer as keras.io writes it: patches, layers of one's own, `MultiHeadAttention`."""

from keras import Model, layers, ops


class Patches(layers.Layer):
    def __init__(self, side, **options):
        super().__init__(**options)
        self.side = side

    def call(self, images):
        patches = ops.image.extract_patches(images, size=self.side)
        n, h, w, c = ops.shape(patches)
        return ops.reshape(patches, (n, h * w, c))


class PatchEmbedding(layers.Layer):
    def __init__(self, count, width, **options):
        super().__init__(**options)
        self.count = count
        self.projection = layers.Dense(width)
        self.position = layers.Embedding(count, width)

    def call(self, patches):
        return self.projection(patches) + self.position(ops.expand_dims(ops.arange(0, self.count), 0))


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = PatchEmbedding(16, 16)(Patches(7)(inputs))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(y, y)
        x = layers.Add()([y, x])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dropout(0.1)(layers.Dense(32, activation="gelu")(y))
        x = layers.Add()([layers.Dense(16, activation="gelu")(y), x])
    x = layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(x))
    return Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
