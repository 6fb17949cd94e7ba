"""The wall time of a small run, phase by phase: by the calls that a run makes, each batch shape by itself."""

from typing import List, Optional

from bakeoff_worker import data, loop
from bakeoff_worker.backends.base import BackendBase
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.records import FirstCall, ProfiledEpoch


def show(job: Job, backend: BackendBase, arrays: data.Arrays, channel: Channel) -> None:
    """Emit what each batch shape's first call takes, then what epochs take that need nothing new.

    The phase ``facts`` is our own question what really runs.
    """
    settings, seed = job.spec.settings, job.spec.seed
    training, evaluation = (arrays.x_train, arrays.y_train), (arrays.x_evaluation, arrays.y_evaluation)
    for name, call, (x, y) in (
        ("training", backend.first_step, training),
        ("evaluation", backend.evaluate, evaluation),
    ):
        for num_images in _batch_shapes(len(x), settings.global_batch_size):
            watch = Stopwatch()
            call(x[:num_images], y[:num_images])
            backend.synchronize()
            span = watch.stop()
            channel.emit(FirstCall(name, num_images, span.wall_s, span.user_s, span.system_s))
    watch = Stopwatch()
    facts = loop.facts(settings, backend, input_shape=list(arrays.input_shape))
    loop.end_phase(channel, "facts", watch.stop())
    channel.emit(facts)
    for epoch in range(1, settings.epochs + 1):
        order = data.epoch_order(len(arrays.x_train), seed, epoch)
        x, y = arrays.x_train[order], arrays.y_train[order]
        faults = _page_faults()
        watch = Stopwatch()
        backend.train_epoch(x, y)
        backend.synchronize()
        trained = watch.stop()
        after = _page_faults()
        watch = Stopwatch()
        backend.evaluate(*evaluation)
        backend.synchronize()
        evaluated = watch.stop()
        channel.emit(
            ProfiledEpoch(
                epoch=epoch,
                num_images=len(x),
                num_steps=-(-len(x) // settings.global_batch_size),
                num_evaluated=len(arrays.x_evaluation),
                evaluation_s=evaluated.wall_s,
                wall_s=trained.wall_s,
                user_s=trained.user_s,
                system_s=trained.system_s,
                page_faults=None if faults is None or after is None else after - faults,
            )
        )


def _batch_shapes(num_images: int, batch_size: int) -> List[int]:
    """Images of each batch shape of an epoch: a full batch and, if there is one, the rest."""
    if num_images <= batch_size:
        return [num_images]
    return [size for size in (batch_size, num_images % batch_size) if size]


def _page_faults() -> Optional[int]:
    """Pages that the kernel has handed to this process so far; None where unknown."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
