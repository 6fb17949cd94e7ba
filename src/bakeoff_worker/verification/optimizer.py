"""The study's optimizer alone, on gradients of our choice: from next to nothing to large, of both signs.

A model that multiplies one image of `NUM_WEIGHTS` numbers by as many weights, and a loss that is the
product itself, have that image as their gradient, exactly. Trained by `fit`, as any model is.
"""

from typing import Any, Dict

import numpy as np

from bakeoff_worker.verification.batches import NUM_STEPS

NUM_WEIGHTS = 96


def probe(backend: Any) -> Dict[str, Any]:
    """``gradients`` (steps, weights) given, ``weights`` (steps + 1, weights) before and after each step."""
    keras = backend.keras
    dtype = "float64" if backend.settings.precision == "float64" else "float32"
    given = gradients().astype(dtype)
    inputs = keras.layers.Input(shape=(NUM_WEIGHTS,))
    layer = keras.layers.Dense(1, use_bias=False)
    model = keras.models.Model(inputs, layer(inputs))
    layer.set_weights([start().astype(dtype)[:, np.newaxis]])
    model.compile(
        optimizer=backend._optimizer(), loss=lambda true, found: true * found, **backend._compile_options()
    )
    taken = [layer.get_weights()[0][:, 0]]
    for step in range(NUM_STEPS):
        model.fit(given[step : step + 1], np.ones((1, 1), dtype), batch_size=1, epochs=1, verbose=0)
        taken.append(np.array(layer.get_weights()[0][:, 0]))
    return {"gradients": given, "weights": np.array(taken)}


def start() -> Any:
    """(NUM_WEIGHTS,) a third of them zero, which shows small steps best; the others show decay."""
    return np.array([0.0, 0.25, -0.5] * (NUM_WEIGHTS // 3))


def gradients() -> Any:
    """(NUM_STEPS, NUM_WEIGHTS) sizes from 1e-10 to 10, and exact zeros; sign and size change every step.

    Half-way a third of them fall to a thousandth: only then do averages of squares fall, too.
    """
    generator = np.random.RandomState(32452843)
    sizes = np.repeat(10.0 ** np.linspace(-10, 1, NUM_WEIGHTS // 3 - 2), 3)
    sizes = np.concatenate([sizes, np.zeros(NUM_WEIGHTS - len(sizes))])
    changing = generator.uniform(0.2, 1.0, (NUM_STEPS, NUM_WEIGHTS))
    changing[NUM_STEPS // 2 :, ::3] *= 1e-3
    signs = np.where(generator.uniform(size=(NUM_STEPS, NUM_WEIGHTS)) < 0.8, 1.0, -1.0)
    return (sizes * changing * signs).astype("float32").astype("float64")
