"""A narrow middle and the way back up, as in an autoencoder, whose last features are classified."""

import keras
from keras import layers


class Autoencoder(keras.Model):
    def __init__(self, num_classes):
        super().__init__()
        self.encoder = keras.Sequential(
            [
                layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            ]
        )
        self.decoder = keras.Sequential(
            [
                layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
                layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            ]
        )
        self.num_classes = num_classes
        self.head = keras.Sequential(
            [layers.GlobalAveragePooling2D(), layers.Dense(num_classes, activation="softmax")]
        )

    def call(self, images):
        return self.head(self.decoder(self.encoder(images)))

    def compute_output_shape(self, shape):
        return (shape[0], self.num_classes)


def build(input_shape, num_classes):
    model = Autoencoder(num_classes)
    model.build((None, *input_shape))
    return model
