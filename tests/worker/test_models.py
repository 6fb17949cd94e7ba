"""The user's own models: what they may be, and what is said of those that they may not."""

import textwrap

import numpy as np
import pytest

from bakeoff_worker import models
from bakeoff_worker.models import ModelError

# One contestant of each Keras generation: the checks are Keras's, not the framework's.
GENERATIONS = [
    pytest.param("tensorflow", "tensorflow", id="keras-3"),
    pytest.param("tensorflow1", "vintage", id="keras-2"),
]


def written(folder, name, body):
    file = folder / f"{name}.py"
    file.write_text(textwrap.dedent(body))
    return file


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", r"own.py has no function build\(input_shape, num_classes\)"),
        ("build = 3", r"own.py has no function build"),
        (
            "import no_such_package",
            "own.py can't be imported: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        (
            "from tensorflow.keras import layers",
            r"No module named 'tensorflow'.* write `from keras import layers, models`",
        ),
        ("def build(:", "own.py can't be imported: SyntaxError"),
        (
            "def build(a, b): return 1 / 0",
            r"build\(\(4, 4, 1\), 3\) of own.py raised ZeroDivisionError: division by zero",
        ),
        ("def build(a): pass", r"build\(\(4, 4, 1\), 3\) of own.py raised TypeError"),
    ],
)
def test_a_file_without_a_model_is_said_to_be_one(tmp_path, body, message):
    with pytest.raises(ModelError, match=message):
        models.build("own.py", {}, str(written(tmp_path, "own", body)), (4, 4, 1), 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone.py can't be imported: FileNotFoundError"):
        models.build("gone.py", {}, str(tmp_path / "gone.py"), (4, 4, 1), 3)


def test_build_gets_shape_classes_and_options(tmp_path):
    file = written(tmp_path, "own", "def build(shape, classes, *, depth): return (shape, classes, depth)")
    assert models.build("own.py", {"depth": 2}, str(file), (4, 4, 1), 3) == ((4, 4, 1), 3, 2)


def test_neighbours_of_the_file_can_be_imported_but_shadow_nothing(tmp_path):
    written(tmp_path, "json", "raise RuntimeError('shadow')")
    written(tmp_path, "my_blocks", "width = 7")
    file = written(tmp_path, "own", "import json, my_blocks\ndef build(a, b): return my_blocks.width")
    assert models.build("own.py", {}, str(file), (4, 4, 1), 3) == 7


HEADER = """
import numpy as np
from keras import initializers, layers, models

def chain(input_shape, *parts):
    inputs = x = layers.Input(shape=input_shape)
    for part in parts:
        x = part(x)
    return models.Model(inputs, x)
"""
REFUSED = {
    "no_model": (
        "def build(s, n): return [s, n]",
        "build() returned a builtins.list, expected a keras.Model",
    ),
    "a_layer": ("def build(s, n): return layers.Dense(n)", "expected a keras.Model"),
    "other_classes": (
        "def build(s, n): return chain(s, layers.Flatten(), layers.Dense(n + 1, activation='softmax'))",
        "the model's output shape is (None, 11), expected (None, 10): one probability per class",
    ),
    "no_flatten": (
        "def build(s, n): return chain(s, layers.Dense(n, activation='softmax'))",
        "expected (None, 10): one probability per class",
    ),
    "logits": (
        "def build(s, n): return chain(s, layers.Flatten(), layers.Dense(n))",
        "the model's outputs are no probabilities",
    ),
    "declared_logits": (
        "from_logits = True\n"
        "def build(s, n): return chain(s, layers.Flatten(), layers.Dense(n, activation='softmax'))",
        "logits are declared, but the model's outputs are probabilities",
    ),
    "one_output": (
        "def build(s, n): return chain(s, layers.Flatten(), layers.Dense(1, activation='sigmoid'))",
        "the model's output shape is (None, 1), expected (None, 10): one probability per class",
    ),
    "other_images": (
        "def build(s, n): return chain((9, 9, 1), layers.Flatten(), layers.Dense(n, activation='softmax'))",
        "the model takes inputs of shape (None, 9, 9, 1), the data have (None, 8, 8, 1)",
    ),
}
TAKEN = {
    "compiled": """
def build(s, n):
    model = chain(s, layers.Flatten(), layers.Dense(n, activation='softmax'))
    model.compile(optimizer='sgd', loss='mean_squared_error')
    return model
""",
    "sequential": """
def build(s, n):
    return models.Sequential([layers.Flatten(), layers.Dense(n, activation='softmax')])
""",
    "nested": """
def build(s, n):
    inner = models.Sequential([layers.Dense(6, activation='tanh'), layers.Dense(5, activation='tanh')])
    return chain(s, layers.Flatten(), inner, inner.layers[1].__class__(n, activation='softmax'))
""",
    "scaled": """
def build(s, n):
    return chain(s, layers.Lambda(lambda x: x * 0.5), layers.Flatten(), layers.Dense(n, activation='softmax'))
""",
    "recurrent": """
def build(s, n):
    return chain(s, layers.Reshape((8, 8)), layers.LSTM(6), layers.Dense(n, activation='softmax'))
""",
    "bidirectional": """
def build(s, n):
    inner = layers.TimeDistributed(layers.Dense(5, activation='tanh'))
    outer = layers.Bidirectional(layers.SimpleRNN(4, activation='relu'))
    return chain(s, layers.Reshape((8, 8)), inner, outer, layers.Dense(n, activation='softmax'))
""",
    "layers_within_a_layer": """
class Block(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.first = layers.Dense(6, activation='tanh')
        self.second = layers.Dense(6, kernel_initializer='he_normal')
    def build(self, shape):
        self.factor = self.add_weight(shape=(6,), initializer='ones', name='factor')
        self.first.build(shape)
        self.second.build(shape)
        super().build(shape)
    def call(self, x):
        return x + self.factor * self.second(self.first(x))
    def compute_output_shape(self, shape):
        return shape

def build(s, n):
    return chain(s, layers.Flatten(), layers.Dense(6), Block(), layers.Dense(n, activation='softmax'))
""",
    "subclass": """
class Net(models.Model):
    def __init__(self, n, **options):
        super().__init__(**options)
        self.flat, self.hidden = layers.Flatten(), layers.Dense(6, activation='tanh')
        self.last = layers.Dense(n, activation='softmax')
    def call(self, x):
        return self.last(self.hidden(self.flat(x)))

def build(s, n):
    return Net(n)
""",
    "any_size": """
def build(s, n):
    return chain((None, None, 1), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(),
                 layers.Dense(n, activation='softmax'))
""",
    "own_initializer": """
class Mine(initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return np.random.RandomState(1).normal(size=shape).astype("float32")
    def get_config(self):
        return {}

def build(s, n):
    last = layers.Dense(n, activation='softmax', kernel_initializer=Mine(), name='own')
    return chain(s, layers.Flatten(), last)
""",
}


@pytest.fixture(scope="module")
def outcomes(compute, tmp_path_factory):
    """What each generation of Keras says of each model, asked in one process."""
    folder, known = tmp_path_factory.mktemp("models"), {}
    bodies = {name: body for name, (body, _) in REFUSED.items()} | TAKEN

    def of(backend, home):
        if backend not in known:
            cases = {}
            for name, body in bodies.items():
                file = str(written(folder, name, HEADER + body))
                cases[name] = {
                    "settings": {"model": file, "global_batch_size": 32},
                    "file": file,
                    "image_shape": (8, 8, 1),
                    "epochs": 1,
                    "first_step": True,
                }
            known[backend] = compute(backend, home, cases)
        return known[backend]

    return of


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "home"), GENERATIONS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_model_of_the_wrong_form_is_refused_with_both_forms(outcomes, backend, home, name):
    error = str(outcomes(backend, home)[f"{name}/error"])
    assert error.startswith("ModelError: ")
    assert REFUSED[name][1] in error


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "home"), GENERATIONS)
@pytest.mark.parametrize("name", TAKEN)
def test_models_of_every_usual_form_train(outcomes, backend, home, name):
    found = outcomes(backend, home)
    assert f"{name}/error" not in found, found[f"{name}/error"]
    assert np.isfinite(found[f"{name}/losses"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKEN)
def test_both_generations_start_every_form_at_the_same_point(outcomes, name):
    one, other = outcomes("tensorflow", "tensorflow"), outcomes("tensorflow1", "vintage")
    assert one[f"{name}/sha256"] == other[f"{name}/sha256"]
    np.testing.assert_allclose(one[f"{name}/forward"], other[f"{name}/forward"], rtol=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "home"), GENERATIONS)
def test_initializers_that_we_cannot_draw_are_left_alone_and_named(outcomes, backend, home):
    found = outcomes(backend, home)
    assert list(found["own_initializer/own_draws"]) == ["own/kernel"]
    (warning,) = found["own_initializer/warnings"][:1]
    assert "initial weights of own/kernel come from the framework's own generator" in warning
    for name in set(TAKEN) - {"own_initializer"}:
        assert found[f"{name}/own_draws"].size == 0, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "def build(s, n): raise KeyError('width')",
            "build((28, 28, 1), 10) of own.py raised KeyError: 'width'",
        ),
        (
            HEADER + "import math\n"
            "def build(s, n):\n"
            "    return chain(s, layers.Flatten(), layers.Dense(n, activation='softmax'),\n"
            "                 layers.Lambda(lambda x: x * math.nan))\n",
            "the training loss is nan in epoch 1",
        ),
    ],
    ids=["raises", "diverges"],
)
def test_a_run_says_why_its_model_failed(run, tmp_path, body, reason):
    file = written(tmp_path, "own", body)
    found = run("tensorflow", model=str(file), model_file=file, epochs=2)
    assert (found.ended.status, found.ended.reason) == ("failed", reason)
    if "KeyError" in reason:
        assert 'own.py", line 1, in build' in found.ended.last_lines, "the user's own line"
