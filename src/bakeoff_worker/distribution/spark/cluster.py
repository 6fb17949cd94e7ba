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
from importlib import util
from types import TracebackType
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Type

_HOST = "127.0.0.1"
# Master and workers live a few seconds of CPU time each: the quick compiler and the smallest collector start
# them soonest. Executors and the driver get none of this: they are what is measured.
_DAEMON_FLAGS = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOG_POLL_S = 0.02
_EXECUTOR_POLL_S = 0.25
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


def check_layout(context: Any, master_url: str, num_executors: int) -> None:
    """Pass if a standalone master's nodes are large enough for the executors that the application asks for.

    It asks the master itself, over Spark's own channel, so that a layout that can never fit is said at once.
    Whether others hold the cores now is for `wait_for_executors`. Other masters (``yarn``, ``k8s://``) pass.

    Raises:
        ClusterError: they are not; says what the nodes have.
    """
    if not master_url.startswith("spark://") or "," in master_url:
        return
    host, _, port = master_url[len("spark://") :].rpartition(":")
    jvm, spark = context._jvm, context._jsc.sc()
    messages = jvm.org.apache.spark.deploy
    request = getattr(getattr(messages, "DeployMessages$RequestMasterState$"), "MODULE$")
    kind = jvm.java.lang.Class.forName("org.apache.spark.deploy.DeployMessages$MasterStateResponse")
    address = jvm.org.apache.spark.rpc.RpcAddress(host, int(port))
    master = spark.env().rpcEnv().setupEndpointRef(address, "Master")
    state = master.askSync(request, jvm.scala.reflect.ClassTag.apply(kind))
    nodes = [
        (int(node.cores()), int(node.memory()))
        for node in state.workers()
        if node.state().toString() == "ALIVE"
    ]
    conf = spark.conf()
    cores = int(conf.get("spark.executor.cores", "1"))
    memory_mib = int(conf.getSizeAsMb("spark.executor.memory", "1g"))
    memory_mib += int(conf.getSizeAsMb("spark.executor.pyspark.memory", "0"))
    room = sum(min(has_cores // cores, has_mib // memory_mib) for has_cores, has_mib in nodes)
    if room < num_executors:
        raise ClusterError(
            "the layout doesn't fit the cluster: {} executors of {} cores and {} MiB were asked for, there "
            "is room for {}: {}".format(
                num_executors,
                cores,
                memory_mib,
                room,
                ", ".join("a node of {} cores and {} MiB".format(*node) for node in nodes) or "no node",
            ),
            "Take a layout with fewer nodes or cores, or less memory (distribution_options.layout, "
            "executor_memory_mib), or start more workers.",
        )


def wait_for_executors(context: Any, num_executors: int, timeout_s: float) -> Tuple[Executor, ...]:
    """The executors of an application, once as many as asked have registered.

    context: a SparkContext, on any cluster.

    Raises:
        ClusterError: fewer came up within ``timeout_s``, with how many cores; or the application was ended.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = _executors(context)
        if len(found) >= num_executors:
            return found
        if context._jsc.sc().isStopped():
            raise ClusterError(
                "the cluster ended the application before its executors were up",
                "Spark's own words on it are among the last lines of the log.",
            )
        if time.monotonic() >= deadline:
            break
        time.sleep(_EXECUTOR_POLL_S)
    asked = context.getConf()
    cores, memory = asked.get("spark.executor.cores"), asked.get("spark.executor.memory")
    raise ClusterError(
        "the layout doesn't fit the cluster: {} of {} executors came up within {:g} s, with {} core{} in "
        "all; asked were {} with {} cores and {} of memory each".format(
            len(found),
            num_executors,
            timeout_s,
            sum(one.num_cores for one in found),
            "" if sum(one.num_cores for one in found) == 1 else "s",
            num_executors,
            cores or "all",
            memory or "1g",
        ),
        "Take a layout with fewer nodes or cores, or less executor memory; the master's page shows what is "
        "free, and whether another application holds it.",
    )


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


def _executors(context: Any) -> Tuple[Executor, ...]:
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
            died = next((one for one in self._up._daemons if one.poll() is not None), None)
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
