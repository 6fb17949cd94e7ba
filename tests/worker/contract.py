"""Runs inside a contestant's environment: calls a backend as the loop does and checks what it gives back.

``python contract.py WORKER_ROOT BACKEND SCRATCH`` prints the facts as one line of JSON at the end.
"""

import functools
import json
import os
import sys

sys.path.insert(0, sys.argv[1])

import numpy as np

from bakeoff_worker import backends, models
from bakeoff_worker.job import RunPaths, TrialSettings


def main(name, scratch):
    """Each method in the loop's order."""
    settings = TrialSettings(backend=name, environment="-", global_batch_size=32)
    backend = backends.load(settings)(settings, RunPaths("", None, scratch, ""))
    expect(backend.skip_reason() is None, "runs the defaults")
    flags = os.environ.get("THEANO_FLAGS", "")
    backend.start()
    expect(
        os.environ.get("THEANO_FLAGS", "") == flags, "a cluster's executors inherit no flags of the driver's"
    )
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(80, 28, 28, 1)).astype("float32")
    y = np.eye(10, dtype="float32")[rng.randint(0, 10, 80)]
    options = {} if name == "fake" else settings.model_options
    backend.build(functools.partial(models.build, "study_cnn", options, None), (28, 28, 1), 10, 5)
    expect(backend.first_step(x[:48], y[:48]) is None, "first_step gives nothing")
    for pair in (backend.evaluate(x, y), backend.train_epoch(x, y), backend.train_epoch(x, y)):
        expect(isinstance(pair, tuple) and len(pair) == 2, "loss and accuracy, a pair")
        expect(all(type(value) is float for value in pair), "plain floats, not the framework's")
        expect(np.isfinite(pair[0]) and 0 <= pair[1] <= 1, "a loss, and an accuracy in [0, 1]")
    wrong = np.asarray(backend.wrong(x, y))
    expect(wrong.shape == (80,) and wrong.dtype == bool, "a Boolean per image")
    wrong_in_all = 80 * (1 - backend.evaluate(x, y)[1])
    expect(abs(wrong.sum() - wrong_in_all) <= 0.5, "as many wrong as evaluate counted")
    expect(backend.synchronize() is None, "synchronize gives nothing")
    expect(backend.device_peak_memory_bytes() is None, "no device memory on a CPU")
    expect(all(type(message) is str for message in backend.warnings()), "warnings are sentences")
    print("\n" + json.dumps({"resolved": backend.resolved(), "observed": backend.observed()}))


def expect(holds, promise):
    if not holds:
        sys.exit("broken promise: " + promise)


main(sys.argv[2], sys.argv[3])
