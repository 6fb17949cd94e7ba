"""The study's network in plain Keras 3, backend by ``KERAS_BACKEND``: ``python keras3.py SETTINGS.json``."""

import memory  # noqa: F401  # first of all

# isort: split
import keras
from keras import layers


def build(image_shape):
    """The network, compiled with the study's recipe."""
    model = keras.Sequential(
        [
            layers.Input(shape=image_shape),
            layers.Conv2D(30, (5, 5), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(15, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(50, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["categorical_accuracy"])
    return model


def untuned(x, y, size):
    """Batches for TensorFlow, one ready ahead, without the tuner for whose thread an epoch's end may wait."""
    import tensorflow

    options = tensorflow.data.Options()
    options.autotune.enabled = False
    images, labels = tensorflow.constant(x), tensorflow.constant(y)
    batches = tensorflow.data.Dataset.range(-(-len(x) // size)).map(
        lambda batch: (images[batch * size : (batch + 1) * size], labels[batch * size : (batch + 1) * size])
    )
    return batches.prefetch(1).with_options(options)


if __name__ == "__main__":
    import serve

    serve.serve(build, untuned)
