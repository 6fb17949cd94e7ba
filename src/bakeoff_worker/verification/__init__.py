"""Shows what a contestant computes, so that Bakeoff can compare it with what the others do: no time is taken.

The model is built as for a run, from the same weights, with dropout and augmentation switched off, and
trained by the very calls that a run times: `fit` and the study's optimizer. What came of it goes to
``job.paths.evidence``.
"""

import math
from typing import Any, List

import numpy as np

from bakeoff_worker import backends, data, loop, schedules
from bakeoff_worker.backends.base import Skip
from bakeoff_worker.backends.keras_model import KerasBackend
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.distribution import RunFailed
from bakeoff_worker.emit import Channel
from bakeoff_worker.records import Job
from bakeoff_worker.verification import optimizer, silence
from bakeoff_worker.verification.batches import NUM_COMMON, NUM_STEPS, SCENES, Batches
from bakeoff_worker.verification.evidence import Evidence, describe
from bakeoff_worker.verification.gradients import Gradients
from bakeoff_worker.verification.trace import Trace
from bakeoff_worker.verification.weights import Weights


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """Compute and write down everything that contestants are compared by.

    Raises:
        ModelError: the model can't be made, or is of the wrong form.
        Skip: the backend declines the settings, or has no network to look into.
        RunFailed: the loss is not a number.
    """
    settings, seed = job.spec.settings, job.spec.seed
    backend = backends.load(settings.backend)(settings, job.paths)
    reason = backend.skip_reason()
    if reason is not None:
        raise Skip(reason)
    if not isinstance(backend, KerasBackend):
        raise Skip("backend {} trains no network: there is nothing to verify".format(settings.backend))
    backend.start()
    loop.end_phase(channel, "import", importing.stop())
    watch = Stopwatch()
    source = data.find(job.paths.dataset, settings, seed)
    loop.end_phase(channel, "data", watch.stop())

    watch = Stopwatch()
    silence.random_layers(backend.keras)
    first = Batches(source, settings, "as_trained")
    backend.rates = schedules.in_short(settings, NUM_STEPS)
    backend.class_weights = source.class_weights
    backend.build(loop.model_builder(job), first.input_shape, source.num_classes, seed)
    source.prepare.num_outputs = backend.num_outputs
    draws = silence.draws(backend.keras)
    loop.end_phase(channel, "build", watch.stop())

    with Evidence(job.paths.evidence) as evidence:
        weights = Weights(backend)
        evidence.put("about", describe(backend, weights))
        initial, start = weights.read(), backend._state()
        points = {"as_trained": initial, "general": shaken(initial, weights)}
        taken = {}
        for scene in SCENES:
            watch = Stopwatch()
            backend._restore(start)
            weights.write(points[scene])
            taken[scene] = _train(scene, backend, Batches(source, settings, scene), weights, evidence)
            loop.end_phase(channel, scene, watch.stop())
        channel.emit(loop.facts(settings, backend, input_shape=list(first.input_shape)))
        # What follows compiles the model anew: the study's optimizer has had its say.
        watch = Stopwatch()
        trace, gradients = Trace(backend, draws), Gradients(backend, weights)
        for scene in SCENES:
            batches = Batches(source, settings, scene)
            weights.write(points[scene])
            calls, activations, shared = trace.record(batches.x(0))
            evidence.put(scene + "/calls", calls)
            evidence.put_all(scene + "/activations", activations)
            if scene == "general":
                evidence.put_all(scene + "/shared", shared)
            for step, point in enumerate(taken[scene][:-1]):
                found = gradients.at(point, batches.x(step), batches.y(step))
                evidence.put_all("{}/gradients/{}".format(scene, step), found)
            for step in range(1, NUM_COMMON):
                found = gradients.at(points[scene], batches.x(step), batches.y(step))
                evidence.put_all("{}/start_gradients/{}".format(scene, step), found)
        evidence.put_arrays("optimizer", optimizer.probe(backend))
        loop.end_phase(channel, "verification", watch.stop())


def _train(scene: str, backend: Any, batches: Batches, weights: Weights, evidence: Evidence) -> List[Any]:
    """The steps one by one, then all again in one epoch; all weights before each step and at the end."""
    taken, before = [weights.read()], backend._state()
    losses: List[float] = []
    for step in range(NUM_STEPS):
        x, y = batches.x(step), batches.y(step)
        evidence.put("{}/x/{}".format(scene, step), batches.common(x))
        evidence.put("{}/y/{}".format(scene, step), y)
        loss, _ = backend.train_epoch(x, y)
        if not math.isfinite(loss):
            raise RunFailed("the training loss is {} in step {} of the verification".format(loss, step + 1))
        losses.append(loss)
        taken.append(weights.read())
    for step, arrays in enumerate(taken):
        evidence.put_all("{}/weights/{}".format(scene, step), arrays)
    evidence.put(scene + "/losses", np.array(losses))
    backend._restore(before)
    backend.train_epoch(*batches.whole())
    evidence.put_all(scene + "/epoch", weights.read())
    return taken


def shaken(initial: List[Any], weights: Weights) -> List[Any]:
    """The initial weights, each changed by about a tenth, so that no bias is zero and no scale is one.

    At the initial weights themselves a missing bias, or a scale that is never applied, would not show.
    Weights that the framework drew by itself are replaced: they differ from contestant to contestant.
    """
    changed = []
    for index, (array, drawn) in enumerate(zip(initial, weights.own_draws)):
        generator = np.random.RandomState(104729 + index)
        noise = 0.1 * generator.normal(size=array.shape).clip(-3, 3)
        if drawn:
            fan_in = max(1.0, float(np.prod(array.shape[:-1])))
            changed.append((10 * noise / math.sqrt(fan_in)).astype(array.dtype))
        else:
            # Rounded: the last bits of a sum differ between versions of NumPy.
            size = (
                float("%.3g" % math.sqrt(np.mean(np.square(array, dtype="float64")))) if array.size else 0.0
            )
            changed.append((array + noise * (size or 1.0)).astype(array.dtype))
    return changed
