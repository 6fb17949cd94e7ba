"""Initial weights, drawn once in NumPy, so that every backend starts from the same point.

Each weight keeps the distribution that its layer declares (``kernel_initializer`` and so on); only the
generator is ours. Formulas: Keras's initializers (Glorot & Bengio 2010, He et al. 2015, Saxe et al. 2014).
"""

import hashlib
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

# Initializers that draw nothing: every framework gives the same values.
CONSTANT = ("Zeros", "Ones", "Constant", "Identity")


def draw(
    initializer: str, config: Mapping[str, Any], shape: Sequence[int], seed: int, index: int
) -> Optional[Any]:
    """Array of `shape` in float64 from the named random initializer; None for one that we don't know.

    initializer, config: the class name and ``get_config()`` of a Keras 2 or 3 initializer.
    index: the weight's place in the model; gives it a stream of its own.
    """
    generator = np.random.RandomState((seed * 7919 + index) % (2**32))
    if initializer == "RandomUniform":
        return generator.uniform(config["minval"], config["maxval"], shape)
    if initializer == "RandomNormal":
        return generator.normal(config["mean"], config["stddev"], shape)
    if initializer == "TruncatedNormal":
        return config["mean"] + config["stddev"] * _truncated_normal(generator, shape)
    if initializer in ("Orthogonal", "OrthogonalInitializer"):
        return float(config["gain"]) * _orthogonal(generator, shape)
    scaling = _variance_scaling(initializer, config)
    if scaling is None:
        return None
    scale, mode, distribution = scaling
    fan_in, fan_out = fans(shape)
    scale /= max(1.0, {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[mode])
    if distribution == "uniform":
        limit = math.sqrt(3.0 * scale)
        return generator.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return math.sqrt(scale) * generator.normal(size=shape)
    # 0.8796...: standard deviation of a standard normal cut off at two deviations.
    return math.sqrt(scale) / 0.87962566103423978 * _truncated_normal(generator, shape)


def initial(shapes: Mapping[str, Sequence[int]], seed: int) -> Dict[str, Any]:
    """Weights by name as Keras's dense and convolutional layers start by default, float32, in their order.

    Kernels from GlorotUniform, biases zero: what contestants behind Keras start from for that seed.
    """
    found = {}
    for index, (name, shape) in enumerate(shapes.items()):
        drawn = draw("GlorotUniform", {}, shape, seed, index) if len(shape) > 1 else None
        found[name] = np.asarray(np.zeros(shape) if drawn is None else drawn, "float32")
    return found


def fans(shape: Sequence[int]) -> Tuple[float, float]:
    """Inputs and outputs that a kernel of this shape connects, receptive field included."""
    if len(shape) < 2:
        return float(shape[0] if shape else 1), float(shape[0] if shape else 1)
    field = float(np.prod(shape[:-2])) if len(shape) > 2 else 1.0
    return shape[-2] * field, shape[-1] * field


def sha256(arrays: List[Any]) -> str:
    """Digest of all weights in order, as float32 bytes: equal digests mean an equal start."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "float32").tobytes())
    return digest.hexdigest()


def _variance_scaling(initializer: str, config: Mapping[str, Any]) -> Optional[Tuple[float, str, str]]:
    if initializer == "VarianceScaling":
        return float(config["scale"]), config["mode"], config["distribution"]
    return {
        "GlorotUniform": (1.0, "fan_avg", "uniform"),
        "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
        "HeUniform": (2.0, "fan_in", "uniform"),
        "HeNormal": (2.0, "fan_in", "truncated_normal"),
        "LecunUniform": (1.0, "fan_in", "uniform"),
        "LecunNormal": (1.0, "fan_in", "truncated_normal"),
    }.get(initializer)


def _truncated_normal(generator: Any, shape: Sequence[int]) -> Any:
    """Standard normal values redrawn until they lie within two deviations."""
    values = generator.normal(size=shape)
    while True:
        outside = np.abs(values) > 2
        if not outside.any():
            return values
        values[outside] = generator.normal(size=int(outside.sum()))


def _orthogonal(generator: Any, shape: Sequence[int]) -> Any:
    """A matrix of orthogonal columns (or rows, where these are fewer), uniform among all such.

    Gram and Schmidt's procedure, each column cleared of the others twice. Sums are added up in an order of
    our own: those of a library differ between versions and machines in their last bits.
    """
    num_rows, num_columns = int(np.prod(shape[:-1])), int(shape[-1])
    columns = generator.normal(size=(min(num_rows, num_columns), max(num_rows, num_columns)))
    for place, column in enumerate(columns):
        for _ in range(2):
            shares = _sum(columns[:place] * column)
            column -= _sum((columns[:place] * shares[:, np.newaxis]).T)
        column /= np.sqrt(_sum(column * column))
    return (columns if num_rows < num_columns else columns.T).reshape(shape)


def _sum(values: Any) -> Any:
    """Sums over the last axis, in pairs of halves: the same bits in every version of NumPy."""
    while values.shape[-1] > 1:
        half = values.shape[-1] // 2
        rest = values[..., 2 * half :]
        values = np.concatenate([values[..., :half] + values[..., half : 2 * half], rest], axis=-1)
    return values[..., 0] if values.shape[-1] else np.zeros(values.shape[:-1])
