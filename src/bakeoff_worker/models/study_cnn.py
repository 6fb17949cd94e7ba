"""The study's network: two convolutions with pooling, dropout, three dense layers."""

from typing import Any, Sequence, Tuple


def build(
    input_shape: Tuple[int, ...],
    num_classes: int,
    filters: Sequence[int] = (30, 15),
    kernel_sizes: Sequence[int] = (5, 3),
    pool_size: int = 2,
    dropout: float = 0.2,
    dense: Sequence[int] = (128, 50),
    activation: str = "relu",
) -> Any:
    """Keras model: conv and max-pool per filter count, dropout, flatten, dense layers, softmax.

    59,933 parameters with the defaults on 28 x 28 x 1.
    """
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    for num_filters, kernel_size in zip(filters, kernel_sizes):
        x = layers.Conv2D(num_filters, (kernel_size, kernel_size), activation=activation)(x)
        x = layers.MaxPooling2D((pool_size, pool_size))(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    for num_units in dense:
        x = layers.Dense(num_units, activation=activation)(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
