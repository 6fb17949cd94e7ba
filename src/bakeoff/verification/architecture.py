"""What contestants say that they are made of, and where they say it differently."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakeoff.verification.evidence import Evidence, LayerInfo, WeightInfo

# What decides what a layer computes, by class. Defaults as both generations of Keras have them.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "activation", "use_bias"),
    "SeparableConv2D": ("filters", "kernel_size", "strides", "padding", "activation", "use_bias"),
    "Dense": ("units", "activation", "use_bias"),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "BatchNormalization": ("momentum", "epsilon", "center", "scale"),
    "Activation": ("activation",),
    "ZeroPadding2D": ("padding",),
    "Dropout": ("rate",),
    "SpatialDropout2D": ("rate",),
    "AlphaDropout": ("rate",),
    "GaussianDropout": ("rate",),
    "GaussianNoise": ("stddev",),
    "Flatten": (),
    "Add": (),
    "GlobalAveragePooling2D": (),
    "GlobalMaxPooling2D": (),
}
# Of other layers everything but what never matters or is spelled otherwise in another Keras.
_NO_MATTER = frozenset(
    (
        *("name", "dtype", "trainable", "data_format", "axis", "batch_input_shape", "batch_shape", "seed"),
        *("sparse", "ragged", "autocast", "module", "registered_name", "function", "output_shape"),
    )
)


@dataclass(frozen=True)
class Difference:
    """One thing that a contestant says otherwise than the others.

    call: of its trace, where it has such a call; layer: its name there, or the others'.
    key: of the layer's configuration; ``layers`` where one has a layer that the other has not, ``inputs``
    where it is fed from elsewhere. own, others: their values, as text.
    """

    call: int | None
    layer: str
    key: str
    own: str
    others: str


def differences(own: Evidence, others: Evidence) -> Iterator[Difference]:
    """Everything that `own` says otherwise, in the order of its calls."""
    kinds, other_kinds = _kinds(own), _kinds(others)
    if kinds != other_kinds:
        matcher = difflib.SequenceMatcher(a=other_kinds, b=kinds, autojunk=False)
        for tag, a0, a1, b0, b1 in matcher.get_opcodes():
            if tag != "equal":
                at = b0 if b0 < len(own.calls) else None
                layer = own.layers[own.calls[b0].layer] if at is not None and b1 > b0 else None
                name = layer.name if layer else others.layers[others.calls[a0].layer].name
                yield Difference(at, name, "layers", _listed(kinds[b0:b1]), _listed(other_kinds[a0:a1]))
        return
    for index, (call, other) in enumerate(zip(own.calls, others.calls, strict=True)):
        layer, twin = own.layers[call.layer], others.layers[other.layer]
        if call.inputs != other.inputs:
            yield Difference(index, layer.name, "inputs", str(call.inputs), str(other.inputs))
        mine, theirs = _meaning(layer), _meaning(twin)
        unlike = [key for key in sorted(mine.keys() & theirs.keys()) if mine[key] != theirs[key]]
        for key in unlike:
            yield Difference(index, layer.name, key, str(mine[key]), str(theirs[key]))
        # Else they follow from what is declared; and what a layer draws by itself is not known at all.
        is_known = not (unlike or call.is_random or other.is_random)
        if is_known and call.draws != other.draws:
            yield Difference(index, layer.name, "draws", _listed(call.draws), _listed(other.draws))


def matching(own: Evidence, others: Evidence) -> dict[int, int]:
    """By call of `own`, the call of `others` that it stands for, where there is one."""
    matcher = difflib.SequenceMatcher(a=_kinds(own), b=_kinds(others), autojunk=False)
    return {
        block.a + step: block.b + step
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    }


def declared_alike(own: LayerInfo, other: LayerInfo) -> bool:
    """Whether two layers say the same of what they compute, as far as both say anything."""
    mine, theirs = _meaning(own), _meaning(other)
    return own.kind == other.kind and all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())


def initializer(weight: WeightInfo) -> str:
    """What a weight is said to be drawn from, in words of either Keras; empty where that isn't said."""
    given = weight.initializer
    if given is None:
        return ""
    config = {
        key: value for key, value in (given.get("config") or {}).items() if key not in ("seed", "dtype")
    }
    kind = str(given.get("class_name", ""))
    if kind == "VarianceScaling":
        form = (config.get("scale"), config.get("mode"), config.get("distribution"))
        kind = _SCALED.get(form, "VarianceScaling")
        if kind != "VarianceScaling":
            return kind
    told = ", ".join(f"{key}={config[key]}" for key in sorted(config) if config[key] is not None)
    return f"{kind}({told})" if told else kind


# As Keras 2 writes the named initializers down.
_SCALED: Mapping[tuple[Any, Any, Any], str] = {
    (1.0, "fan_avg", "uniform"): "GlorotUniform",
    (1.0, "fan_avg", "normal"): "GlorotNormal",
    (2.0, "fan_in", "uniform"): "HeUniform",
    (2.0, "fan_in", "normal"): "HeNormal",
    (1.0, "fan_in", "uniform"): "LecunUniform",
    (1.0, "fan_in", "normal"): "LecunNormal",
}


def _kinds(evidence: Evidence) -> list[str]:
    return [evidence.layers[call.layer].kind for call in evidence.calls]


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(kinds) or "nothing"


def _meaning(layer: LayerInfo) -> dict[str, Any]:
    """What decides what the layer computes, in one spelling."""
    config = layer.config
    if layer.is_keras and layer.kind in _KEYS:
        found = {key: _plain(config[key]) for key in _KEYS[layer.kind] if key in config}
        if "strides" in found and found["strides"] is None:
            found["strides"] = found.get("pool_size")
    else:
        found = {
            key: _plain(value) for key, value in config.items() if key not in _NO_MATTER and _is_plain(value)
        }
    for key in config:
        if key.endswith(("_regularizer", "_constraint")):
            found[key] = _penalty(config[key])
    for inner in layer.inner:
        for key, value in _meaning(inner).items():
            if key not in found or found[key] != value:  # a recurrent layer says what its cell says
                found[f"{inner.name}/{key}"] = value
    if layer.inner and not layer.is_keras:  # what Keras's own are made of is another matter in another Keras
        found["layers"] = ", ".join(f"{inner.name}: {inner.kind}" for inner in layer.inner)
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, int | float | str | bool)


def _penalty(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    config = given.get("config") or {}
    factors = {key: _plain(float(value)) for key, value in config.items() if value and key in ("l1", "l2")}
    return factors or (None if given.get("class_name") in ("L1L2", "L1", "L2") else given.get("class_name"))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    # Keras 2 keeps factors in single precision.
    return float(f"{value:.6g}") if isinstance(value, float) else value
