"""Ways in which frameworks and users are known to differ, each as something that the reference can try.

A cause is named only if the reference, told to compute that way, then agrees with the contestant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bakeoff.verification.reference.activations import ACTIVATIONS, Array
from bakeoff.verification.reference.optimizers import DEFAULTS
from bakeoff.verification.reference.semantics import Semantics


@dataclass(frozen=True)
class Hypothesis:
    """A cause by its word, in words, and the reference's way to compute if it were so."""

    cause: str
    text: str
    semantics: Semantics
    only_at_kinks: bool = False


_EPSILONS = (1e-2, 1e-3, 1e-4, 2e-5, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 0.0)


# ---- the device -------------------------------------------------------------------------------------


def of_device(tf32: Sequence[str], semantics: Semantics) -> Iterator[Hypothesis]:
    """How a GPU may round. tf32: products whose factors it was seen to round to TF32."""
    for rounding in ("to the nearest", "towards zero") if tf32 else ():
        yield Hypothesis(
            "tf32",
            f"factors of each {' and '.join(tf32)} are rounded to TF32's 10 bits, {rounding} "
            "(the setting `tf32` switches it off)",
            replace(semantics, tf32=dict.fromkeys(tf32, rounding)),
        )


# ---- layers -----------------------------------------------------------------------------------------


def of_layer(kind: str, config: Mapping[str, Any], place: int, semantics: Semantics) -> Iterator[Hypothesis]:
    """What a layer that gives something else may be doing."""

    def guess(cause: str, text: str, **changes: Any) -> Hypothesis:
        return Hypothesis(cause, text, semantics.with_layer(place, **changes))

    if "Conv2D" in kind:
        yield guess(
            "kernel_flipped", "the kernel is turned by 180 degrees: convolution, not correlation", flip=True
        )
        yield guess(
            "padding_side",
            "padding 'same' with a stride puts as many pixels before as after, not the odd one at the end",
            pad_both_sides=True,
        )
    if "padding" in config and kind != "ZeroPadding2D":
        other = "same" if config["padding"] == "valid" else "valid"
        yield guess("padding", f"padding is '{other}', not '{config['padding']}'", padding=other)
    if config.get("use_bias"):
        yield guess("missing_bias", "its bias is not added", use_bias=False)
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        name, other = (
            ("average", "AveragePooling2D") if kind == "MaxPooling2D" else ("maximum", "MaxPooling2D")
        )
        yield guess("pooling_kind", f"it takes the {name} of each window", kind=other)
    if kind == "Flatten":
        yield guess(
            "flatten_order",
            "it flattens in the order channels, rows, columns, not rows, columns, channels",
            order="channels_first",
        )
    if kind == "BatchNormalization":
        for epsilon in _EPSILONS:
            yield guess(
                "batchnorm_epsilon", f"epsilon is {epsilon:g}, not {config['epsilon']:g}", epsilon=epsilon
            )
        yield guess(
            "batchnorm_inference",
            "it normalizes by its moving statistics, not by the batch's",
            inference=True,
        )
    if kind in ("Activation", "Dense") or "Conv2D" in kind:
        own = config.get("activation") or "linear"
        for name in ACTIVATIONS:
            if name != own:
                yield guess("activation", f"its activation is {name}, not {own}", activation=name)


# ---- loss -------------------------------------------------------------------------------------------


def of_loss(
    found: float,
    expected: float,
    squares: float,
    num_classes: int,
    smoothed: Callable[[float], float],
    semantics: Semantics,
) -> Iterator[Hypothesis]:
    """What a loss that comes out otherwise may be.

    found, expected: before the first step. squares: sum of squares of all kernels then. smoothed: from a
    smoothing of the labels to that loss.
    """
    ratio = found / expected
    yield Hypothesis(
        "loss_sum", "it is summed over the batch, not averaged", semantics.with_loss(reduction="sum")
    )
    for factor, why in (
        (1 / num_classes, "averaged over the classes too"),
        (float(num_classes), "summed over the classes where others average"),
    ):
        yield Hypothesis("loss_scale", f"it is {why}", semantics.with_loss(scale=factor))
    # Linear in the smoothing, so that two values give it.
    slope = (smoothed(0.5) - smoothed(0.0)) / 0.5
    if slope:
        smoothing = (found - smoothed(0.0)) / slope
        own = float(semantics.loss.get("smoothing", 0.0))
        if -1e-4 < smoothing < 1 and abs(smoothing - own) > 1e-4:
            smoothing = max(_round(smoothing), 0.0) if smoothing > 1e-4 else 0.0
            yield Hypothesis(
                "label_smoothing",
                f"labels are smoothed by {smoothing:.3g}" + (f", not by {own:g}" if own else ""),
                semantics.with_loss(smoothing=smoothing),
            )
    if semantics.loss.get("class_weights"):
        text = "all images weigh the same: the weights of classes are left out"
        yield Hypothesis("class_weights", text, semantics.with_loss(class_weights=()))
    if squares:
        factor = (found - expected) / squares
        yield Hypothesis(
            "l2",
            f"a penalty of {factor:.3g} times the squared kernels is added",
            semantics.with_loss(l2=factor),
        )
    yield Hypothesis("loss_scale", f"it is {ratio:.4g} times as large", semantics.with_loss(scale=ratio))


# ---- gradients --------------------------------------------------------------------------------------


def of_gradients(
    found: Sequence[Array | None],
    expected: Sequence[Array],
    weights: Sequence[Array],
    names: Sequence[str],
    batch_size: int,
    semantics: Semantics,
) -> Iterator[Hypothesis]:
    """What gradients that come out otherwise, at equal losses, may rest on."""
    ties = "where several pixels of a max-pooling window tie, all of them get the gradient, not one"
    zero = "the derivative of relu at exactly zero is {}, not 0"
    yield Hypothesis("ties", ties, replace(semantics, ties="all"), only_at_kinks=True)
    for slope in (0.5, 1.0):
        half = Hypothesis(
            "relu_at_zero",
            zero.format(slope),
            replace(semantics, relu_at_zero=slope),
            only_at_kinks=True,
        )
        yield half
        yield Hypothesis(
            "ties_and_relu_at_zero",
            f"{ties}; and {half.text}",
            replace(semantics, ties="all", relu_at_zero=slope),
            only_at_kinks=True,
        )
    ratio = _ratio(found, expected)
    if ratio is not None:
        if abs(ratio - batch_size) < 1e-3 * batch_size:
            text = "they are summed over the batch, not averaged, though the loss is reported as a mean"
            yield Hypothesis("gradient_sum", text, semantics.with_loss(gradient_scale=float(batch_size)))
        text = f"they are {ratio:.5g} times as large, though the loss is not"
        yield Hypothesis("gradient_scale", text, semantics.with_loss(gradient_scale=ratio))
    decay = _decay(found, expected, weights, names)
    if decay is not None:
        yield Hypothesis(
            "l2_gradient",
            f"{2 * decay:.3g} times the kernels is added to their gradients, though not to the loss",
            semantics.with_loss(l2_gradient=decay),
        )


def _ratio(found: Sequence[Array | None], expected: Sequence[Array]) -> float | None:
    """By how much all gradients are too large, in the sense of least squares."""
    pairs = [(one, other) for one, other in zip(found, expected, strict=True) if one is not None]
    square = sum(float((other**2).sum()) for _, other in pairs)
    return sum(float((one * other).sum()) for one, other in pairs) / square if square else None


def _decay(
    found: Sequence[Array | None], expected: Sequence[Array], weights: Sequence[Array], names: Sequence[str]
) -> float | None:
    """The factor of a penalty on kernels, in the sense of least squares."""
    rows = [
        (one - other, weight)
        for one, other, weight, name in zip(found, expected, weights, names, strict=True)
        if one is not None and name.endswith("kernel")
    ]
    square = sum(float((weight**2).sum()) for _, weight in rows)
    return sum(float((gap * weight).sum()) for gap, weight in rows) / square / 2 if square else None


# ---- optimizer --------------------------------------------------------------------------------------


def of_constants(name: str, options: Mapping[str, Any], semantics: Semantics) -> Iterator[Hypothesis]:
    """Which of its constants an optimizer may keep in single precision, though it runs in double."""
    options = {**options, **semantics.optimizer}
    if name == "adam":
        yield Hypothesis(
            "single_constants",
            "beta_1 and beta_2 of its bias correction are kept in single precision",
            semantics.with_optimizer(single_powers=True),
        )
    keys = [
        key for key in ("beta_1", "beta_2", "epsilon", "rho", "momentum", "learning_rate") if key in options
    ]
    for chosen in (*((key,) for key in keys), tuple(keys)):
        single = {key: float(np.float32(options[key])) for key in chosen}
        if any(single[key] != options[key] for key in chosen):
            text = f"{', '.join(chosen)}: kept in single precision"
            yield Hypothesis("single_constants", text, semantics.with_optimizer(**single))


def of_optimizer(
    name: str, options: Mapping[str, Any], ratio: float | None, decay: float | None, semantics: Semantics
) -> Iterator[Hypothesis]:
    """What an optimizer that steps otherwise may be doing.

    ratio: how many times too large its first changes of weights are that are zero. decay: by which share of
    the learning rate weights without a gradient shrink each step.
    """
    options = {**options, **semantics.optimizer}

    def guess(cause: str, text: str, **changes: Any) -> Hypothesis:
        return Hypothesis(cause, text, semantics.with_optimizer(**changes))

    has_epsilon = "epsilon" in DEFAULTS[name]
    if name in ("adam", "adamax"):
        yield guess(
            "step_counter",
            "its step counter is read before or after it is raised, as it happens, so that early steps are "
            "corrected as if they were one step later",
            late="any",
        )
    if name == "adam":
        yield guess(
            "epsilon_corrected",
            "epsilon is added to the root of the corrected second moment, as in Kingma and Ba's algorithm 1",
            epsilon_at="corrected",
        )
        yield guess(
            "epsilon_under_root", "epsilon is added under the root, not to it", epsilon_at="under_root"
        )
        yield guess(
            "epsilon_under_root",
            "epsilon is added under the root of the corrected second moment, not to the root",
            epsilon_at="under_corrected_root",
        )
        yield guess(
            "bias_correction", "the moments are not corrected for their start at zero", bias_correction=False
        )
        yield guess("amsgrad", "it is the other of Adam and AMSGrad", amsgrad=not options["amsgrad"])
    if name == "rmsprop":
        yield guess(
            "epsilon_beside_root",
            "epsilon is added to the root of the mean square (Keras 2), not under it (Keras 3)",
            epsilon_at="beside_root",
        )
    if has_epsilon:
        for epsilon in _EPSILONS:
            if epsilon not in (options["epsilon"], 0.0):  # zero divided by zero is nobody's step
                text = f"epsilon is {epsilon:g}, not {options['epsilon']:g}"
                yield guess("epsilon_value", text, epsilon=epsilon)
                if name == "adam":
                    text += ", and added to the root of the corrected second moment"
                    yield guess("epsilon_value", text, epsilon=epsilon, epsilon_at="corrected")
    if ratio is not None and abs(ratio - 1) > 1e-6:
        rate = float(options["learning_rate"]) * ratio
        rate = _round(rate) if abs(_round(rate) / rate - 1) < 1e-3 else rate
        text = f"its learning rate is {rate:.6g}, not {options['learning_rate']:g}"
        yield guess("learning_rate", text, learning_rate=rate)
    asked = float(options.get("weight_decay") or 0.0)
    if asked:
        yield guess("weight_decay", f"weights don't decay, and should by {asked:g}", weight_decay=0.0)
        text = "weight decay is added to gradients (L2), not taken off the weights"
        yield guess("weight_decay", text, decay_in_gradient=True)
    if decay:
        text = f"weights decay by {_round(decay):g} times the learning rate each step"
        yield guess("weight_decay", text + (f", not by {asked:g}" if asked else ""), weight_decay=decay)
    if options.get("schedule"):
        yield guess("schedule", "its learning rate stays as it is: the schedule is not followed", schedule=())
        yield guess("schedule", "its learning rate is the next step's: the schedule is a step ahead", ahead=1)
    for key, values in (
        ("beta_1", (0.0, 0.5, 0.8, 0.85, 0.95, 0.99)),
        ("beta_2", (0.9, 0.95, 0.98, 0.99, 0.995, 0.9999)),
        ("rho", (0.5, 0.8, 0.95, 0.99, 0.999)),
        ("momentum", (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)),
    ):
        for value in values:
            if key in options and options[key] != value:
                yield guess(key, f"{key} is {value:g}, not {options[key]:g}", **{key: value})
    if name == "sgd":
        yield guess(
            "nesterov", "it is the other of plain and Nesterov momentum", nesterov=not options["nesterov"]
        )
    clips = ("clipvalue", "clipnorm", "global_clipnorm")
    bounds = {key: options[key] for key in clips if options.get(key)}
    if bounds:
        yield guess("clipping", "gradients are not clipped, and should be", **dict.fromkeys(bounds))
    for key in clips:
        for bound in sorted({0.1, 0.5, 1.0, 5.0, 10.0, *bounds.values()}):
            if bounds != {key: bound}:
                text = f"gradients are clipped: {key} is {bound:g}"
                yield guess("clipping", text, **{**dict.fromkeys(bounds), key: bound})
    for other in DEFAULTS:
        if other != name:
            yield guess("optimizer_kind", f"it is {other}, not {name}", name=other, **DEFAULTS[other])


# ---- moving statistics ------------------------------------------------------------------------------


def of_moving(momentum: float | None, own: float, place: int, semantics: Semantics) -> Iterator[Hypothesis]:
    """What moving statistics that come out otherwise may be. momentum: as computed from them."""
    for kind, why in (
        ("unbiased", "times n / (n - 1)"),
        ("keras2", "times n / (n - 1 - epsilon), as Keras 2 does"),
        ("keras2_fused", "corrected twice, by TensorFlow's fused kernel and by Keras 2"),
        (
            "keras2_theano",
            "with epsilon added to it, as Theano's kernel gives it, times n / (n - 1 - epsilon)",
        ),
    ):
        text = f"the moving variance takes the batch's {why}, not as it is"
        yield Hypothesis("moving_variance", text, replace(semantics, moving_variance=kind))
    if momentum is not None:
        yield Hypothesis(
            "batchnorm_momentum",
            f"momentum is {_round(momentum):g}, not {own:g}",
            semantics.with_layer(place, momentum=_round(momentum)),
        )


def _round(value: float) -> float:
    """Four digits: what people write."""
    return float(f"{value:.4g}")
