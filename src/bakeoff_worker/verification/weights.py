"""All weights of a model, in the form that means the same in every framework."""

from typing import Any, List

import numpy as np

from bakeoff_worker.backends.keras_model import Keras2, base_name, leaves


class Weights:
    """Reads and writes a built model's weights, moving statistics included, always in the same order.

    layers: the model's innermost layers. places: (index of the layer or -1 for the model itself, name) of
    each weight. own_draws: for each weight, whether its initial value is the framework's own.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.layers = leaves(backend.model)
        self.places: List[Any] = []
        self._owners: List[Any] = []
        self._variables: List[Any] = []
        for index, layer in enumerate(self.layers):
            for variable in layer.weights:
                if not self._has(variable):
                    self._add(index, layer, variable)
        for variable in backend.model.weights:
            if not self._has(variable):
                self._add(-1, None, variable)
        trainable = {id(variable) for variable in backend.model.trainable_weights}
        self.trainable = [id(variable) in trainable for variable in self._variables]
        drawn = set(backend.own_draws)
        self.own_draws = [
            name in drawn if layer is None else "{}/{}".format(layer.name, name) in drawn
            for (_, name), layer in zip(self.places, self._owners)
        ]

    def read(self) -> List[Any]:
        """Copies of all weights."""
        if isinstance(self._backend, Keras2):
            arrays = self._backend.keras.backend.batch_get_value(self._variables)
        else:
            arrays = [self._backend.keras.ops.convert_to_numpy(variable) for variable in self._variables]
        return [np.array(self._turned(place, array)) for place, array in enumerate(arrays)]

    def write(self, arrays: List[Any]) -> None:
        """Load all weights."""
        turned = [self._turned(place, array) for place, array in enumerate(arrays)]
        if isinstance(self._backend, Keras2):
            self._backend.keras.backend.batch_set_value(list(zip(self._variables, turned)))
        else:
            for variable, array in zip(self._variables, turned):
                variable.assign(array)

    def _turned(self, place: int, array: Any) -> Any:
        """From a framework's own form to the common one and back: turning twice changes nothing."""
        layer = self._owners[place]
        return array if layer is None else self._backend._own_form(layer, self.places[place][1], array)

    def _has(self, variable: Any) -> bool:
        return any(variable is known for known in self._variables)

    def _add(self, index: int, layer: Any, variable: Any) -> None:
        self.places.append((index, base_name(variable)))
        self._owners.append(layer)
        self._variables.append(variable)
