"""Gradients as `fit` computes them, whatever the framework."""

from typing import Any, List

from bakeoff_worker.backends.keras_model import Keras2
from bakeoff_worker.verification.weights import Weights

# One step of plain gradient descent changes a weight by this many gradients. A power of two multiplies
# exactly, and one so large leaves of the weight itself only rounding, so that the change holds the
# gradient to a float's full precision. Each framework's own call for gradients would be another path
# than the one that is trained by, and would say nothing of it.
RATE = 2.0**20


class Gradients:
    """Compiles the model anew, for plain gradient descent with the study's loss."""

    def __init__(self, backend: Any, weights: Weights) -> None:
        self._backend, self._weights = backend, weights
        kind = backend.keras.optimizers.SGD
        option = "lr" if isinstance(backend, Keras2) else "learning_rate"
        backend.model.compile(
            optimizer=kind(**{option: RATE}), loss=backend._loss(), **backend._compile_options()
        )

    def at(self, point: List[Any], x: Any, y: Any) -> List[Any]:
        """Of the loss on these images, with those weights; None for weights that are not trained."""
        self._weights.write(point)
        options = self._backend.fit_options()
        self._backend.model.fit(x, y, batch_size=len(x), epochs=1, shuffle=False, verbose=0, **options)
        moved = self._weights.read()
        return [
            ((before.astype("float64") - after) / RATE).astype(before.dtype) if trainable else None
            for before, after, trainable in zip(point, moved, self._weights.trainable)
        ]
