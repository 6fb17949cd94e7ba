"""A standalone Spark cluster on this machine, and what can be asked of any cluster before training.

The embedded cluster is real: one master process, one worker process per node, and the executors that those
start; only the network between the nodes is this machine's loopback. Everything binds to 127.0.0.1, asks for
a secret, and writes below one folder.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import util
from types import TracebackType
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Type

from bakeoff_worker.distribution.spark import standalone

_HOST = "127.0.0.1"
# Master and workers live a few seconds of CPU time each: the quick compiler and the smallest collector start
# them soonest. Executors and the driver get none of this: they are what is measured.
_DAEMON_FLAGS = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOG_POLL_S = 0.02
_EXECUTOR_POLL_S = 0.25
_WATCH_AFTER_S = 6.0  # nodes are asked what became of executors that have not come by then
_SILENT_S = 120.0  # executors that run so long without having registered don't reach the driver
# The least that each process of an embedded cluster was seen to keep in memory.
_LEAST_MIB = {"daemon": 150, "executor": 200, "python": 60}
_STOP_S = 5.0  # how long a daemon may take to leave by itself
_LAST_LINES = 20


class ClusterError(Exception):
    """A cluster can't be had as asked. message: what we got and what was expected; hint: how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Executor(NamedTuple):
    """One executor that has registered: Spark's id of it, its host, its cores."""

    executor: str
    host: str
    num_cores: int


class EmbeddedCluster:
    """A cluster that is up; a context manager that stops it.

    master_url: ``spark://127.0.0.1:PORT``.
    conf: properties that an application on it needs. The secret is not among them, since pyspark hands an
        application's properties to the JVM as arguments, which everybody on the machine can read; it lies in
        ``SPARK_CONF_DIR/spark-defaults.conf``, for this user alone.
    environment: variables that the driver's JVM needs. They are set in this process, and so is Python's
        folder for temporary files, from the start of the cluster to its stop.
    started_s: wall seconds from the first process to the last registered worker.
    pids: of the master and of the workers, in this order.
    """

    def __init__(self, folder: str, conf: Dict[str, str], environment: Dict[str, str]) -> None:
        self.master_url = ""
        self.conf = conf
        self.environment = environment
        self.started_s = 0.0
        self._folder = folder
        self._daemons: List["subprocess.Popen[bytes]"] = []
        self._stopped_s: Optional[float] = None
        self._before: Dict[str, Optional[str]] = {name: os.environ.get(name) for name in environment}
        self._tempdir_before = tempfile.tempdir
        os.environ.update(environment)
        tempfile.tempdir = environment["TMPDIR"]

    @property
    def pids(self) -> Tuple[int, ...]:
        return tuple(daemon.pid for daemon in self._daemons)

    def __enter__(self) -> "EmbeddedCluster":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    def stop(self) -> float:
        """Wall seconds that it took to end every process of the cluster, and the driver's JVM.

        A second call does nothing, and says the same.
        """
        if self._stopped_s is not None:
            return self._stopped_s
        started = time.monotonic()
        end_driver_jvm()
        below = _descendants(self.pids)  # executors and their Python processes, if an application still runs
        for daemon in reversed(self._daemons):
            daemon.terminate()
        deadline = started + _STOP_S
        for daemon in self._daemons:
            try:
                daemon.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid, since in below:
            if _start_ticks(pid) == since:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        tempfile.tempdir = self._tempdir_before
        self._stopped_s = time.monotonic() - started
        return self._stopped_s


def start(
    layout: Tuple[int, int],
    folder: str,
    java: Optional[str],
    executor_memory_mib: int,
    secret: str,
    timeout_s: float = 240.0,
) -> EmbeddedCluster:
    """A standalone cluster of ``layout`` (nodes, cores per node), once all its workers have registered.

    folder: private to the run; everything that the cluster and its applications write lies below it. The
        caller removes it after `EmbeddedCluster.stop`.
    java: home of the Java to run on; None takes the one on the PATH.
    executor_memory_mib: memory that a node offers, enough for one executor.
    secret: shared by all processes of the cluster and its applications.

    The daemons are children of this process and stay in its session, for `guardian` to find.

    Raises:
        ClusterError: there is no Java or no Spark, a daemon died, or not all are up within ``timeout_s``.
    """
    spark, executable = _spark_home(), _java(java)
    folder = os.path.abspath(folder)
    conf = _write_conf(folder, secret)
    environment = {
        "SPARK_CONF_DIR": os.path.join(folder, "conf"),
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_LOCAL_DIRS": os.path.join(folder, "local"),
        "SPARK_LAUNCHER_OPTS": _java_options(_temporary(folder)),
        "TMPDIR": _temporary(folder),
    }
    if java is not None:
        environment["JAVA_HOME"] = java
    up = EmbeddedCluster(folder, conf, environment)
    started = time.monotonic()
    daemons = _Daemons(up, spark, executable, folder, started + timeout_s)
    try:
        up.master_url = daemons.start_master()
        daemons.start_workers(layout, executor_memory_mib)
    except BaseException:
        up.stop()
        raise
    up.started_s = time.monotonic() - started
    return up


def reach(master_url: str, timeout_s: float = 5.0) -> None:
    """Pass if something listens where the master (``spark://HOST:PORT``, several with commas) should be.

    Masters without an address of that form (``yarn``, ``k8s://...``) pass: Spark itself finds them.

    Raises:
        ClusterError: nothing listens there, or the address is none.
    """
    if not master_url.startswith("spark://"):
        return
    reasons = []
    for address in master_url[len("spark://") :].split(","):
        match = re.match(r"^\[?([^\[\]\s/]+?)\]?:(\d+)$", address)
        if match is None:
            raise ClusterError(
                "master {}: expected spark://HOST:PORT".format(master_url),
                "The master's page and log say its address; the port is 7077 unless it was told another.",
            )
        try:
            socket.create_connection((match.group(1), int(match.group(2))), timeout_s).close()
            return
        except (OSError, OverflowError) as error:
            reasons.append("{} ({})".format(address, error))
    raise ClusterError(
        "no Spark master answers at {}".format(", ".join(reasons)),
        "Start the master (sbin/start-master.sh), or correct its address; its page and log say which it is.",
    )


def fit(layout: Tuple[int, int], slots: int) -> None:
    """Pass if this machine's free memory can hold an embedded cluster with nothing in it.

    Raises:
        ClusterError: it can't. Counted is the least that its processes were seen to take: see `_LEAST_MIB`.
    """
    nodes, cores = layout
    needed = (
        (1 + nodes) * _LEAST_MIB["daemon"] + nodes * _LEAST_MIB["executor"] + slots * _LEAST_MIB["python"]
    )
    free = _available_mib()
    if free is not None and needed > free:
        raise ClusterError(
            "the layout doesn't fit this machine: {} nodes of {} cores take {} MiB before anything is "
            "trained, {} MiB are free".format(nodes, cores, needed, free),
            "Take a layout with fewer nodes or cores (distribution_options.layout), or a cluster of yours.",
        )


def check_layout(context: Any, master_url: str, num_executors: int) -> None:
    """Pass if a standalone cluster's nodes are large enough for the executors that the application asks for.

    The master itself is asked, so that a layout that can never fit is said at once. Whether others hold the
    cores now is for `wait_for_executors`. Other masters (``yarn``, ``k8s://``) pass.

    Raises:
        ClusterError: they are not; says what the nodes have.
    """
    if not master_url.startswith("spark://"):
        return
    nodes = standalone.nodes(context, master_url)
    conf = context._jsc.sc().conf()
    cores = int(conf.get("spark.executor.cores", "1"))
    memory_mib = int(conf.getSizeAsMb("spark.executor.memory", "1g"))
    memory_mib += int(conf.getSizeAsMb("spark.executor.pyspark.memory", "0"))
    room = sum(min(node.cores // cores, node.memory_mib // memory_mib) for node in nodes)
    if room < num_executors:
        alike = Counter((node.cores, node.memory_mib) for node in nodes)
        raise ClusterError(
            "the layout doesn't fit the cluster: {} executors of {} cores and {} MiB were asked for, there "
            "is room for {}: {}".format(
                num_executors,
                cores,
                memory_mib,
                room,
                ", ".join("{} × {} cores and {} MiB".format(num, *size) for size, num in alike.items())
                or "no node",
            ),
            "Take a layout with fewer nodes or cores, or less memory (distribution_options.layout, "
            "executor_memory_mib), or start more workers.",
        )


def wait_for_executors(context: Any, num_executors: int, timeout_s: float) -> Tuple[Executor, ...]:
    """The executors of an application, once as many as asked have registered.

    context: a SparkContext, on any cluster. On a standalone one its nodes are asked, too, what becomes of
    executors that don't come.

    Raises:
        ClusterError: executors start and die, start and never register, or fewer than asked came up within
            ``timeout_s``; or the application was ended.
    """
    started = time.monotonic()
    watch: Optional[standalone.Watch] = None
    running_since: Optional[float] = None
    try:
        while True:
            found = executors(context)
            if len(found) >= num_executors:
                return found
            now = time.monotonic()
            if context._jsc.sc().isStopped():
                if watch is not None and watch.num_ended:
                    raise _dying(context, watch)
                raise ClusterError(
                    "the cluster ended the application before its executors were up",
                    "Spark's own words on it are among the last lines of the log.",
                )
            if watch is None and context.master.startswith("spark://") and now - started >= _WATCH_AFTER_S:
                watch = standalone.Watch(context, standalone.registered(context, context.master))
                watch.start()
            if watch is not None:
                if watch.is_repeated:
                    raise _dying(context, watch)
                running_since = (running_since or now) if watch.num_running and not found else None
                if running_since is not None and now - running_since >= _SILENT_S:
                    raise _silent(context, watch, now - running_since)
            if now - started >= timeout_s:
                raise _too_few(context, found, num_executors, timeout_s, watch)
            time.sleep(_EXECUTOR_POLL_S)
    finally:
        if watch is not None:
            watch.stop()


def _dying(context: Any, watch: standalone.Watch) -> ClusterError:
    """Executors that start and die, in the words of one of them."""
    deaths = watch.deaths()
    wrote = next((death for death in deaths if death.stderr), deaths[0])
    return ClusterError(
        "executors start and die: {} ended on {} before the application was complete; one wrote: {}".format(
            len(deaths),
            _several(len({death.page for death in deaths}), "node"),
            standalone.first_error(wrote.stderr),
        ),
        standalone.remedy(wrote.stderr, _driver(context)),
    )


def _silent(context: Any, watch: standalone.Watch, seconds: float) -> ClusterError:
    """Executors that run and never register: nothing refuses their connection, and nobody takes it."""
    return ClusterError(
        "executors start and never register: {} running for {:.0f} s, and none has reached the driver at "
        "{}".format(watch.num_running, seconds, _driver(context)),
        standalone.remedy("Timeout", _driver(context)),
    )


def _too_few(
    context: Any,
    found: Sequence[Executor],
    num_executors: int,
    timeout_s: float,
    watch: Optional[standalone.Watch],
) -> ClusterError:
    asked = context.getConf()
    cores, memory = asked.get("spark.executor.cores"), asked.get("spark.executor.memory")
    hint = (
        "Another application may hold the cores, which the master's page shows; or take a layout with fewer "
        "nodes or cores, or less executor memory."
    )
    if watch is not None and watch.num_silent:
        hint += (
            " Whether executors start and die is not known: the pages of {} did not answer. Their work "
            "folders have each executor's stderr; nodes were told that the driver is at {}.".format(
                _several(watch.num_silent, "worker"), _driver(context)
            )
        )
    return ClusterError(
        "the cluster did not give what was asked: {} of {} executors came up within {:g} s, with {} in all; "
        "asked were {} with {} cores and {} of memory each".format(
            len(found),
            num_executors,
            timeout_s,
            _several(sum(executor.num_cores for executor in found), "core"),
            num_executors,
            cores or "all",
            memory or "1g",
        ),
        hint,
    )


def _driver(context: Any) -> str:
    """Where nodes were told to find the driver."""
    conf = context._jsc.sc().conf()
    return "{}:{}".format(conf.get("spark.driver.host", "?"), conf.get("spark.driver.port", "?"))


def _several(number: int, noun: str) -> str:
    return "{} {}{}".format(number, noun, "" if number == 1 else "s")


def _available_mib() -> Optional[int]:
    """Memory that programs can have without swapping, as the kernel reckons; None where it doesn't say."""
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return None


def end_driver_jvm(timeout_s: float = 10.0) -> None:
    """End the JVM that pyspark started for this process, if any; it outlives the contexts that lived in it.

    Left alone, it would leave some time after this process, still removing its temporary files.
    """
    pyspark: Any = sys.modules.get("pyspark.context")
    gateway: Any = pyspark.SparkContext._gateway if pyspark is not None else None
    process = getattr(gateway, "proc", None)
    if process is None:
        return
    with contextlib.suppress(Exception):  # it may be gone already
        gateway.shutdown()
    with contextlib.suppress(OSError):
        process.stdin.close()  # which it takes for the end of its parent
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    pyspark.SparkContext._gateway = pyspark.SparkContext._jvm = None  # a next context starts anew


def executors(context: Any) -> Tuple[Executor, ...]:
    """What Spark's status store has; the driver is not one of them."""
    rows = context._jsc.sc().statusStore().executorList(True)
    found = []
    for index in range(rows.size()):
        row = rows.apply(index)
        host, _, port = row.hostPort().rpartition(":")
        # The port is not known before its block manager is up, without which it takes no task.
        if row.id() != "driver" and host and port.isdigit():
            found.append(Executor(row.id(), host, row.totalCores()))
    return tuple(found)


# ---- the daemons --------------------------------------------------------------------------------


class _Daemons:
    """Starts the processes of one cluster and follows what they say in their logs."""

    def __init__(
        self, up: EmbeddedCluster, spark: str, executable: str, folder: str, deadline: float
    ) -> None:
        self._up, self._spark, self._java, self._folder = up, spark, executable, folder
        self._deadline = deadline
        self._master_log = os.path.join(folder, "logs", "master")
        os.makedirs(os.path.dirname(self._master_log))

    def start_master(self) -> str:
        """The master's URL, once it listens."""
        self._start(
            self._master_log,
            {},
            "org.apache.spark.deploy.master.Master",
            *("--host", _HOST, "--port", "0", "--webui-port", "0"),
        )
        return self._wait("the master", r"Starting Spark master at (spark://\S+)", 1)[0]

    def start_workers(self, layout: Tuple[int, int], memory_mib: int) -> None:
        """All workers at once; returns when the master has registered each of them."""
        nodes, cores = layout
        for node in range(nodes):
            place = os.path.join(self._folder, "node-{}".format(node))
            folders = {name: os.path.join(place, name) for name in ("work", "local", "tmp")}
            for path in folders.values():
                os.makedirs(path)
            self._start(
                os.path.join(self._folder, "logs", "worker-{}".format(node)),
                # What a worker starts inherits these: executors, and their Python processes.
                {"TMPDIR": folders["tmp"], "SPARK_LOCAL_DIRS": folders["local"]},
                "org.apache.spark.deploy.worker.Worker",
                *("--host", _HOST, "--port", "0", "--webui-port", "0", "--work-dir", folders["work"]),
                *("--cores", str(cores), "--memory", "{}M".format(memory_mib), self._up.master_url),
            )
        self._wait("the workers", r"Registering worker (\S+) with \d+ cores", nodes)

    def _start(self, log_path: str, variables: Dict[str, str], main: str, *arguments: str) -> None:
        """One JVM, in our session and process group, run directly: Spark's scripts would start two each."""
        classes = os.path.join(self._folder, "conf") + os.pathsep + os.path.join(self._spark, "jars", "*")
        environment = dict(os.environ, **variables)
        # What Spark's scripts would have said: a worker builds its executors' commands from it.
        environment["SPARK_HOME"] = self._spark
        environment["SPARK_SCALA_VERSION"] = _scala_version(self._spark)
        environment["JAVA_HOME"] = os.path.dirname(os.path.dirname(self._java))
        options = (*_DAEMON_FLAGS, *_java_flags(environment["TMPDIR"]))
        with open(log_path, "wb") as log:
            try:
                daemon = subprocess.Popen(
                    [self._java, *options, "-cp", classes, main, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self._folder,
                )
            except OSError as error:
                raise ClusterError(
                    "Java can't be started: {}".format(error), "`bakeoff doctor` says which Java is fit."
                ) from error
        self._up._daemons.append(daemon)

    def _wait(self, whom: str, pattern: str, count: int) -> List[str]:
        """What the pattern found in the master's log, once it is there ``count`` times."""
        while True:
            died = next((daemon for daemon in self._up._daemons if daemon.poll() is not None), None)
            with open(self._master_log, errors="replace") as log:
                found = re.findall(pattern, log.read())
            if len(found) >= count:
                return found
            if died is not None:
                raise self._failure(self._up._daemons.index(died), "{} died".format(whom))
            if time.monotonic() >= self._deadline:
                said = "{} of {} workers registered".format(len(found), count) if count > 1 else "not up"
                raise self._failure(0, "{}: {} in time".format(whom, said))
            time.sleep(_LOG_POLL_S)

    def _failure(self, index: int, reason: str) -> ClusterError:
        name = "master" if index == 0 else "worker-{}".format(index - 1)
        with open(os.path.join(self._folder, "logs", name), errors="replace") as log:
            last = log.read().rstrip().splitlines()[-_LAST_LINES:]
        hint = "The last lines of its log say why."
        text = "\n".join(last)
        if "UnsupportedClassVersionError" in text:
            hint = "This Java is too old for this Spark; `bakeoff doctor` says which Java is fit."
        elif "OutOfMemory" in text or "Cannot allocate memory" in text:
            hint = "The machine has no memory left for it: stop other programs, or take a smaller layout."
        return ClusterError(
            "the embedded cluster did not start: {}\n{}".format(reason, text or "(it said nothing)"), hint
        )


def _spark_home() -> str:
    """The folder of the installed pyspark, which carries Spark."""
    spec = util.find_spec("pyspark")
    home = os.path.dirname(spec.origin) if spec is not None and spec.origin else None
    if home is None or not os.path.isdir(os.path.join(home, "jars")):
        raise ClusterError(
            "no Spark in this environment", "Take an environment that has pyspark, as `bakeoff env` lists."
        )
    return home


def _scala_version(spark: str) -> str:
    """Such as 2.12, which Spark's jars have in their names."""
    for name in os.listdir(os.path.join(spark, "jars")):
        match = re.match(r"spark-core_([\d.]+)-", name)
        if match is not None:
            return match.group(1)
    raise ClusterError("the Spark in {} is not whole".format(spark), "Make its environment anew.")


def _java(home: Optional[str]) -> str:
    """The java program, as an absolute path without links."""
    found = shutil.which("java") if home is None else os.path.join(home, "bin", "java")
    if found is None or not os.access(found, os.X_OK):
        where = "on the PATH" if home is None else "in {}".format(home)
        raise ClusterError("no Java {}".format(where), "`bakeoff doctor` says which Java is fit.")
    return os.path.realpath(found)


# ---- what they are told -------------------------------------------------------------------------


def _temporary(folder: str) -> str:
    return os.path.join(folder, "tmp")


def _write_conf(folder: str, secret: str) -> Dict[str, str]:
    """Write the file that every JVM of the cluster reads, and return what is in it, without the secret.

    A configuration folder of its own also keeps the user's, which is for another cluster, out of this one.
    """
    os.makedirs(os.path.join(folder, "conf"), mode=0o700)
    os.makedirs(_temporary(folder))
    options = _java_options(_temporary(folder))
    conf = {
        "spark.authenticate": "true",
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.ui.enabled": "false",
        # Nodes don't read each other's disks, so neither do executors that stand for them.
        "spark.shuffle.readHostLocalDisk": "false",
        "spark.sql.warehouse.dir": "file://" + os.path.join(folder, "warehouse"),
        # Not extraJavaOptions, which are the application's own. A driver whose scheduler's thread ran out of
        # memory would wait for ever; Spark's executors end by themselves.
        "spark.driver.defaultJavaOptions": options + " -XX:+ExitOnOutOfMemoryError",
        "spark.executor.defaultJavaOptions": options,
    }
    daemons = {"spark.ui.killEnabled": "false", "spark.master.rest.enabled": "false"}
    path = os.path.join(folder, "conf", "spark-defaults.conf")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        for key, value in sorted({**conf, **daemons, "spark.authenticate.secret": secret}.items()):
            file.write("{}={}\n".format(key, value.replace("\\", "\\\\")))
    return conf


def _java_flags(temporary: str) -> Sequence[str]:
    """For every JVM: nothing goes to /tmp, neither temporary files nor performance counters."""
    return ("-XX:-UsePerfData", "-Djava.io.tmpdir=" + temporary)


def _java_options(temporary: str) -> str:
    """The same as one string, which Spark splits at blanks outside quotes."""
    return " ".join('"{}"'.format(flag) if " " in flag else flag for flag in _java_flags(temporary))


# ---- processes ----------------------------------------------------------------------------------


def _start_ticks(pid: int) -> Optional[int]:
    """When a process was started, in clock ticks since boot, which tells it from a later one with its id."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def _stat(pid: int) -> Optional[List[str]]:
    """Fields of /proc/PID/stat from the third on (state, parent, ...); None if there is no such process."""
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _descendants(roots: Sequence[int]) -> List[Tuple[int, int]]:
    """(pid, start ticks) of all processes below the roots."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    known = {pid: stat for pid, stat in ((pid, _stat(pid)) for pid in pids) if stat is not None}
    below: Set[int] = set()
    level = set(roots)
    while level:
        level = {pid for pid, stat in known.items() if int(stat[1]) in level} - below
        below |= level
    return [(pid, int(known[pid][19])) for pid in below]
