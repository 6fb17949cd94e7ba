"""One run on a Spark cluster: the process that is Spark's driver and Elephas's master.

Timed as training is what a user waits for: the calls of `fit`, from the first to the last, evaluation
between them left out. Cluster and application are started, and their accounts read, while no clock of
the training runs.
"""

import os
import secrets
import shutil
import socket
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from bakeoff_worker import backends, clock, data, loop, outcomes, probe
from bakeoff_worker.backends.base import Skip
from bakeoff_worker.clock import Span, Stopwatch
from bakeoff_worker.distribution import RunFailed, catalogue
from bakeoff_worker.distribution.elephas import accounts, releases, travel
from bakeoff_worker.distribution.elephas import data as rows
from bakeoff_worker.distribution.elephas.application import (
    Progress,
    executor_variables,
    failure_of,
    launch,
    properties_of,
    set_environment,
)
from bakeoff_worker.distribution.elephas.run import Run
from bakeoff_worker.distribution.elephas.task import Figures, RecordedWorker
from bakeoff_worker.distribution.spark import cluster, eventlog, guardian
from bakeoff_worker.emit import Channel
from bakeoff_worker.job import Job, TrialSettings
from bakeoff_worker.records import EpochRecord, RunWarning

_PARAMETER_SERVER_PORT = 4000  # Elephas's own; the workers of 0.4.5 know no other


def run(job: Job, channel: Channel, importing: Stopwatch) -> None:
    """Train one run on a cluster from start to finish, emitting as it goes.

    importing: started before NumPy and this module were imported; the phase ends with the framework's import.

    Raises:
        ModelError: the model can't be made, or is of the wrong form.
        Skip: the backend, or this release of Elephas, declines the settings.
        RunFailed: the cluster can't be had, or it failed in training.
    """
    run = built(job, channel, importing)
    on_cluster(run, _train, channel)
    outcomes.emit(run.backend, *run.evaluation, run.settings.epochs, channel)


def built(
    job: Job, channel: Channel, importing: Stopwatch, prepare: Callable[[Any], None] = lambda backend: None
) -> Run:
    """A run whose framework, data and model are there. prepare: is given the backend before the last of them.

    Raises:
        ModelError, Skip, RunFailed: as `run`.
    """
    settings, options = job.spec.settings, dict(job.spec.settings.distribution_options)
    _admit(settings, options)
    backend: Any = backends.load(settings)(settings, job.paths)
    reason = backend.skip_reason()
    if reason is not None:
        raise Skip(reason)
    release = releases.installed()
    release.check(settings.backend, options)
    backend.start()
    from elephas import spark_model  # noqa: F401  (part of what is timed as import)

    loop.end_phase(channel, "import", importing.stop())
    watch = Stopwatch()
    source = data.find(job.paths.dataset, settings, job.spec.seed)
    evaluation = source.prepare(source.x_evaluation, source.y_evaluation)
    loop.end_phase(channel, "data", watch.stop())
    watch = Stopwatch()
    prepare(backend)
    backend.build(loop.model_builder(job), tuple(evaluation[0].shape[1:]), source.num_classes, job.spec.seed)
    loop.end_phase(channel, "build", watch.stop())
    source.prepare.num_outputs = backend.num_outputs
    evaluation = evaluation[0], data.labels_for(evaluation[1], backend.num_outputs)

    own = travel.own_layers(backend.keras, backend.model, job.paths.model_file)
    if job.paths.model_file is not None:
        travel.check(backend.keras, backend.model, own, evaluation[0][:8])

    folder = os.path.join(job.paths.folder or os.getcwd(), "spark")
    os.makedirs(folder, exist_ok=True)
    return Run(job, options, release, backend, source, evaluation, folder, own)


def _admit(settings: TrialSettings, options: Dict[str, Any]) -> None:
    """Say at once, before anything is imported, what will not do.

    Raises:
        RunFailed: no master answers, the layout is too large for this machine, or logs can't be kept.
    """
    try:
        if options["master"] == "embedded":
            cluster.fit(catalogue.layout(options), catalogue.slots(options))
        else:
            cluster.reach(options["master"])
        if settings.keep_event_logs:
            os.makedirs(settings.keep_event_logs, exist_ok=True)
    except cluster.ClusterError as error:
        raise RunFailed(error.message, last_lines=error.hint) from error
    except OSError as error:
        raise RunFailed("keep_event_logs: the folder can't be made: {}".format(error)) from error


Train = Callable[[Run, Any, Dict[str, str], Channel], None]


def on_cluster(run: Run, train: Train, channel: Channel) -> None:
    """Cluster up, application, cluster down, nothing left behind. train: is given run, context, properties.

    Raises:
        RunFailed: as `run`.
    """
    watching = guardian.watch(run.job.paths.folder or run.folder)
    try:
        _on_cluster(run, train, channel)
    except cluster.ClusterError as error:
        raise RunFailed(error.message, last_lines=error.hint) from error
    finally:
        watching.done()


def _on_cluster(run: Run, train: Train, channel: Channel) -> None:
    """Cluster up, application, cluster down; each phase said."""
    with ExitStack() as stack:
        if run.options["master"] == "embedded":
            watch = Stopwatch()
            up = stack.enter_context(
                cluster.start(
                    layout=(run.num_nodes, run.cores_per_node),
                    folder=run.folder,
                    java=run.job.paths.java,
                    executor_memory_mib=run.options["executor_memory_mib"] + run.python_memory_mib,
                    secret=secrets.token_hex(16),
                )
            )
            loop.end_phase(channel, "cluster", watch.stop())
            master, own = up.master_url, dict(up.conf)
        else:
            master, own = run.options["master"], {}
            stack.callback(cluster.end_driver_jvm)
        _application(run, train, master, own, channel)
        watch = Stopwatch()
        stack.close()
        loop.end_phase(channel, "cluster_end", watch.stop())


def _application(run: Run, train: Train, master: str, own: Dict[str, str], channel: Channel) -> None:
    """One Spark application from its launch to its stop, then what its event log says of it."""
    events = os.path.join(run.folder, "events")
    os.makedirs(events, exist_ok=True)
    properties = properties_of(run, master, events, own)
    set_environment(run)
    lifetime = Stopwatch()
    context = None
    figures: List[Figures] = []
    try:
        context = launch(run, properties)
        loop.end_phase(channel, "context", lifetime.stop())
        train(run, context, properties, channel)
    except cluster.ClusterError:
        raise
    except Exception as error:
        raise failure_of(error) from error
    finally:
        if context is not None:
            figures = list(run.figures.value) if run.figures is not None else []
            watch = Stopwatch()
            _stop(context)
            loop.end_phase(channel, "application_end", watch.stop())
            loop.end_phase(channel, "application", lifetime.stop())
            watch = Stopwatch()
            _emit_accounts(run, events, figures, channel)
            _keep_event_log(run, events, channel)
            loop.end_phase(channel, "accounts", watch.stop())


def _stop(context: Any) -> None:
    """Stop the application. One whose JVM has died has stopped, and training has said why."""
    from py4j.protocol import Py4JError

    with suppress(ConnectionError, Py4JError):
        context.stop()


def _train(run: Run, context: Any, properties: Dict[str, str], channel: Channel) -> None:
    """Hand the data over, warm up if asked, then the rounds of fit, evaluated after each."""
    watch = Stopwatch()
    pairs = _pairs(run, context)
    loop.end_phase(channel, "parallelize", watch.stop())
    if run.options["mode"] != "synchronous":
        _check_server([executor.host for executor in cluster.executors(context)])
    setup = run.setup()
    releases.wrap_workers(lambda worker: RecordedWorker(worker, run.figures, setup))
    if run.options["merge"] == "averaged":
        run.release.correct(run.num_slots)
    model = run.model()
    progress = Progress(context, channel)
    if run.options["executors"] == "warm":
        watch = Stopwatch()
        with progress:
            _warm_up(run, model, pairs)
        loop.end_phase(channel, "warm_up", watch.stop())
        model = run.model()
    channel.emit(_facts(run, context, properties))
    for message in (*run.backend.warnings(), *_warnings(run)):
        channel.emit(RunWarning(message))

    training: List[Span] = []
    evaluating: List[Span] = []
    num_seen = len(run.figures.value)
    for number in range(1, run.rounds + 1):
        with progress:
            watch = Stopwatch()
            fit(run, model, pairs, run.epochs_per_round)
            trained = watch.stop()
        watch = Stopwatch()
        loss, accuracy = run.backend.evaluate(*run.evaluation)
        evaluated = watch.stop()
        training.append(trained)
        evaluating.append(evaluated)
        taken = list(run.figures.value)
        channel.emit(_round(run, number, trained, evaluated, (loss, accuracy), taken[num_seen:]))
        num_seen = len(taken)
    loop.end_phase(channel, "training", clock.total(training))
    loop.end_phase(channel, "evaluation", clock.total(evaluating))


def _check_server(hosts: Sequence[str]) -> None:
    """Raise RunFailed where the parameter server can't be had or reached. hosts: of the executors."""
    from elephas.utils.sockets import determine_master

    host = determine_master(_PARAMETER_SERVER_PORT).partition(":")[0]
    if is_out_of_reach(host, hosts):
        raise RunFailed(
            "Elephas's parameter server would be at {}, which only this machine reaches, and executors run "
            "on {}: set SPARK_LOCAL_IP to this machine's address as nodes see it, or choose mode "
            "synchronous".format(host, ", ".join(sorted(set(hosts))[:3]))
        )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, _PARAMETER_SERVER_PORT))
        except OSError as error:
            raise RunFailed(
                "Elephas's parameter server needs port {} of {}, which can't be had: {}; stop what listens "
                "there (another asynchronous run?), or choose mode synchronous".format(
                    _PARAMETER_SERVER_PORT, host, error.strerror
                )
            ) from error


def is_out_of_reach(host: str, others: Sequence[str]) -> bool:
    """Whether a host's address is this machine's alone while some of the others' are not."""

    def is_local(name: str) -> bool:
        try:
            return socket.gethostbyname(name).startswith("127.")
        except OSError:  # known to the nodes, not here
            return False

    return is_local(host) and not all(is_local(other) for other in others)


def _pairs(run: Run, context: Any) -> Any:
    """The training rows as an RDD of as many partitions as there are slots."""
    if run.options["data_source"] == "driver":
        return rows.from_driver(context, run.source)
    if run.job.paths.parquet is None:
        raise RunFailed("data_source is parquet, but no Parquet files were made for this run")
    return rows.from_parquet(
        context, run.job.paths.parquet, run.options["data_url"], run.source, run.num_slots
    )


def fit(run: Run, model: Any, pairs: Any, epochs: int) -> None:
    """One call of Elephas's fit. Nothing is held out: its default would keep a tenth from training."""
    model.fit(
        pairs,
        epochs=epochs,
        batch_size=run.options["batch_size_per_task"],
        verbose=0,
        validation_split=0.0,
    )


def _warm_up(run: Run, model: Any, pairs: Any) -> None:
    """One epoch, undone: every Python process is there and has imported, and the model's code is compiled."""
    before = run.backend.model.get_weights()
    fit(run, model, pairs, 1)
    run.backend.model.set_weights(before)
    run.warm_up_stages = {one["stage"] for one in run.figures.value}


def _round(
    run: Run,
    number: int,
    trained: Span,
    evaluated: Span,
    result: Tuple[float, float],
    figures: Sequence[Figures],
) -> EpochRecord:
    """One round as the epoch that it ends with; training loss and accuracy are of the tasks' last epochs."""

    def mean(key: str) -> float:
        known = [(figure[key], figure["num_samples"]) for figure in figures if figure[key] is not None]
        total = sum(weight for _, weight in known)
        return sum(value * weight for value, weight in known) / total if total else float("nan")

    def cpu(own: Optional[float], key: str) -> Optional[float]:
        return None if own is None else own + sum(figure[key] or 0.0 for figure in figures)

    loss, accuracy = result
    return EpochRecord(
        epoch=number * run.epochs_per_round,
        num_images=sum(figure["num_trained"] for figure in figures),
        train_s=trained.wall_s,
        evaluation_s=evaluated.wall_s,
        train_loss=mean("loss"),
        train_accuracy=mean("accuracy"),
        validation_loss=loss,
        validation_error=1.0 - accuracy,
        user_s=cpu(trained.user_s, "python_user_s"),
        system_s=cpu(trained.system_s, "python_system_s"),
        peak_memory_bytes=probe.peak_memory_bytes(),
    )


def _facts(run: Run, context: Any, properties: Dict[str, str]) -> Any:
    options, release = run.options, run.release
    java = context._jvm.java.lang.System.getProperty("java.version")
    secret = ("secret", "password", "token", "executorEnv", "extraJavaOptions")
    return loop.facts(
        replace(run.settings, threads=run.threads),
        run.backend,
        num_train_images=run.num_images,
        num_evaluation_images=len(run.evaluation[0]),
        input_shape=list(run.evaluation[0].shape[1:]),
        **run.source.evaluation.facts(),
        elephas={
            "version": release.version,
            "mode": options["mode"],
            "frequency": options["frequency"],
            "merge": options["merge"],
            "rounds": run.rounds,
            "corrected": options["merge"] == "averaged",
            "arithmetic": release.arithmetic(options, run.num_slots),
        },
        spark={
            "version": context.version,
            "java": str(java),
            "master": "embedded" if options["master"] == "embedded" else options["master"],
            "layout": options["layout"],
            "num_executors": run.num_nodes,
            "cores_per_executor": run.cores_per_node,
            "num_partitions": run.num_slots,
            "threads_per_task": run.threads,
            "physical_cpus": len(probe.cpus()) if options["master"] == "embedded" else None,
            "variables": executor_variables(run),
            "properties": {
                key: os.path.basename(value) if value.startswith("file:") else value
                for key, value in sorted(properties.items())
                if not any(word in key for word in secret)
            },
        },
    )


def _warnings(run: Run) -> List[str]:
    """What a reader of the result should know before looking at any number."""
    said = []
    cpus = len(probe.cpus())
    if run.options["master"] == "embedded" and run.num_slots * run.threads > cpus:
        said.append(
            "{} task slots share {} CPU{} here: the nodes are processes of one machine".format(
                run.num_slots, cpus, "" if cpus == 1 else "s"
            )
        )
    return said


def _keep_event_log(run: Run, events: str, channel: Channel) -> None:
    """A copy of Spark's event log where it was asked for; whole or not at all, since Spark may be reading."""
    folder = run.settings.keep_event_logs
    if not folder:
        return
    try:
        for name in os.listdir(events):
            begun = os.path.join(folder, "." + name)  # which the History Server passes over
            shutil.copyfile(os.path.join(events, name), begun)
            os.replace(begun, os.path.join(folder, name))
    except OSError as error:
        channel.emit(RunWarning("Spark's event log could not be kept in {}: {}".format(folder, error)))


def _emit_accounts(run: Run, events: str, figures: List[Figures], channel: Channel) -> None:
    """Every task and executor of the application, and what became of the samples."""
    try:
        account = eventlog.read(events)
    except eventlog.EventLogError as error:
        channel.emit(RunWarning("what Spark did is not known: {}".format(error)))
        return
    for task in accounts.tasks(account, figures, run.warm_up_stages):
        channel.emit(task)
    for executor in accounts.executors(account):
        channel.emit(executor)
    samples = accounts.samples(
        account,
        figures,
        run.warm_up_stages,
        num_asked=run.num_images * run.settings.epochs,
        epochs_per_job=run.epochs_per_round,
    )
    channel.emit(samples)
    if samples.num_skipped_partitions:
        counted = " and counted them in the average" if run.release.merge(run.options) == "mean" else ""
        channel.emit(
            RunWarning(
                "{} of {} shards were no larger than a batch of {}: Elephas trained nothing from them".format(
                    samples.num_skipped_partitions,
                    samples.num_partitions,
                    run.options["batch_size_per_task"],
                )
                + counted,
                "Give each shard more images, take fewer slots, or a smaller batch_size_per_task.",
            )
        )
    retries = account.num_retries
    if retries or account.num_lost_executors:
        if run.options["mode"] != "synchronous":
            channel.emit(
                RunWarning(
                    "what an attempt had sent to the parameter server before it was lost stays in the "
                    "weights, and was sent again by the next one"
                )
            )
        channel.emit(
            RunWarning(
                "Spark ran {} task attempt{} again and lost {} executor{}; the time it took counts".format(
                    retries,
                    "" if retries == 1 else "s",
                    account.num_lost_executors,
                    "" if account.num_lost_executors == 1 else "s",
                )
            )
        )
