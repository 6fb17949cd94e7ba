"""What every backend behind Keras has in common, Keras 2.3 and Keras 3 alike.

The differences between the two generations stand in `Keras2` and `Keras3`; those between frameworks in
the backends' own folders.
"""

import inspect
import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from bakeoff_worker import models, weights
from bakeoff_worker.backends import keras_network as network
from bakeoff_worker.backends import keras_recipe
from bakeoff_worker.backends.base import BackendBase, Skip
from bakeoff_worker.backends.keras_weights import Declarations, Weight, leaves, weights_of
from bakeoff_worker.models import ModelError
from bakeoff_worker.models.catalogue import OPTIMIZERS, OWN

# Half precision rounds a softmax's sum by less.
_MAX_OFF_ONE = 0.02
# Draws of random weights that a model's outputs are looked at with.
_DRAWS = 8


class KerasBackend(BackendBase):
    """Builds, compiles and drives a Keras model through `fit`, as its users do."""

    keras_backend = ""
    equivalents: Tuple[network.Twin, ...] = ()

    def start(self) -> None:
        """Set variables, import the framework and Keras, apply precision and layout."""
        os.environ["KERAS_BACKEND"] = self.keras_backend
        self._before_import()
        import keras

        self.keras = keras
        self._after_import()
        keras.backend.set_image_data_format(self.settings.data_layout)

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """Build, check the model's form, load the seed's initial weights, compile."""
        self._seed(seed)
        with Declarations(self.keras) as declarations:
            built = build_model(input_shape, num_classes)
            if self.settings.equivalent_layers:
                self._seed(seed)  # so that its layers draw what those in their places would have drawn
                built = self._with_equivalents(built)
            self.model = self._checked(built, input_shape, num_classes)
        self.from_logits = self._takes_logits()
        self.weights = weights_of(self.model, declarations)
        self.initial_weights_sha256, self.own_draws = self._load_initial_weights(seed)
        self.compile(self.model)

    def _with_equivalents(self, model: Any) -> Any:
        """The model with all layers that have an equivalent written so.

        Raises:
            Skip: none has one, or the model can't be taken apart.
        """
        try:
            names = network.twinned(model)
        except network.NoChain as reason:
            raise Skip("equivalent_layers: {}".format(reason)) from reason
        if not names:
            raise Skip("equivalent_layers: no layer of this network has an equivalent")
        built, twins = network.with_twins(self.keras, model, names)
        self.equivalents = tuple(twins)
        return built

    def compile(self, model: Any) -> None:
        """Give a model the settings' optimizer, loss and metric."""
        model.compile(
            optimizer=self._optimizer(),
            loss=self._loss(),
            metrics=self._metrics(),
            **self._compile_options(),
        )

    def first_step(self, x: Any, y: Any) -> None:
        """One `fit` on these images, undone: compilation happens here and nothing is learned."""
        before = self._state()
        self._fit(x, y)
        self.synchronize()
        self._restore(before)

    def train_epoch(self, x: Any, y: Any) -> Tuple[float, float]:
        """One `fit` of one epoch in the order given."""
        history = self._fit(x, y).history
        return float(np.asarray(history["loss"][-1])), float(np.asarray(history[self._metric()][-1]))

    def evaluate(self, x: Any, y: Any) -> Tuple[float, float]:
        """`evaluate` in batches of the training's size."""
        loss, accuracy = self.model.evaluate(x, y, batch_size=self.settings.global_batch_size, verbose=0)
        return float(np.asarray(loss)), float(np.asarray(accuracy))

    def wrong(self, x: Any, y: Any) -> Any:
        """`predict` in batches of the training's size; an image is of the class of the largest output.

        Of one output: of the second class where its probability is above a half.
        """
        outputs = self.model.predict(x, batch_size=self.settings.global_batch_size, verbose=0)
        if self.num_outputs == 1:
            return (np.asarray(outputs)[:, 0] > (0.0 if self.from_logits else 0.5)) != (y[:, 0] > 0.5)
        return np.argmax(outputs, axis=-1) != (y if y.ndim == 1 else np.argmax(y, axis=-1))

    def resolved(self) -> Mapping[str, Any]:
        """Optimizer with every default spelled out, metric, and the weights that the framework drew."""
        optimizer = getattr(
            self.model.optimizer, "inner_optimizer", self.model.optimizer
        )  # mixed precision wraps
        config = {key: value for key, value in optimizer.get_config().items() if _plain(value)}
        found = {"optimizer": config, "metric": self._metric(), "own_draws": self.own_draws}
        if self.rates is not None:
            rates = {"first": self.rates[0], "highest": self.rates.max(), "last": self.rates[-1]}
            found["learning_rates"] = {name: float(rate) for name, rate in rates.items()}
        if self.class_weights is not None:
            found["class_weights"] = self.class_weights
        return found

    def observed(self) -> Mapping[str, Any]:
        """Read back from the model and Keras."""
        return {
            "equivalent_layers": [twin.original.name for twin in self.equivalents],
            "keras_backend": self.keras.backend.backend(),
            "num_parameters": int(self.model.count_params()),
            "initial_weights_sha256": self.initial_weights_sha256,
            "data_layout": self.keras.backend.image_data_format(),
            "floatx": self.keras.backend.floatx(),
            "device": self.settings.device,  # `start` skips where the framework sees no such device
            "compile_cache": None,
        }

    def warnings(self) -> List[str]:
        """Initializers that we had to leave to the framework."""
        if not self.own_draws:
            return []
        return [
            "initial weights of {} come from the framework's own generator: their initializer is not one "
            "that Bakeoff draws, so contestants start from different points".format(", ".join(self.own_draws))
        ]

    def check_outputs(self, x: Any) -> None:
        """Pass if the model's outputs for these images are what the loss takes, and what was declared.

        A crossentropy takes probabilities, of all classes together or of each by itself (binary), unless
        logits are declared. Other losses take anything. Asked with the initial weights and with random ones:
        logits may lie between 0 and 1 by chance, but not with any weights.

        Raises:
            ModelError: they aren't; says what was seen and which line mends it.
        """
        loss = self._loss_name()
        if not loss.endswith("crossentropy"):
            return
        outputs = self._outputs_of_any_weights(x)
        sums = outputs.sum(axis=1)
        is_binary = loss.startswith("binary")
        is_one = is_binary or np.abs(sums - 1).max() <= _MAX_OFF_ONE
        are_probabilities = is_one and outputs.min() >= 0 and outputs.max() <= 1 + _MAX_OFF_ONE
        if are_probabilities != self.from_logits:
            return
        seen = "on random images, whatever the weights, they go from {:.3g} to {:.3g}".format(
            outputs.min(), outputs.max()
        )
        if self.from_logits:
            raise ModelError(
                "logits are declared, but the model's outputs are probabilities: {}. Take away from_logits, "
                "or end the model with layers.Dense({}) without activation".format(seen, outputs.shape[1])
            )
        raise ModelError(
            "the model's outputs are no probabilities: {}, those of one image sum to {:.3g}; {} takes values "
            'from 0 to 1{}. End the model with layers.Dense({}, activation="{}"), or declare what it gives: '
            "from_logits = true in the study".format(
                seen,
                sums[np.abs(sums - 1).argmax()],
                loss,
                "" if is_binary else " that sum to 1",
                outputs.shape[1],
                "sigmoid" if is_binary else "softmax",
            )
        )

    def _outputs_of_any_weights(self, x: Any) -> Any:
        """What the model gives for these images with its own weights, then with random ones; finite rows."""
        variables = list(self.model.trainable_weights)
        before = self.read(variables)
        found = [np.asarray(self.model.predict(x, verbose=0), "float64")]
        for seed in range(_DRAWS):
            random = np.random.RandomState(seed)
            spreads = [3 / np.sqrt(np.prod(value.shape[:-1])) for value in before]
            self.write(
                variables,
                [
                    (spread * random.normal(size=value.shape)).astype(value.dtype)
                    for spread, value in zip(spreads, before)
                ],
            )
            found.append(np.asarray(self.model.predict(x, verbose=0), "float64"))
        self.write(variables, before)
        outputs = np.concatenate(found)
        return outputs[np.isfinite(outputs).all(axis=1)]

    # ---- what differs -------------------------------------------------------------------------

    def _before_import(self) -> None:
        """Variables that must stand before the framework is imported."""

    def _after_import(self) -> None:
        """Threads, precision and determinism, through the framework's own calls."""

    def _seed(self, seed: int) -> None:
        raise NotImplementedError

    def _compile_options(self) -> Dict[str, Any]:
        return {}

    def _loss(self) -> Any:
        """As Keras takes it.

        Raises:
            ModelError: the user's own can't be made.
        """
        if self.settings.loss == OWN:
            return self._own("loss")
        options: Dict[str, Any] = {}
        if self.settings.label_smoothing:
            options["label_smoothing"] = self.settings.label_smoothing
        if self.from_logits:
            options["from_logits"] = True
        kind = "".join(part.capitalize() for part in self.settings.loss.split("_"))
        return getattr(self.keras.losses, kind)(**options) if options else self.settings.loss

    def _loss_name(self) -> str:
        return keras_recipe.named(self._own("loss")) if self.settings.loss == OWN else self.settings.loss

    def _takes_logits(self) -> bool:
        """Whether the loss takes logits: as study or model file declare, or as the user's own loss says.

        Raises:
            ModelError: they are declared, and the loss takes none.
        """
        is_declared = self.settings.from_logits or models.declares_logits(self.paths.model_file)
        if self.settings.loss == OWN:
            takes = keras_recipe.takes_logits(self._own("loss"))
            mends = "write from_logits=True where the model file makes it"
        else:
            takes, mends = is_declared and self.settings.loss.endswith("crossentropy"), "set a crossentropy"
        if is_declared and not takes:
            raise ModelError(
                "from_logits is declared, but the loss {} takes none: {}".format(self._loss_name(), mends)
            )
        return takes

    def _own(self, what: str) -> Any:
        optimizer, loss = keras_recipe.own(self.paths.model_file, self.model, self.keras)
        found = optimizer if what == "optimizer" else loss
        if found is None:
            raise ModelError('{} is "own", but the model file has no {}()'.format(what, what))
        return found

    def _rates(self) -> Any:
        """The rates of a schedule in the precision in which they are used."""
        return np.asarray(self.rates, "float64" if self.settings.precision == "float64" else "float32")

    def _own_form(self, layer: Any, name: str, array: Any) -> Any:
        """A weight in the form in which this framework means the same by it."""
        return array

    def _state(self) -> Any:
        """Everything that training changes: weights, moving statistics, the optimizer's state."""
        raise NotImplementedError

    def _restore(self, state: Any) -> None:
        raise NotImplementedError

    # ---- shared -------------------------------------------------------------------------------

    def _fit(self, x: Any, y: Any) -> Any:
        return self.model.fit(
            x,
            y,
            batch_size=self.settings.global_batch_size,
            epochs=1,
            shuffle=False,
            verbose=0,
            **self.fit_options(),
        )

    def fit_options(self) -> Dict[str, Any]:
        """What `fit` is told of the recipe."""
        return {} if self.class_weights is None else {"class_weight": dict(enumerate(self.class_weights))}

    def recipe(self, num_steps: int) -> Dict[str, Any]:
        """What is to be computed, by the reference's names: optimizer and loss, each with its options.

        Of the study's settings; of the user's own functions, as far as the objects that they make say it.
        num_steps: whose learning rates are told, where there is a schedule.
        """
        settings = self.settings
        name, loss = settings.optimizer, settings.loss
        loss_options: Dict[str, Any] = {}
        options = dict(OPTIMIZERS.get(name, {}), **settings.optimizer_options)
        options["learning_rate"] = settings.learning_rate
        options.update(self._bounds())
        if self.rates is not None:
            options["schedule"] = [float(rate) / settings.learning_rate for rate in self.rates[:num_steps]]
        if name == OWN:
            name, options = keras_recipe.described_optimizer(self._own("optimizer"), self.keras, num_steps)
        if loss == OWN:
            loss, loss_options = keras_recipe.described_loss(self._own("loss"))
        elif settings.label_smoothing:
            loss_options = {"smoothing": settings.label_smoothing}
        if self.class_weights is not None:
            loss_options["class_weights"] = self.class_weights
        return {
            "optimizer": name,
            "optimizer_options": options,
            "loss": loss,
            "loss_options": loss_options,
        }

    def _bounds(self) -> Dict[str, float]:
        """Weight decay and clipping, by Keras 3's names; empty where there is none."""
        settings = self.settings
        found = {
            "weight_decay": settings.weight_decay or None,
            "clipvalue": settings.clip_value,
            "clipnorm": settings.clip_norm,
            "global_clipnorm": settings.clip_global_norm,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _metric(self) -> str:
        """Accuracy by its full name: what plain ``accuracy`` means depends on loss and Keras version."""
        if self.num_outputs == 1:
            return "binary_accuracy"
        return (
            "sparse_categorical_accuracy"
            if self.settings.loss.startswith("sparse")
            else "categorical_accuracy"
        )

    def _metrics(self) -> List[Any]:
        """What is measured beside the loss, under the name that `_metric` says."""
        return [binary_accuracy if self.num_outputs == 1 and self.from_logits else self._metric()]

    def _optimizer(self) -> Any:
        """The optimizer by name, with the study's learning rate and options in this Keras's spelling.

        Raises:
            ValueError: this Keras has no such optimizer, or it has no such option.
            ModelError: the user's own can't be made.
        """
        name = self.settings.optimizer
        if name == OWN:
            return self._own("optimizer")
        try:
            kind = type(self.keras.optimizers.get(name))
        except ValueError as error:
            raise ValueError(
                "optimizer {}: Keras {} has none of that name".format(name, self.keras.__version__)
            ) from error
        config = dict(OPTIMIZERS.get(name, {}))
        config.update(self.settings.optimizer_options)
        known = inspect.signature(kind.__init__).parameters
        config["learning_rate" if "learning_rate" in known else "lr"] = self.settings.learning_rate
        config.update(self._bounds())
        try:
            return self._made(kind, config)
        except (TypeError, ValueError) as error:
            options = ", ".join(key for key in known if key not in ("self", "kwargs", "name"))
            raise ValueError("optimizer {}: {}; its options are {}".format(name, error, options)) from error

    def _made(self, kind: Any, config: Dict[str, Any]) -> Any:
        """An optimizer of that class, its learning rate by the schedule if there is one."""
        raise NotImplementedError

    def read(self, variables: List[Any]) -> List[Any]:
        """Values of variables, as the framework has them."""
        raise NotImplementedError

    def write(self, variables: List[Any], arrays: List[Any]) -> None:
        """Set variables, in the framework's own form."""
        raise NotImplementedError

    def name_of(self, weight: Weight) -> str:
        """A weight's name for people: ``dense/kernel``, ``block/first/kernel``."""
        if weight.layer < 0:
            return weight.name
        return "{}/{}".format(leaves(self.model)[weight.layer].name, weight.name)

    def _load_initial_weights(self, seed: int) -> Tuple[str, List[str]]:
        """Draw and load every layer's weights; their digest, and the names of those we could not draw."""
        variables = [weight.variable for weight in self.weights]
        common: List[Any] = []
        arrays: List[Any] = []
        own: List[str] = []
        for index, (weight, value) in enumerate(zip(self.weights, self.read(variables))):
            array = weight.initial(value, seed, index)
            if array is None:
                own.append(self.name_of(weight))
                array = value
            array = np.asarray(array, value.dtype)
            common.append(array)
            arrays.append(self._own_form(weight.owner, weight.name.split("/")[-1], array))
        self.write(variables, arrays)
        return weights.sha256(common), own

    def _checked(self, model: Any, input_shape: Tuple[int, ...], num_classes: int) -> Any:
        """The model, if it is one that can be trained on these images.

        Raises:
            ModelError: not a model of this Keras, or of other shapes.
        """
        if not isinstance(model, self.keras.models.Model):
            found = type(model)
            raise ModelError(
                "build() returned a {}.{}, expected a keras.Model".format(found.__module__, found.__name__)
            )
        takes = (None,) + tuple(input_shape)
        try:
            if not model.built and isinstance(model, self.keras.models.Sequential):
                model.build(takes)
            given = _declared(model, "input_shape")
            if given is not None and not _admits(given, takes):
                raise ModelError("the model takes inputs of shape {}, the data have {}".format(given, takes))
            gives = _declared(model, "output_shape")
            if gives is None:
                # A subclass of keras.Model says nothing of its form: an image, passed through it, does both.
                outputs = model.predict(np.zeros((1,) + tuple(input_shape), "float32"), verbose=0)
                gives = (None,) + tuple(np.shape(outputs)[1:])
        except ModelError:
            raise
        except Exception as error:
            message = "the model that build() returned can't take images of shape {}: {}".format(
                input_shape, error
            )
            raise ModelError(message[:1000]) from error
        is_one = num_classes == 2 and tuple(gives) == (None, 1)
        if is_one and self.settings.loss != "binary_crossentropy":
            raise ModelError(
                "the model's output shape is (None, 1), the probability of the second class; {} expects "
                '(None, 2). Set loss = "binary_crossentropy" in the study'.format(self.settings.loss)
            )
        if not is_one and gives != (None, num_classes):
            raise ModelError(
                "the model's output shape is {}, expected (None, {}): one probability per class".format(
                    gives, num_classes
                )
            )
        self.num_outputs = gives[-1]
        return model


class Keras3(KerasBackend):
    """Keras 3 on any of its backends."""

    def _seed(self, seed: int) -> None:
        self.keras.utils.set_random_seed(seed)

    def _after_import(self) -> None:
        if self.settings.precision in ("float32", "float64"):
            self.keras.backend.set_floatx(self.settings.precision)
        self.keras.config.set_dtype_policy(self.settings.precision)

    def _compile_options(self) -> Dict[str, Any]:
        options: Dict[str, Any] = {} if self.settings.jit is None else {"jit_compile": self.settings.jit}
        if self.settings.steps_per_execution > 1:
            options["steps_per_execution"] = self.settings.steps_per_execution
        return options

    def build(self, build_model: Any, input_shape: Tuple[int, ...], num_classes: int, seed: int) -> None:
        """As ever; Keras may decline to compile, which is then no measurement of what was asked.

        Raises:
            Skip: just-in-time compilation was asked for and Keras refuses it for this model or setting.
        """
        super().build(build_model, input_shape, num_classes, seed)
        if self.settings.jit is not None and bool(self.model.jit_compile) != self.settings.jit:
            raise Skip(
                "jit is {}, but Keras declines it for this model and these settings".format(self.settings.jit)
            )

    def _made(self, kind: Any, config: Dict[str, Any]) -> Any:
        if self.rates is not None:
            config["learning_rate"] = keras_recipe.schedule_of_keras3(self.keras, self._rates())
        return kind(**config)

    def read(self, variables: List[Any]) -> List[Any]:
        """Copies."""
        return [np.array(self.keras.ops.convert_to_numpy(variable)) for variable in variables]

    def write(self, variables: List[Any], arrays: List[Any]) -> None:
        """One by one."""
        for variable, array in zip(variables, arrays):
            variable.assign(array)

    def _state(self) -> Any:
        # `variables`, unlike `weights`, has the generators of the dropout layers.
        self.model.optimizer.build(self.model.trainable_variables)
        variables = self.model.variables + self.model.optimizer.variables
        return variables, self.read(variables)

    def _restore(self, state: Any) -> None:
        self.write(*state)

    def observed(self) -> Mapping[str, Any]:
        """With the compile mode and the precision that Keras chose; on a GPU, with what it rounds to TF32."""
        return dict(
            super().observed(),
            jit=bool(self.model.jit_compile),
            precision=self.keras.config.dtype_policy().name,
            tf32=self._rounds_to_tf32() if self.settings.device == "gpu" else None,
            steps_per_execution=int(self.model.steps_per_execution),
        )

    def _rounds_to_tf32(self) -> Dict[str, bool]:
        """Whether a convolution and a matrix product round their float32 factors to TF32's 10 bits, as seen.

        1 + 2⁻¹² is a float32 that TF32 can't hold: times one, it comes back as it is, or as 1.
        """
        size, value = 32, np.float32(1 + 2**-12)
        kernel = np.zeros((3, 3, size, size), "float32")
        kernel[1, 1] = np.eye(size)
        ops = self.keras.ops
        results = {
            "convolution": ops.conv(np.full((8, size, size, size), value), kernel, padding="same"),
            "matrix product": ops.matmul(np.full((256, 256), value), np.eye(256, dtype="float32")),
        }
        return {name: bool(ops.convert_to_numpy(found).max() != value) for name, found in results.items()}


class Keras2(KerasBackend):
    """Keras 2.3, the last release with several backends."""

    def skip_reason(self) -> Optional[str]:
        """Keras 2.3 knows neither mixed precision nor decoupled weight decay; it is older than TF32."""
        if self.settings.tf32:
            return "nothing behind Keras 2.3 knows TF32"
        if self.settings.precision.startswith("mixed"):
            return "Keras 2.3 has no mixed precision"
        if self.settings.steps_per_execution > 1:
            return "Keras 2.3 takes one step a call: it has no steps_per_execution"
        if self.settings.optimizer == "adamw":
            return "Keras 2.3 has no AdamW"
        if self.settings.weight_decay:
            return "Keras 2.3 has no decoupled weight decay"
        if self.settings.clip_norm:
            return (
                "Keras 2.3 bounds the norm of all gradients together (clip_global_norm), not that of each "
                "weight's (clip_norm)"
            )
        return super().skip_reason()

    def _after_import(self) -> None:
        self.keras.backend.set_floatx(self.settings.precision)

    def _made(self, kind: Any, config: Dict[str, Any]) -> Any:
        bound = config.pop("global_clipnorm", None)
        if bound is not None:
            config["clipnorm"] = bound  # of all gradients together, in Keras 2
        if self.rates is not None:
            kind = keras_recipe.scheduled_in_keras2(kind, self.keras, self._rates())
        return kind(**config)

    def read(self, variables: List[Any]) -> List[Any]:
        """All at once."""
        return list(self.keras.backend.batch_get_value(variables))

    def write(self, variables: List[Any], arrays: List[Any]) -> None:
        """All at once."""
        self.keras.backend.batch_set_value(list(zip(variables, arrays)))

    def _state(self) -> Any:
        # Keras 2 makes the optimizer's state, and compiles, when it makes the train function. The dropout
        # layers' generators are out of reach: they have moved on by the first step.
        self.model._make_train_function()
        return self.model.get_weights(), self.model.optimizer.get_weights()

    def _restore(self, state: Any) -> None:
        model_weights, optimizer_weights = state
        self.model.set_weights(model_weights)
        self.model.optimizer.set_weights(optimizer_weights)

    def observed(self) -> Mapping[str, Any]:
        """Precision is floatx in Keras 2."""
        return dict(super().observed(), precision=self.keras.backend.floatx())

    def warnings(self) -> List[str]:
        """With the one optimizer that Keras 3 computes otherwise."""
        if self.settings.optimizer.lower() != "rmsprop":
            return super().warnings()
        return super().warnings() + [
            "Keras 2's RMSprop adds epsilon to the root of the mean square, Keras 3's adds it under the "
            "root: between the two, steps differ where gradients are small"
        ]


def require_gpu(found: bool, how: str) -> None:
    """Raise Skip where a GPU was asked for and the framework sees none."""
    if not found:
        raise Skip("device is gpu, but {} sees none".format(how))


def binary_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Accuracy of one logit: the second class is named where it is above zero. Importable by executors."""
    import keras

    return keras.metrics.binary_accuracy(y_true, y_pred, threshold=0.0)


def _declared(model: Any, name: str) -> Any:
    """A shape that a model knows by itself; None where it has to be asked with an image."""
    try:
        return getattr(model, name)
    except (AttributeError, RuntimeError, ValueError):  # of a model that was never called, by Keras's version
        return None


def _admits(shape: Any, takes: Tuple[Optional[int], ...]) -> bool:
    """Whether a model's input shape, None for any size, fits the data's."""
    fits = isinstance(shape, (tuple, list)) and len(shape) == len(takes)
    return fits and all(one in (None, size) for one, size in zip(shape, takes))


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
