"""Inverted residuals with relu6, as in MobileNetV2."""

from keras import layers, models


def inverted(x, filters, stride):
    y = layers.Conv2D(3 * x.shape[-1], 1, use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if stride == 1 and filters == x.shape[-1] else y


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = inverted(inverted(x, 8, 1), 12, 2)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(x))
