"""A small vision transformer: tiles of an image, embedded with their places, and blocks of attention."""

from keras import layers, models, ops


class Tiles(layers.Layer):
    """From images (N, H, W, C) to their tiles (N, tiles, side · side · C)."""

    def __init__(self, side, **options):
        super().__init__(**options)
        self.side = side

    def call(self, images):
        tiles = ops.image.extract_patches(images, size=self.side)
        _, rows, columns, width = tiles.shape
        return ops.reshape(tiles, (-1, rows * columns, width))


class Places(layers.Layer):
    """Adds to each tile a learnt vector for its place."""

    def __init__(self, num_tiles, width, **options):
        super().__init__(**options)
        self.project = layers.Dense(width)
        self.places = layers.Embedding(num_tiles, width)
        self.num_tiles = num_tiles

    def call(self, tiles):
        return self.project(tiles) + self.places(ops.expand_dims(ops.arange(0, self.num_tiles), 0))


def build(input_shape, num_classes, side=4, width=16, depth=2):
    inputs = layers.Input(shape=input_shape)
    num_tiles = (input_shape[0] // side) * (input_shape[1] // side)
    x = Places(num_tiles, width)(Tiles(side)(inputs))
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=width // 2)(y, y)])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dense(2 * width, activation="gelu")(y)
        x = layers.Add()([x, layers.Dense(width)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
