"""Shows what a contestant computes, so that Bakeoff can compare it with what the others do: no time is taken.

The model is built as for a run, from the same weights, with dropout and augmentation switched off, and
trained by the very calls that a run times: `fit` and the study's optimizer. What came of it goes to
``job.paths.evidence``. A contestant without Keras shows less: see `inspected`.
"""

import functools

from bakeoff_worker import backends, data, loop, schedules
from bakeoff_worker.backends.base import Inspectable, Skip
from bakeoff_worker.backends.keras_model import KerasBackend
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.verification import inspected, optimizer, silence, steps
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
    backend = backends.load(settings)(settings, job.paths)
    reason = backend.skip_reason()
    if reason is not None:
        raise Skip(reason)
    if not isinstance(backend, (KerasBackend, Inspectable)):
        raise Skip("backend {} trains no network: there is nothing to verify".format(settings.backend))
    backend.start()
    loop.end_phase(channel, "import", importing.stop())
    watch = Stopwatch()
    source = data.find(job.paths.dataset, settings, seed)
    loop.end_phase(channel, "data", watch.stop())
    if isinstance(backend, Inspectable):
        inspected.run(job, backend, source, channel)
        return

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
        points = {"as_trained": initial, "general": steps.shaken(initial, weights.own_draws)}
        taken = {}
        for scene in SCENES:
            watch = Stopwatch()
            backend._restore(start)
            weights.write(points[scene])
            before = backend._state()
            batches = Batches(source, settings, scene)
            taken[scene] = steps.take(
                scene, backend, batches, weights.read, functools.partial(backend._restore, before), evidence
            )
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
