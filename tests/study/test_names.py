"""Names and sizes that study files are checked against are those of the catalogues themselves."""

from __future__ import annotations

import json
from importlib import resources

from bakeoff.study import DATASETS


def test_data_sets_are_those_of_the_catalogue() -> None:
    text = (resources.files("bakeoff.datasets") / "catalogue.json").read_text(encoding="utf-8")
    shapes = {
        name: (tuple(entry["arrays"]["x_train"]["shape"]), entry["arrays"]["x_test"]["shape"][0])
        for name, entry in json.loads(text).items()
    }
    assert shapes == {
        name: ((size.num_train, *size.image_shape), size.num_test) for name, size in DATASETS.items()
    }
