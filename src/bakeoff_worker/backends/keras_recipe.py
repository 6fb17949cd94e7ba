"""A recipe as Keras takes it: schedules, the user's own optimizer and loss, and what these are."""

import inspect
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from bakeoff_worker import models
from bakeoff_worker.models import ModelError
from bakeoff_worker.models.catalogue import LOSSES, OPTIMIZERS

# What an optimizer may be told beside its own options: by Keras 3's names.
_SHARED = ("weight_decay", "clipvalue", "clipnorm", "global_clipnorm")


def schedule_of_keras3(keras: Any, rates: Any) -> Any:
    """A schedule of Keras's own form, computed with the step as its schedules are: it looks the rate up."""

    class Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """The rate at each step; after the last one, the last."""

        def __init__(self) -> None:
            self.rates = keras.ops.convert_to_tensor(rates)

        def __call__(self, step: Any) -> Any:
            place = keras.ops.minimum(keras.ops.cast(step, "int32"), len(rates) - 1)
            return keras.ops.take(self.rates, place)

        def get_config(self) -> Dict[str, Any]:
            return {}

    return Table()


def scheduled_in_keras2(kind: Any, keras: Any, rates: Any) -> Any:
    """The optimizer's class, but that a step looks its rate up: Keras 2 has no schedules of its own."""
    backend = keras.backend

    class Scheduled(kind):  # type: ignore[misc]
        """The same in everything else."""

        def get_updates(self, loss: Any, params: Any) -> Any:
            place = backend.minimum(self.iterations, len(rates) - 1)
            rate = backend.gather(backend.variable(rates), backend.cast(place, "int32"))
            own: Any = vars(self)["learning_rate"]
            self.learning_rate = rate
            try:
                # Read before the step counter is raised: on TensorFlow 1 either may come first otherwise.
                with backend.control_dependencies([rate]):
                    return super().get_updates(loss, params)
            finally:
                self.learning_rate = own

    Scheduled.__name__ = kind.__name__
    return Scheduled


def own(file: Optional[str], model: Any, keras: Any) -> Tuple[Any, Any]:
    """Optimizer and loss that the user's model file brings along, made anew; None for what it leaves out.

    Raises:
        ModelError: it has none, they can't be made, or they ask for what Bakeoff doesn't hand over.
    """
    functions = models.recipe(file)
    told: Dict[str, Any] = {}
    try:
        if "compile" in functions:
            told = _compiled(functions["compile"], model)
        else:
            told = {name: functions[name]() for name in ("optimizer", "loss") if name in functions}
        optimizer = told.get("optimizer")
        optimizer = None if optimizer is None else keras.optimizers.get(optimizer)
    except ModelError:
        raise
    except Exception as error:
        message = "the model file's own recipe raised {}: {}".format(type(error).__name__, error)
        raise ModelError(message[:1000]) from error
    if optimizer is not None and optimizer is getattr(model, "optimizer", None):
        raise ModelError("optimizer() gave the same object again; make a new one in each call")
    if named(told.get("loss")).startswith("sparse"):
        raise ModelError(
            "the own loss takes class numbers, the labels are one-hot: return CategoricalCrossentropy, or "
            'write loss = "sparse_categorical_crossentropy" in the study'
        )
    return optimizer, told.get("loss")


def _compiled(function: Callable[[Any], Any], model: Any) -> Dict[str, Any]:
    """What the user's `compile(model)` tells the model's."""
    signature = inspect.signature(type(model).compile)
    told: Dict[str, Any] = {}

    def listen(*arguments: Any, **options: Any) -> None:
        told.update(signature.bind(model, *arguments, **options).arguments)
        told.update(told.pop("kwargs", {}))

    object.__setattr__(model, "compile", listen)
    try:
        function(model)
    finally:
        object.__delattr__(model, "compile")
    refused = [
        key for key in told if key not in ("self", "optimizer", "loss", "metrics") and told[key] is not None
    ]
    if refused or told.get("optimizer") is None or told.get("loss") is None:
        got = "sets {}".format(", ".join(refused)) if refused else "sets no optimizer, or no loss"
        raise ModelError(
            "compile(model) {}; expected model.compile(optimizer=..., loss=...): metrics are Bakeoff's, and "
            "compilation is the study's `jit`".format(got)
        )
    return told


def described_optimizer(optimizer: Any, keras: Any, num_steps: int) -> Tuple[str, Dict[str, Any]]:
    """An optimizer's name and options by Keras 3's names; ``CLASS, unknown`` where they don't say it all.

    ``schedule``: of the first `num_steps` steps, shares of the highest learning rate among them, where it has
    one.
    """
    kind, config = type(optimizer), dict(optimizer.get_config())
    name = kind.__name__.lower()
    is_old = keras.__version__.startswith("2.")
    rate = getattr(optimizer, "_learning_rate", None)
    options: Dict[str, Any] = {}
    if callable(rate) and isinstance(config.get("learning_rate"), dict):
        rates = [float(keras.ops.convert_to_numpy(rate(step))) for step in range(num_steps)]
        config["learning_rate"] = max(rates)
        options["schedule"] = [_rounded(one / max(rates)) for one in rates]
    if is_old and "clipnorm" in config:
        config["global_clipnorm"] = config.pop("clipnorm")
    known = ("learning_rate", *_SHARED, *OPTIMIZERS.get(name, {}))
    options.update((key, _rounded(config[key])) for key in known if config.get(key) is not None)
    plain = {} if name not in OPTIMIZERS else dict(kind().get_config())
    is_known = (
        name in OPTIMIZERS
        and kind.__module__.split(".")[0] == "keras"
        and not (getattr(optimizer, "_exclude_from_weight_decay", None))
        and not (getattr(optimizer, "_exclude_from_weight_decay_names", None))
        and all(value == plain.get(key) for key, value in config.items() if key not in (*known, "name"))
    )
    return name if is_known else kind.__name__ + ", unknown", options


def _rounded(value: Any) -> Any:
    """A number without what single precision adds to it, which differs between releases."""
    return float("{:.6g}".format(value)) if isinstance(value, float) else value


def described_loss(loss: Any) -> Tuple[str, Dict[str, Any]]:
    """A loss's name and the reference's options of it; ``NAME, unknown`` where they don't say it all."""
    name = named(loss)
    config: Mapping[str, Any] = loss.get_config() if hasattr(loss, "get_config") else {}
    is_known = (
        name in LOSSES
        and (isinstance(loss, str) or type(loss).__module__.split(".")[0] == "keras" or _is_keras(loss))
        and config.get("reduction", "sum_over_batch_size") == "sum_over_batch_size"
    )
    smoothing = config.get("label_smoothing") or 0.0
    return (name, {"smoothing": smoothing} if smoothing else {}) if is_known else (name + ", unknown", {})


def takes_logits(loss: Any) -> bool:
    """Whether a loss's configuration says so."""
    return hasattr(loss, "get_config") and bool(loss.get_config().get("from_logits"))


def _is_keras(loss: Any) -> bool:
    return str(getattr(loss, "__module__", "")).split(".")[0] == "keras"


def named(loss: Any) -> str:
    """``categorical_crossentropy`` for that string, function, or object; empty for none."""
    if loss is None or isinstance(loss, str):
        return loss or ""
    name = getattr(loss, "__name__", type(loss).__name__)
    return "".join("_" + one.lower() if one.isupper() else one for one in name).lstrip("_")
