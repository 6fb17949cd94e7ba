"""What a profiled contestant shows of itself: on small networks, in the real frameworks."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakeoff_worker.backends.jax.profiler import _MOVES, _places
from bakeoff_worker.backends.places import places
from bakeoff_worker.backends.theano.profiler import Profiler
from bakeoff_worker.records import (
    Ceilings,
    FirstCall,
    LayerDescribed,
    NotShown,
    ProfiledEpoch,
    ProfiledSpan,
    ProfiledSteps,
    VariantTimed,
)

IMPORTERS = sorted(Path(__file__).parents[2].glob("src/bakeoff_worker/backends/*/profiler.py"))
NETWORK = '''
from keras import layers, models

def build(input_shape, num_classes):
    """A chain whose pooling has an equivalent, on an image that it does not divide."""
    inputs = x = layers.Input(shape=input_shape)
    x = layers.Conv2D(2, (2, 2), activation="relu", name="convolve")(x)
    x = layers.MaxPooling2D((2, 2), name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax", name="classes")(x))
'''


def test_a_budget_shows_each_batch_shape_and_each_epoch(run: Any) -> None:
    found = run("fake", profile="budget", epochs=2, global_batch_size=300, evaluation_images=250)
    assert found.ended.status == "ok"
    calls = [(first.call, first.num_images) for first in found.of(FirstCall)]
    assert calls == [("training", 300), ("training", 100), ("evaluation", 250)]
    epochs = [
        (one.epoch, one.num_images, one.num_steps, one.num_evaluated) for one in found.of(ProfiledEpoch)
    ]
    assert epochs == [(1, 1000, 4, 250), (2, 1000, 4, 250)]
    assert found.epochs == [] and {"interpreter", "import", "data", "build", "facts"} <= found.phases.keys()


def test_what_has_no_network_has_no_layers(run: Any) -> None:
    found = run("fake", profile="layers")
    assert found.ended.status == "ok"
    assert [absent.what for absent in found.of(NotShown)] == ["layers"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    [
        "torch",
        "tensorflow",
        pytest.param("jax", marks=pytest.mark.exhaustive),
        pytest.param("tensorflow1", marks=pytest.mark.exhaustive),
        pytest.param("theano", marks=pytest.mark.exhaustive),
    ],
)
def test_layers_by_substitution_and_by_the_frameworks_profiler(
    run: Any, tmp_path: Path, backend: str
) -> None:
    model = tmp_path / "network.py"
    model.write_text(NETWORK)
    found = run(
        backend, profile="layers", model=str(model), model_file=model, global_batch_size=10, train_images=20
    )
    assert found.ended.status == "ok", found.ended
    names = [layer.name for layer in found.of(LayerDescribed)]
    assert names == ["convolve", "pool", "flat", "classes"]
    turns: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for timed in found.of(VariantTimed):
        turns[timed.turn].append((timed.depth, timed.twin, timed.num_images))
        assert timed.step_s > 0 and timed.forward_s > 0
    variants = [(0, "", 10), (1, "", 10), (2, "", 10), (3, "", 5), (3, "", 10), (3, "pool", 10)]
    assert len(turns) >= 6 and all(sorted(turn) == variants for turn in turns.values())
    assert turns[0] == turns[1][::-1], "every second round goes the other way round"
    (steps,) = found.of(ProfiledSteps)
    seen = {(span.layer, span.direction) for span in (ProfiledSpan(*one) for one in steps.spans)}
    assert {("convolve", "forward"), ("convolve", "backward"), ("pool", "backward")} <= seen
    assert seen - {("", "")} <= {(name, way) for name in names for way in ("forward", "backward")}
    (ceilings,) = found.of(Ceilings)
    assert ceilings.product_flops > 1e8 and ceilings.convolution_flops > 1e7


def test_operations_without_metadata_belong_to_their_users_or_to_what_they_take() -> None:
    program = """
HloModule jit_train_step
%fused_computation (p: f32[4]) -> f32[4] {
  ROOT %inner = f32[4] add(%p, %p), metadata={op_name="jit(train_step)/jvp(other)/add"}
}
ENTRY %main (data: f32[4]) -> f32[4] {
  %data = f32[4]{0} parameter(0)
  %conv = f32[4]{0} fusion(%data), kind=kCustom, metadata={op_name="jit(train_step)/jvp(conv2d)/conv"}
  %iota = s32[4]{0} fusion(), kind=kLoop, calls=%fused_computation
  %window = (f32[4]{0}, s32[4]{0}) fusion(%conv, %iota), kind=kLoop, calls=%fused_computation
  %part = s32[4]{0} get-tuple-element(%window), index=1
  %scatter = f32[4]{0} fusion(%part), metadata={op_name="jit(train_step)/transpose(jvp(pool))/scatter"}
  %turned = f32[4]{0} transpose(%select)
  %select = f32[4]{0} fusion(%scatter), metadata={op_name="jit(train_step)/transpose(jvp(conv2d))/select"}
  %kernel = f32[4]{0} fusion(%turned), kind=kCustom, calls=%fused_computation
  %first = f32[4]{0} fusion(%conv), kind=kLoop, metadata={op_name="jit(train_step)/jvp(pool)/max"}
  %gradient = f32[4]{0} fusion(%data), metadata={op_name="jit(train_step)/transpose(jvp(next))/select"}
  %next = f32[4]{0} fusion(%first, %gradient), kind=kCustom, calls=%fused_computation
  %other = f32[4]{0} fusion(%next), kind=kLoop, metadata={op_name="jit(train_step)/adam/add"}
  ROOT %update = f32[4]{0} fusion(%kernel), metadata={op_name="jit(train_step)/adam/sub"}
}
"""
    places = _places(program, ["conv2d", "pool", "next"])
    assert places["conv"] == ("conv2d", "forward")
    assert places["iota"] == places["window"] == places["scatter"] == ("pool", "backward")
    assert places["kernel"] == places["turned"] == ("conv2d", "backward")
    assert places["next"] == ("next", "backward"), "of the layer whose gradient it takes, not of its input's"
    assert places["update"] is None and "inner" not in places


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        *(("copy.12", True), ("transpose_copy_fusion.3", True), ("wrapped_transpose", True)),
        *(("copy_bitcast_fusion", True), ("transpose_add_fusion", False), ("convolution.4", False)),
    ],
)
def test_a_fusion_of_xla_moves_values_if_it_does_nothing_else(name: str, moves: bool) -> None:
    assert bool(_MOVES.fullmatch(name)) is moves


class Variable:
    """As Theano's: the operation that gives it, or its name."""

    def __init__(self, owner: Apply | None = None, name: str | None = None) -> None:
        self.owner, self.name = owner, name


class Apply:
    """An operation of this kind in a graph of Theano's."""

    def __init__(self, kind: str, inputs: tuple[Variable, ...]) -> None:
        self.op = type(kind, (), {})()
        self.inputs, self.outputs = inputs, (Variable(self),)


def apply(kind: str, *inputs: Variable) -> Variable:
    """What an operation of this kind gives."""
    return Apply(kind, inputs).outputs[0]


def test_theanos_operations_belong_to_the_layer_whose_weights_or_input_they_take() -> None:
    """A convolution, a pooling and a dense layer, forward and backward, as Theano's optimizer leaves them."""
    image, kernel, bias, dense = (Variable(name=name) for name in (None, "c/kernel", "c/bias", "d/kernel"))
    turned = apply("Subtensor", apply("DimShuffle", kernel))
    convolved = apply("CorrMM", image, turned)
    active = apply("Elemwise", convolved, apply("DimShuffle", bias))
    pooled = apply("Pool", active)
    flat = apply("Reshape", pooled)
    classes = apply("Dot22", flat, dense)
    loss = apply("Elemwise", classes)
    error = apply("Elemwise", classes)
    of_dense = apply("Dot22", apply("DimShuffle", flat), error)
    of_pooled = apply("Dot22", error, apply("DimShuffle", dense))
    of_active = apply("MaxPoolGrad", active, pooled, of_pooled)
    of_convolved = apply("Elemwise", of_active, active)
    of_kernel = apply("CorrMM_gradWeights", image, of_convolved)
    updates = [apply("Elemwise", kernel, of_kernel), apply("Elemwise", dense, of_dense)]
    forward = {convolved: "c", active: "c", pooled: "p", classes: "d"}
    backward = {of_dense: "d", of_pooled: "d", of_active: "p", of_convolved: "c", of_kernel: "c"}
    made = (*forward, loss, error, *backward, *updates)
    nodes = [one.owner for one in made if one.owner]
    layers = [
        SimpleNamespace(name="c", weights=[kernel, bias]),
        SimpleNamespace(name="p", weights=[], pool_size=(2, 2)),
        SimpleNamespace(name="d", weights=[dense]),
    ]
    backend = SimpleNamespace(model=SimpleNamespace(layers=layers))
    graph = SimpleNamespace(outputs=[loss, *updates])
    own = dict(Profiler(backend, ["c", "p", "d"])._own(graph, nodes))
    takes = {node: [one.owner for one in node.inputs if one.owner] for node in nodes}
    found = places(own, takes)
    for expected, way in ((forward, "forward"), (backward, "backward")):
        assert {one: found[one.owner] for one in expected} == {
            one: (layer, way) for one, layer in expected.items()
        }
    assert [found[one.owner] for one in updates] == [None, None]


@pytest.mark.parametrize("path", IMPORTERS, ids=lambda path: path.parent.name)
def test_an_importer_is_short_and_has_the_common_form(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 150
    (profiler,) = (one for one in ast.parse(text).body if isinstance(one, ast.ClassDef))
    methods = {one.name for one in profiler.body if isinstance(one, ast.FunctionDef)}
    assert {"__init__", "__enter__", "__exit__", "start", "stop"} <= methods
    assert "NAME = " in text and "NUM_STEPS = " in text
