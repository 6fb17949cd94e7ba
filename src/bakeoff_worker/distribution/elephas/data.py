"""Rows for the executors, pairs of image and label as Elephas takes them: from the driver, or from files."""

import json
import os
from typing import Any, Iterator, Tuple

import numpy as np

from bakeoff_worker.data import Preparation, Source


def from_driver(context: Any, source: Source) -> Any:
    """Elephas's own way: pairs made on the driver, as many partitions as Spark's default."""
    from elephas.utils.rdd_utils import to_simple_rdd

    return to_simple_rdd(context, *source.prepare(source.x_train[source.order], source.y_train[source.order]))


def from_parquet(context: Any, folder: str, url: str, source: Source, num_partitions: int) -> Any:
    """The executors read the files and make the very rows that the driver would have made; then a shuffle.

    folder: as the driver sees it. url: as the executors see it; empty for the same.
    """
    from pyspark.sql import SparkSession

    with open(os.path.join(folder, "_about.json")) as about_file:
        about = json.load(about_file)
    kept = np.zeros(len(source.x_train), bool)
    kept[source.order] = True
    decode = _Decode(tuple(source.x_train.shape[1:]), str(about["dtype"]), kept, source.prepare)
    table = SparkSession(context).read.parquet(url or "file://" + folder)
    return table.select("index", "label", "image").rdd.mapPartitions(decode).repartition(num_partitions)


class _Decode:
    """Parquet rows to (image, label) pairs, those of the run's training images only."""

    def __init__(self, shape: Tuple[int, ...], dtype: str, kept: Any, prepare: Preparation) -> None:
        self.shape = shape
        self.dtype = dtype
        self.kept = kept
        self.prepare = prepare

    def __call__(self, rows: Iterator[Any]) -> Iterator[Tuple[Any, Any]]:
        for row in rows:
            if self.kept[row["index"]]:
                image = np.frombuffer(row["image"], self.dtype).reshape((1,) + self.shape)
                x, y = self.prepare(image, np.asarray([row["label"]]))
                yield x[0], y[0]
