"""ResNet-20, the CIFAR variant of He et al. 2016 (section 4.2), with projection shortcuts (their option B).

Weight decay and the learning-rate schedule of the paper belong to the training recipe, not to the network.
"""

from typing import Any, Tuple


def build(input_shape: Tuple[int, ...], num_classes: int) -> Any:
    """Keras model: three stages of three residual blocks; 274,042 parameters on 32 x 32 x 3.

    Batch normalization's momentum and epsilon are spelled out, since frameworks differ in their defaults. So
    is the padding of strided convolutions, one pixel on each side as in the paper: what ``same`` means there
    differs between TensorFlow (one pixel at the end only) and Theano.
    """
    from keras import backend, layers, models

    channels = 1 if backend.image_data_format() == "channels_first" else -1

    def convolve(x: Any, name: str, num_filters: int, size: int = 3, stride: int = 1) -> Any:
        if stride > 1 and size > 1:
            x = layers.ZeroPadding2D((1, 1), name=name + "_pad")(x)
        x = layers.Conv2D(
            num_filters,
            (size, size),
            strides=(stride, stride),
            padding="valid" if stride > 1 else "same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return layers.BatchNormalization(axis=channels, momentum=0.9, epsilon=1e-3, name=name + "_norm")(x)

    inputs = layers.Input(shape=input_shape)
    x = layers.Activation("relu", name="stem_relu")(convolve(inputs, "stem", 16))
    for stage, num_filters in enumerate((16, 32, 64)):
        for block in range(3):
            name = "stage{}_block{}".format(stage, block)
            stride = 2 if stage and not block else 1
            shortcut = x
            x = convolve(x, name + "_a", num_filters, stride=stride)
            x = layers.Activation("relu", name=name + "_a_relu")(x)
            x = convolve(x, name + "_b", num_filters)
            if stride > 1:
                shortcut = convolve(shortcut, name + "_shortcut", num_filters, size=1, stride=stride)
            x = layers.Activation("relu", name=name + "_relu")(layers.add([x, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
