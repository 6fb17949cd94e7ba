"""The study's network on Spark through Elephas 7, without Bakeoff: ``python elephas7.py SETTINGS.json``.

Once warm, each line on standard input is one call of `fit` of one epoch, answered by its seconds on
standard output. The cluster, its secret and the data are named in the settings.
"""

import json
import os
import sys
import time
from pathlib import Path

import keras3
import numpy as np
from elephas.spark_model import SparkModel
from elephas.utils.rdd_utils import to_simple_rdd
from pyspark import SparkConf, SparkContext


def main():
    """Warm up, then fit whenever asked."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # frameworks print what they like
    settings = json.loads(Path(sys.argv[1]).read_text())
    conf = SparkConf().setAll(list(settings["properties"].items()))
    context = SparkContext(conf=conf)
    folder, number = Path(settings["dataset"]), settings["train_images"]
    x = np.load(str(folder / "x_train.npy"))[:number].astype("float32") / np.float32(255)
    y = np.eye(10, dtype="float32")[np.load(str(folder / "y_train.npy"))[:number].astype("int64")]
    model = SparkModel(keras3.build(x.shape[1:]))
    rdd = to_simple_rdd(context, x, y)
    options = {"batch_size": settings["batch_size_per_task"], "verbose": 0, "validation_split": 0.0}
    model.fit(rdd, epochs=1, **options)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        model.fit(rdd, epochs=1, **options)
        print(json.dumps({"train_s": time.perf_counter() - began}), file=answers, flush=True)
    context.stop()


if __name__ == "__main__":
    main()
