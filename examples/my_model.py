"""A network of one's own: a Python file with `build(input_shape, num_classes)`.

What it imports is imported where the contestant runs. What Keras 2 and Keras 3 share, as here, runs in
every environment, Theano's included.
"""

from keras import layers, models


def build(input_shape, num_classes, width=32):
    """A model that ends in a softmax; not compiled. Bakeoff gives optimizer, loss and initial weights.

    width: an option of this model, `model_options.width` in a study.
    """
    return models.Sequential(
        [
            layers.Conv2D(width, (3, 3), activation="relu", input_shape=input_shape),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
