"""What a standalone cluster says of itself: the room on its nodes, and what becomes of executors there.

The master is asked for its nodes over Spark's own channel. What changes while they run, and what executors
wrote, is on the nodes' pages; a page that can't be reached leaves it unknown.
"""

import itertools
import json
import re
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_PAGE_S = 5.0  # how long a page may take to answer
_EACH_S = 1.0  # pause between two looks at all pages
_LOG_BYTES = 65536


class Node(NamedTuple):
    """One worker of the cluster: cores and memory that it offers, and the address of its page."""

    cores: int
    memory_mib: int
    page: str


class Death(NamedTuple):
    """An executor that has ended: of which node (its page), Spark's id, and what it wrote to its stderr."""

    page: str
    executor: str
    stderr: str


def nodes(context: Any, master_url: str) -> Tuple[Node, ...]:
    """The nodes of the master that is in charge; those that its page calls dead are none.

    Raises:
        Exception: by Py4J, where no master answers.
    """
    found = registered(context, master_url)
    for node in found[:2]:  # where these have no page for us, the others will not
        own = _json(node.page)
        master = own and _json(own.get("masterwebuiurl", ""))
        if master:
            alive = {one["webuiaddress"] for one in master["workers"] if one["state"] == "ALIVE"}
            return tuple(node for node in found if node.page in alive)
    return found


def registered(context: Any, master_url: str) -> Tuple[Node, ...]:
    """Those that the master knows. Its message says nothing of which are alive."""
    jvm, spark = context._jvm, context._jsc.sc()
    messages = jvm.org.apache.spark.deploy
    request = getattr(getattr(messages, "DeployMessages$RequestMasterState$"), "MODULE$")
    kind = jvm.java.lang.Class.forName("org.apache.spark.deploy.DeployMessages$MasterStateResponse")
    error: Optional[Exception] = None
    for place in master_url[len("spark://") :].split(","):
        host, _, port = place.rpartition(":")
        address = jvm.org.apache.spark.rpc.RpcAddress(host.strip("[]"), int(port))
        try:
            master = spark.env().rpcEnv().setupEndpointRef(address, "Master")
            state = master.askSync(request, jvm.scala.reflect.ClassTag.apply(kind))
        except Exception as unanswered:  # one of several may be down
            error = unanswered
            continue
        if state.status().toString() == "ALIVE":  # others stand by
            return tuple(
                Node(int(worker.cores()), int(worker.memory()), str(worker.webUiAddress()))
                for worker in state.workers()
            )
    if error is not None:
        raise error
    return ()


class Watch:
    """Looks at what becomes of one application's executors on the nodes, in a thread: pages may be slow.

    num_running: executors that run. num_silent: nodes whose page doesn't answer.
    """

    def __init__(self, context: Any, known: Sequence[Node]) -> None:
        self._app = str(context.applicationId)
        self._pages = [node.page for node in known]
        self._ended: Dict[Tuple[str, str], None] = {}
        self._over = threading.Event()
        self.num_running = 0
        self.num_silent = len(self._pages)

    def start(self) -> None:
        """From now on look again and again, until `stop`."""
        threading.Thread(target=self._follow, name="bakeoff-executors", daemon=True).start()

    def stop(self) -> None:
        """No more than the look that is under way."""
        self._over.set()

    def _follow(self) -> None:
        while not self._over.is_set():
            self.look()
            self._over.wait(_EACH_S)

    def look(self) -> None:
        """Once at every page."""
        num_running = num_silent = 0
        for page in self._pages:
            said = _json(page)
            if said is None:
                num_silent += 1
                continue
            num_running += sum(one["appid"] == self._app for one in said["executors"])
            ended = ((page, str(one["id"])) for one in said["finishedexecutors"] if one["appid"] == self._app)
            self._ended = {**self._ended, **dict.fromkeys(ended)}
        self.num_running, self.num_silent = num_running, num_silent

    @property
    def num_ended(self) -> int:
        """Executors that were seen to have ended."""
        return len(self._ended)

    @property
    def is_repeated(self) -> bool:
        """Whether so many have ended that it is no accident: two on one node, or three in all."""
        pages = [page for page, _ in self._ended]
        return len(pages) >= 3 or len(set(pages)) < len(pages)

    def deaths(self) -> List[Death]:
        """Those that ended, with what they wrote."""
        where = "{}/log?appId={}&executorId={}&logType=stderr&byteLength={}"
        return [
            Death(page, one, _text(where.format(page, self._app, one, _LOG_BYTES)) or "")
            for page, one in self._ended
        ]


def errors(stderr: str) -> List[str]:
    """The lines of an executor's stderr that may say why it ended: no frames, nothing logged as usual."""
    lines = (line.strip() for line in stderr.splitlines())
    return [line for line in lines if line and not re.search(_USUAL, line)] or ["(it wrote no error)"]


def first_error(stderr: str) -> str:
    """The root of an executor's first exception: Spark nests them, the innermost comes last."""
    found = errors(stderr)
    start = next((at for at, line in enumerate(found) if re.search(_EXCEPTION, line)), len(found) - 1)
    causes = itertools.takewhile(lambda line: line.startswith("Caused by: "), found[start + 1 :])
    return re.sub("^Caused by: ", "", [found[start], *causes][-1])[:300]


_USUAL = r"^====|^Spark Executor Command|^at |^\.\.\. \d+ |\b(INFO|WARN|DEBUG)\b|^Using Spark's default"
_EXCEPTION = r"^(Exception in thread|Caused by: |[\w.$]+(Exception|Error)\b|Unrecognized )|^Error:|\bERROR\b"

# What executors write that can't start, and what to set.
_REMEDIES: Tuple[Tuple[str, str], ...] = (
    (
        r"Failed to connect|Connection refused|UnknownHost|No route to host|timed out|Timeout|unreachable"
        r"|Cannot receive any reply",
        "Nodes have to reach the driver, which told them {driver}: set SPARK_LOCAL_IP to this machine's "
        "address as nodes see it (or spark.driver.host in spark-defaults.conf), and open its ports "
        "(spark.driver.port, spark.driver.blockManager.port) to them.",
    ),
    (
        r"UnsupportedClassVersionError|Unrecognized (VM )?option",
        "The nodes' Java doesn't fit this Spark: start the workers with JAVA_HOME set to one that does.",
    ),
    (
        r"OutOfMemoryError|enough space|Cannot allocate memory|insufficient memory|maximum heap|too small"
        r"|create the Java Virtual Machine",
        "Nodes have too little memory for such an executor: lower distribution_options.executor_memory_mib.",
    ),
    (
        r"Sasl|[Aa]uthenticat|SecurityException|secret|challenge",
        "Executors and driver don't share a secret: spark.authenticate and spark.authenticate.secret have "
        "to be the same in the spark-defaults.conf of SPARK_CONF_DIR and of the workers.",
    ),
    (
        r"InvalidClassException|serialVersionUID|NoSuchMethodError|NoClassDefFoundError|ClassNotFound"
        r"|find or load main class",
        "The nodes' Spark has to be of the very version of the environment's.",
    ),
)


def remedy(stderr: str, driver: str) -> str:
    """What to set, by what an executor wrote. driver: the address that nodes were told."""
    said = "\n".join(errors(stderr))
    for pattern, words in _REMEDIES:
        if re.search(pattern, said):
            return words.format(driver=driver)
    return "The rest is in stderr in the executors' work folders on the nodes, and on the workers' pages."


# Pages are of the cluster's own network: a proxy for the world outside does not lead there.
_open = build_opener(ProxyHandler({})).open


def _text(url: str) -> Optional[str]:
    try:
        with _open(url, timeout=_PAGE_S) as answer:
            return str(answer.read().decode(errors="replace"))
    except (URLError, OSError, ValueError):
        return None


def _json(page: str) -> Optional[Dict[str, Any]]:
    """What a page says to programs; None where it can't be had."""
    text = _text(page + "/json/") if page else None
    try:
        said = json.loads(text) if text else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
