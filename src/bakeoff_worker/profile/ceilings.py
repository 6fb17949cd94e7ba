"""What this machine attains at its best, in the contestant's own library and with its own threads."""

from typing import Any, List

import numpy as np

from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.records import Ceilings

_NUM_TRIES = 5
# Large enough that a call's own cost is lost in it, small enough for a second or two each.
_MATRIX, _CHANNELS, _IMAGE, _BATCH = 1024, 64, 34, 32


def measure(backend: Any) -> Ceilings:
    """The best of some tries: a matrix product, a 3 x 3 convolution, and a copy by NumPy in one thread."""
    keras, dtype = backend.keras, "float64" if backend.settings.precision == "float64" else "float32"
    random = np.random.RandomState(0)
    square = random.random_sample((_MATRIX, _MATRIX)).astype(dtype)
    product = _model(keras, (_MATRIX,), keras.layers.Dense(_MATRIX, use_bias=False))
    is_first = backend.settings.data_layout == "channels_first"
    shape = (_CHANNELS, _IMAGE, _IMAGE) if is_first else (_IMAGE, _IMAGE, _CHANNELS)
    images = random.random_sample((_BATCH,) + shape).astype(dtype)
    convolution = _model(keras, shape, keras.layers.Conv2D(_CHANNELS, (3, 3), use_bias=False))
    copied = np.ones(2**25, "uint8"), np.empty(2**25, "uint8")
    positions = _BATCH * (_IMAGE - 2) ** 2
    return Ceilings(
        product_flops=2.0 * _MATRIX**3 / _best_s(product.predict_on_batch, square),
        convolution_flops=2.0 * positions * 9 * _CHANNELS**2 / _best_s(convolution.predict_on_batch, images),
        copy_bytes_per_s=2.0 * len(copied[0]) / _best_s(np.copyto, copied[1], copied[0]),
        value_bytes=int(np.dtype(dtype).itemsize),
    )


def _model(keras: Any, shape: Any, layer: Any) -> Any:
    inputs = keras.layers.Input(shape=shape)
    return keras.models.Model(inputs, layer(inputs))


def _best_s(call: Any, *arguments: Any) -> float:
    """Wall seconds of the fastest of some calls; the first, with what is compiled for it, doesn't count."""
    np.asarray(call(*arguments))
    taken: List[float] = []
    for _ in range(_NUM_TRIES):
        watch = Stopwatch()
        np.asarray(call(*arguments))  # waits for a result that is not there yet
        taken.append(watch.stop().wall_s)
    return min(taken)
