"""A Spark driver for the tests, run by an environment's own interpreter.

``application.py ROOT REQUEST.json``: ROOT holds the worker package; the request names ``scenario``,
``layout``, ``folder``, ``java``, ``secret`` and ``guarded``. What it has reached it says in JSON lines on
standard output.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, sys.argv[1])

from bakeoff_worker.distribution.spark import cluster, eventlog, guardian

MEMORY_MIB = 512


def say(**what):
    print(json.dumps(what), flush=True)


def main(request):
    watching = guardian.watch(request["folder"]) if request["guarded"] else None
    if watching is not None:
        say(reached="guarded", guardian=watching.pid)
    nodes, cores = request["layout"]
    with cluster.start(
        (nodes, cores), request["folder"], request["java"], MEMORY_MIB, secret=request["secret"]
    ) as up:
        say(reached="cluster", seconds=up.started_s, master=up.master_url)
        SCENARIOS[request["scenario"]](request, up)
        seconds = up.stop()
    say(reached="stopped", seconds=seconds, again=up.stop(), variables=sorted(os.environ))
    if watching is not None:
        watching.done()


def context(request, up, **more):
    """The application of a scenario, all executors there."""
    from pyspark import SparkConf, SparkContext

    nodes, cores = request["layout"]
    os.environ["PYSPARK_PYTHON"] = sys.executable
    conf = SparkConf().setMaster(up.master_url).setAppName("bakeoff")
    conf.setAll(list(up.conf.items()))
    conf.set("spark.executor.cores", str(cores)).set("spark.executor.memory", f"{MEMORY_MIB}m")
    conf.setAll([(name.replace("_", "."), value) for name, value in more.items()])
    started = time.time()
    made = SparkContext(conf=conf)
    executors = cluster.wait_for_executors(
        made, request.get("executors", nodes), request.get("patience_s", 120.0)
    )
    say(reached="application", seconds=time.time() - started, executors=executors)
    return made


def idle(request, up):
    """A cluster without an application."""


def look(request, up):
    """Python workers alive, so that the tests can look at all processes; goes on when standard input ends."""
    made = context(request, up)
    slots = request["layout"][0] * request["layout"][1]
    pids = made.parallelize(range(slots), slots).map(lambda _: os.getpid()).collect()
    folders = made.parallelize(range(slots), slots).map(lambda _: os.environ["TMPDIR"]).distinct().collect()
    say(reached="looking", workers=pids, folders=folders)
    sys.stdin.read()
    made.stop()


def endless(request, up):
    """Tasks in Python until somebody ends it."""
    made = context(request, up)
    slots = request["layout"][0] * request["layout"][1]
    say(reached="tasks")
    made.parallelize(range(slots), slots).map(burn).count()


def burn(_):
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()  # what a library in a task might do
    while True:
        time.sleep(0.05)


def unfit(request, up):
    """More executors are asked for than the cluster has room for."""
    try:
        context(request, up, spark_cores_max="64")
    except cluster.ClusterError as error:
        say(reached="refused", message=error.message, hint=error.hint)


def unreachable(request, up):
    """Nodes are told an address of the driver at which nobody listens."""
    started = time.time()
    try:
        context(request, up, spark_driver_host="127.0.0.9")
    except cluster.ClusterError as error:
        say(reached="refused", message=error.message, hint=error.hint, seconds=time.time() - started)


def account(request, up):
    """Tasks of every kind, with the event log, and what the REST API says of them."""
    events = Path(request["folder"], "events")
    events.mkdir()
    conf = {key.replace(".", "_"): value for key, value in eventlog.CONF.items()}
    made = context(
        request,
        up,
        spark_eventLog_dir=events.as_uri(),
        spark_ui_enabled="true",
        spark_ui_port="0",
        **{**conf, "spark_executor_metrics_pollingInterval": "500"},
    )
    slots = request["layout"][0] * request["layout"][1]
    flag = Path(request["folder"], "flag")
    made.parallelize(range(slots), slots).mapPartitions(compute).collect()
    made.parallelize(range(20000), slots).map(lambda x: (x % 10, x)).repartition(3).count()
    made.parallelize(range(slots), slots).mapPartitionsWithIndex(fail_once).collect()
    large = made.parallelize(range(2), 2).map(lambda _: os.urandom(3000000)).collect()
    shuffled = made.parallelize(range(1000), slots).repartition(slots)
    total = shuffled.mapPartitionsWithIndex(kill_executor_once(flag)).sum()
    say(reached="trained", large=[len(one) for one in large], total=total)
    time.sleep(3.0)  # the status store takes in events a moment later
    say(reached="rest", tasks=rest(made))
    made.stop()


def compute(_):
    until = time.process_time() + 0.4
    while time.process_time() < until:
        pass
    time.sleep(1.2)  # memory is polled meanwhile
    yield 0


def fail_once(index, rows):
    from pyspark import TaskContext

    if index == 0 and TaskContext.get().attemptNumber() == 0:
        raise ValueError("the first attempt fails")
    return rows


def kill_executor_once(flag):
    def partition(index, rows):
        rows = list(rows)
        if index == 0 and not flag.exists():
            flag.touch()
            daemon = Path(f"/proc/{os.getppid()}/stat").read_text()
            os.kill(int(daemon.rpartition(")")[2].split()[1]), signal.SIGKILL)
        time.sleep(1.5)
        return [len(rows)]

    return partition


def rest(made):
    """Every task as the REST API has it, by its id."""
    root = f"{made.uiWebUrl}/api/v1/applications/{made.applicationId}/stages"
    tasks = {}
    for stage in fetch(root):
        url = f"{root}/{stage['stageId']}/{stage['attemptId']}/taskList?length=100000"
        for task in fetch(url):
            tasks[task["taskId"]] = task
    return tasks


def fetch(url):
    with urlopen(url) as answer:
        return json.loads(answer.read().decode())


SCENARIOS = {function.__name__: function for function in (idle, look, endless, unfit, unreachable, account)}

if __name__ == "__main__":
    main(json.loads(Path(sys.argv[2]).read_text()))
