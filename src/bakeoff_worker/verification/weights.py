"""All weights of a model, in the form that means the same in every framework."""

from typing import Any, List

import numpy as np

from bakeoff_worker.backends.keras_weights import leaves


class Weights:
    """Reads and writes a built model's weights, moving statistics included, always in the same order.

    layers: the model's innermost layers. all: each weight, as `bakeoff_worker.backends.keras_weights` has it.
    own_draws: for each weight, whether its initial value is the framework's own.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.layers = leaves(backend.model)
        self.all = backend.weights
        self._variables = [weight.variable for weight in self.all]
        trainable = {id(variable) for variable in backend.model.trainable_weights}
        self.trainable = [id(variable) in trainable for variable in self._variables]
        drawn = set(backend.own_draws)
        self.own_draws = [backend.name_of(weight) in drawn for weight in self.all]

    def read(self) -> List[Any]:
        """Copies of all weights."""
        return [np.array(array) for array in self._turned(self._backend.read(self._variables))]

    def write(self, arrays: List[Any]) -> None:
        """Load all weights."""
        self._backend.write(self._variables, self._turned(arrays))

    def _turned(self, arrays: List[Any]) -> List[Any]:
        """From a framework's own form to the common one and back: it is its own inverse."""
        return [
            self._backend._own_form(weight.owner, weight.name.split("/")[-1], array)
            for weight, array in zip(self.all, arrays)
        ]
