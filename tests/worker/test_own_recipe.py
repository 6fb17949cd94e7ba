"""The user's own optimizer and loss: what is taken of `compile(model)`, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bakeoff_worker.backends import keras_recipe
from bakeoff_worker.models import ModelError

KERAS = SimpleNamespace(optimizers=SimpleNamespace(get=lambda optimizer: optimizer))
BUILD = "def build(input_shape, num_classes): ...\n"


class Model:
    optimizer = None

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, **kwargs):
        raise AssertionError("what the user's function says is listened to, not done")


def own(tmp_path, text):
    file = tmp_path / "net.py"
    file.write_text(BUILD + text)
    return keras_recipe.own(str(file), Model(), KERAS)


def test_compile_is_listened_to(tmp_path):
    text = "def compile(model): model.compile('sgd', 'categorical_crossentropy', metrics=['mse'])"
    assert own(tmp_path, text) == ("sgd", "categorical_crossentropy")


def test_optimizer_and_loss_are_called(tmp_path):
    assert own(tmp_path, "def optimizer(): return 'sgd'") == ("sgd", None)
    text = "def optimizer(): return 'sgd'\ndef loss(): return 'categorical_crossentropy'"
    (tmp_path / "other").mkdir()
    assert own(tmp_path / "other", text) == ("sgd", "categorical_crossentropy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def compile(model): model.compile('sgd', 'mse', loss_weights=[1])", "sets loss_weights"),
        ("def compile(model): model.compile('sgd', 'mse', run_eagerly=True)", "sets run_eagerly"),
        ("def compile(model): model.compile('sgd')", "no loss"),
        ("def compile(model): model.fit()", "raised AttributeError"),
        ("def loss(): return 'sparse_categorical_crossentropy'", "labels are one-hot"),
    ],
)
def test_what_is_not_handed_over_is_refused(tmp_path, text, words):
    with pytest.raises(ModelError, match=words):
        own(tmp_path, text)
