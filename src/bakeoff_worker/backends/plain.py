"""What yardsticks without Keras have in common: the study's network, written in each framework by hand.

Each trains the same network from the same weights on the same batches with the same formulas as the
contestants behind Keras, so that what is left of the difference is what Keras costs.
"""

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from bakeoff_worker import weights
from bakeoff_worker.backends.base import Inspectable
from bakeoff_worker.job import RunPaths, TrialSettings
from bakeoff_worker.models.catalogue import MODELS, OPTIMIZERS

# Settings that a yardstick follows, or that are none of its concern; any other must be as usual.
_FOLLOWED = {
    *("backend", "environment", "model", "model_options", "dataset", "content"),
    *("train_images", "evaluation_images", "evaluation_split", "validation_fraction"),
    *("image_size", "preprocessing", "data_scale", "epochs", "global_batch_size"),
    *("optimizer", "optimizer_options", "learning_rate", "threads", "pin_cpus", "keep_memory", "jit"),
    *("time_limit_s", "entry", "handicap", "order", "turn_steps", "early_stopping", "variables"),
}
Slots = Tuple[Any, ...]


class PlainBackend(Inspectable):
    """A framework without Keras, training the study's network. Subclasses hold it in the framework's form.

    shapes: of each weight by its name, in Keras's order. drops_out: whether dropout is on.
    """

    drops_out = True

    def __init__(self, settings: TrialSettings, paths: RunPaths) -> None:
        super().__init__(settings, paths)
        self.options = options(settings)

    def skip_reason(self) -> Optional[str]:
        """It knows one network and one loss, and the optimizers whose formulas stand in `rule`."""
        settings = self.settings
        if settings.model != "study_cnn":
            return "{} knows one network only, study_cnn".format(settings.backend)
        if self.options["activation"] != "relu":
            return "{} knows one activation only, relu".format(settings.backend)
        if settings.optimizer not in ("adam", "sgd") or settings.optimizer_options.get("amsgrad"):
            return "{} knows two optimizers only, adam (without amsgrad) and sgd".format(settings.backend)
        for field in dataclasses.fields(TrialSettings):
            value, usual = getattr(settings, field.name), field.default
            if field.default_factory is not dataclasses.MISSING:
                usual = field.default_factory()
            if field.name not in _FOLLOWED and value != usual:
                return "{} does not follow {}, which is {}".format(settings.backend, field.name, value)
        return None

    def silence(self) -> None:
        """Without dropout."""
        self.drops_out = False

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """The network's weights, drawn as every contestant's; then what the framework compiles."""
        self.seed = seed
        self.shapes = study_cnn(self.options, input_shape, num_classes)
        initial = weights.initial(self.shapes, seed)
        self.initial_weights_sha256 = weights.sha256(list(initial.values()))
        self.prepare()
        self.restart(initial)

    def prepare(self) -> None:
        """Define, and have the framework compile, what training and evaluation call."""
        raise NotImplementedError

    def resolved(self) -> Mapping[str, Any]:
        """The optimizer with its options."""
        settings = self.settings
        rate = {"name": settings.optimizer, "learning_rate": settings.learning_rate}
        return {"optimizer": dict(rate, **settings.optimizer_options)}

    def observed(self) -> Mapping[str, Any]:
        """What every contestant says of itself."""
        return {
            "num_parameters": int(sum(np.prod(shape) for shape in self.shapes.values())),
            "initial_weights_sha256": self.initial_weights_sha256,
            "data_layout": self.settings.data_layout,
            "precision": self.settings.precision,
            "device": self.settings.device,
            "deterministic": False,
            "compile_cache": None,
        }

    def batches(self, x: Any, y: Any) -> List[Tuple[Any, Any]]:
        """Images and labels in the training's batches, in order."""
        size = self.settings.global_batch_size
        return [(x[first : first + size], y[first : first + size]) for first in range(0, len(x), size)]


def options(settings: TrialSettings) -> Dict[str, Any]:
    """All that the study's network can be told, as the settings have it."""
    return dict(MODELS["study_cnn"], **settings.model_options)


def study_cnn(
    options: Mapping[str, Any], input_shape: Sequence[int], num_classes: int
) -> Dict[str, Tuple[int, ...]]:
    """Shapes of the weights of ``models/study_cnn.py``: kernels (height, width, in, out) or (in, out)."""
    height, width, channels = input_shape
    pool = options["pool_size"]
    shapes: Dict[str, Tuple[int, ...]] = {}
    for number, (filters, size) in enumerate(zip(options["filters"], options["kernel_sizes"])):
        shapes["conv_{}/kernel".format(number)] = (size, size, channels, filters)
        shapes["conv_{}/bias".format(number)] = (filters,)
        height, width, channels = (height - size + 1) // pool, (width - size + 1) // pool, filters
    num_inputs = height * width * channels
    for number, units in enumerate([*options["dense"], num_classes]):
        shapes["dense_{}/kernel".format(number)] = (num_inputs, units)
        shapes["dense_{}/bias".format(number)] = (units,)
        num_inputs = units
    return shapes


def rule(
    settings: TrialSettings, sqrt: Callable[[Any], Any]
) -> Tuple[int, Callable[[Any, Any, Slots, Any], Tuple[Any, Slots]]]:
    """Keras's formula of an optimizer: how many slots a weight has, all zero at first, and one step.

    The step takes weight, gradient, slots and the step's number from 1 on, and gives weight and slots. It is
    written in operators that arrays of every framework have; sqrt: the framework's.
    """
    rate = settings.learning_rate
    options = dict(OPTIMIZERS[settings.optimizer], **settings.optimizer_options)
    if settings.optimizer == "sgd":
        momentum, nesterov = options["momentum"], options["nesterov"]

        def sgd(weight: Any, gradient: Any, slots: Slots, number: Any) -> Tuple[Any, Slots]:
            if not momentum:
                return weight - rate * gradient, ()
            velocity = momentum * slots[0] - rate * gradient
            change = momentum * velocity - rate * gradient if nesterov else velocity
            return weight + change, (velocity,)

        return (1 if momentum else 0), sgd
    beta_1, beta_2, epsilon = options["beta_1"], options["beta_2"], options["epsilon"]

    def adam(weight: Any, gradient: Any, slots: Slots, number: Any) -> Tuple[Any, Slots]:
        mean = beta_1 * slots[0] + (1 - beta_1) * gradient
        square = beta_2 * slots[1] + (1 - beta_2) * gradient * gradient
        corrected = rate * (1 - beta_2**number) ** 0.5 / (1 - beta_1**number)
        return weight - corrected * mean / (sqrt(square) + epsilon), (mean, square)

    return 2, adam
