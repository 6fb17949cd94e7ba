"""What surrounds Elephas's own worker inside an executor: set-up, clocks, counts.

Elephas's worker object travels as bytes and is opened only here, after the backend has been set up as on
the driver, so that importing the framework is timed apart and happens in the right order. Its `train` runs
as released: the clocks hang on the calls that it makes of Keras and of the parameter server.

Light to import: Spark's Python worker reads this module before any clock of ours runs.
"""

import os
import pickle
import sys
import time
from typing import Any, Callable, Dict, Iterator, List

from bakeoff_worker import allocator, clock, probe
from bakeoff_worker.job import RunPaths, TrialSettings

_started: List[str] = []  # the backend that this Python process has been set up for
Figures = Dict[str, Any]


class Setup:
    """How a Python process of an executor gets ready, as the driver did.

    settings: of the run, with the threads of one task. paths: the run's; compile_directory: ``shared`` takes
    the run's scratch folder, ``executor`` one in the executor's own working folder.
    """

    def __init__(self, settings: TrialSettings, paths: RunPaths, compile_directory: str) -> None:
        self.settings = settings
        self.paths = paths
        self.compile_directory = compile_directory

    def start(self) -> None:
        """Set the process up and import the framework, once for as long as it lives."""
        if self.settings.backend in _started:
            return
        from bakeoff_worker import backends

        if self.settings.threads is not None:
            for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                os.environ[variable] = str(self.settings.threads)
        if self.settings.keep_memory and not allocator.keep_memory():
            raise RuntimeError("keep_memory needs glibc on every node; leave it out here")
        scratch = self.paths.scratch
        if self.compile_directory == "executor" or not os.path.isdir(scratch):
            scratch = os.path.join(os.getcwd(), "scratch")
            os.makedirs(scratch, exist_ok=True)
        library = os.environ.get("BAKEOFF_BLAS_LIBRARY")
        if library:  # relative in a packed environment; Theano compiles in folders of its own
            os.environ["BAKEOFF_BLAS_LIBRARY"] = os.path.abspath(library)
        paths = RunPaths(self.paths.dataset, None, scratch, self.paths.records)
        backends.load(self.settings)(self.settings, paths).start()
        if self.settings.backend == "theano":
            from bakeoff_worker.backends.theano import lock

            lock.watch()
        _started.append(self.settings.backend)


class RecordedWorker:
    """Stands where Elephas's worker stood: the same `train`, and its figures added to an accumulator.

    worker: Elephas's own. figures: accumulator of lists. setup: see `Setup`.
    """

    def __init__(self, worker: Any, figures: Any, setup: Setup) -> None:
        self.worker = worker
        self.figures = figures
        self.setup = setup

    def __getstate__(self) -> Dict[str, Any]:
        # Pickled while Spark pickles us: broadcast variables inside must register with the same context.
        from pyspark import cloudpickle

        return {
            "worker": cloudpickle.dumps(self.worker, 2),
            "figures": self.figures,
            "setup": self.setup,
        }

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)

    def train(self, rows: Iterator[Any]) -> Iterator[Any]:
        """What Elephas's worker yields for one partition."""
        from pyspark import TaskContext

        task = _Task(is_first=self.setup.settings.backend not in _started)
        with task.timing("import_s"):
            self.setup.start()
            worker = pickle.loads(self.worker)
        task.hang_on(sys.modules[type(worker).__module__], worker)
        for outcome in worker.train(task.counted(rows)):
            yield outcome
        context = TaskContext.get()
        figures = task.stop()
        figures.update(
            task_id=context.taskAttemptId(),
            stage=context.stageId(),
            partition=context.partitionId(),
            pid=os.getpid(),
        )
        self.figures.add([figures])


class _Task:
    """Clocks and counts of one task; `figures` has seconds by part, and counts."""

    def __init__(self, is_first: bool) -> None:
        self._began = time.perf_counter()
        self._cpu = clock.cpu_s()
        process_s = clock.since_process_start_s() if is_first else 0.0
        # Spark's daemon, which forks Python processes: it is started for an executor's first tasks.
        daemon_s = clock.since_process_start_s(os.getppid()) if is_first else None
        self.figures: Figures = dict.fromkeys(("import_s", "data_s", "build_s", "train_s", "exchange_s"), 0.0)
        self._waited_s = _waited_for_lock_s()
        self.figures.update(
            process_s=process_s, num_samples=0, num_trained=0, num_epochs=0, loss=None, accuracy=None
        )
        self.figures["daemon_s"] = daemon_s
        self.figures["began_unix_s"] = time.time()

    def stop(self) -> Figures:
        """Everything taken, with the totals."""
        (user, system), (user_before, system_before) = clock.cpu_s(), self._cpu
        self.figures.update(
            python_s=time.perf_counter() - self._began,
            python_user_s=None if user is None or user_before is None else user - user_before,
            python_system_s=None if system is None or system_before is None else system - system_before,
            python_peak_bytes=probe.peak_memory_bytes(),
            lock_s=_waited_for_lock_s() - self._waited_s if "theano" in _started else None,
        )
        return self.figures

    def timing(self, part: str) -> "_Timing":
        """Adds the body's seconds to a part."""
        return _Timing(self.figures, part)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its seconds added to a part."""

        def call(*arguments: Any, **options: Any) -> Any:
            with self.timing(part):
                return function(*arguments, **options)

        return call

    def counted(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The partition's rows, counted; the seconds from the first one asked for to the last one had."""
        with self.timing("data_s"):
            for row in rows:
                self.figures["num_samples"] += 1
                yield row

    def hang_on(self, module: Any, worker: Any) -> None:
        """Hang clocks on what Elephas's worker calls: rebuilding, training, the parameter server."""
        for name in ("model_from_json", "model_from_yaml"):
            rebuild = getattr(module, name, None)
            if rebuild is not None:
                # One Python process serves many tasks: always start from the module's own function.
                own = getattr(rebuild, "own", rebuild)
                watched = self._rebuilding(own)
                watched.own = own  # type: ignore[attr-defined]
                setattr(module, name, watched)
        client = getattr(worker, "client", None)
        for name in ("get_parameters", "update_parameters"):
            if client is not None:
                setattr(client, name, self.timed("exchange_s", getattr(client, name)))

    def _rebuilding(self, rebuild: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self.timing("build_s"):
                model = rebuild(*arguments, **options)
            for name in ("compile", "set_weights"):
                setattr(model, name, self.timed("build_s", getattr(model, name)))
            if hasattr(model, "_make_train_function"):  # Keras 2: the graph is made and, by Theano, compiled
                model._make_train_function = self.timed("build_s", model._make_train_function)
            model.fit = self._fitting(model.fit)
            model.train_on_batch = self._on_batch(model.train_on_batch)
            return model

        return call

    def _fitting(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any, y: Any, **options: Any) -> Any:
            built_s = self.figures["build_s"]
            with self.timing("train_s"):
                history = fit(x, y, **options)
            self.figures["train_s"] -= self.figures["build_s"] - built_s
            epochs = int(options.get("epochs", 1))
            held_out = int(len(x) * options.get("validation_split", 0.0))
            self.figures["num_trained"] += (len(x) - held_out) * epochs
            self.figures["num_epochs"] += epochs
            for key, values in history.history.items():
                if key == "loss" or key.endswith("accuracy"):
                    self.figures["loss" if key == "loss" else "accuracy"] = float(values[-1])
            return history

        return call

    def _on_batch(self, train: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any, y: Any, **options: Any) -> Any:
            built_s = self.figures["build_s"]
            with self.timing("train_s"):
                result = train(x, y, **options)
            self.figures["train_s"] -= self.figures["build_s"] - built_s
            self.figures["num_trained"] += len(x[0]) if isinstance(x, (list, tuple)) else len(x)
            return result

        return call


def _waited_for_lock_s() -> float:
    """Seconds that this process has waited for the lock of Theano's compile directory; 0 without Theano."""
    if "theano" not in _started:
        return 0.0
    from bakeoff_worker.backends.theano import lock

    return lock.waited_s()


class _Timing:
    def __init__(self, figures: Figures, part: str) -> None:
        self._figures = figures
        self._part = part

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        self._figures[self._part] += time.perf_counter() - self._began
