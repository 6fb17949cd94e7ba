"""The steps that a contestant is followed on, and the weights that it starts from."""

import math
from typing import Any, Callable, List, Sequence

import numpy as np

from bakeoff_worker.backends.base import BackendBase
from bakeoff_worker.distribution import RunFailed
from bakeoff_worker.verification.batches import NUM_STEPS, Batches
from bakeoff_worker.verification.evidence import Evidence


def take(
    scene: str,
    backend: BackendBase,
    batches: Batches,
    read: Callable[[], List[Any]],
    restart: Callable[[], None],
    evidence: Evidence,
) -> List[Any]:
    """The steps one by one, then all again in one epoch; all weights before each step and at the end.

    read: all weights. restart: puts weights and optimizer to where they are when this is called.
    """
    taken = [read()]
    losses: List[float] = []
    for step in range(NUM_STEPS):
        x, y = batches.x(step), batches.y(step)
        evidence.put("{}/x/{}".format(scene, step), batches.common(x))
        evidence.put("{}/y/{}".format(scene, step), y)
        loss, _ = backend.train_epoch(x, y)
        if not math.isfinite(loss):
            raise RunFailed("the training loss is {} in step {} of the verification".format(loss, step + 1))
        losses.append(loss)
        taken.append(read())
    for step, arrays in enumerate(taken):
        evidence.put_all("{}/weights/{}".format(scene, step), arrays)
    evidence.put(scene + "/losses", np.array(losses))
    restart()
    backend.train_epoch(*batches.whole())
    evidence.put_all(scene + "/epoch", read())
    return taken


def shaken(initial: Sequence[Any], own_draws: Sequence[bool]) -> List[Any]:
    """The initial weights, each changed by about a tenth, so that no bias is zero and no scale is one.

    At the initial weights themselves a missing bias, or a scale that is never applied, would not show.
    Weights that the framework drew by itself are replaced: they differ from contestant to contestant.
    """
    changed = []
    for index, (array, drawn) in enumerate(zip(initial, own_draws)):
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
