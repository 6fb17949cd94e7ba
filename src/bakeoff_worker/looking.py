"""Builds the user's model, or contestant, once, to see what it reads and gives: no time is taken."""

import json
import os
from typing import Any, List, Tuple

import numpy as np

from bakeoff_worker import backends, loop
from bakeoff_worker.backends.base import BackendBase, Inspectable, Skip
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.reading import Reading
from bakeoff_worker.records import ModelRead


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """Import the framework, then build and compile the model under observation, and emit what was read.

    A contestant of the user's own is all under observation, and tried out.

    Raises:
        ContestantError: the contestant breaks the contract.
        ModelError: the model can't be made, is of the wrong form, or gives no probabilities.
        Skip: the backend declines the settings.
    """
    if job.spec.settings.contestant:
        _look_at_contestant(job, channel)
        return
    settings = job.spec.settings
    backend: BackendBase = backends.load(settings)(settings, job.paths)
    reason = backend.skip_reason()
    if reason is not None:
        raise Skip(reason)
    backend.start()
    loop.end_phase(channel, "import", importing.stop())
    input_shape, num_classes = _form(job)
    with Reading(_left_out(job)) as reading:
        backend.build(loop.model_builder(job), input_shape, num_classes, job.spec.seed)
    found = reading.found()
    backend.check_outputs(_images(input_shape, job.spec.seed))
    channel.emit(ModelRead(found["paths"], found["folders"], found["absent"]))


def _look_at_contestant(job: Job, channel: Channel) -> None:
    from bakeoff_worker.backends import own

    settings = job.spec.settings
    input_shape, num_classes = _form(job)
    # What a framework reads of the system while it is imported is none of the contestant's.
    with Reading([*_left_out(job), "/etc", "/usr"]) as reading:
        backend: Inspectable = backends.load(settings)(settings, job.paths)
        reason = backend.skip_reason()
        if reason is not None:
            raise Skip(reason)
        backend.start()
        backend.build(loop.model_builder(job), input_shape, num_classes, job.spec.seed)
        own.examine(backend, input_shape, num_classes)
    found = reading.found()
    channel.emit(ModelRead(found["paths"], found["folders"], found["absent"]))


def _left_out(job: Job) -> List[str]:
    return [job.paths.scratch, job.paths.folder or "", job.paths.dataset]


def _images(input_shape: Tuple[int, ...], seed: int) -> Any:
    """A few images of random pixels, scaled as most are."""
    return np.random.RandomState(seed % 2**32).random_sample((8,) + input_shape).astype("float32")


def _form(job: Job) -> Tuple[Tuple[int, ...], int]:
    """Shape of one image in the run's layout, and the number of classes."""
    with open(os.path.join(job.paths.dataset, "about.json")) as file:
        about = json.load(file)
    height, width, channels = about["image_shape"]
    is_first = job.spec.settings.data_layout == "channels_first"
    shape = (channels, height, width) if is_first else (height, width, channels)
    return shape, int(about["num_classes"])
