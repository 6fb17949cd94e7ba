"""Whatever is put into a contestant is found, named, and told from rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from invented import ADAM, CONV, DENSE, NORM, NORMALIZED, PLAIN, POOL, Contestant

from bakeoff.study import Agreement
from bakeoff.verification.certificates import certify
from bakeoff.verification.examination import examine
from bakeoff.verification.reference.semantics import Semantics
from bakeoff.verification.votes import Panel, Voter

HEALTHY = Contestant()
DOES = Semantics()
SGD = {"momentum": 0.0, "nesterov": False, "learning_rate": 0.05}
FALLING = [0.9**step for step in range(10)]
WEIGHTS = [0.5, 1.0, 1.5, 2.0, 0.25, 1.0, 1.0, 3.0, 1.0, 1.0]
PRODUCTS = ("convolution", "matrix product")
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
    "TF32": (
        Contestant(tf32=PRODUCTS, does=Semantics(tf32=dict.fromkeys(PRODUCTS, "to the nearest"))),
        "forward", "tf32", "10 bits, to the nearest",
    ),
    "TF32, cut off": (
        Contestant(tf32=PRODUCTS[:1], does=Semantics(tf32={"convolution": "towards zero"})),
        "forward", "tf32", "10 bits, towards zero",
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
    "no weight decay": (
        optimizer("adamw", {**ADAM, "weight_decay": 0.05}, weight_decay=0.0),
        "optimizer", "weight_decay", "don't decay",
    ),
    "decay in gradients": (
        optimizer("adamw", {**ADAM, "weight_decay": 0.05}, decay_in_gradient=True),
        "optimizer", "weight_decay", "L2",
    ),
    "not clipped": (
        optimizer("sgd", {**SGD, "clipvalue": 0.5}, clipvalue=None), "optimizer", "clipping", "not clipped",
    ),
    "each norm for all": (
        optimizer("sgd", {**SGD, "global_clipnorm": 0.1}, global_clipnorm=None, clipnorm=0.1),
        "weights", "clipping", "clipnorm is 0.1",
    ),
    "schedule left out": (
        optimizer("sgd", {**SGD, "schedule": FALLING}, schedule=()), "optimizer", "schedule", "not followed",
    ),
    "schedule early": (
        optimizer("sgd", {**SGD, "schedule": FALLING}, ahead=1), "optimizer", "schedule", "a step ahead",
    ),
    "labels not smoothed": (
        Contestant(loss_options={"smoothing": 0.1}, does=DOES.with_loss(smoothing=0.0)),
        "loss", "label_smoothing", "by 0, not by 0.1",
    ),
    "classes not weighted": (
        Contestant(loss_options={"class_weights": WEIGHTS}, does=DOES.with_loss(class_weights=())),
        "loss", "class_weights", "left out",
    ),
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
def test_what_a_contestant_does_otherwise_is_named(examined, name):
    contestant, stage, cause, words = HIDDEN[name]
    healthy = dataclasses.replace(contestant, does=Semantics(), batches_lost=0)
    judgement = examined(contestant, healthy)
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
def test_rounding_is_no_difference(examined, layers, precision, name, options):
    judgement = examined(
        *(
            Contestant(layers, optimizer=name, options=options, backend=backend, precision=precision)
            for backend in ("this", "that")
        )
    )
    assert judgement.findings == ()
    assert judgement.not_examined == ()
    expected = {"layers", "forward", "loss", "gradients", "optimizer", "weights"}
    assert set(judgement.worst) - {"moving statistics"} == expected
    scale = 1.0 if precision == "float32" else 1e-8
    assert 0 < judgement.worst["weights"].difference < 1e-5 * scale


@pytest.mark.parametrize("rate", [1e-3, 1e-4, 1e-5, 1e-6])
def test_decay_by_a_rounded_factor_is_no_difference(examined, rate):
    """A schedule ends in small steps: next to them, what a weight's own rounding makes is much."""
    recipe = {**ADAM, "learning_rate": rate, "weight_decay": 0.01}
    contestant = Contestant(optimizer="adamw", options=recipe, shrinks_first=True)
    assert examined(contestant, contestant).findings == ()


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_hinge", "mean_squared_error"])
def test_other_losses(examined, loss):
    contestant = Contestant(loss=loss)
    assert examined(contestant, contestant).findings == ()


def test_an_optimizer_that_the_reference_lacks_is_held_against_the_others(shown):
    def unknown(**does):
        own = Contestant(options={**ADAM}, does=DOES.with_optimizer(**does))
        found = shown(own)
        found.optimizer = "Lion, unknown"  # as a worker says of an own one
        return found

    evidence = [unknown(), unknown(), unknown(beta_2=0.9)]
    panel = Panel([Voter(str(place), one) for place, one in enumerate(evidence)])
    judged = [examine(one, evidence[0], panel) for one in evidence]
    assert {one.not_examined for one in judged} == {("optimizer", "weights")}
    found = [certify(("a", "b"), (judged[0], judged[at]), (evidence[0], evidence[at])) for at in (1, 2)]
    assert [one.verdict for one in found] == [Agreement.SAME, Agreement.NOT_COMPARED]


def test_recipes_that_are_declared_otherwise_are_different(examined):
    own = Contestant(options={**ADAM, "learning_rate": 2e-3})
    (finding,) = examined(own, HEALTHY).findings
    assert (finding.cause, finding.text) == ("declared_recipe", "learning_rate is 0.002, not 0.001")


def test_a_step_counter_read_before_or_after_it_is_raised_as_it_happens(examined):
    contestant = Contestant(late=lambda step: step % 3 == 0)
    judgement = examined(contestant, HEALTHY)
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause) == ("optimizer", "step_counter")
    assert judgement.worst["weights"].difference < 1e-5


def test_several_differences_are_all_found(examined):
    contestant = Contestant(
        does=DOES.with_layer(0, flip=True)
        .with_layer(1, kind="AveragePooling2D")
        .with_loss(smoothing=0.2)
        .with_optimizer(epsilon=1e-5)
    )
    judgement = examined(contestant, HEALTHY)
    assert [finding.cause for finding in judgement.findings] == [
        "kernel_flipped",
        "pooling_kind",
        "label_smoothing",
        "epsilon_value",
    ]
    assert judgement.is_explained


def test_rounding_to_tf32_is_named_only_where_it_was_seen(examined):
    does = Semantics(tf32=dict.fromkeys(PRODUCTS, "to the nearest"))
    judgement = examined(Contestant(does=does), HEALTHY)
    assert [(one.stage, one.cause) for one in judgement.findings] == [("forward", "unknown")]


def test_what_nobody_knows_is_found_and_not_named(examined):
    strange = Contestant(reported=lambda value, size: value + 0.1 * np.sin(5 * value))
    judgement = examined(strange, HEALTHY)
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
def test_constants_kept_in_single_precision(examined, does, words):
    contestant = Contestant(precision="float64", does=DOES.with_optimizer(**does))
    judgement = examined(contestant, Contestant(precision="float64"))
    (finding,) = judgement.findings
    assert (finding.stage, finding.cause) == ("optimizer", "single_constants")
    assert words in finding.text
    assert judgement.worst["weights"].difference < 1e-12
    hidden = dataclasses.replace(contestant, precision="float32")
    assert examined(hidden, HEALTHY).findings == ()


def test_what_is_computed_in_single_precision_is_held_to_that_from_then_on(examined):
    contestant = Contestant(precision="float64", is_single=True)
    judgement = examined(contestant, Contestant(precision="float64"))
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
def test_what_is_declared_otherwise_is_named_and_the_rest_still_checked(examined, layers, cause, words):
    judgement = examined(Contestant(layers), HEALTHY)
    first = judgement.findings[0]
    assert (first.stage, first.cause) == ("architecture", cause)
    assert words in first.text
    assert all(finding.stage in ("architecture", "initial weights") for finding in judgement.findings)
    assert judgement.worst["weights"].difference < 1e-4


def test_declared_momentum(examined):
    otherwise = tuple(
        (kind, {**NORM, "momentum": 0.5} if kind == "BatchNormalization" else config)
        for kind, config in NORMALIZED
    )
    judgement = examined(Contestant(otherwise), Contestant(NORMALIZED))
    (finding,) = judgement.findings
    assert finding.text == "momentum is 0.5, not 0.9"


def test_another_range_of_initial_weights(examined):
    wide = {"class_name": "HeUniform", "config": {"seed": None}}
    layers = (("Conv2D", {**CONV, "kernel_initializer": wide}), *PLAIN[1:])
    judgement = examined(Contestant(layers, start_scale=2.0), HEALTHY)
    first = judgement.findings[0]
    assert (first.stage, first.cause) == ("initial weights", "initializer")
    assert "HeUniform, not GlorotUniform" in first.text
    assert first.where == "conv2d_0/kernel"
    assert {finding.stage for finding in judgement.findings} == {"initial weights"}


def test_other_images_are_found(examined):
    contestant = Contestant(images=lambda generator, size: generator.uniform(size=(size, 10, 10, 1)) / 255)
    judgement = examined(contestant, HEALTHY)
    assert [finding.stage for finding in judgement.findings] == ["data"]


# ---- layers that the reference doesn't know --------------------------------------------------------------


OWN = Contestant(unknown=("Conv2D",))


def own(backend, **changes):
    return dataclasses.replace(OWN, backend=backend, **changes)


def test_a_layer_that_the_reference_lacks_is_put_to_the_vote(examined):
    judgement = examined(OWN, own("b"))
    assert judgement.findings == () and judgement.not_examined == ()
    assert judgement.reference == (
        "NumPy in float64 and, as it has no layer Conv2D, which is not Keras's, the vote of all contestants"
    )
    flipped = own("a", does=DOES.with_layer(3, activation="sigmoid"))
    assert examined(flipped, OWN).findings[0].cause == "activation"  # of the Dense layer, which it does know


def test_the_outvoted_is_named_and_the_others_are_not(examined):
    flipped = own("flipped", does=DOES.with_layer(0, flip=True))
    (finding,) = examined(flipped, own("b"), own("c")).findings
    assert (finding.stage, finding.where, finding.cause) == ("forward", "conv2d_0", "unknown")
    assert finding.text.startswith("not what contestant 1 and contestant 2 compute of the same")
    right = examined(own("b"), flipped, own("c"))
    assert right.findings == () and right.not_examined == ()


def test_two_that_disagree_are_both_named_and_nobody_is_right(examined):
    flipped = own("flipped", does=DOES.with_layer(0, flip=True))
    for one, other in ((OWN, flipped), (flipped, OWN)):
        (finding,) = examined(one, other).findings
        assert (finding.stage, finding.where, finding.cause) == ("forward", "conv2d_0", "contested")
        assert "no majority tells who is right" in finding.text


def test_two_contestants_of_one_backend_are_no_majority(examined):
    flipped = own("flipped", does=DOES.with_layer(0, flip=True))
    (finding,) = examined(OWN, flipped, flipped).findings
    assert finding.cause == "contested"


def test_a_fault_upstream_blames_nobody_downstream(examined):
    layers = (("Activation", {"activation": "linear"}), *PLAIN)  # known, and then what is not
    faulty = own("faulty", layers=layers, does=DOES.with_layer(0, activation="tanh"))
    (finding,) = examined(faulty, own("b", layers=layers)).findings
    assert (finding.where, finding.cause) == ("activation_0", "activation")
    innocent = examined(own("b", layers=layers), faulty)
    assert innocent.findings == ()
    assert {"loss", "gradients"} >= set(innocent.not_examined) - {"moving statistics"}


def test_gradients_are_put_to_the_vote_too(examined):
    scaled = own("scaled", extra_gradient=1.01)
    (finding,) = examined(scaled, own("b"), own("c")).findings
    assert (finding.stage, finding.cause) == ("gradients", "unknown")
    assert examined(own("b"), scaled, own("c")).findings == ()
    (finding,) = examined(scaled, own("b")).findings
    assert (finding.stage, finding.cause) == ("gradients", "contested")


def test_penalties_belong_to_the_loss_where_a_layer_is_unknown(examined):
    penalty = {"class_name": "L2", "config": {"l2": 0.01}}
    judgement = examined(own("a", penalty=penalty), own("b", penalty=penalty))
    assert judgement.findings == ()
    assert judgement.worst["loss"].difference < 1e-5, "held against the definition, not put to the vote"
    other = {"class_name": "L2", "config": {"l2": 0.02}}
    (finding,) = examined(own("a", penalty=other), own("b", penalty=penalty)).findings
    assert (finding.stage, finding.cause) == ("gradients", "contested")


def test_what_layers_of_ones_own_add_to_the_loss_is_no_difference_if_all_add_it(examined):
    adding = [own(name, added_loss=0.3) for name in "abc"]
    assert examined(*adding).findings == ()
    assert examined(own("d"), *adding).findings == (), "it is what the definition says"
    assert examined(adding[0], own("b"), own("c")).findings[0].stage == "loss"


def test_what_draws_at_random_is_named_and_nothing_else_is(examined):
    layers = (("GaussianNoise", {"stddev": 0.1}), *PLAIN)
    random = Contestant(layers=layers, random=(0,), extra_gradient=1.3)  # nothing that it shows comes twice
    judgement = examined(random, random)
    assert [(one.where, one.cause) for one in judgement.findings] == [("gaussiannoise_0", "random")]
    assert set(judgement.not_examined) == {
        "forward", "loss", "gradients", "moving statistics", "weights", "epoch",
    }  # fmt: skip


def test_without_anybody_to_ask_nothing_is_claimed(examined):
    judgement = examined(OWN)
    assert not judgement.is_explained
    assert set(judgement.not_examined) >= {"loss", "gradients"}
    assert judgement.reference.startswith("nothing: the reference has no layer Conv2D")
