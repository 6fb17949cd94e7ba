"""Down and up again with transposed convolutions and shortcuts, as in a U-Net; classified by its average."""

from keras import layers, models


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    a = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    b = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(a))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D(2)(b))
    x = layers.Concatenate()([layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x), b])
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Concatenate()([layers.UpSampling2D(2, interpolation="bilinear")(x), a])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
