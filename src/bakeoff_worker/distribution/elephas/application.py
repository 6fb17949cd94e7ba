"""One Spark application: what it is told, how it is launched, how far it is, and why it failed."""

import os
import re
import sys
import threading
import time
import traceback
import zipfile
from typing import Any, Dict, List, Optional

import bakeoff_worker
from bakeoff_worker.distribution import RunFailed
from bakeoff_worker.distribution.elephas.run import Run
from bakeoff_worker.distribution.elephas.task import Figures
from bakeoff_worker.distribution.spark import cluster, eventlog
from bakeoff_worker.emit import Channel
from bakeoff_worker.records import StageProgress

_EXECUTORS_S = 240.0  # how long executors may take to come up before the layout counts as unfit
_PROGRESS_S = 1.0  # how often Spark is asked how far it is; it answers in about a millisecond


def launch(run: Run, properties: Dict[str, str]) -> Any:
    """The Spark context, with all executors there."""
    from pyspark import AccumulatorParam, SparkConf, SparkContext

    class Appended(AccumulatorParam):  # type: ignore[misc,unused-ignore]
        def zero(self, value: List[Figures]) -> List[Figures]:
            return []

        def addInPlace(self, one: List[Figures], other: List[Figures]) -> List[Figures]:
            one.extend(other)
            return one

    context = SparkContext(conf=SparkConf(loadDefaults=True).setAll(list(properties.items())))
    try:
        context.setLogLevel("WARN")
        if run.options["master"] != "embedded":  # which is made to fit
            cluster.check_layout(context, properties["spark.master"], run.num_nodes)
        cluster.wait_for_executors(context, run.num_nodes, _EXECUTORS_S)
        context.addPyFile(_packed_worker(run.folder))
        run.figures = context.accumulator([], Appended())
    except BaseException:
        context.stop()
        raise
    return context


def properties_of(run: Run, master: str, events: str, own: Dict[str, str]) -> Dict[str, str]:
    """Every property that Bakeoff sets; anything else is Spark's default or the user's own."""
    options = run.options
    properties = {
        "spark.app.name": "bakeoff " + run.job.spec.label,
        "spark.master": master,
        "spark.submit.deployMode": "client",
        "spark.executor.instances": str(run.num_nodes),
        "spark.executor.cores": str(run.cores_per_node),
        "spark.cores.max": str(run.num_nodes * run.cores_per_node),
        "spark.task.cpus": str(options["task_cpus"]),
        "spark.default.parallelism": str(run.num_slots),
        "spark.executor.memory": "{}m".format(options["executor_memory_mib"]),
        "spark.driver.memory": "{}m".format(options["driver_memory_mib"]),
        "spark.python.worker.reuse": str(options["reuse_python_workers"]).lower(),
        # Data parallelized from the driver travel inside the tasks: 128 MiB, the default, is too little.
        "spark.rpc.message.maxSize": "1024",
        # `launch` waits for all executors, and asks nodes meanwhile. Spark's own wait for a share of them,
        # up to 30 s inside the start of its context, would only delay what is to be said.
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "0s",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.dynamicAllocation.enabled": "false",
        "spark.eventLog.dir": "file://" + events,
    }
    properties.update(eventlog.CONF)
    if options["python_memory_mib"]:
        properties["spark.executor.pyspark.memory"] = "{}m".format(run.python_memory_mib)
    if options["archive"]:
        properties["spark.archives"] = options["archive"] + "#environment"
    for name, value in executor_variables(run).items():
        properties["spark.executorEnv." + name] = value
    properties.update(own)
    return properties


def executor_variables(run: Run) -> Dict[str, str]:
    """The environment of executors and so of their Python processes: threads, and where the BLAS lies."""
    threads = str(run.threads)
    variables = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONNOUSERSITE": "1",
    }
    for name in ("LD_LIBRARY_PATH", "BAKEOFF_BLAS_LIBRARY"):
        value = os.environ.get(name)
        if value:
            # In a packed environment the same file lies below the folder that Spark unpacks it to.
            variables[name] = value.replace(sys.prefix, "./environment") if run.options["archive"] else value
    return variables


def set_environment(run: Run) -> None:
    """What Spark's and Elephas's own code in this process looks for in the environment."""
    if run.job.paths.java:
        os.environ["JAVA_HOME"] = run.job.paths.java
    if run.options["master"] == "embedded":
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"  # Elephas's parameter server binds to it, too
    else:
        os.environ["SPARK_LOCAL_DIRS"] = os.path.join(run.folder, "local")  # the driver's; nodes have theirs
    archive = run.options["archive"]
    os.environ["PYSPARK_PYTHON"] = "./environment/bin/python" if archive else sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.pop("SPARK_HOME", None)  # the environment's own Spark, not one that lies about


def _packed_worker(folder: str) -> str:
    """This package as a zip file that Spark gives to the executors."""
    root = os.path.dirname(os.path.abspath(bakeoff_worker.__file__))
    path = os.path.join(folder, "bakeoff_worker.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for where, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                if name.endswith(".py"):
                    full = os.path.join(where, name)
                    archive.write(full, os.path.relpath(full, os.path.dirname(root)))
    return path


class Progress:
    """While the body runs, a thread asks Spark how far it is and says so when that has changed."""

    def __init__(self, context: Any, channel: Channel) -> None:
        self._context = context
        self._channel = channel
        self._over = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> None:
        self._over.clear()
        self._thread = threading.Thread(target=self._follow, name="bakeoff-progress", daemon=True)
        self._thread.start()

    def __exit__(self, *error: Any) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _follow(self) -> None:
        said: Optional[StageProgress] = None
        while not self._over.wait(_PROGRESS_S):
            try:
                now = self._ask()
            except Exception:  # the application is going down: training itself will say why
                return
            if now is not None and now != said:
                said = now
                self._channel.emit(now)

    def _ask(self) -> Optional[StageProgress]:
        tracker = self._context.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        known = [stage for stage in stages if stage is not None]
        if not known:
            return None
        stage = max(known, key=lambda one: int(one.stageId))
        return StageProgress(
            stage=int(stage.stageId),
            num_done=int(stage.numCompletedTasks),
            num_failed=int(stage.numFailedTasks),
            num_tasks=int(stage.numTasks),
        )


# What Python, the dynamic linker and the JVM say when memory is refused.
_EXIT_NO_MEMORY = 3  # of a JVM with -XX:+ExitOnOutOfMemoryError
_NO_MEMORY = ("MemoryError", "OutOfMemoryError", "Cannot allocate memory", "failed to map segment")


# What tasks say where a node has not the environment's Python.
_WRONG_PYTHON = ("PYTHON_VERSION_MISMATCH", "Python in worker has different version", "Cannot run program")
_NO_PYTHON = (
    "the nodes lack the environment's Python: put it at the same path there, or pack it "
    "(distribution_options.archive)"
)


def failure_of(error: Exception) -> RunFailed:
    """Spark's failure in a line, its status by what caused it, and the lines that said so.

    Spark's message has the stack of the task's Python, then that of the JVM: the last line of the first says
    what happened.
    """
    text = str(error)
    if "SparkException" not in text:
        if _exit_status_of_jvm() == _EXIT_NO_MEMORY:
            reason = (
                "the driver's JVM ran out of memory: raise driver_memory_mib, or let executors read Parquet"
            )
            return RunFailed(reason, "out_of_memory", traceback.format_exc()[-4000:])
        reason = "{}: {}".format(type(error).__name__, text)
        return RunFailed(reason[:1000], last_lines=traceback.format_exc()[-4000:])
    lines = [line.strip() for line in text.splitlines()]
    spark = next(line for line in lines if "SparkException" in line).partition("SparkException: ")[2]
    python = [line for line in lines if re.match(r"[A-Za-z_.]+(Error|Exception|Exit)\b", line)]
    caused = [line for line in lines if line.startswith("Caused by: ")]
    cause = (python or caused or [""])[-1]
    reason = spark if cause in spark else "{}: {}".format(spark.split(": org.apache")[0], cause)
    if any(word in text for word in _WRONG_PYTHON):
        reason = "{}; {}".format(_NO_PYTHON, reason)
    status = "out_of_memory" if any(word in text for word in _NO_MEMORY) else "failed"
    return RunFailed(reason[:1000], status, text[-4000:])


def _exit_status_of_jvm() -> Optional[int]:
    """Of the driver's JVM, which may still be about to end; None while it runs or where none was started."""
    from pyspark import SparkContext

    process = getattr(SparkContext._gateway, "proc", None)
    for _ in range(20):
        if process is None or process.poll() is not None:
            break
        time.sleep(0.05)
    return None if process is None else process.poll()
