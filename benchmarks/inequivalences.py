"""``make bench-inequivalences``: what ``bakeoff verify`` finds of differences put into one contestant.

A small network with all that networks of its kind have is trained by JAX as it is, and by another with one
thing changed: openly, in the network's own declaration, or behind its back, by changing what Keras does. Each
must be found and named rightly, and nothing else; and the contestants without a change must be certified.

A second network has what the reference of NumPy doesn't: layers within a layer, a recurrent one, one of the
user's with a weight of its own and one that draws. There JAX and TensorFlow, as they are, vote on a changed
PyTorch.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bakeoff import datasets, environments
from bakeoff.launchers import local
from bakeoff.verification import Finding, Verified, compare
from bakeoff.verification.collection import Collected, Needs, collect
from bakeoff.verification.contestants import Contestant
from bakeoff_worker.job import TrialSettings
from benchmarks.goals import Figure, conclude

SEED = 1
LEARNING_RATE = 0.0015

NETWORK = """
def build(input_shape, num_classes):
    import keras
    from keras import layers, models, ops

    {before}
    inputs = x = layers.Input(shape=input_shape)
    x = layers.Conv2D(8, (5, 5), activation="relu", name="first")(x)
    x = layers.MaxPooling2D((2, 2), name="pool")(x)
    x = layers.Conv2D(12, (3, 3), name="second")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="norm")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.Dropout(0.25, name="dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(x)
    model = models.Model(inputs, layers.Dense(num_classes, activation="softmax", name="output")(x))
    {after}
    return model
"""

# What NumPy doesn't know.
OWN_NETWORK = """
import keras
from keras import layers, models, ops


class Jitter(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator(3)

    def draw(self, shape):
        return keras.random.uniform(shape, 0.8, 1.2, seed=self.seeds)

    def call(self, x, training=None):
        return x * self.draw((ops.shape(x)[0], 1, 1, 1)) if training else x


class Block(layers.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.first = layers.Conv2D(filters, 3, padding="same", activation="relu")
        self.second = layers.Conv2D(filters, 3, padding="same")

    def call(self, x):
        return ops.relu(x + self.second(self.first(x)))


class Scale(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


def build(input_shape, num_classes):
    {before}
    inputs = x = layers.Input(shape=input_shape)
    x = Jitter(name="jitter")(x)
    x = layers.RandomRotation(0.1, name="turned")(x)
    x = layers.Conv2D(6, 4, strides=4, name="stem")(x)
    x = Block(6, name="block")(x)
    x = layers.Reshape((7, 42), name="rows")(x)
    x = layers.GRU(8, name="recurrent")(x)
    x = Scale(name="scale")(x)
    model = models.Model(inputs, layers.Dense(num_classes, activation="softmax", name="output")(x))
    {after}
    return model
"""

# How the model is compiled and fitted, whoever asks for it.
COMPILE = """
compile_as_asked = model.compile
def compile(optimizer, loss, **options):
    {change}
    compile_as_asked(optimizer=optimizer, loss=loss, **options)
object.__setattr__(model, "compile", compile)
"""
# The model is also compiled for plain gradient descent, to see its gradients; the study's optimizer is Adam.
ONLY_ADAM = 'if type(optimizer).__name__ == "Adam": '


@dataclass(frozen=True)
class Case:
    """One difference, and what it must be called.

    before, after: code that runs before the network is made, and once it is. swap: a line of the network, and
    what stands in its place. cause: as `bakeoff.verification.causes` has it. where: what must be named, the
    layer, weight or other thing; empty where it concerns all weights. words: what the sentence must have.
    backend: of the contestant that is changed. network: what is changed.
    """

    name: str
    cause: str
    where: str
    words: str
    before: str = ""
    after: str = ""
    swap: tuple[str, str] = ("", "")
    backend: str = "torch"
    network: str = NETWORK

    def source(self) -> str:
        """The network's file."""
        text = self.network.replace("{before}", _indented(self.before)).replace(
            "{after}", _indented(self.after)
        )
        if self.swap[0]:
            assert self.swap[0] in text, self.swap[0]
        return text.replace(*self.swap) if self.swap[0] else text


def _indented(code: str) -> str:
    return textwrap.indent(textwrap.dedent(code).strip() or "pass", "    ").strip()


def _compiled(change: str) -> str:
    return COMPILE.replace("{change}", change)


ADAM = """
def update_step(self, gradient, variable, learning_rate):
    step = ops.cast(self.iterations + 1, variable.dtype)
    index = self._get_variable_index(variable)
    mean, square = self._momentums[index], self._velocities[index]
    first, second = 1 - ops.power(self.beta_1, step), 1 - ops.power(self.beta_2, step)
    self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
    self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
    rate = ops.cast(learning_rate, variable.dtype)
    self.assign_sub(variable, {step})
keras.optimizers.Adam.update_step = update_step
"""

CASES = (
    # ---- behind the network's back: what Keras itself does is changed -------------------------------------
    Case(
        "Adam's epsilon is 1e-8, not 1e-7",
        "epsilon_value",
        "adam",
        "1e-08, not 1e-07",
        before="""
        make = keras.optimizers.Adam.build
        def build_with_another(self, variables):
            self.epsilon = 1e-8
            make(self, variables)
        keras.optimizers.Adam.build = build_with_another
        """,
    ),
    Case(
        "Adam adds epsilon under the root",
        "epsilon_under_root",
        "adam",
        "under the root",
        before=ADAM.replace(
            "{step}", "rate * ops.sqrt(second) / first * mean / ops.sqrt(square + self.epsilon)"
        ),
        backend="tensorflow",  # Keras has an Adam of its own for PyTorch
    ),
    Case(
        "Adam adds epsilon to the corrected moment's root, as PyTorch's own does",
        "epsilon_corrected",
        "adam",
        "corrected second moment",
        before=ADAM.replace("{step}", "rate * (mean / first) / (ops.sqrt(square / second) + self.epsilon)"),
        backend="tensorflow",  # Keras has an Adam of its own for PyTorch
    ),
    Case(
        "convolution kernels are turned",
        "kernel_flipped",
        "first",
        "180 degrees",
        before="""
        from keras.src.layers.convolutional.base_conv import BaseConv
        correlate = BaseConv.convolution_op
        BaseConv.convolution_op = lambda self, inputs, kernel: correlate(
            self, inputs, ops.flip(kernel, (0, 1))
        )
        """,
    ),
    Case(
        "flattened as channels, rows, columns",
        "flatten_order",
        "flatten",
        "channels, rows, columns",
        before="""
        flatten = layers.Flatten.call
        layers.Flatten.call = lambda self, inputs: flatten(self, ops.transpose(inputs, (0, 3, 1, 2)))
        """,
    ),
    Case(
        "a dense layer never adds its bias",
        "missing_bias",
        "hidden",
        "bias is not added",
        before="""
        layers.Dense.call = lambda self, inputs, training=None: self.activation(
            ops.matmul(inputs, self.kernel)
        )
        """,
    ),
    Case(
        "max-pooling takes the average",
        "pooling_kind",
        "pool",
        "average",
        before="""
        layers.MaxPooling2D.call = lambda self, inputs: ops.average_pool(
            inputs, self.pool_size, self.strides, self.padding, self.data_format
        )
        """,
    ),
    Case(
        "batch normalization's epsilon is 1e-5, not 1e-3",
        "batchnorm_epsilon",
        "norm",
        "1e-05, not 0.001",
        after="""
        layer = model.get_layer("norm")
        declared = layer.get_config()
        layer.epsilon = 1e-5
        object.__setattr__(layer, "get_config", lambda: declared)
        """,
    ),
    Case(
        "batch normalization's momentum is 0.99, not 0.9",
        "batchnorm_momentum",
        "norm/moving_mean",
        "0.99, not 0.9",
        after="""
        layer = model.get_layer("norm")
        declared = layer.get_config()
        layer.momentum = 0.99
        object.__setattr__(layer, "get_config", lambda: declared)
        """,
    ),
    Case(
        "batch normalization never leaves inference",
        "batchnorm_inference",
        "norm",
        "moving statistics",
        before="""
        normalize = layers.BatchNormalization.call
        layers.BatchNormalization.call = lambda self, inputs, training=None, mask=None: normalize(
            self, inputs, training=False
        )
        """,
    ),
    Case(
        "elu in place of relu",
        "activation",
        "relu",
        "elu, not relu",
        before="""
        layers.Activation.call = lambda self, inputs: ops.elu(inputs)
        """,
    ),
    # ---- what is compiled and fitted ----------------------------------------------------------------------
    Case(
        "the loss is summed over the batch",
        "loss_sum",
        "categorical_crossentropy",
        "summed over the batch",
        after=_compiled('loss = keras.losses.CategoricalCrossentropy(reduction="sum")'),
    ),
    Case(
        "labels are smoothed",
        "label_smoothing",
        "categorical_crossentropy",
        "smoothed by 0.1",
        after=_compiled("loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)"),
    ),
    Case(
        "weights decay",
        "weight_decay",
        "",
        "decay by 0.1 times",
        after=_compiled(ONLY_ADAM + "optimizer.weight_decay = 0.1"),
    ),
    Case(
        "the learning rate is rounded to 0.002",
        "learning_rate",
        "",
        "0.002, not 0.0015",
        after=_compiled(ONLY_ADAM + "optimizer.learning_rate = 0.002"),
    ),
    Case(
        "beta_2 is 0.99",
        "beta_2",
        "",
        "0.99, not 0.999",
        after=_compiled(ONLY_ADAM + "optimizer.beta_2 = 0.99"),
    ),
    Case(
        "the last, smaller batch is dropped",
        "last_batch_dropped",
        "fit",
        "the last batch",
        after="""
        fit = model.fit
        def fit_whole_batches(x, y, batch_size, **options):
            whole = len(x) // batch_size * batch_size or len(x)
            return fit(x[:whole], y[:whole], batch_size=batch_size, **options)
        object.__setattr__(model, "fit", fit_whole_batches)
        """,
    ),
    # ---- declared ------------------------------------------------------------------------------------------
    Case(
        "a convolution pads",
        "declared_padding",
        "second",
        "padding is same, not valid",
        swap=("layers.Conv2D(12, (3, 3),", "layers.Conv2D(12, (3, 3), padding='same',"),
    ),
    Case(
        "a convolution without bias",
        "declared_use_bias",
        "second",
        "use_bias is False, not True",
        swap=(
            'layers.Conv2D(12, (3, 3), name="second")',
            'layers.Conv2D(12, (3, 3), use_bias=False, name="second")',
        ),
    ),
    Case(
        "initial weights of another range",
        "initializer",
        "hidden/kernel",
        "HeUniform, not GlorotUniform",
        swap=(
            'layers.Dense(32, activation="relu"',
            'layers.Dense(32, kernel_initializer="he_uniform", activation="relu"',
        ),
    ),
    Case(
        "layout swapped before it is flattened",
        "declared_layers",
        "permute",
        "Permute where others have nothing",
        swap=(
            'x = layers.Flatten(name="flatten")(x)',
            'x = layers.Flatten(name="flatten")(layers.Permute((3, 1, 2), name="permute")(x))',
        ),
    ),
    Case(
        "another rate of dropout",
        "declared_rate",
        "dropout",
        "rate is 0.5, not 0.25",
        swap=("layers.Dropout(0.25", "layers.Dropout(0.5"),
    ),
    Case(
        "a penalty on one layer's kernel",
        "declared_kernel_regularizer",
        "hidden",
        "{'l2': 0.001}, not None",
        swap=(
            'layers.Dense(32, activation="relu"',
            'layers.Dense(32, kernel_regularizer=keras.regularizers.L2(0.001), activation="relu"',
        ),
    ),
    Case(
        "a layer that is not trained",
        "declared_trainable",
        "first/kernel",
        "not trained",
        after='model.get_layer("first").trainable = False',
    ),
    Case(
        "images scaled twice",
        "declared_layers",
        "twice",
        "Rescaling where others have nothing",
        swap=(
            "inputs = x = layers.Input(shape=input_shape)",
            "inputs = layers.Input(shape=input_shape); x = layers.Rescaling(1 / 255, name='twice')(inputs)",
        ),
    ),
)
OUTVOTED = (
    "not what jax: nothing is changed (own layers) and tensorflow: nothing is changed (own layers) compute"
)
_OWN_CASES = (
    Case(
        "a layer within a layer never adds its bias",
        "unknown",
        "block",
        OUTVOTED,
        before="""
        Block.call = lambda self, x: ops.relu(
            x + self.second(self.first(x)) - self.second.bias
        )
        """,
    ),
    Case(
        "a layer of one's own scales by the square",
        "unknown",
        "scale",
        OUTVOTED,
        before="Scale.call = lambda self, x: x * self.factor * self.factor",
    ),
    Case(
        "the gate of a recurrent layer is another",
        "unknown",
        "recurrent",
        OUTVOTED,
        after="""
        layer = model.get_layer("recurrent")
        of_layer, of_cell = layer.get_config(), layer.cell.get_config()
        layer.cell.recurrent_activation = ops.hard_sigmoid
        object.__setattr__(layer, "get_config", lambda: of_layer)
        object.__setattr__(layer.cell, "get_config", lambda: of_cell)
        """,
    ),
    Case(
        "a layer of one's own doubles its gradients",
        "unknown",
        "block/first/kernel",
        OUTVOTED,
        before="""
        Block.call = lambda self, x: ops.relu(x + 2 * self.second(self.first(x)) - ops.stop_gradient(
            self.second(self.first(x))
        ))
        """,
    ),
    Case(
        "a layer of one's own draws behind Keras's back",
        "random",
        "jitter",
        "draws random numbers",
        before="""
        import numpy
        Jitter.draw = lambda self, shape: ops.convert_to_tensor(
            numpy.random.uniform(0.8, 1.2, shape).astype("float32")
        )
        """,
    ),
    Case(
        "a recurrent layer of the older form",
        "declared_reset_after",
        "recurrent",
        "reset_after is False, not True",
        swap=("layers.GRU(8,", "layers.GRU(8, reset_after=False,"),
    ),
    Case(
        "another augmentation",
        "declared_factor",
        "turned",
        "",
        swap=("layers.RandomRotation(0.1", "layers.RandomRotation(0.3"),
    ),
    Case(
        "initial weights of another range within a layer",
        "initializer",
        "block/first/kernel",
        "HeUniform, not GlorotUniform",
        swap=('activation="relu")', 'activation="relu", kernel_initializer="he_uniform")'),
    ),
    Case(
        "a layer of one's own starts at another constant",
        "initializer",
        "scale/factor",
        "Zeros, not Ones",
        swap=('initializer="ones"', 'initializer="zeros"'),
    ),
    Case(
        "a penalty within a layer",
        "declared_second/kernel_regularizer",
        "block",
        "{'l2': 0.001}, not None",
        swap=(
            'self.second = layers.Conv2D(filters, 3, padding="same")',
            "self.second = layers.Conv2D(filters, 3, padding='same', "
            "kernel_regularizer=keras.regularizers.L2(1e-3))",
        ),
    ),
    Case(
        "a layer within a layer has holes in its kernel",
        "declared_second/dilation_rate",
        "block",
        "(2, 2), not (1, 1)",
        swap=(
            'self.second = layers.Conv2D(filters, 3, padding="same")',
            'self.second = layers.Conv2D(filters, 3, padding="same", dilation_rate=2)',
        ),
    ),
)
OWN_CASES = tuple(replace(case, network=OWN_NETWORK) for case in _OWN_CASES)
EQUAL = Case("nothing is changed", "", "", "")
OWN_EQUAL = Case("nothing is changed (own layers)", "", "", "", network=OWN_NETWORK)


def main() -> int:
    """How many are found and named; 0 if all."""
    arguments = _arguments()
    chosen = [
        case
        for case in (*CASES, *OWN_CASES)
        if not arguments.cases or any(one in case.name for one in arguments.cases)
    ]
    with (
        tempfile.TemporaryDirectory(prefix="bench-inequivalences-") as name,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,  # nothing is timed: side by side, one a core
    ):
        folder = Path(name)
        equal = {
            (network, backend): pool.submit(_show, backend, one, folder)
            for network, one in ((NETWORK, EQUAL), (OWN_NETWORK, OWN_EQUAL))
            for backend in ("jax", "tensorflow", "torch")
            if any(case.network == network for case in chosen)
        }
        jobs = [pool.submit(_show, case.backend, case, folder) for case in chosen]
        unchanged = {key: job.result() for key, job in equal.items()}
        certified = True
        for network in dict.fromkeys(network for network, _ in unchanged):
            alike = compare("equal", [one for (its, _), one in unchanged.items() if its == network])
            certified = certified and alike.all_same
            print(f"nothing changed: {'certified' if alike.all_same else 'NOT certified'}", flush=True)
            _show_findings(alike)
        num_found = num_named = num_blamed = 0
        for case, job in zip(chosen, jobs, strict=True):
            shown = job.result()
            beside = ["jax"] if case.network == NETWORK else ["jax", "tensorflow"]
            verified = compare(case.name, [*(unchanged[case.network, one] for one in beside), shown])
            judgement = verified.contestants[-1].judgement
            findings = judgement.findings if judgement else ()
            found = not verified.all_same
            named = bool(findings) and _is_named(case, findings)
            blamed = sum(
                len(contestant.judgement.findings)
                for contestant in verified.contestants[:-1]
                if contestant.judgement
            )
            num_found, num_named, num_blamed = num_found + found, num_named + named, num_blamed + blamed
            print(f"{case.name}: {'named' if named else 'found' if found else 'MISSED'}")
            _show_findings(verified)
            if not findings:
                print(f"    {shown.reason or 'no difference'}")
            sys.stdout.flush()
            if shown.evidence:
                shown.evidence.close()
    total = len(chosen)
    return conclude(
        "inequivalences",
        [
            Figure(f"found {num_found} of {total}", "all", num_found == total),
            Figure(f"named rightly {num_named} of {total}", "all", num_named == total),
            Figure(f"found in one that is right {num_blamed}", "0", num_blamed == 0),
            Figure(f"equal ones certified: {'yes' if certified else 'no'}", "yes", certified),
        ],
    )


def _show_findings(verified: Verified) -> None:
    for contestant in verified.contestants:
        for finding in contestant.judgement.findings if contestant.judgement else ():
            print(f"    {contestant.label}: {finding.cause}: {finding.sentence()}")


def _is_named(case: Case, findings: tuple[Finding, ...]) -> bool:
    """Whether the first finding is the case, and no other is anything of its own."""
    first = findings[0]
    right = first.cause == case.cause and case.where in ("", first.where) and case.words in first.text
    # The same again in another layer; or other draws, where weights are drawn after those that are not there.
    return right and all(finding.cause in (first.cause, "other_draws") for finding in findings)


def _show(backend: str, case: Case, folder: Path) -> Collected:
    """What a contestant with that network computes."""
    stem = "".join(letter if letter.isalnum() else "_" for letter in case.name)
    file = folder / f"{stem}.py"
    file.write_text(case.source())
    environment = environments.ensure(backend)
    settings = TrialSettings(
        backend,
        backend,
        model=str(file),
        dataset="mnist",
        learning_rate=LEARNING_RATE,
        content={"model": stem},
    )
    contestant = Contestant(f"{backend}: {case.name}", settings.reduced(), (settings.trial_id,))
    needs = Needs(environment, datasets.ensure("mnist").path, file)
    return collect(contestant, needs, seed=SEED, folder=folder, launcher=local.launch)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench-inequivalences", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "--cases", nargs="*", default=[], help="only those whose names have one of these in them"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
