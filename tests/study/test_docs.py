"""docs/studies.md: its examples load, and its tables say what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from bakeoff import plan
from bakeoff.study import builtin_names, load
from bakeoff.study.schema import SETTINGS
from bakeoff.study.words import OPTION_TABLES, UNSET_WORDS
from bakeoff_worker.distribution.catalogue import CHOICES, DISTRIBUTIONS
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import LOSSES, MODELS, OPTIMIZERS

TEXT = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
ROWS = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads(example: str, tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text("def build(input_shape, num_classes, width=8): ...\n")
    (tmp_path / "my_images").mkdir()
    (tmp_path / "older-jax.txt").touch()
    (tmp_path / "study.toml").write_text(example, encoding="utf-8")
    assert load(tmp_path / "study.toml").trials


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, "docs/studies.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "tensorflow 200",
        "jax 200",
        "torch 200",
        "theano 200",
        "8 runs",
    ]


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_is_described_with_its_default(key: str) -> None:
    assert TEXT.count(f"\n| `{key}` | ") == 1, "once"
    stated = ROWS[key].split(" | ")[0]
    defaults = {field.name: field.default for field in dataclasses.fields(TrialSettings)}
    if key in UNSET_WORDS:
        assert (defaults[key], stated) == (None, f'`"{UNSET_WORDS[key]}"`')
    elif key not in ("backend", "environment", *OPTION_TABLES):
        assert stated == _word(defaults[key])


def _word(default: object) -> str:
    return f'`"{default}"`' if isinstance(default, str) else str(default).lower()


@pytest.mark.parametrize(
    ("option", "default"), [item for options in DISTRIBUTIONS.values() for item in options.items()]
)
def test_an_option_of_a_distribution_is_described_with_its_default(option: str, default: object) -> None:
    stated, _, text = ROWS[option].partition(" | ")
    assert stated == _word(default)
    for word in CHOICES.get(option, ()):
        assert f"`{word}`" in text or stated == _word(word), word


def test_models_optimizers_and_losses_are_described() -> None:
    assert set(MODELS) < set(ROWS) and set(OPTIMIZERS) < set(ROWS)
    assert all(loss in ROWS["loss"] for loss in LOSSES)
    assert all(f"`{option}`" in ROWS["study_cnn"] for option in MODELS["study_cnn"])
    assert all(f"`{option}`" in ROWS[name] for name, options in OPTIMIZERS.items() for option in options)


@pytest.mark.parametrize("name", builtin_names())
def test_a_builtin_study_is_described_with_its_runs(name: str) -> None:
    assert ROWS[name].endswith(f"| {plan.num_runs(load(name))}")
