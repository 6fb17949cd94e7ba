"""Shows what one synchronous round does, so that Bakeoff can hold it against its stated arithmetic.

A small round on a real cluster, dropout and augmentation off: what each task was given and what change it
sent back, and where the weights ended. Then, in this process, what change each shard should have made: the
same rows, in the same batches, trained by the very call that a run on one machine times. No time is taken.
"""

import json
from typing import Any, Dict, Iterator, List

import numpy as np

from bakeoff_worker import loop
from bakeoff_worker.backends.base import Skip
from bakeoff_worker.clock import Stopwatch
from bakeoff_worker.distribution.elephas import driver, releases
from bakeoff_worker.distribution.elephas.run import Run
from bakeoff_worker.distribution.elephas.task import RecordedWorker
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job
from bakeoff_worker.verification import silence
from bakeoff_worker.verification.batches import noisy
from bakeoff_worker.verification.steps import shaken
from bakeoff_worker.verification.weights import Weights


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """One round, and what each shard would have come to by itself, written to ``job.paths.evidence``.

    Raises:
        ModelError, Skip, RunFailed: as `driver.run`.
    """
    if job.spec.settings.distribution_options["mode"] != "synchronous":
        raise Skip("an asynchronous round has no one result: it depends on which task comes first")
    run = driver.built(job, channel, importing, lambda backend: silence.random_layers(backend.keras))
    silence.draws(run.backend.keras)
    batch = int(run.options["batch_size_per_task"])
    sizes = shard_sizes(batch, run.num_slots)
    rows = np.resize(run.source.order, sum(sizes))
    x, y = run.source.prepare(run.source.x_train[rows], run.source.y_train[rows])
    x = noisy(x)
    weights = Weights(run.backend)
    weights.write(shaken(weights.read(), weights.own_draws))
    start = run.backend.model.get_weights()
    names = [str(getattr(weight, "path", weight.name)) for weight in run.backend.model.weights]
    tasks: List[Dict[str, Any]] = []

    def one_round(run: Run, context: Any, properties: Dict[str, str], channel: Channel) -> None:
        ends = np.cumsum(sizes)
        shards = [
            context.parallelize(list(zip(x[end - size : end], y[end - size : end])), 1)
            for size, end in zip(sizes, ends)
        ]
        shown = context.accumulator([], run.figures.accum_param)
        setup = run.setup()
        releases.wrap_workers(lambda worker: ShownWorker(worker, shown, setup))
        if run.options["merge"] == "averaged":
            run.release.correct(run.num_slots)
        model = run.model()
        driver.fit(run, model, context.union(shards), 1)
        tasks.extend(shown.value)

    driver.on_cluster(run, one_round, channel)
    watch = Stopwatch()
    arrays: Dict[str, Any] = {}
    for place, (before, after) in enumerate(zip(start, run.backend.model.get_weights())):
        arrays["start/{}".format(place)], arrays["end/{}".format(place)] = before, after
    # Made anew: what Elephas compiled may have another optimizer than what was asked for.
    run.backend.build(loop.model_builder(job), tuple(x.shape[1:]), run.source.num_classes, job.spec.seed)
    fresh = run.backend._state()
    places = {image.tobytes(): index for index, image in enumerate(x)}
    partitions = {int(task["partition"]): task for task in tasks}  # of several attempts, the last
    for partition, task in sorted(partitions.items()):
        indices = [places.get(image.tobytes(), -1) for image in task["x"]]
        arrays["shard/{}/rows".format(partition)] = np.array(indices, "int64")
        for place, change in enumerate(task["change"]):
            arrays["shard/{}/change/{}".format(partition, place)] = change
        if len(indices) <= batch or min(indices) < 0:
            continue
        run.backend._restore(fresh)
        run.backend.model.set_weights(start)
        run.backend.train_epoch(x[indices], y[indices])
        for place, (before, after) in enumerate(zip(start, run.backend.model.get_weights())):
            arrays["shard/{}/alone/{}".format(partition, place)] = before - after
    about = {
        "release": run.release.version,
        "merge": run.release.merge(run.options),
        "arithmetic": run.release.arithmetic(run.options, run.num_slots),
        "batch_size": batch,
        "num_rows": len(x),
        "partitions": sorted(partitions),
        "precision": run.settings.precision,
        "weights": names,
    }
    arrays["about"] = np.array(json.dumps(about))
    with open(job.paths.evidence or "", "wb") as file:
        np.savez(file, **arrays)
    loop.end_phase(channel, "verification", watch.stop())


def shard_sizes(batch: int, num_shards: int) -> List[int]:
    """Rows of each shard: unlike, since all are said to weigh the same; one is a batch and no more."""
    sizes = [3 * batch - index for index in range(num_shards)]
    sizes[num_shards // 2] = batch
    return [max(size, batch) for size in sizes]


class ShownWorker(RecordedWorker):
    """Elephas's own worker, its rows kept, and the change that it sends back shown to the driver, too."""

    def train(self, rows: Iterator[Any]) -> Iterator[Any]:
        """What Elephas's worker yields for one partition, trained in the order of its rows."""
        import pickle
        import sys

        from pyspark import TaskContext

        self.setup.start()
        # Imported by now. Rates of dropout are zero in the model that came from the driver.
        silence.draws(sys.modules["keras"])
        worker = pickle.loads(self.worker)
        _in_order(sys.modules[type(worker).__module__])
        images: List[Any] = []

        def kept() -> Iterator[Any]:
            for row in rows:
                images.append(row[0])
                yield row

        for outcome in worker.train(kept()):
            # The new line adds the history; the changes themselves are a list of arrays in both.
            change = outcome[0] if isinstance(outcome[0], list) else outcome
            shown = {
                "partition": TaskContext.get().partitionId(),
                "x": list(images),
                "change": [np.array(one) for one in change],
            }
            self.figures.add([shown])
            yield outcome


def _in_order(module: Any) -> None:
    """Models that this module rebuilds train their rows in order, so that their batches are known."""
    for name in ("model_from_json", "model_from_yaml"):
        rebuild = getattr(module, name, None)
        if rebuild is not None:
            setattr(module, name, _Rebuild(getattr(rebuild, "own", rebuild)))


class _Rebuild:
    """A module's own function, its models told not to shuffle."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        model = self.own(*arguments, **options)
        fit = model.fit

        def ordered(x: Any, y: Any, **options: Any) -> Any:
            return fit(x, y, **dict(options, shuffle=False))

        model.fit = ordered
        return model
