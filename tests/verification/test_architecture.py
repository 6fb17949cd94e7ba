"""What contestants say of themselves, in the spellings of both generations of Keras."""

from __future__ import annotations

import pytest
from invented import CONV, DENSE, NORMALIZED, PLAIN, POOL, Contestant

from bakeoff.verification import architecture
from bakeoff.verification.evidence import LayerInfo, WeightInfo


def layer(**config):
    return LayerInfo("conv", "Conv2D", True, config)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (
            {"class_name": "GlorotUniform", "config": {"seed": None}, "module": "keras.initializers"},
            "GlorotUniform",
        ),
        (
            {
                "class_name": "VarianceScaling",
                "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": 3},
            },
            "GlorotUniform",
        ),
        (
            {
                "class_name": "VarianceScaling",
                "config": {"scale": 2.0, "mode": "fan_in", "distribution": "normal", "seed": None},
            },
            "HeNormal",
        ),
        ({"class_name": "HeNormal", "config": {"seed": None, "input_axes": None}}, "HeNormal"),
        (
            {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.05, "seed": 1}},
            "RandomNormal(mean=0.0, stddev=0.05)",
        ),
        (None, ""),
    ],
)
def test_initializers_have_one_name(given, name):
    assert architecture.initializer(WeightInfo(0, "kernel", True, False, given)) == name


def test_the_same_in_another_spelling_is_no_difference(shown):
    keras2 = (
        ("Conv2D", {**CONV, "data_format": "channels_last", "dtype": "float32", "kernel_regularizer": None}),
        ("MaxPooling2D", {**POOL, "data_format": "channels_last"}),
        ("Flatten", {"data_format": "channels_last"}),
        ("Dense", {**DENSE, "batch_input_shape": [None, 64]}),
    )
    keras3 = (
        ("Conv2D", {**CONV, "kernel_size": (3, 3), "groups": 1, "dtype": {"class_name": "DTypePolicy"}}),
        ("MaxPooling2D", {**POOL, "strides": None}),
        *PLAIN[2:],
    )
    one, other = (shown(Contestant(PLAIN, says=says)) for says in (keras2, keras3))
    assert list(architecture.differences(one, other)) == []


def test_penalties_are_compared_by_their_factors(shown):
    def with_penalty(given):
        layers = (("Conv2D", {**CONV, "kernel_regularizer": given}), *PLAIN[1:])
        return shown(Contestant(PLAIN, says=layers))

    keras2 = with_penalty({"class_name": "L1L2", "config": {"l1": 0.0, "l2": 9.999999747378752e-05}})
    keras3 = with_penalty({"class_name": "L2", "config": {"l2": 0.0001}})
    more = with_penalty({"class_name": "L2", "config": {"l2": 0.001}})
    assert list(architecture.differences(keras2, keras3)) == []
    (found,) = architecture.differences(more, keras3)
    assert (found.key, found.own, found.others) == ("kernel_regularizer", "{'l2': 0.001}", "{'l2': 0.0001}")


def test_calls_are_matched_around_a_layer_that_the_others_have_not(shown):
    longer = (*PLAIN[:2], ("Permute", {"dims": [3, 1, 2]}), *PLAIN[2:])
    own, others = shown(Contestant(longer)), shown(Contestant(PLAIN))
    assert architecture.matching(own, others) == {0: 0, 1: 1, 3: 2, 4: 3}
    (found,) = architecture.differences(own, others)
    assert (found.layer, found.own, found.others) == ("permute_2", "Permute", "nothing")


def test_another_network_altogether(shown):
    found = list(architecture.differences(shown(Contestant(NORMALIZED)), shown(Contestant(PLAIN))))
    assert found and all(one.key == "layers" for one in found)


def test_layers_within_a_layer_are_compared_by_their_paths():
    def block(padding, kind="Conv2D", is_keras=False, penalty=None):
        inner = LayerInfo("first", kind, True, {**CONV, "padding": padding, "kernel_regularizer": penalty})
        return LayerInfo("block", "Block", is_keras, {}, (inner,))

    assert architecture.declared_alike(block("same"), block("same"))
    assert not architecture.declared_alike(block("same"), block("valid"))
    assert not architecture.declared_alike(block("same"), block("same", "SeparableConv2D"))
    penalized = block("same", penalty={"class_name": "L2", "config": {"l2": 0.001}})
    assert not architecture.declared_alike(block("same"), penalized)
    # What Keras's own layers are made of is another matter in another Keras.
    assert architecture.declared_alike(block("same", is_keras=True), block("same", "Other", is_keras=True))


def test_a_recurrent_layer_and_its_cell_say_one_thing():
    def recurrent(reset_after):
        config = {"units": 4, "reset_after": reset_after}
        return LayerInfo("gru", "GRU", True, config, (LayerInfo("cell", "GRUCell", True, config),))

    assert list(architecture._meaning(recurrent(True))) == ["units", "reset_after"]
    assert not architecture.declared_alike(recurrent(True), recurrent(False))


def test_what_layers_draw_from_is_compared_though_it_is_switched_off(shown):
    own, other, same = (
        shown(Contestant(backend=name, draws=draws))
        for name, draws in (
            ("a", ("uniform(minval=-0.1)",)),
            ("b", ("uniform(minval=-0.3)",)),
            ("c", ("uniform(minval=-0.1)",)),
        )
    )
    found = next(architecture.differences(own, other))
    assert (found.key, found.own, found.others) == ("draws", "uniform(minval=-0.1)", "uniform(minval=-0.3)")
    assert not list(architecture.differences(own, same))
    says = (("Conv2D", {**CONV, "padding": "same"}), *PLAIN[1:])
    declared = shown(Contestant(backend="d", draws=("uniform(minval=-0.3)",), says=says))
    assert [one.key for one in architecture.differences(own, declared)] == ["padding"]
    by_itself = shown(Contestant(backend="e", random=(0,)))  # it draws, but not through Keras
    assert not list(architecture.differences(own, by_itself))


def test_ranges_in_a_configuration_are_compared():
    def rotation(factor):
        return LayerInfo("turned", "RandomRotation", True, {"factor": factor, "seed": None})

    assert architecture.declared_alike(rotation([-0.1, 0.1]), rotation([-0.1, 0.1]))
    assert not architecture.declared_alike(rotation([-0.1, 0.1]), rotation([-0.3, 0.3]))
