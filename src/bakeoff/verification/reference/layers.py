"""Layers: arrays (N, H, W, C) in float64 to arrays, and gradients back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bakeoff.verification.reference.activations import ACTIVATIONS, Array
from bakeoff.verification.reference.semantics import Semantics

Weights = Mapping[str, Array]


def _decides_nothing() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class Result:
    """What a layer gives.

    backward: from the output's gradient to those of the inputs and of the weights by name; of a weight whose
        gradient is a plain sum over images and pixels also, as ``|name|``, the sum of what it adds up without
        its signs, since rounding goes by that.
    moved: moving statistics after this batch, by name.
    margins: of every decision that the gradient hangs on (which side of zero, which pixel is the largest),
        how far it is from going the other way, relative to the layer's root mean square; flat.
    amplification: how many roundings, relative to the output, a plain sum of many numbers may be off by.
    """

    output: Array
    backward: Callable[[Array], tuple[list[Array], dict[str, Array]]]
    moved: Mapping[str, Array] = field(default_factory=dict)
    margins: Callable[[], Array] = _decides_nothing
    amplification: float = 0.0


class Unknown(Exception):
    """The reference doesn't know this layer, or this option of it; the message says which."""


Layer = Callable[[Sequence[Array], Weights, Mapping[str, Any], Semantics], Result]


def apply(
    kind: str, config: Mapping[str, Any], inputs: Sequence[Array], weights: Weights, semantics: Semantics
) -> Result:
    """One layer, in training mode.

    config: with ``tipped``, the decisions that are taken the other way; see `Result.margins`.

    Raises:
        Unknown: there is no such layer here, or it has an option that isn't known here.
    """
    kind = config.get("kind", kind)
    if kind not in LAYERS:
        raise Unknown(f"layer {kind}")
    for key, value in config.items():
        if value is not None and key.endswith(("_constraint", "activity_regularizer")):
            raise Unknown(f"{key} of a layer {kind}")
    return LAYERS[kind](inputs, weights, config, semantics)


# ---- convolution ------------------------------------------------------------------------------------


def _conv2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    if config.get("groups", 1) != 1:
        raise Unknown("groups of a layer Conv2D")
    product, back = _correlate(x, weights["kernel"], config, semantics)
    return _with_bias_and_activation(product, back, "kernel", weights, config, semantics)


def _depthwise_conv2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    name = "depthwise_kernel" if "depthwise_kernel" in weights else "kernel"
    product, back = _correlate_depthwise(x, weights[name], config)
    return _with_bias_and_activation(product, back, name, weights, config, semantics)


def _separable_conv2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    between, back_depthwise = _correlate_depthwise(x, weights["depthwise_kernel"], config)
    plain = {"strides": (1, 1), "padding": "valid"}
    product, back_pointwise = _correlate(between, weights["pointwise_kernel"], plain, semantics)
    rest = _with_bias_and_activation(product, back_pointwise, "pointwise_kernel", weights, config, semantics)

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        (g_between,), found = rest.backward(g)
        g_x, found["depthwise_kernel"] = back_depthwise(g_between)
        return [g_x], found

    return Result(rest.output, backward, margins=rest.margins)


def _with_bias_and_activation(
    product: Array,
    back: Callable[[Array], tuple[Array, Array]],
    kernel: str,
    weights: Weights,
    config: Mapping[str, Any],
    semantics: Semantics,
) -> Result:
    """A product with a kernel, bias added, activation applied."""
    biased = product + weights["bias"] if config.get("use_bias", True) else product
    output, slope, margins = _activate(config, biased, semantics)

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        g = slope(g)
        g_x, g_kernel = back(g)
        found = {kernel: g_kernel}
        if config.get("use_bias", True):
            found.update(_sums("bias", g))
        return [g_x], found

    return Result(output, backward, margins=margins)


def _correlate(
    x: Array, kernel: Array, config: Mapping[str, Any], semantics: Semantics
) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """Every channel with every filter; kernel (height, width, channels, filters)."""
    factor = _factor(semantics.tf32.get("convolution"))
    used = factor(kernel[::-1, ::-1] if config.get("flip") else kernel)
    patches, spread = _patches(factor(x), kernel.shape[:2], config)
    product = np.tensordot(patches, used, axes=([3, 4, 5], [0, 1, 2]))

    def back(g: Array) -> tuple[Array, Array]:
        g = factor(g)
        g_kernel = np.tensordot(patches, g, axes=([0, 1, 2], [0, 1, 2]))
        g_x = spread(np.tensordot(g, used, axes=([3], [3])))
        return g_x, g_kernel[::-1, ::-1] if config.get("flip") else g_kernel

    return product, back


def _correlate_depthwise(
    x: Array, kernel: Array, config: Mapping[str, Any]
) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """Every channel with its own filters; kernel (height, width, channels, multiplier)."""
    used = kernel[::-1, ::-1] if config.get("flip") else kernel
    patches, spread = _patches(x, kernel.shape[:2], config)
    product = np.einsum("nijhwc,hwcm->nijcm", patches, used)
    shape = product.shape

    def back(g: Array) -> tuple[Array, Array]:
        g = g.reshape(shape)
        g_kernel = np.einsum("nijhwc,nijcm->hwcm", patches, g)
        g_x = spread(np.einsum("nijcm,hwcm->nijhwc", g, used))
        return g_x, g_kernel[::-1, ::-1] if config.get("flip") else g_kernel

    return product.reshape(*shape[:3], -1), back


def _factor(rounding: str | None) -> Callable[[Array], Array]:
    """What becomes of a factor: as it is, or rounded to the 10 bits that TF32 keeps of float32's 23."""
    if rounding is None:
        return lambda array: array
    half = np.uint32(1 << 12 if rounding == "to the nearest" else 0)

    def rounded(array: Array) -> Array:
        bits = np.ascontiguousarray(array, "float32").view("uint32")
        return ((bits + half) & np.uint32(~0x1FFF & 0xFFFFFFFF)).view("float32").astype("float64")

    return rounded


def _patches(
    x: Array, size: Sequence[int], config: Mapping[str, Any], fill: float = 0.0
) -> tuple[Array, Callable[[Array], Array]]:
    """Windows (N, rows, columns, height, width, C) of padded images, and their gradients back on x."""
    strides = _pair(config.get("strides") or (1, 1))
    dilation = _pair(config.get("dilation_rate") or (1, 1))
    reach = [(side - 1) * step + 1 for side, step in zip(size, dilation, strict=True)]
    pads = [
        _padding(config.get("padding", "valid"), length, window, stride, bool(config.get("pad_both_sides")))
        for length, window, stride in zip(x.shape[1:3], reach, strides, strict=True)
    ]
    padded = np.pad(x, ((0, 0), pads[0], pads[1], (0, 0)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(reach), axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    num_rows, num_columns = windows.shape[1:3]

    def spread(g: Array) -> Array:
        g_padded = np.zeros(padded.shape)
        for row in range(size[0]):
            for column in range(size[1]):
                top, left = row * dilation[0], column * dilation[1]
                g_padded[
                    :,
                    top : top + (num_rows - 1) * strides[0] + 1 : strides[0],
                    left : left + (num_columns - 1) * strides[1] + 1 : strides[1],
                ] += g[:, :, :, row, column]
        return g_padded[:, pads[0][0] : pads[0][0] + x.shape[1], pads[1][0] : pads[1][0] + x.shape[2]]

    return windows.transpose(0, 1, 2, 4, 5, 3), spread


def _padding(kind: str, length: int, window: int, stride: int, both_sides: bool) -> tuple[int, int]:
    """Pixels before and after. ``same``: as many windows as strides fit, what is odd comes after."""
    if kind == "valid":
        return 0, 0
    if kind != "same":
        raise Unknown(f"padding {kind}")
    if both_sides:  # as Theano does: half a window on either side, whatever the stride
        return window // 2, (window - 1) // 2 if window % 2 == 0 else window // 2
    total = max((-(-length // stride) - 1) * stride + window - length, 0)
    return total // 2, total - total // 2


# ---- pooling ----------------------------------------------------------------------------------------


def _max_pooling2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    size, config = _pool(config)
    patches, spread = _patches(x, size, config, fill=-np.inf)
    flat = patches.reshape(*patches.shape[:3], -1, patches.shape[-1])
    output = flat.max(axis=3)
    if semantics.ties == "all":
        chosen = flat == output[:, :, :, np.newaxis]
    else:
        place = flat.argmax(axis=3)
        if config.get("tipped"):
            second = np.where(flat == output[:, :, :, np.newaxis], -np.inf, flat).argmax(axis=3)
            np.put(place, config["tipped"], second.ravel()[list(config["tipped"])])
        chosen = np.arange(flat.shape[3])[:, np.newaxis] == place[:, :, :, np.newaxis]

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        return [spread((chosen * g[:, :, :, np.newaxis]).reshape(patches.shape))], {}

    def margins() -> Array:
        if flat.shape[3] < 2:
            return _decides_nothing()
        second, first = np.moveaxis(np.partition(flat, -2, axis=3)[:, :, :, -2:], 3, 0)
        # Exact ties are a matter of `ties`, not of rounding.
        return np.where(first == second, np.inf, first - second).ravel() / (_rms(x) or 1.0)

    return Result(output, backward, margins=margins)


def _average_pooling2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    size, config = _pool(config)
    patches, spread = _patches(x, size, config)
    inside, _ = _patches(np.ones_like(x), size, config)  # padding doesn't count
    share = inside / inside.sum(axis=(3, 4), keepdims=True)

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        return [spread(share * g[:, :, :, np.newaxis, np.newaxis])], {}

    return Result((patches * share).sum(axis=(3, 4)), backward)


def _pool(config: Mapping[str, Any]) -> tuple[tuple[int, int], dict[str, Any]]:
    size = _pair(config.get("pool_size", (2, 2)))
    return size, {**config, "strides": config.get("strides") or size}


def _global_average_pooling2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    if config.get("keepdims"):
        raise Unknown("keepdims of a layer GlobalAveragePooling2D")
    share = 1.0 / (x.shape[1] * x.shape[2])

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        return [np.broadcast_to(share * g[:, np.newaxis, np.newaxis], x.shape)], {}

    return Result(x.mean(axis=(1, 2)), backward)


def _global_max_pooling2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    if config.get("keepdims"):
        raise Unknown("keepdims of a layer GlobalMaxPooling2D")
    whole = _max_pooling2d(inputs, weights, {"pool_size": x.shape[1:3]}, semantics)
    return Result(whole.output[:, 0, 0], lambda g: whole.backward(g[:, np.newaxis, np.newaxis]))


# ---- dense, normalization, activation -----------------------------------------------------------------


def _dense(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    factor = _factor(semantics.tf32.get("matrix product"))
    x, kernel = factor(inputs[0]), factor(weights["kernel"])

    def back(g: Array) -> tuple[Array, Array]:
        g = factor(g)
        flat_x, flat_g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        return g @ kernel.T, flat_x.T @ flat_g

    return _with_bias_and_activation(x @ kernel, back, "kernel", weights, config, semantics)


# From a batch's variance, its n values and epsilon to what the moving variance takes in.
MOVING_VARIANCE: Mapping[str, Callable[[Array, float, float], Array]] = {
    "batch": lambda variance, n, epsilon: variance,
    "unbiased": lambda variance, n, epsilon: variance * n / (n - 1),
    "keras2": lambda variance, n, epsilon: variance * n / (n - 1 - epsilon),
    "keras2_fused": lambda variance, n, epsilon: variance * n / (n - 1) * n / (n - 1 - epsilon),
    "keras2_theano": lambda variance, n, epsilon: (variance + epsilon) * n / (n - 1 - epsilon),
}


def _batch_normalization(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    """Ioffe & Szegedy 2015, algorithm 1, over all axes but the channels'."""
    (x,) = inputs
    if config.get("renorm"):
        raise Unknown("renorm of a layer BatchNormalization")
    axes, momentum, epsilon = tuple(range(x.ndim - 1)), config["momentum"], config["epsilon"]
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    count = x.size / x.shape[-1]
    seen = MOVING_VARIANCE[semantics.moving_variance](variance, count, epsilon)
    moved = {
        "moving_mean": momentum * weights["moving_mean"] + (1 - momentum) * mean,
        "moving_variance": momentum * weights["moving_variance"] + (1 - momentum) * seen,
    }
    if config.get("inference"):
        mean, variance, moved = weights["moving_mean"], weights["moving_variance"], {}
    inverse = 1 / np.sqrt(variance + epsilon)
    normal = (x - mean) * inverse
    gamma = weights["gamma"] if config.get("scale", True) else np.ones(x.shape[-1])
    output = gamma * normal + (weights["beta"] if config.get("center", True) else 0.0)

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        found: dict[str, Array] = {}
        if config.get("scale", True):
            found.update(_sums("gamma", g * normal))
        if config.get("center", True):
            found.update(_sums("beta", g))
        g = g * gamma
        if not config.get("inference"):
            g = g - g.mean(axis=axes) - normal * (g * normal).mean(axis=axes)
        return [g * inverse], found

    if config.get("inference"):
        return Result(output, backward, moved)
    # A variance from plain sums of n squares is off by up to n roundings of those; where all are alike, as on
    # a uniform background, an eighth of that was seen.
    squares = float(((mean**2 + variance) / (variance + epsilon + 1e-30)).max())
    return Result(output, backward, moved, amplification=count * squares / 8)


def _activation(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    output, slope, margins = _activate(config, x, semantics)
    return Result(output, lambda g: ([slope(g)], {}), margins=margins)


def _relu(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    if config.get("max_value") is not None or config.get("negative_slope") or config.get("threshold"):
        raise Unknown("max_value, negative_slope or threshold of a layer ReLU")
    return _activation(inputs, weights, {**config, "activation": "relu"}, semantics)


def _leaky_relu(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    below = float(np.asarray(config.get("negative_slope", config.get("alpha", 0.3))))
    slope = np.where(x > 0, 1.0, below)
    return Result(x * slope, lambda g: ([g * slope], {}))


def _softmax(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    if config.get("axis", -1) != -1:
        raise Unknown("axis of a layer Softmax")
    return _activation(inputs, weights, {"activation": "softmax"}, semantics)


def _activate(
    config: Mapping[str, Any], x: Array, semantics: Semantics
) -> tuple[Array, Callable[[Array], Array], Callable[[], Array]]:
    """Values, the way back, and the margins of its decisions."""
    name = config.get("activation") or "linear"
    if name not in ACTIVATIONS:
        raise Unknown(f"activation {name}")
    output, slope = ACTIVATIONS[name](x, semantics.relu_at_zero)
    if name != "relu":
        return output, slope, _decides_nothing

    def tipped(g: Array) -> Array:
        found = slope(g)
        if config.get("tipped"):
            places = list(config["tipped"])
            np.put(found, places, np.where(x.ravel()[places] > 0, 0.0, g.ravel()[places]))
        return found

    # Exact zeros are a matter of `relu_at_zero`.
    return output, tipped, lambda: np.where(x == 0, np.inf, np.abs(x)).ravel() / (_rms(x) or 1.0)


def _sums(name: str, g: Array) -> dict[str, Array]:
    axes = tuple(range(g.ndim - 1))
    return {name: g.sum(axis=axes), f"|{name}|": np.abs(g).sum(axis=axes)}


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


# ---- shapes and sums ----------------------------------------------------------------------------------


def _identity(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    return Result(x, lambda g: ([g], {}))


def _rescaling(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    scale, offset = (np.asarray(config.get(key, default), "float64") for key, default in _RESCALING.items())
    return Result(x * scale + offset, lambda g: ([g * scale], {}))


_RESCALING = {"scale": 1.0, "offset": 0.0}


def _flatten(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    if config.get("order") == "channels_first" and x.ndim == 4:
        turned = x.transpose(0, 3, 1, 2)
        return Result(
            turned.reshape(len(x), -1),
            lambda g: ([g.reshape(turned.shape).transpose(0, 2, 3, 1)], {}),
        )
    return Result(x.reshape(len(x), -1), lambda g: ([g.reshape(x.shape)], {}))


def _permute(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    order = (0, *config["dims"])
    back = np.argsort(order)
    return Result(x.transpose(order), lambda g: ([g.transpose(back)], {}))


def _reshape(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    return Result(x.reshape(len(x), *config["target_shape"]), lambda g: ([g.reshape(x.shape)], {}))


def _zero_padding2d(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    (x,) = inputs
    padding = config["padding"]
    sides = [_pair(side) for side in _pair(padding)]
    padded = np.pad(x, ((0, 0), sides[0], sides[1], (0, 0)))
    (top, _), (left, _) = sides

    def backward(g: Array) -> tuple[list[Array], dict[str, Array]]:
        return [g[:, top : top + x.shape[1], left : left + x.shape[2]]], {}

    return Result(padded, backward)


def _add(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    if any(one.shape != inputs[0].shape for one in inputs):
        raise Unknown("inputs of several shapes of a layer Add")
    return Result(np.sum(inputs, axis=0), lambda g: ([g] * len(inputs), {}))


def _concatenate(
    inputs: Sequence[Array], weights: Weights, config: Mapping[str, Any], semantics: Semantics
) -> Result:
    if config.get("axis", -1) not in (-1, inputs[0].ndim - 1):
        raise Unknown("axis of a layer Concatenate")
    borders = np.cumsum([one.shape[-1] for one in inputs])[:-1]
    return Result(np.concatenate(inputs, axis=-1), lambda g: (np.split(g, borders.tolist(), axis=-1), {}))


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, list | tuple) else (value, value)


LAYERS: dict[str, Layer] = {
    "Conv2D": _conv2d,
    "DepthwiseConv2D": _depthwise_conv2d,
    "SeparableConv2D": _separable_conv2d,
    "MaxPooling2D": _max_pooling2d,
    "AveragePooling2D": _average_pooling2d,
    "GlobalAveragePooling2D": _global_average_pooling2d,
    "GlobalMaxPooling2D": _global_max_pooling2d,
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Softmax": _softmax,
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Permute": _permute,
    "Reshape": _reshape,
    "ZeroPadding2D": _zero_padding2d,
    "Add": _add,
    "Concatenate": _concatenate,
    # Silenced, they hand on what they get.
    "Dropout": _identity,
    "SpatialDropout2D": _identity,
    "AlphaDropout": _identity,
    "GaussianDropout": _identity,
    "GaussianNoise": _identity,
}
