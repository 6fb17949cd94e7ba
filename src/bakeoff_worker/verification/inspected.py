"""What a contestant without Keras shows: losses, and its weights after each step."""

import functools
from typing import Any, Dict, List

from bakeoff_worker import data, loop
from bakeoff_worker.backends.base import Inspectable
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job, TrialSettings
from bakeoff_worker.verification.batches import SCENES, Batches
from bakeoff_worker.verification.evidence import Evidence, common
from bakeoff_worker.verification.steps import shaken, take


def run(job: Job, backend: Inspectable, source: data.Source, channel: Channel) -> None:
    """Train it at both points, from weights that all contestants share, and write down what came of it."""
    settings = job.spec.settings
    first = Batches(source, settings, "as_trained")
    watch = Stopwatch()
    backend.silence()
    backend.build(loop.model_builder(job), first.input_shape, source.num_classes, job.spec.seed)
    loop.end_phase(channel, "build", watch.stop())
    names = list(backend.weights())

    def read() -> List[Any]:
        return list(backend.weights().values())

    initial = read()
    points = {"as_trained": initial, "general": shaken(initial, [False] * len(initial))}
    with Evidence(job.paths.evidence) as evidence:
        evidence.put(
            "about", dict(common(settings), **_recipe(settings), weights=[_weight(name) for name in names])
        )
        for scene in SCENES:
            watch = Stopwatch()
            restart = functools.partial(backend.restart, dict(zip(names, points[scene])))
            restart()
            take(scene, backend, Batches(source, settings, scene), read, restart, evidence)
            loop.end_phase(channel, scene, watch.stop())
    channel.emit(loop.facts(settings, backend, input_shape=list(first.input_shape)))


def _recipe(settings: TrialSettings) -> Dict[str, Any]:
    rate = settings.learning_rate
    return {
        "layers": [],
        "loss": settings.loss,
        "optimizer": settings.optimizer,
        "optimizer_options": dict(settings.optimizer_options, learning_rate=rate),
    }


def _weight(name: str) -> Dict[str, Any]:
    return {
        "layer": -1,
        "name": name,
        "trainable": True,
        "own_draw": False,
        "initializer": None,
        "regularizer": None,
    }
