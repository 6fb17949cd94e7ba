"""`bakeoff init` looks at a model and data, and writes a study that loads and runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bakeoff import study
from bakeoff.cli import main

MODEL = "from keras import layers, models\n\n\ndef build(input_shape, num_classes):\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two class folders of 24 and 6 images, and a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    for name, num in (("cat", 24), ("dog", 6)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(num):
            pixels = np.full((9, 8), number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


def test_a_study_is_written_that_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "studies").mkdir()
    assert main(["init", "net.py", "pets", "-o", "studies/pets.toml"]) == 0
    text = (folder / "studies" / "pets.toml").read_text()
    written = tomllib.loads(text)["defaults"]
    assert (written["dataset"], written["model"]) == ("../pets", "../net.py")
    assert "# 24 training and 6 test images, 9 x 8 x 1" in text
    assert "# 2 classes: cat, dog" in text
    assert "# no test images of its own: 20% of each class, 6 of 30 images, test" in text
    assert "# classes of 5 to 19 images: always saying the largest gives 21 % error" in text
    loaded = study.load(folder / "studies" / "pets.toml")
    assert {trial.settings.backend for trial in loaded.trials} == {"tensorflow", "jax", "torch"}
    assert "Next: bakeoff plan studies/pets.toml" in capsys.readouterr().out
    assert main(["init", "net.py", "pets", "-o", "studies/pets.toml"]) == 2, "nothing is overwritten"
    assert main(["init", "net.py", "pets", "-o", "studies/pets.toml", "--force", "--image-size", "4"]) == 0
    assert study.load(folder / "studies" / "pets.toml").trials[0].settings.image_size == 4


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ('layers.Dense(1, activation="sigmoid")(inputs)', 'loss = "binary_crossentropy"'),
        ('layers.Dense(units, activation="softmax")(inputs)', '# loss = "binary_crossentropy"'),
    ],
)
def test_two_classes_by_one_output_get_their_loss(folder: Path, layer: str, line: str) -> None:
    (folder / "net.py").write_text(f"{MODEL}    return {layer}\n")
    assert main(["init", "net.py", "pets", "-o", "pets.toml"]) == 0
    assert any(written.startswith(line) for written in (folder / "pets.toml").read_text().splitlines())
    assert main(["init", "study_cnn", "pets", "-o", "built-in.toml"]) == 0
    assert "loss" not in (folder / "built-in.toml").read_text()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("def other(): pass\n", "has no function build(input_shape, num_classes)"),
        (f"from tensorflow.keras import layers\n{MODEL}", "line 1: imports tensorflow.keras"),
        ("def build(:\n", "is no Python"),
        (None, "can't be read"),
    ],
)
def test_a_model_that_can_not_train_everywhere_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str | None, words: str
) -> None:
    if model is None:
        (folder / "net.py").unlink()
    else:
        (folder / "net.py").write_text(model)
    assert main(["init", "net.py", "pets"]) == 3
    assert words in capsys.readouterr().err
    assert not (folder / "study.toml").exists()
