"""What each layer takes, by substitution: the network with and without it, in turn, in one process.

Variants are the network's first layers, one more in each, before an output layer; the last variant is the
network itself, on a whole batch and on half of one. What one more layer adds to a step is what the layer
takes; what half a batch does not save is the host's. All live in one process, so that whatever makes
processes of the same program differ (memory's layout, above all) is the same for all of them.
"""

import importlib
import math
import random
from typing import Any, List, Tuple

from bakeoff_worker import data
from bakeoff_worker.backends import keras_network as network
from bakeoff_worker.backends.base import BackendBase
from bakeoff_worker.backends.keras_model import KerasBackend
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.profile import ceilings
from bakeoff_worker.records import NotShown, ProfiledSteps, VariantTimed

# Many short turns: what else the machine does hits some of them, and the median is of the others.
_NUM_TURNS = 24
_TURN_S = 0.05


def show(job: Job, backend: BackendBase, arrays: data.Arrays, channel: Channel) -> None:
    """Emit the network's layers, what the framework's profiler says of them, then all variants' times."""
    if not isinstance(backend, KerasBackend):
        channel.emit(NotShown("layers", "this backend trains no network of Keras"))
        return
    batch_size = job.spec.settings.global_batch_size
    x, y = arrays.x_train[:batch_size], arrays.y_train[:batch_size]
    try:
        layers = network.chain(backend.model)
    except network.NoChain as reason:
        channel.emit(NotShown("layers", str(reason)))
        return
    for layer in layers:
        channel.emit(network.describe(layer))
    channel.emit(_profiled(job, backend, [layer.name for layer in layers], x, y))
    channel.emit(ceilings.measure(backend))
    variants = _variants(backend, len(layers), len(x))
    for _, _, model, num_images in variants:
        _step_s(backend, model.train_on_batch, x[:num_images], y[:num_images], 1)
        _step_s(backend, model.test_on_batch, x[:num_images], y[:num_images], 1)
    num_steps = max(1, math.ceil(_TURN_S / _step_s(backend, backend.model.train_on_batch, x, y, 2)))
    for turn in range(_NUM_TURNS):
        # As contestants alternate: at random, and every second round the other way round.
        order = list(range(len(variants)))
        random.Random(job.spec.seed + turn // 2).shuffle(order)
        for index in reversed(order) if turn % 2 else order:
            depth, twin, model, num_images = variants[index]
            some_x, some_y = x[:num_images], y[:num_images]
            step_s = _step_s(backend, model.train_on_batch, some_x, some_y, num_steps)
            forward_s = _step_s(backend, model.test_on_batch, some_x, some_y, num_steps)
            channel.emit(VariantTimed(depth, twin, turn, num_images, step_s, forward_s))


def _profiled(job: Job, backend: Any, layers: List[str], x: Any, y: Any) -> Any:
    """Some steps under the framework's own profiler; or why there are none."""
    name = "bakeoff_worker.backends.{}.profiler".format(job.spec.settings.backend)
    try:
        profiler = importlib.import_module(name)
    except ImportError as error:
        if error.name != name:
            raise
        return NotShown("profiler", "Bakeoff reads no profiler of this framework")
    with profiler.Profiler(backend, layers) as profiled:
        _step_s(backend, backend.model.train_on_batch, x, y, 2)
        profiled.start()
        step_s = _step_s(backend, backend.model.train_on_batch, x, y, profiler.NUM_STEPS)
        spans = profiled.stop()
    if not any(span.layer for span in spans):
        return NotShown("profiler", "{} saw no operation that tells its layer".format(profiler.NAME))
    return ProfiledSteps(profiler.NAME, profiler.NUM_STEPS, profiler.NUM_STEPS * step_s, spans)


def _variants(backend: Any, num_layers: int, num_images: int) -> List[Tuple[int, str, Any, int]]:
    """Depth, name of the layer that has a twin, model, images of a step; all compiled alike."""
    found = [
        (depth, "", network.first(backend.keras, backend.model, depth)) for depth in range(num_layers - 1)
    ]
    found += [
        (num_layers - 1, name, network.with_twins(backend.keras, backend.model, [name])[0])
        for name in network.twinned(backend.model)
    ]
    for _, _, model in found:
        backend.compile(model)
    variants = [(depth, twin, model, num_images) for depth, twin, model in found]
    sizes = dict.fromkeys((num_images, num_images // 2 or num_images))
    return variants + [(num_layers - 1, "", backend.model, size) for size in sizes]


def _step_s(backend: BackendBase, call: Any, x: Any, y: Any, num_steps: int) -> float:
    """Wall seconds of a call, on average over so many."""
    backend.synchronize()
    watch = Stopwatch()
    for _ in range(num_steps):
        call(x, y)
    backend.synchronize()
    return watch.stop().wall_s / num_steps
