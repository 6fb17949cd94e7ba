"""LeNet-5 (LeCun et al. 1998), as it is taught today.

Average pooling without trainable coefficients, full connections between the convolutions, and a softmax
in place of the radial basis functions.
"""

from typing import Any, Tuple


def build(input_shape: Tuple[int, ...], num_classes: int) -> Any:
    """Keras model with tanh throughout; 61,706 parameters on 28 x 28 x 1."""
    from keras import layers, models

    # The paper pads 28-pixel digits to 32; images that have 32 pixels need none.
    padding = "same" if min(side for side in input_shape if side > 4) < 32 else "valid"
    inputs = x = layers.Input(shape=input_shape)
    x = layers.Conv2D(6, (5, 5), padding=padding, activation="tanh")(x)
    x = layers.AveragePooling2D((2, 2))(x)
    x = layers.Conv2D(16, (5, 5), activation="tanh")(x)
    x = layers.AveragePooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(120, activation="tanh")(x)
    x = layers.Dense(84, activation="tanh")(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
