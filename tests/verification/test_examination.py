"""Whatever is put into a contestant is found, named, and told from rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from invented import ADAM, CONV, DENSE, NORM, NORMALIZED, PLAIN, POOL, Contestant

from bakeoff.verification.examination import examine
from bakeoff.verification.reference.semantics import Semantics

HEALTHY = Contestant()
DOES = Semantics()
SGD = {"momentum": 0.0, "nesterov": False, "learning_rate": 0.05}
RMSPROP = {"rho": 0.9, "epsilon": 1e-7, "learning_rate": 1e-3}


def optimizer(name="adam", options=ADAM, **does):
    return Contestant(optimizer=name, options=dict(options), does=DOES.with_optimizer(**does))


def layer(place, layers=PLAIN, **does):
    return Contestant(layers=layers, does=DOES.with_layer(place, **does))


def uniform_background(generator, size):
    """Images of which most is black: pixels tie, and activations are exactly zero."""
    images = np.zeros((size, 10, 10, 1))
    images[:, 3:6, 3:6] = generator.uniform(size=(size, 3, 3, 1))
    return images


# name: (what the contestant is, stage, cause, words that its text must have)
HIDDEN = {
    "kernel flipped": (layer(0, flip=True), "forward", "kernel_flipped", "180 degrees"),
    "bias not added": (layer(0, use_bias=False), "forward", "missing_bias", "bias"),
    "activation": (layer(0, activation="elu"), "forward", "activation", "elu, not relu"),
    "average for maximum": (layer(1, kind="AveragePooling2D"), "forward", "pooling_kind", "average"),
    "flattened otherwise": (layer(2, order="channels_first"), "forward", "flatten_order", "channels, rows"),
    "normalization's epsilon": (
        layer(1, NORMALIZED, epsilon=1e-5), "forward", "batchnorm_epsilon", "1e-05, not 0.001",
    ),
    "moving statistics used": (
        layer(1, NORMALIZED, inference=True), "forward", "batchnorm_inference", "moving statistics",
    ),
    "normalization's momentum": (
        layer(1, NORMALIZED, momentum=0.99), "moving statistics", "batchnorm_momentum", "0.99, not 0.9",
    ),
    "moving variance": (
        Contestant(layers=NORMALIZED, does=Semantics(moving_variance="keras2")),
        "moving statistics", "moving_variance", "n / (n - 1 - epsilon)",
    ),
    "sum for mean": (
        Contestant(does=DOES.with_loss(reduction="sum")), "loss", "loss_sum", "summed over the batch",
    ),
    "mean over classes": (
        Contestant(does=DOES.with_loss(scale=0.1)), "loss", "loss_scale", "averaged over the classes",
    ),
    "label smoothing": (
        Contestant(does=DOES.with_loss(smoothing=0.1)), "loss", "label_smoothing", "0.1",
    ),
    "penalty": (Contestant(does=DOES.with_loss(l2=1e-3)), "loss", "l2", "0.001"),
    "gradients summed": (
        Contestant(does=DOES.with_loss(gradient_scale=8.0)), "gradients", "gradient_sum", "not averaged",
    ),
    "penalty in gradients": (
        Contestant(does=DOES.with_loss(l2_gradient=1e-3)), "gradients", "l2_gradient", "0.002 times",
    ),
    "epsilon's value": (optimizer(epsilon=1e-8), "optimizer", "epsilon_value", "1e-08, not 1e-07"),
    "epsilon under the root": (
        optimizer(epsilon_at="under_root"), "optimizer", "epsilon_under_root", "under the root",
    ),
    "epsilon as in the paper": (
        optimizer(epsilon_at="corrected"), "optimizer", "epsilon_corrected", "Kingma",
    ),
    "no bias correction": (
        optimizer(bias_correction=False), "optimizer", "bias_correction", "not corrected",
    ),
    "learning rate rounded": (
        optimizer(options={**ADAM, "learning_rate": 1.5e-3}, learning_rate=2e-3),
        "optimizer", "learning_rate", "0.002, not 0.0015",
    ),
    "weight decay": (optimizer(weight_decay=0.01), "optimizer", "weight_decay", "0.01"),
    "beta_2": (optimizer(beta_2=0.99), "optimizer", "beta_2", "0.99, not 0.999"),
    "amsgrad": (optimizer(amsgrad=True), "optimizer", "amsgrad", "AMSGrad"),
    "momentum": (optimizer("sgd", SGD, momentum=0.9), "optimizer", "momentum", "0.9, not 0"),
    "Nesterov": (
        optimizer("sgd", {**SGD, "momentum": 0.9}, nesterov=True), "optimizer", "nesterov", "Nesterov",
    ),
    "RMSprop's epsilon": (
        optimizer("rmsprop", RMSPROP, epsilon_at="beside_root"),
        "optimizer", "epsilon_beside_root", "Keras 2",
    ),
    "clipping": (optimizer("sgd", SGD, clipvalue=0.5), "optimizer", "clipping", "clipvalue is 0.5"),
    "another optimizer": (
        Contestant(does=DOES.with_optimizer(name="adamax", beta_1=0.9, beta_2=0.999, epsilon=1e-7)),
        "optimizer", "optimizer_kind", "adamax, not adam",
    ),
    "last batch dropped": (Contestant(batches_lost=1), "epoch", "last_batch_dropped", "the last batch"),
    "ties": (
        Contestant(images=uniform_background, does=Semantics(ties="all", relu_at_zero=0.5)),
        "gradients", "ties_and_relu_at_zero", "all of them get the gradient",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_contestant_does_otherwise_is_named(shown, name):
    contestant, stage, cause, words = HIDDEN[name]
    healthy = dataclasses.replace(contestant, does=Semantics(), batches_lost=0)
    judgement = examine(shown(contestant), shown(healthy))
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause) == (stage, cause), finding.sentence()
    assert words in finding.text
    assert judgement.is_explained and not judgement.not_examined
    # What is found accounts for everything: the rest agrees as if nothing had been put in.
    assert judgement.worst["weights"].difference < 1e-4
    assert finding.only_at_kinks == (name == "ties")


@pytest.mark.parametrize("layers", [PLAIN, NORMALIZED], ids=["plain", "normalized"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options"), [("adam", ADAM), ("sgd", SGD), ("rmsprop", RMSPROP)], ids=["adam", "sgd", "rmsprop"]
)
def test_rounding_is_no_difference(shown, layers, precision, name, options):
    one, other = (
        shown(Contestant(layers, optimizer=name, options=options, backend=backend, precision=precision))
        for backend in ("this", "that")
    )
    judgement = examine(one, other)
    assert judgement.findings == ()
    assert judgement.not_examined == ()
    expected = {"layers", "forward", "loss", "gradients", "optimizer", "weights"}
    assert set(judgement.worst) - {"moving statistics"} == expected
    scale = 1.0 if precision == "float32" else 1e-8
    assert 0 < judgement.worst["weights"].difference < 1e-5 * scale


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_hinge", "mean_squared_error"])
def test_other_losses(shown, loss):
    contestant = Contestant(loss=loss)
    assert examine(shown(contestant), shown(contestant)).findings == ()


def test_a_step_counter_read_before_or_after_it_is_raised_as_it_happens(shown):
    contestant = Contestant(late=lambda step: step % 3 == 0)
    judgement = examine(shown(contestant), shown(HEALTHY))
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause) == ("optimizer", "step_counter")
    assert judgement.worst["weights"].difference < 1e-5


def test_several_differences_are_all_found(shown):
    contestant = Contestant(
        does=DOES.with_layer(0, flip=True)
        .with_layer(1, kind="AveragePooling2D")
        .with_loss(smoothing=0.2)
        .with_optimizer(epsilon=1e-5)
    )
    judgement = examine(shown(contestant), shown(HEALTHY))
    assert [finding.cause for finding in judgement.findings] == [
        "kernel_flipped",
        "pooling_kind",
        "label_smoothing",
        "epsilon_value",
    ]
    assert judgement.is_explained


def test_what_nobody_knows_is_found_and_not_named(shown):
    strange = Contestant(reported=lambda value, size: value + 0.1 * np.sin(5 * value))
    judgement = examine(shown(strange), shown(HEALTHY))
    assert {finding.stage for finding in judgement.findings} >= {"loss"}
    assert (judgement.findings[0].stage, judgement.findings[0].cause) == ("loss", "unknown")
    assert not judgement.is_explained
    assert "gradients" in judgement.not_examined


# ---- what double precision shows -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ({"single_powers": True}, "beta_1 and beta_2 of its bias correction"),
        ({"epsilon": float(np.float32(1e-7))}, "epsilon: kept in single precision"),
        ({"learning_rate": float(np.float32(1e-3))}, "learning_rate: kept in single precision"),
    ],
)
def test_constants_kept_in_single_precision(shown, does, words):
    contestant = Contestant(precision="float64", does=DOES.with_optimizer(**does))
    judgement = examine(shown(contestant), shown(Contestant(precision="float64")))
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause) == ("optimizer", "single_constants")
    assert words in finding.text
    assert judgement.worst["weights"].difference < 1e-12
    hidden = dataclasses.replace(contestant, precision="float32")
    assert examine(shown(hidden), shown(HEALTHY)).findings == ()


def test_what_is_computed_in_single_precision_is_held_to_that_from_then_on(shown):
    contestant = Contestant(precision="float64", is_single=True)
    judgement = examine(shown(contestant), shown(Contestant(precision="float64")))
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause, finding.where) == ("forward", "single_precision", "conv2d_0")
    assert judgement.is_explained
    assert 1e-9 < judgement.worst["gradients"].difference < 1e-5


# ---- what a contestant says of itself -------------------------------------------------------------------


def changed(place, **changes):
    """The plain network with one layer declared, and made, otherwise."""
    return tuple(
        (kind, {**config, **changes} if index == place else config)
        for index, (kind, config) in enumerate(PLAIN)
    )


@pytest.mark.parametrize(
    ("layers", "cause", "words"),
    [
        (changed(0, use_bias=False), "declared_use_bias", "use_bias is False, not True"),
        (changed(0, activation="tanh"), "declared_activation", "activation is tanh, not relu"),
        (changed(0, padding="same"), "declared_padding", "padding is same, not valid"),
        (
            (PLAIN[0], ("AveragePooling2D", POOL), *PLAIN[2:]),
            "declared_layers",
            "AveragePooling2D where others have MaxPooling2D",
        ),
        (
            (*PLAIN[:2], ("Permute", {"dims": [3, 1, 2]}), *PLAIN[2:]),
            "declared_layers",
            "it has Permute where others have nothing",
        ),
        (
            (("Conv2D", CONV), ("Flatten", {}), ("Dense", DENSE)),
            "declared_layers",
            "it has nothing where others have MaxPooling2D",
        ),
    ],
)
def test_what_is_declared_otherwise_is_named_and_the_rest_still_checked(shown, layers, cause, words):
    judgement = examine(shown(Contestant(layers)), shown(HEALTHY))
    first = judgement.findings[0]
    assert (first.stage, first.cause) == ("architecture", cause)
    assert words in first.text
    assert all(finding.stage in ("architecture", "initial weights") for finding in judgement.findings)
    assert judgement.worst["weights"].difference < 1e-4


def test_declared_momentum(shown):
    otherwise = tuple(
        (kind, {**NORM, "momentum": 0.5} if kind == "BatchNormalization" else config)
        for kind, config in NORMALIZED
    )
    judgement = examine(shown(Contestant(otherwise)), shown(Contestant(NORMALIZED)))
    (finding,) = judgement.findings
    assert finding.text == "momentum is 0.5, not 0.9"


def test_another_range_of_initial_weights(shown):
    wide = {"class_name": "HeUniform", "config": {"seed": None}}
    layers = (("Conv2D", {**CONV, "kernel_initializer": wide}), *PLAIN[1:])
    judgement = examine(shown(Contestant(layers, start_scale=2.0)), shown(HEALTHY))
    first = judgement.findings[0]
    assert (first.stage, first.cause) == ("initial weights", "initializer")
    assert "HeUniform, not GlorotUniform" in first.text
    assert first.where == "conv2d_0/kernel"
    assert {finding.stage for finding in judgement.findings} == {"initial weights"}


def test_other_images_are_found(shown):
    contestant = Contestant(images=lambda generator, size: generator.uniform(size=(size, 10, 10, 1)) / 255)
    judgement = examine(shown(contestant), shown(HEALTHY))
    assert [finding.stage for finding in judgement.findings] == ["data"]


# ---- layers that the reference doesn't know --------------------------------------------------------------


def test_an_unknown_layer_is_compared_with_a_contestant_in_double_precision(shown):
    own, flipped = (
        Contestant(is_keras=False),
        dataclasses.replace(layer(3, activation="sigmoid"), is_keras=False),
    )
    exact = shown(dataclasses.replace(own, precision="float64", backend="exact"))
    judgement = examine(shown(own), shown(own), exact)
    assert judgement.findings == () and judgement.not_examined == ()
    assert judgement.reference.startswith("exact in float64, since the reference has no layer Conv2D")
    judgement = examine(shown(flipped), shown(own), exact)
    assert judgement.findings[0].cause == "activation"  # of the Dense layer, which the reference does know


def test_without_any_reference_nothing_is_claimed(shown):
    own = Contestant(is_keras=False)
    judgement = examine(shown(own), shown(own))
    assert not judgement.is_explained
    assert set(judgement.not_examined) >= {"forward", "gradients"}
