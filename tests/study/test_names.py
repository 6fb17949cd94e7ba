"""Names and sizes that study files are checked against are those of the catalogues themselves."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from bakeoff.study import DATASETS, load


def test_data_sets_are_those_of_the_catalogue() -> None:
    text = (resources.files("bakeoff.datasets") / "catalogue.json").read_text(encoding="utf-8")
    shapes = {
        name: (tuple(entry["arrays"]["x_train"]["shape"]), entry["arrays"]["x_test"]["shape"][0])
        for name, entry in json.loads(text).items()
    }
    assert shapes == {
        name: ((size.num_train, *size.image_shape), size.num_test) for name, size in DATASETS.items()
    }


@pytest.mark.parametrize("name", ["mine.npz", "mine.parquet", "mine.csv"])
def test_every_form_of_own_data_can_be_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    study = tmp_path / "study.toml"
    study.write_text(f'[defaults]\nbackend = "fake"\ndataset = "{name}"\n')
    assert load(study).trials[0].settings.dataset == str(tmp_path / name)
