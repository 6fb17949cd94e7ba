"""The only epoch loop: every contestant goes through these lines and no others.

Between two readings of a clock stand exactly one call of the backend and one `synchronize` (and the handicap,
of a contestant that has one on purpose). Shuffling, emitting, probing and the parent's writing happen while
no clock runs.
"""

import functools
import math
from typing import Any, Iterator, List, Optional, Tuple

from bakeoff_worker import allocator, backends, clock, data, models, outcomes, probe, schedules
from bakeoff_worker.backends.base import BackendBase, Skip
from bakeoff_worker.clock import Span, Stopwatch
from bakeoff_worker.device import DeviceMeter, meter_for
from bakeoff_worker.distribution import RunFailed
from bakeoff_worker.emit import Channel
from bakeoff_worker.energy import EnergyMeter
from bakeoff_worker.job import Job, TrialSettings
from bakeoff_worker.records import EpochRecord, Facts, PhaseEnded, RunWarning


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """Train one run from start to finish, emitting as it goes.

    importing: started before NumPy and this module were imported; the phase ends with the framework's import.

    Raises:
        ModelError: the model can't be made, or is of the wrong form.
        Skip: the backend declines the settings.
        RunFailed: the training went on but its loss is no longer a number.
    """
    settings, seed = job.spec.settings, job.spec.seed
    backend, arrays = made_ready(job, channel, importing)
    head = data.first_batches(len(arrays.x_train), settings.global_batch_size)
    evaluation_head = data.first_batches(len(arrays.x_evaluation), settings.global_batch_size)
    watch = Stopwatch()
    backend.first_step(arrays.x_train[head], arrays.y_train[head])
    backend.evaluate(arrays.x_evaluation[evaluation_head], arrays.y_evaluation[evaluation_head])
    backend.synchronize()
    end_phase(channel, "first_step", watch.stop())

    channel.emit(
        facts(
            settings,
            backend,
            num_train_images=len(arrays.x_train),
            num_evaluation_images=len(arrays.x_evaluation),
            input_shape=list(arrays.input_shape),
            **arrays.evaluation.facts(),
        )
    )
    for message in backend.warnings():
        channel.emit(RunWarning(message))
    if settings.handicap:
        channel.emit(
            RunWarning(
                "made slower on purpose, by {:g} %".format(100 * settings.handicap),
                "its times say whether a difference of that size is found, and nothing about the backend",
            )
        )

    training: List[Span] = []
    evaluation: List[Span] = []
    records: List[EpochRecord] = []
    meter = meter_for(settings.device)
    energy = EnergyMeter(meter)
    for epoch in range(1, settings.epochs + 1):
        order = data.epoch_order(len(arrays.x_train), seed, epoch)
        slices = _in_turn(data.slices(order, settings), settings, channel)
        record, trained, evaluated = _epoch(backend, epoch, slices, arrays, meter, energy)
        training.append(trained)
        evaluation.append(evaluated)
        records.append(record)
        channel.emit(record)
        if not math.isfinite(record.train_loss):
            raise RunFailed("the training loss is {} in epoch {}".format(record.train_loss, epoch))
        if settings.early_stopping and epoch - _best(records) >= settings.early_stopping:
            break
    end_phase(channel, "training", clock.total(training))
    end_phase(channel, "evaluation", clock.total(evaluation))
    used = energy.used()
    if used is not None:
        channel.emit(used)
    if settings.early_stopping:
        channel.emit(_stopped(records, settings))
    outcomes.emit(backend, arrays.x_evaluation, arrays.y_evaluation, len(records), channel)


def _best(records: List[EpochRecord]) -> int:
    """The first epoch, from 1, whose validation loss is the lowest; NaN is no loss."""
    losses = [
        math.inf if math.isnan(record.validation_loss) else record.validation_loss for record in records
    ]
    return losses.index(min(losses)) + 1


def _stopped(records: List[EpochRecord], settings: TrialSettings) -> RunWarning:
    """What early stopping did, and what it cost that no training time has."""
    best, last = _best(records), len(records)
    is_over = last < settings.epochs
    return RunWarning(
        "early stopping {} after epoch {} of {}; epoch {} has the lowest validation loss".format(
            "ended the training" if is_over else "did not act", last, settings.epochs, best
        ),
        "evaluating took {:.3g} s, which training time and time to a target leave out; training after epoch "
        "{} took {:.3g} s, which training time has".format(
            sum(record.evaluation_s for record in records),
            best,
            sum(record.train_s for record in records[best:]),
        ),
    )


def made_ready(job: Job, channel: Channel, importing: Stopwatch) -> Tuple[BackendBase, data.Arrays]:
    """The backend with its model built, and the images; a phase each for import, data and build.

    Raises:
        ModelError: the model can't be made, or is of the wrong form.
        Skip: the backend declines the settings.
    """
    settings, seed = job.spec.settings, job.spec.seed
    backend: BackendBase = backends.load(settings)(settings, job.paths)
    reason = backend.skip_reason()
    if reason is not None:
        raise Skip(reason)
    backend.start()
    end_phase(channel, "import", importing.stop())
    watch = Stopwatch()
    arrays = data.load(job.paths.dataset, settings, seed)
    end_phase(channel, "data", watch.stop())
    watch = Stopwatch()
    backend.rates = schedules.rates(settings, math.ceil(len(arrays.x_train) / settings.global_batch_size))
    backend.class_weights = arrays.class_weights
    backend.build(model_builder(job), arrays.input_shape, arrays.num_classes, seed)
    end_phase(channel, "build", watch.stop())
    arrays = arrays.for_outputs(backend.num_outputs)
    return backend, arrays


def _in_turn(slices: List[Any], settings: TrialSettings, channel: Channel) -> Iterator[Any]:
    """The slices, each when it is this run's turn; at once where runs don't alternate."""
    for rows in slices:
        if settings.alternates:
            channel.await_turn()
        yield rows


def _epoch(
    backend: BackendBase,
    epoch: int,
    slices: Iterator[Any],
    arrays: data.Arrays,
    meter: DeviceMeter,
    energy: EnergyMeter,
) -> Tuple[EpochRecord, Span, Span]:
    """Train these slices in order and evaluate, once; the device is idle at every reading of a clock."""
    spans: List[Span] = []
    device: List[Optional[float]] = []
    loss, accuracy, num_images = 0.0, 0.0, 0
    for rows in slices:
        x, y = arrays.x_train[rows], arrays.y_train[rows]
        backend.synchronize()
        meter.start()
        energy.start()
        watch = Stopwatch()
        slice_loss, slice_accuracy = backend.train_epoch(x, y)
        backend.synchronize()
        watch.stretch(backend.settings.handicap)
        spans.append(watch.stop())
        energy.stop()
        device.append(meter.stop(spans[-1].wall_s))
        num_images += len(x)
        share = len(x) / num_images  # means over images; of an epoch in one slice, exactly what it says
        loss += (slice_loss - loss) * share
        accuracy += (slice_accuracy - accuracy) * share
    trained = clock.total(spans)
    watch = Stopwatch()
    validation_loss, validation_accuracy = backend.evaluate(arrays.x_evaluation, arrays.y_evaluation)
    backend.synchronize()
    evaluated = watch.stop()
    record = EpochRecord(
        epoch=epoch,
        num_images=num_images,
        train_s=trained.wall_s,
        evaluation_s=evaluated.wall_s,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_error=1.0 - validation_accuracy,
        user_s=trained.user_s,
        system_s=trained.system_s,
        peak_memory_bytes=probe.peak_memory_bytes(),
        device_s=clock.sum_known(device),
        device_peak_memory_bytes=backend.device_peak_memory_bytes(),
    )
    return record, trained, evaluated


def model_builder(job: Job) -> Any:
    """`build(input_shape, num_classes)` of the job's model."""
    settings = job.spec.settings
    return functools.partial(models.build, settings.model, settings.model_options, job.paths.model_file)


def facts(settings: TrialSettings, backend: BackendBase, **seen: Any) -> Facts:
    """What was asked, resolved and observed once the backend is built; `seen` is added to the last."""
    asked = {
        key: getattr(settings, key)
        for key in (
            "threads",
            "pin_cpus",
            "keep_memory",
            "jit",
            "precision",
            "data_layout",
            "device",
            "deterministic",
            "tf32",
            "steps_per_execution",
            "autotune_input",
            "equivalent_layers",
        )
    }
    if settings.entry or settings.handicap:
        asked.update(entry=settings.entry, handicap=settings.handicap)
    if settings.variables:
        asked["variables"] = dict(settings.variables)
    resolved = probe.homeless(dict(backend.resolved(), variables=probe.thread_variables()))
    observed = dict(
        backend.observed(),
        versions=probe.versions(),
        num_threads=probe.num_threads(),
        cpus=probe.cpus(),
        numeric_libraries=probe.numeric_libraries(),
        **seen,
    )
    if allocator.keeps_memory():
        observed["keep_memory"] = True
    return Facts(asked=asked, resolved=resolved, observed=probe.homeless(observed))


def end_phase(channel: Channel, name: str, span: Span) -> None:
    """Say that a phase is over."""
    channel.emit(PhaseEnded(name, span.wall_s, span.user_s, span.system_s))
