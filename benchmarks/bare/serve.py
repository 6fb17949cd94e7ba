"""Trains a compiled Keras model whenever a line on standard input asks for it, and answers with the time.

``epoch``: one call of fit on freshly permuted arrays, then evaluate outside the clock. ``single``: all
epochs in one call of fit, shuffled by Keras. Answers are JSON lines ``{"train_s": ..., "cpu_s": ...}``.
Python 3.7 upwards; NumPy and the standard library.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np


def serve(build, untuned=None):
    """Answer requests until standard input ends. build: from an image's shape to a compiled model.

    untuned: from arrays and a batch size to TensorFlow's batches without the tuner of its input pipeline.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # frameworks print what they like
    settings = json.loads(Path(sys.argv[1]).read_text())
    batch = settings["global_batch_size"]
    options = {"epochs": 1, "shuffle": False, "verbose": 0}

    def fit(x, y):
        if settings["autotune_input"]:
            model.fit(x, y, batch_size=batch, **options)
        else:
            model.fit(untuned(x, y, batch), **options)

    x_train, y_train = _load(settings, "train", settings["train_images"])
    x_test, y_test = _load(settings, "test", settings["evaluation_images"])
    model = build(x_train.shape[1:])
    fit(x_train[:batch], y_train[:batch])
    model.evaluate(x_test[:batch], y_test[:batch], batch_size=batch, verbose=0)
    generator = np.random.RandomState(0)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "epoch":
            order = generator.permutation(len(x_train))
            x, y = x_train[order], y_train[order]
            began = _clocks()
            fit(x, y)
            ended = _clocks()
            model.evaluate(x_test, y_test, batch_size=batch, verbose=0)
        else:
            began = _clocks()
            model.fit(x_train, y_train, batch_size=batch, epochs=settings["epochs"], shuffle=True, verbose=0)
            ended = _clocks()
        spent = {"train_s": ended[0] - began[0], "cpu_s": ended[1] - began[1]}
        print(json.dumps(spent), file=answers, flush=True)


def _load(settings, split, number):
    """Floats in [0, 1] and one-hot labels of the first images."""
    folder = Path(settings["dataset"])
    x = np.load(str(folder / f"x_{split}.npy"))[:number]
    y = np.load(str(folder / f"y_{split}.npy"))[:number]
    return x.astype("float32") / np.float32(255), np.eye(10, dtype="float32")[y.astype("int64")]


def _clocks():
    """Wall and CPU seconds, the latter of this process and its ended children."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in spent)
