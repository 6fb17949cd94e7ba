"""Runs inside a contestant's environment: builds and trains models as told, and writes what came of it.

``python compute.py WORKER_ROOT JOB.json OUTPUT.npz``. The job names one backend and its cases: settings,
image shape, perhaps a model file, a number of epochs. Per case the file gets either the error, or digest and
number of the initial weights, the warnings, and what training led to. With a forward pass before and an
evaluation after training unless `inference` is false: those are two more graphs to compile.
"""

import functools
import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import numpy as np

from bakeoff_worker import backends, data, models
from bakeoff_worker.job import RunPaths, TrialSettings

NUM_CLASSES, SEED = 10, 5


def main(job_path, output):
    """Every case in one process: the framework is imported once."""
    job = json.loads(Path(job_path).read_text())
    found, started = {}, None
    for name, case in job["cases"].items():
        settings = TrialSettings(**dict(case.get("settings", {}), backend=job["backend"], environment="-"))
        paths = RunPaths(dataset="", model_file=case.get("file"), scratch=job["scratch"], records="")
        backend = backends.load(settings)(settings, paths)
        if started is None:
            backend.start()
            started = {key: value for key, value in vars(backend).items() if key not in ("settings", "paths")}
        else:  # the process has its framework already
            vars(backend).update(started)
            if settings.backend == "tensorflow1":  # it looks through the graphs of all cases, each time
                backend.keras.backend.clear_session()
            backend.keras.backend.set_image_data_format(settings.data_layout)
        try:
            answers = compute(backend, case)
        except Exception as error:
            answers = {"error": f"{type(error).__name__}: {error}"}
        found.update({name + "/" + key: np.asarray(value) for key, value in answers.items()})
    np.savez(output, **found)


def compute(backend, case):
    """One case's answers by name."""
    settings = backend.settings
    rng = np.random.RandomState(3)
    x = rng.uniform(size=(64, *case["image_shape"])).astype("float32")
    num_classes = case.get("num_classes", NUM_CLASSES)
    labels = rng.randint(0, num_classes, 64).astype("int32")
    y = labels if settings.loss.startswith("sparse") else np.eye(num_classes, dtype="float32")[labels]
    if settings.data_layout == "channels_first":
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    build = functools.partial(models.build, settings.model, settings.model_options, backend.paths.model_file)
    backend.build(build, x.shape[1:], num_classes, SEED)
    y = data.labels_for(y, backend.num_outputs)
    if case.get("file"):
        backend.check_outputs(x)
    answers = {
        "sha256": backend.initial_weights_sha256,
        "num_parameters": backend.model.count_params(),
        "own_draws": np.array(backend.own_draws, dtype=str),
        "warnings": np.array(backend.warnings(), dtype=str),
    }
    if case.get("inference", True):
        answers["forward"] = backend.model.predict(x, batch_size=32, verbose=0)
    if case.get("first_step"):
        backend.first_step(x, y)
    if case.get("epochs"):
        trained = np.array([backend.train_epoch(x, y) for _ in range(case["epochs"])])
        answers["losses"], answers["accuracies"] = trained.T
        if case.get("inference", True):
            answers["evaluated"] = backend.evaluate(x, y)
            predicted = backend.model.predict(x, batch_size=32, verbose=0)
            named = predicted.argmax(axis=1)
            if backend.num_outputs == 1:
                named = predicted[:, 0] > (0 if backend.from_logits else 0.5)
            answers["accuracy_by_hand"] = (named == labels).mean()
            answers["wrong"] = backend.wrong(x, y).mean()
        for index, (layer, array) in enumerate(weights_of(backend.model)):
            if settings.backend == "theano" and type(layer).__name__ == "Conv2D" and array.ndim == 4:
                array = array[::-1, ::-1]  # Theano convolves: its kernels stand turned
            answers[f"weights/{index:03d}"] = array
    return answers


def weights_of(model):
    """(layer, array) pairs in the model's order."""
    return [(layer, array) for layer in model.layers for array in layer.get_weights()]


main(sys.argv[2], sys.argv[3])
