"""Each layer against values worked out by hand, and its gradients against differences of its values."""

from __future__ import annotations

import numpy as np
import pytest

from bakeoff.verification.reference.activations import ACTIVATIONS
from bakeoff.verification.reference.layers import Unknown, apply
from bakeoff.verification.reference.semantics import Semantics

PLAIN = Semantics()
CONV = {"strides": (1, 1), "padding": "valid", "use_bias": True, "activation": "linear"}
NORM = {"momentum": 0.9, "epsilon": 1e-3}


def column(*values: float) -> np.ndarray:
    return np.array(values, "float64")


def image(rows: list[list[float]]) -> np.ndarray:
    """One image of one channel."""
    return np.array(rows, "float64")[np.newaxis, :, :, np.newaxis]


RAMP = image([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
CORNER = np.array([[1.0, 2.0], [3.0, 4.0]])[:, :, np.newaxis, np.newaxis]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # 1·1 + 2·2 + 3·4 + 4·5, plus the bias
        ({}, [[37.5, 47.5], [67.5, 77.5]]),
        ({"flip": True}, [[23.5, 33.5], [53.5, 63.5]]),
        ({"use_bias": False}, [[37, 47], [67, 77]]),
        ({"strides": (2, 2)}, [[37.5]]),
        # one row and one column of zeros, below and to the right
        ({"padding": "same"}, [[37.5, 47.5, 21.5], [67.5, 77.5, 33.5], [23.5, 26.5, 9.5]]),
        ({"padding": "same", "strides": (2, 2)}, [[37.5, 21.5], [23.5, 9.5]]),
        ({"dilation_rate": (2, 2)}, [[1 + 2 * 3 + 3 * 7 + 4 * 9 + 0.5]]),
    ],
)
def test_convolution_by_hand(changes, expected):
    weights = {"kernel": CORNER, "bias": column(0.5)}
    result = apply("Conv2D", {**CONV, **changes}, [RAMP], weights, PLAIN)
    np.testing.assert_allclose(result.output[0, :, :, 0], expected)


def test_same_padding_on_both_sides_shifts_the_windows():
    even = image([[1, 2, 3, 4]] * 4)
    weights = {"kernel": np.ones((3, 3, 1, 1)), "bias": column(0.0)}
    config = {**CONV, "padding": "same", "strides": (2, 2)}
    after = apply("Conv2D", config, [even], weights, PLAIN).output[0, :, :, 0]
    both = apply("Conv2D", {**config, "pad_both_sides": True}, [even], weights, PLAIN).output[0, :, :, 0]
    np.testing.assert_allclose(after, [[18, 21], [12, 14]])
    np.testing.assert_allclose(both, [[6, 18], [9, 27]])


def test_pooling_by_hand():
    maximum = apply("MaxPooling2D", {"pool_size": (2, 2), "strides": (1, 1)}, [RAMP], {}, PLAIN)
    average = apply("AveragePooling2D", {"pool_size": (2, 2), "strides": (1, 1)}, [RAMP], {}, PLAIN)
    padded = apply("AveragePooling2D", {"pool_size": (2, 2), "padding": "same"}, [RAMP], {}, PLAIN)
    np.testing.assert_allclose(maximum.output[0, :, :, 0], [[5, 6], [8, 9]])
    np.testing.assert_allclose(average.output[0, :, :, 0], [[3, 4], [6, 7]])
    np.testing.assert_allclose(padded.output[0, :, :, 0], [[3, 4.5], [7.5, 9]])  # padding doesn't count


def test_who_gets_the_gradient_where_pixels_tie():
    flat = image([[2, 2], [1, 2]])
    for ties, expected in (("first", [[1, 0], [0, 0]]), ("all", [[1, 1], [0, 1]])):
        result = apply("MaxPooling2D", {"pool_size": (2, 2)}, [flat], {}, Semantics(ties=ties))
        (to_input,), _ = result.backward(np.ones((1, 1, 1, 1)))
        np.testing.assert_allclose(to_input[0, :, :, 0], expected)


def test_the_derivative_of_relu_at_zero():
    x = np.array([[-1.0, 0.0, 2.0]])
    for at_zero in (0.0, 0.5):
        result = apply("Activation", {"activation": "relu"}, [x], {}, Semantics(relu_at_zero=at_zero))
        (to_input,), _ = result.backward(np.ones((1, 3)))
        np.testing.assert_allclose(to_input, [[0, at_zero, 1]])


def test_normalization_by_hand():
    x = column(1, 3)[:, np.newaxis]  # mean 2, variance 1
    weights = {"gamma": column(2), "beta": column(5), "moving_mean": column(10), "moving_variance": column(4)}
    result = apply("BatchNormalization", {"momentum": 0.9, "epsilon": 0.0}, [x], weights, PLAIN)
    np.testing.assert_allclose(result.output[:, 0], [3, 7])
    np.testing.assert_allclose(result.moved["moving_mean"], [0.9 * 10 + 0.1 * 2])
    np.testing.assert_allclose(result.moved["moving_variance"], [0.9 * 4 + 0.1 * 1])
    corrected = apply(
        "BatchNormalization",
        {"momentum": 0.9, "epsilon": 0.0},
        [x],
        weights,
        Semantics(moving_variance="keras2"),
    )
    np.testing.assert_allclose(corrected.moved["moving_variance"], [0.9 * 4 + 0.1 * 2])


def test_flattening_and_padding():
    two_channels = np.arange(8.0).reshape(1, 2, 2, 2)
    plain = apply("Flatten", {}, [two_channels], {}, PLAIN).output
    first = apply("Flatten", {"order": "channels_first"}, [two_channels], {}, PLAIN).output
    np.testing.assert_allclose(plain, [[0, 1, 2, 3, 4, 5, 6, 7]])
    np.testing.assert_allclose(first, [[0, 2, 4, 6, 1, 3, 5, 7]])
    padded = apply("ZeroPadding2D", {"padding": ((1, 0), (0, 2))}, [RAMP], {}, PLAIN).output
    assert padded.shape == (1, 4, 5, 1) and padded[0, 1, 0, 0] == 1 and padded[0, 0].sum() == 0


def weights_of(kind: str, channels: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    shapes = {
        "Conv2D": {"kernel": (3, 2, channels, 4), "bias": (4,)},
        "DepthwiseConv2D": {"depthwise_kernel": (3, 2, channels, 2), "bias": (2 * channels,)},
        "SeparableConv2D": {
            "depthwise_kernel": (3, 2, channels, 2),
            "pointwise_kernel": (1, 1, 2 * channels, 4),
            "bias": (4,),
        },
        "Dense": {"kernel": (channels, 4), "bias": (4,)},
        "BatchNormalization": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (channels,)),
    }.get(kind, {})
    return {name: 0.2 + generator.uniform(size=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("Conv2D", CONV),
        ("Conv2D", {**CONV, "flip": True, "padding": "same", "strides": (2, 1), "activation": "tanh"}),
        ("Conv2D", {**CONV, "dilation_rate": (1, 2), "use_bias": False}),
        ("Conv2D", {**CONV, "padding": "same", "strides": (2, 2), "pad_both_sides": True}),
        ("DepthwiseConv2D", {**CONV, "padding": "same"}),
        ("SeparableConv2D", {**CONV, "strides": (2, 2), "activation": "sigmoid"}),
        ("MaxPooling2D", {"pool_size": (2, 3), "strides": (1, 2)}),
        ("MaxPooling2D", {"pool_size": (2, 2), "padding": "same"}),
        ("AveragePooling2D", {"pool_size": (2, 2), "padding": "same", "strides": (1, 1)}),
        ("GlobalAveragePooling2D", {}),
        ("GlobalMaxPooling2D", {}),
        ("BatchNormalization", NORM),
        ("BatchNormalization", {**NORM, "center": False, "scale": False}),
        ("BatchNormalization", {**NORM, "inference": True}),
        ("Dense", {"activation": "softmax"}),
        ("Flatten", {"order": "channels_first"}),
        ("Permute", {"dims": (3, 1, 2)}),
        ("Reshape", {"target_shape": (6, -1)}),
        ("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}),
        ("LeakyReLU", {"negative_slope": 0.2}),
        ("Dropout", {"rate": 0.5}),
        *(("Activation", {"activation": name}) for name in ACTIVATIONS),
    ],
)
def test_gradients_are_the_slopes_of_the_values(kind, config):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(3, 5, 6, 2))
    weights = weights_of(kind, 2)
    result = apply(kind, config, [x], weights, PLAIN)
    along = generator.normal(size=result.output.shape)
    to_inputs, to_weights = result.backward(along)
    sizes = {name: to_weights.pop(name) for name in list(to_weights) if name.startswith("|")}
    assert all((size >= np.abs(to_weights[name.strip("|")]) - 1e-9).all() for name, size in sizes.items())
    trained = {name: array for name, array in weights.items() if not name.startswith("moving")}
    used = {
        "bias": config.get("use_bias", True),
        "gamma": config.get("scale", True),
        "beta": config.get("center", True),
    }
    assert set(to_weights) == {name for name in trained if used.get(name, True)}

    def value(changed: np.ndarray, name: str) -> float:
        new_x = changed if name == "x" else x
        new_weights = {**weights, name: changed} if name != "x" else weights
        return float((apply(kind, config, [new_x], new_weights, PLAIN).output * along).sum())

    for name, at, gradient in (("x", x, to_inputs[0]), *((n, weights[n], g) for n, g in to_weights.items())):
        direction = generator.normal(size=at.shape)
        step = 1e-6
        slope = (value(at + step * direction, name) - value(at - step * direction, name)) / (2 * step)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("kind", ["Add", "Concatenate"])
def test_sums_hand_their_gradient_to_all_inputs(kind):
    inputs = [np.full((1, 2, 2, 3), value) for value in (1.0, 2.0)]
    result = apply(kind, {"axis": -1}, inputs, {}, PLAIN)
    along = np.arange(result.output.size, dtype="float64").reshape(result.output.shape)
    to_inputs, _ = result.backward(along)
    expected = [along, along] if kind == "Add" else [along[..., :3], along[..., 3:]]
    for found, wanted in zip(to_inputs, expected, strict=True):
        np.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("LSTM", {}, "layer LSTM"),
        ("Conv2D", {**CONV, "activation": "gelu"}, "activation gelu"),
        ("Conv2D", {**CONV, "groups": 2}, "groups"),
        ("Dense", {"kernel_constraint": {"class_name": "MaxNorm"}}, "kernel_constraint"),
        ("Concatenate", {"axis": 1}, "axis"),
    ],
)
def test_what_it_does_not_know_it_says(kind, config, message):
    with pytest.raises(Unknown, match=message):
        apply(kind, config, [np.ones((1, 4, 4, 2))], weights_of(kind, 2), PLAIN)


def test_a_decision_can_be_taken_the_other_way():
    x = np.array([[-1e-9, 3.0, -2.0]])
    plain = apply("Activation", {"activation": "relu"}, [x], {}, PLAIN)
    margins = plain.margins()
    assert margins.argmin() == 0 and margins[0] < 1e-8 < 0.1 < margins[1]
    tipped = apply("Activation", {"activation": "relu", "tipped": (0,)}, [x], {}, PLAIN)
    np.testing.assert_allclose(plain.backward(np.ones((1, 3)))[0][0], [[0, 1, 0]])
    np.testing.assert_allclose(tipped.backward(np.ones((1, 3)))[0][0], [[1, 1, 0]])

    near = image([[1.0, 1.0 - 1e-9], [0.0, 0.5]])
    pooled = apply("MaxPooling2D", {"pool_size": (2, 2)}, [near], {}, PLAIN)
    assert pooled.margins()[0] < 1e-8
    tipped = apply("MaxPooling2D", {"pool_size": (2, 2), "tipped": (0,)}, [near], {}, PLAIN)
    np.testing.assert_allclose(tipped.backward(np.ones((1, 1, 1, 1)))[0][0][0, :, :, 0], [[0, 1], [0, 0]])
